"""Landmark models of the field as recipes, named after their papers, and the parts that only they have."""

from collections.abc import Mapping

from limner.hooks import hookimpl

RECIPES = (
    "gan-int-cls",
    "df-gan",
    "ssa-gan",
    "gigagan",
    "r3gan",
    "stackgan",
    "stackgan-v2",
    "attngan",
    "mirrorgan",
    "dm-gan",
)


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """TOML files by recipe name."""
    return {name: f"limner_landmarks:recipes/{name}.toml" for name in RECIPES}


@hookimpl
def limner_generators() -> Mapping[str, str]:
    return {
        "dcgan": "limner_landmarks.dcgan:DCGANGenerator",
        "deep-fusion": "limner_landmarks.deep_fusion:DeepFusionGenerator",
        "spatial-fusion": "limner_landmarks.spatial_fusion:SpatialFusionGenerator",
        "adaptive-kernels": "limner_landmarks.adaptive_kernels:AdaptiveKernelGenerator",
        "r3gan": "limner_landmarks.r3gan:R3GANGenerator",
    }


@hookimpl
def limner_stages() -> Mapping[str, str]:
    return {
        "stack-initial": "limner_landmarks.stacked:StackInitialStage",
        "stack-second": "limner_landmarks.stacked:StackSecondStage",
        "stack-refinement": "limner_landmarks.stacked:StackRefinementStage",
        "word-refinement": "limner_landmarks.words:WordRefinementStage",
    }


@hookimpl
def limner_discriminators() -> Mapping[str, str]:
    return {
        "dcgan": "limner_landmarks.dcgan:DCGANDiscriminator",
        "one-way": "limner_landmarks.one_way:OneWayDiscriminator",
        "r3gan": "limner_landmarks.r3gan:R3GANDiscriminator",
        "stacked": "limner_landmarks.stacked_discriminator:StackedDiscriminator",
    }


@hookimpl
def limner_losses() -> Mapping[str, str]:
    return {
        "interpolated-captions": "limner_landmarks.interpolated_captions:InterpolatedCaptions",
    }


@hookimpl
def limner_league_entries() -> Mapping[str, str]:
    """All of them are compared in the league of scenes."""
    return dict.fromkeys(RECIPES, "scenes")
