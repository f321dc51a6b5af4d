"""Hierarchical generation: images in stages, low resolution first, each stage conditioned on the text again."""

from limner.hooks import hookimpl

from .growing import grow

RECIPES = ("scenes-staged", "scenes-three-stages", "scenes-super-resolution", "scenes-128", "scenes-256")


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
    return {
        "scale-consistency": "limner_hierarchy.scale_consistency:ScaleConsistency",
        "color-consistency": "limner_hierarchy.color_consistency:ColorConsistency",
    }


@hookimpl
def limner_recipes():
    return {name: f"limner_hierarchy:recipes/{name}.toml" for name in RECIPES}


@hookimpl
def limner_models():
    return {"scenes-128": "limner_hierarchy:models/scenes-128"}


@hookimpl
def limner_training_started(run):
    grow(run)


@hookimpl
def limner_step_finished(run):
    grow(run)
