"""Publishing a model: its run folder without what is private, a model card, and a list of the plugins it needs."""

import json
import math
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path, PureWindowsPath
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import tomli_w

from limner.errors import LimnerError, quoted
from limner.files import replace_file
from limner.hooks import API_VERSION
from limner.kinds import COMPONENTS
from limner.models.hub import CONFIG_FILE, REPOSITORY, HubModel, upload
from limner.models.report import Report, markdown_table, markdown_text
from limner.models.run_files import RECIPE_FILE, SCORES_FILE
from limner.plugins import Plugin, PluginHost
from limner.recipes.schema import Recipe
from limner.slots import Slot

if TYPE_CHECKING:
    from limner.models.model import Model

CARD_FILE, FILM_FILE = "README.md", "film.png"
LICENSE = re.compile("[a-z0-9][a-z0-9.-]*")


def publish(model: "Model", repository: str, private: bool, license: str, report: Report | None) -> HubModel:
    """Write what is published of a model into a folder, and upload it; see `Model.push_to_hub`."""
    if not REPOSITORY.fullmatch(repository):
        raise LimnerError(f"{quoted(repository)}: expected NAME/REPOSITORY, such as ann/limner-red-circles.")
    if not LICENSE.fullmatch(license):
        raise LimnerError(
            f"license: expected an identifier of the hub, such as apache-2.0 or cc-by-4.0, got {license}."
        )
    with TemporaryDirectory() as place:
        write_publication(model, Path(place), repository, license, report)
        return upload(Path(place), repository, private, f"Trained by Limner {version('limner')}")


def write_publication(model: "Model", folder: Path, repository: str, license: str, report: Report | None) -> None:
    """Write the files that are published: those of a run folder, the model card and its film strip, and config.json."""
    model.save(folder)
    recipe = publishable(model.recipe)
    replace_file(folder / RECIPE_FILE, tomli_w.dumps(recipe).encode())
    needed = {plugin.distribution: plugin.version for plugin in needed_plugins(model.plugins, model.recipe)}
    config = {"library": "limner", "limner": version("limner"), "api": API_VERSION, "plugins": needed}
    replace_file(folder / CONFIG_FILE, json.dumps(config, indent=1).encode())
    if model.report:
        replace_file(folder / SCORES_FILE, model.report.to_json().encode())
    film = Path(model.source) / "pictures" / FILM_FILE
    if model.film:
        model.film_strip().save(folder / FILM_FILE)
    elif model.source and film.is_file():
        copyfile(film, folder / FILM_FILE)
    has_film = (folder / FILM_FILE).is_file()
    card = model_card(model, recipe, needed, repository, license, report or model.report, has_film)
    replace_file(folder / CARD_FILE, card.encode())


def publishable(recipe: Recipe) -> dict[str, Any]:
    """The table of a recipe without what concerns one machine: no trackers, and of a path only its last part."""

    def without_paths(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_paths(item) for key, item in value.items()}
        path = PureWindowsPath(value) if isinstance(value, str) else None  # it reads the paths of all systems
        return path.name or "data" if path and (path.root or str(path).startswith("~")) else value

    table = recipe.table()
    return table | {
        "data": without_paths(table["data"]),
        "encoder": without_paths(table["encoder"]),
        "training": without_paths({key: value for key, value in table["training"].items() if key != "trackers"}),
    }


def needed_plugins(plugins: PluginHost, recipe: Recipe) -> list[Plugin]:
    """The installed plugins that the components of a recipe belong to, those in its slots included."""
    owners = {
        (value.partition(":")[0] if isinstance(value, str) else value.__module__).split(".")[0]: component.plugin
        for kind in COMPONENTS
        for component in plugins.components(kind).values()
        for value in [component.value]
    }
    places = [place for kind, place, _ in recipe.parts() if kind in COMPONENTS]
    classes = [
        part for place in places for part in _classes(recipe.resolved(place).component, recipe.resolved(place).options)
    ]
    found = {owner.name: owner for part in classes if (owner := owners.get(part.__module__.split(".")[0]))}
    return [plugin for plugin in found.values() if plugin.version]  # one that is registered by hand has none


def _classes(component: type, options: dict[str, Any]) -> Iterator[type]:
    """A component, and those in its slots."""
    yield component
    for value in options.values():
        if isinstance(value, Slot):
            for part, _, inner in value.entries:
                yield from _classes(part, inner)


# --- the model card -------------------------------------------------------------------------------------------------


def model_card(
    model: "Model",
    recipe: dict[str, Any],
    needed: dict[str, str],
    repository: str,
    license: str,
    report: Report | None,
    has_film: bool,
) -> str:
    """The model card in Markdown, with metadata in YAML: what the model is, how to load it, figures, its recipe."""
    others = [name for name in needed if name != "limner"]
    prompts = model.recipe.prompts or (model.film[0][1].labels if model.film else ["..."])
    title = markdown_text(model.recipe.title or f"A text-to-image model for {model.recipe.data.name}")
    steps = f" for {model.steps} steps" if model.steps else ""
    install = f"pip install {' '.join(['limner', *others])}"
    parts = [
        f"---\n{metadata(model, repository, license)}\n---",
        f"# {repository.partition('/')[2]}",
        f"{title}. It paints images of {model.recipe.image_size} pixels from a sentence. Limner trained it{steps}, "
        f"with batches of {model.recipe.training.batch_size} images and seed {model.recipe.training.seed}.",
        *([f"![Prompts in the course of the training]({FILM_FILE})"] if has_film else []),
        "## How to load it",
        f"    {install}",
        f"```python\nimport limner\n\nmodel = limner.load({f'hf://{repository}'!r})\n"
        f"model.paint({prompts[0]!r}, n=8)\n```",
        f"Or on the command line: `limner demo hf://{repository}`.",
        "## What it needs",
        markdown_table(
            ["package", "version it was trained with"], sorted(({"limner": version("limner")} | needed).items())
        ),
        *(["## Figures", *figures(report)] if report else []),
        "## Recipe",
        f"~~~~toml\n{tomli_w.dumps(recipe).replace('~~~~', '')}~~~~",
    ]
    return "\n\n".join(parts) + "\n"


def figures(report: Report) -> list[str]:
    """The scores as a table, and what they are based on."""
    said = "Mean ± standard deviation." if report.spread else "One run, so the spread is unknown."
    return [said, report.markdown(), *map(markdown_text, report.notes)]


def metadata(model: "Model", repository: str, license: str) -> str:
    """The metadata of the model card, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    data, scores = model.recipe.data.name, model.report.scores if model.report else {}
    results = [
        EvalResult("text-to-image", data, data, metric_type=name, metric_value=value, metric_name=name)
        for name, value in scores.items()
        if math.isfinite(value)
    ]
    card = ModelCardData(
        license=license,
        library_name="limner",
        pipeline_tag="text-to-image",
        tags=["limner", "gan"],
        model_name=repository.partition("/")[2],
        eval_results=results or None,
    )
    return card.to_yaml()
