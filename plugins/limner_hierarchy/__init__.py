"""Hierarchical generation: images in stages, low resolution first, each stage conditioned again on the text."""

from limner.hooks import hookimpl


@hookimpl
def limner_generators():
    return {"staged": "limner_hierarchy.generator:StagedGenerator"}


@hookimpl
def limner_discriminators():
    return {"scales": "limner_hierarchy.discriminator:ScalesDiscriminator"}


@hookimpl
def limner_stages():
    return {
        "initial": "limner_hierarchy.initial:InitialStage",
        "refinement": "limner_hierarchy.refinement:RefinementStage",
        "super-resolution": "limner_hierarchy.super_resolution:SuperResolutionStage",
    }


@hookimpl
def limner_losses():
    return {"scale-consistency": "limner_hierarchy.scale_consistency:ScaleConsistency"}


@hookimpl
def limner_recipes():
    return {name: f"limner_hierarchy:recipes/{name}.toml" for name in ("scenes-staged", "scenes-128")}


@hookimpl
def limner_training_started(run):
    _grow(run)


@hookimpl
def limner_step_finished(run):
    _grow(run)


def _grow(run):
    """A generator that grows is told how far the training has come, and so is its average."""
    for generator in (run.networks.painting.generator, run.model.painting.generator):
        if hasattr(generator, "grow_to"):
            generator.grow_to(run.progress)
