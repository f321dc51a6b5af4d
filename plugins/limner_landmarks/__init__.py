"""Landmark models of the field as recipes, named after their papers, and the parts that only they have."""

from collections.abc import Mapping

from limner.hooks import hookimpl

RECIPES = ("stackgan", "stackgan-v2", "attngan", "mirrorgan")


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """TOML files by recipe name."""
    return {name: f"limner_landmarks:recipes/{name}.toml" for name in RECIPES}


@hookimpl
def limner_stages() -> Mapping[str, str]:
    """Stages by name."""
    return {
        "stack-initial": "limner_landmarks.stacked:StackInitialStage",
        "stack-second": "limner_landmarks.stacked:StackSecondStage",
        "stack-refinement": "limner_landmarks.stacked:StackRefinementStage",
        "word-refinement": "limner_landmarks.words:WordRefinementStage",
    }


@hookimpl
def limner_discriminators() -> Mapping[str, str]:
    """Discriminators by name."""
    return {"stacked": "limner_landmarks.discriminator:StackedDiscriminator"}
