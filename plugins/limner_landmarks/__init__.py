"""Landmark models of the field as recipes, named after their papers, and the parts that only they have."""

from collections.abc import Mapping

from limner.hooks import hookimpl

RECIPES = ()


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """TOML files by recipe name."""
    return {name: f"limner_landmarks:recipes/{name}.toml" for name in RECIPES}
