"""Growing: stages join in the course of training; the stages before them can be frozen at that point."""


def grow(run):
    """Tells a growing generator, and its EMA copy, how far training has come; freezes what has finished learning.

    A frozen part takes its EMA weights, which are the better ones. The encoder is frozen along with the stages, so the
    same caption keeps giving the same small image (Zhang et al. 2017: Stage-I is fixed while Stage-II learns).
    """
    learning, averaged = run.networks.conditional_generator, run.model.conditional_generator
    if not hasattr(learning.generator, "grow_to"):
        return
    before = learning.generator.grown
    for generator in (learning.generator, averaged.generator):
        generator.grow_to(run.progress)
        if run.step:  # with a longer budget, a run that is resumed has come less far, but no stage leaves again
            generator.grown = max(before, generator.grown)
    if learning.generator.freeze and learning.generator.grown > before:
        done = [(learning.encoder, averaged.encoder)]
        done += list(zip(learning.generator.stages, averaged.generator.stages))[: learning.generator.grown - 1]
        for part, average in done:
            part.load_state_dict(average.state_dict())
            part.requires_grad_(False)
