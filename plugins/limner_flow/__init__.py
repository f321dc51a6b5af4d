"""Flow matching: a model that is not adversarial, behind the same interfaces and under the same judge."""

from collections.abc import Mapping

from limner.hooks import hookimpl

RECIPES = ("flow-32", "flow-64")


@hookimpl
def limner_generators():
    return {"flow-unet": "limner_flow.unet:FlowUNet"}


@hookimpl
def limner_losses():
    return {"flow-matching": "limner_flow.loss:FlowMatching"}


@hookimpl
def limner_recipes() -> Mapping[str, str]:
    """TOML files by recipe name."""
    return {name: f"limner_flow:recipes/{name}.toml" for name in RECIPES}


@hookimpl
def limner_league_entries() -> Mapping[str, str]:
    """The recipe that the league compares."""
    return {"flow-64": "scenes"}
