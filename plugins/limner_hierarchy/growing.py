"""Growing: stages join in the course of a training, and those before them may be frozen then."""


def grow(run):
    """Tell a generator that grows, and its average, how far the training has come; freeze what has had its time.

    What is frozen takes its averaged weights, the better ones, and the encoder is frozen along with the stages: the
    same caption gives the same small image from then on (Zhang et al. 2017: stage I is fixed while stage II learns).
    """
    painting, average = run.networks.conditional_generator, run.model.conditional_generator
    if not hasattr(painting.generator, "grow_to"):
        return
    before = painting.generator.grown
    for generator in (painting.generator, average.generator):
        generator.grow_to(run.progress)
    if painting.generator.freeze and painting.generator.grown > before:
        done = [(painting.encoder, average.encoder)]
        done += list(zip(painting.generator.stages, average.generator.stages))[: painting.generator.grown - 1]
        for learned, averaged in done:
            learned.load_state_dict(averaged.state_dict())
            learned.requires_grad_(False)
