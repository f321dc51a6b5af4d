"""Recipes: the whole of an experiment in one small TOML file.

A recipe names the components and their options, the data, and the training. It may extend another one and say only
what differs; where it names another component, the options of the one it replaces are dropped.
`encoder = "lstm"` is short for `encoder = {name = "lstm"}`, and so for every component.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from limner.errors import LimnerError
from limner.names import nearest
from limner.options import check_options, explain
from limner.plugins import PluginHost


class Part(BaseModel):
    """A component by name; every further key is an option of that component."""

    model_config = ConfigDict(extra="allow", strict=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class LossPart(Part):
    """A loss by name (by default the table's own), with its weight in the sum."""

    weight: Annotated[float, Field(ge=0)] = 1.0


class Text(BaseModel):
    """How captions become tokens."""

    model_config = ConfigDict(extra="forbid", strict=True)
    vocabulary: Annotated[int, Field(ge=50)] = 2000  # WordPieces learned from the captions, at most
    length: Annotated[int, Field(ge=3)] = 24  # tokens that a caption may have
    # a tokenizer of transformers, by hub name or folder, instead of learning one; a pretrained encoder brings its own
    tokenizer: str | None = None


class Training(BaseModel):
    """How long, how fast, how exactly."""

    model_config = ConfigDict(extra="forbid", strict=True)
    steps: Annotated[int, Field(ge=1)] | None = None  # the budget: so many steps,
    seconds: Annotated[float, Field(gt=0)] | None = None  # or so much time
    batch_size: Annotated[int, Field(ge=2)] = 32  # real images at each step, and as many painted ones
    generator_rate: Annotated[float, Field(gt=0)] = 1e-3  # of learning
    discriminator_rate: Annotated[float, Field(gt=0)] = 1e-3  # also of the encoder, and of what losses own
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field([0.0, 0.99], min_length=2, max_length=2)  # of Adam
    decay: Annotated[float, Field(ge=0, le=1)] = 0.3  # over this last part of the budget the rates fall to 0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99  # of the painting weights, per step
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0  # of the first weights, the noise and the order of the data
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: the fastest that there is
    start_from: str | None = None  # the folder of a run: begin with its weights, wherever it has the same parts
    take: list[str] = []  # from it, such as ["encoder", "generator"]; empty: all that is alike
    freeze: list[str] = []  # parts that do not learn, such as ["encoder", "generator.stages.0"]
    preview_every: Annotated[float, Field(gt=0)] = 0.05  # of the budget: pictures, and weights saved
    snapshots: list[Annotated[float, Field(gt=0, lt=1)]] = []  # parts of the budget after which the model is kept

    @model_validator(mode="after")
    def _one_budget(self) -> "Training":
        if (self.steps is None) == (self.seconds is None):
            raise ValueError("give the budget either in steps or in seconds")
        return self


class Sampling(BaseModel):
    """How a trained model's images are sampled, where nothing else is asked for; metrics measure these."""

    model_config = ConfigDict(extra="forbid", strict=True)
    truncation: Annotated[float, Field(gt=0)] | None = None  # the noise stays within ± this number
    candidates: Annotated[int, Field(ge=1, le=1024)] = 1  # each image is the best of so many,
    by: str = "matching"  # by the model's "matching", by its captioner ("caption"), or by the loss of this name


class Recipe(BaseModel):
    """A whole experiment. `Recipe.read(host, "quickstart")` reads one by name or from a file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    title: str = ""  # what it is, in a line
    image_size: Annotated[int, Field(ge=8)] = 32  # height and width of the images, in pixels
    data: Part  # a dataset
    text: Text = Text()
    encoder: Part  # reads the captions
    generator: Part  # paints
    discriminator: Part  # judges
    losses: dict[str, LossPart]  # by name; each has a weight, by default 1
    metrics: dict[str, Part] | None = None  # by name; left out: those that the dataset is measured by
    prompts: list[str] | None = None  # painted again and again during training; left out: the dataset's
    training: Training
    sampling: Sampling = Sampling()

    @classmethod
    def read(cls, host: PluginHost, source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> "Recipe":
        """A recipe by name, from a TOML file, or as a dict; `overrides` are texts such as "training.steps=500".

        Raises:
            LimnerError: in one sentence, where anything in it is unknown, of the wrong type, or missing.
        """
        place = "the recipe" if isinstance(source, Mapping) else str(source)
        return cls.check(host, resolve(host, source, overrides), place)

    @classmethod
    def check(cls, host: PluginHost, table: Mapping[str, Any], place: str) -> "Recipe":
        """Validate a complete table, each component's options included."""
        table = spelled_out(table)
        for group in ("losses", "metrics"):
            if isinstance(table.get(group), dict):
                table[group] = {
                    name: {"name": name, **part} if isinstance(part, dict) else part
                    for name, part in table[group].items()
                }
        try:
            recipe = cls(**table)
        except ValidationError as error:
            raise LimnerError(f"{place}: {explain(error, '', 'a recipe', _known_keys(error))}") from None
        for kind, where, part in recipe.parts():
            check_options(host, kind, part.name, part.options, f"{place}: {where}")
        return recipe

    def parts(self) -> list[tuple[str, str, Part]]:
        """Every component of the recipe as (kind, place, part)."""
        single = [("dataset", "data", self.data), ("encoder", "encoder", self.encoder)]
        single += [("generator", "generator", self.generator), ("discriminator", "discriminator", self.discriminator)]
        losses = [("loss", f"losses.{name}", part) for name, part in self.losses.items()]
        metrics = [("metric", f"metrics.{name}", part) for name, part in (self.metrics or {}).items()]
        return single + losses + metrics

    def table(self) -> dict[str, Any]:
        """The recipe as plain values, ready for TOML: `Recipe.check` of it gives the same recipe."""
        return _without_none(self.model_dump())


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def spelled_out(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with every component as a table: a text in its place is the component's name."""

    def part(value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    single = ("data", "encoder", "generator", "discriminator")
    full = {key: part(value) if key in single else value for key, value in table.items()}
    for group in ("losses", "metrics"):
        if isinstance(full.get(group), Mapping):
            full[group] = {name: part(value) for name, value in full[group].items()}
    return full


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, table by table.

    A table that names another component replaces the old one, but for `at`, which says where in a slot and not what; a
    budget in steps replaces one in seconds, and the other way round; a loss is taken out by setting it to false.
    """
    renamed = "name" in changes and "name" in base and changes["name"] != base["name"]
    merged = {key: value for key, value in base.items() if not renamed or key == "at"}
    for one, other in (("steps", "seconds"), ("seconds", "steps")):
        if one in changes and other not in changes:
            merged.pop(other, None)
    for key, value in changes.items():
        if value is False and isinstance(merged.get(key), dict):
            del merged[key]
        elif isinstance(value, Mapping) and isinstance(merged.get(key), str):
            merged[key] = merge({"name": merged[key]}, value)
        elif isinstance(value, Mapping):
            merged[key] = merge(merged[key] if isinstance(merged.get(key), dict) else {}, value)
        else:
            merged[key] = value
    return merged


def resolve(host: PluginHost, source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The table of a recipe with all that it extends, and then `overrides`, merged in; nothing is checked yet."""
    table = _extended(host, source, ())
    for override in overrides:
        table = merge(table, _parse_override(override))
    return table


def _extended(host: PluginHost, source: str | Path | Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    """The table of a recipe with everything that it extends merged in; `seen` are the recipes that led to it."""
    if isinstance(source, Mapping):
        table, folder = dict(source), Path()
    else:
        path = _locate(host, str(source), seen)
        if str(path) in seen:
            raise LimnerError(f"{path}: recipes extend each other in a circle: {' -> '.join((*seen, str(path)))}.")
        table, folder, seen = _read_toml(path), path.parent, (*seen, str(path))
    table = spelled_out(table)
    parent = table.pop("extends", None)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise LimnerError(f"{source}: extends: expected the name or file of one recipe, got {parent!r}.")
    if parent.endswith(".toml") and not Path(parent).is_absolute():
        parent = str(folder / parent)
    return merge(_extended(host, parent, seen), table)


def _locate(host: PluginHost, source: str, seen: tuple[str, ...] = ()) -> Path:
    """The file of a recipe; `seen` are the recipes that led to it."""
    path, where = Path(source), f"{seen[-1]}: extends: there" if seen else "There"
    if path.suffix == ".toml" or "/" in source:
        if not path.is_file():
            raise LimnerError(f"{where} is no recipe file {path}.")
        return path
    known = host.components("recipe")
    if source not in known and ("recipe", source) not in host.clashes:
        raise LimnerError(
            f"{where} is no recipe '{source}'{nearest(source, known)}; there is {', '.join(known) or 'none'}; "
            f"a file of your own must end in .toml.{host.problems()}"
        )
    return host.recipe_path(source)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LimnerError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise LimnerError(f"{path} cannot be read: {error.strerror}.") from None


def _parse_override(text: str) -> dict[str, Any]:
    """ "training.steps=500" -> {"training": {"steps": 500}}."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise LimnerError(f"--set {text}: expected KEY=VALUE, such as training.steps=500.")
    return setting(key.strip(), parse_value(value))


def parse_value(text: str) -> Any:
    """The value that a text says in TOML; what is no TOML value is taken as it is, as a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def setting(key: str, value: Any) -> dict[str, Any]:
    """The table that sets one value: "training.steps" and 500 -> {"training": {"steps": 500}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return spelled_out(value)


def _known_keys(error: ValidationError) -> list[str]:
    """The keys that a recipe has where the first error stands."""
    location = error.errors()[0]["loc"]
    tables = {"text": Text, "training": Training, "sampling": Sampling}
    table = tables.get(str(location[0]), Recipe) if len(location) > 1 else Recipe
    return list(table.model_fields)
