"""Recipes: a whole experiment in one small TOML file.

A recipe names the components and their options, the data, and the training. It may extend another recipe and state only
what differs. If it names another component than the recipe it extends, the options of the replaced one are dropped.
`encoder = "lstm"` is short for `encoder = {name = "lstm"}`; this works for every component.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from limner.errors import LimnerError
from limner.plugins import PluginHost
from limner.recipes.limits import check_values
from limner.recipes.merging import resolve, spelled_out
from limner.recipes.options import Resolved, explain, resolve_component


class Part(BaseModel):
    """A component by name. Every other key is an option of that component."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class LossPart(Part):
    """A loss by name (by default the name of its table), with its weight in the sum of losses."""

    weight: Annotated[float, Field(ge=0)] = 1.0


class Text(BaseModel):
    """How captions become tokens."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    vocabulary: Annotated[int, Field(ge=50)] = 2000  # WordPiece tokens learned from the captions, at most
    length: Annotated[int, Field(ge=3, le=4096)] = 24  # tokens that a caption may have
    # a pretrained tokenizer, by hub name or folder, in place of a learned one; a pretrained encoder brings its own
    tokenizer: str | None = None


class Training(BaseModel):
    """The budget, the learning rates, the precision, and what to start from."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    steps: Annotated[int, Field(ge=1)] | None = None  # the budget: so many steps,
    seconds: Annotated[float, Field(gt=0)] | None = None  # or so much time
    batch_size: Annotated[int, Field(ge=2)] = 32  # real images per step, and as many generated ones
    generator_lr: Annotated[float, Field(gt=0)] = 1e-3  # learning rate of the generator
    # of the discriminator, the encoder and the losses; without a discriminator, these have the generator's
    discriminator_lr: Annotated[float, Field(gt=0)] = 1e-3
    optimizer: Part | None = None  # of both players; left out: Adam
    generator_optimizer: Part | None = None  # of the generator, if it should be another one
    decay: Annotated[float, Field(ge=0, le=1)] = 0.3  # the learning rates fall to 0 over this last part of the budget
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99  # of the moving average of the weights that paint, per step
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0  # of the initial weights, the noise and the order of the data
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: the fastest on this machine
    capture: Literal["auto"] | bool = "auto"  # record the steps as CUDA graphs; auto: on an NVIDIA GPU, if possible
    start_from: str | None = None  # a run folder: start with its weights, where the parts are the same
    load_parts: list[str] = []  # the parts to load from it, such as ["encoder", "generator"]; empty: all that match
    freeze: list[str] = []  # parts that are not trained, such as ["encoder", "generator.stages.0"]
    preview_every: Annotated[float, Field(gt=0)] = 0.05  # of the budget: paint the previews
    checkpoint_every: Annotated[float, Field(gt=0)] = 0.05  # of the budget: save the weights, and the state to resume
    trackers: list[Part] = []  # where to record the training as well, such as ["tensorboard"]
    snapshots: list[Annotated[float, Field(gt=0, lt=1)]] = []  # parts of the budget: keep a copy of the model

    @model_validator(mode="after")
    def _one_budget(self) -> "Training":
        if (self.steps is None) == (self.seconds is None):
            raise ValueError("give the budget either in steps or in seconds")
        return self

    @model_validator(mode="after")
    def _each_tracker_once(self) -> "Training":
        names = [tracker.name for tracker in self.trackers]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"name the tracker '{twice[0]}' once in trackers")
        return self


OPTIMIZERS = ("optimizer", "generator_optimizer")
"""The keys of the training table that name an optimizer."""


class Sampling(BaseModel):
    """How images are sampled from a trained model by default. Metrics measure these images."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    truncation: Annotated[float, Field(gt=0)] | None = None  # keep the noise within ± this number
    candidates: Annotated[int, Field(ge=1, le=1024)] = 1  # each image is the best of this many,
    by: str = "matching"  # judged by "matching", by the captioner ("caption"), or by the loss of this name


class Recipe(BaseModel):
    """A whole experiment. `Recipe.read(host, "quickstart")` reads one by name or from a file."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    title: str = ""  # what it is, in a line
    image_size: Annotated[int, Field(ge=8, le=4096)] = 32  # height and width of the images, in pixels
    data: Part  # a data set
    text: Text = Text()
    encoder: Part  # encodes the captions
    generator: Part  # makes images
    discriminator: Part | None = None  # judges images; left out: the generator is trained alone
    losses: dict[str, LossPart]  # by name; each has a weight, by default 1
    metrics: dict[str, Part] | None = None  # by name; left out: the metrics of the data set
    prompts: list[str] | None = None  # painted regularly during training; left out: prompts of the data set
    training: Training
    sampling: Sampling = Sampling()
    _resolved: dict[str, Resolved] = PrivateAttr(default_factory=dict)  # by place

    @classmethod
    def read(cls, host: PluginHost, source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> "Recipe":
        """A recipe by name, from a TOML file, or from a dict; `overrides` are texts such as "training.steps=500".

        Raises:
            LimnerError: in one sentence, if anything in it is unknown, missing, or of the wrong type.
        """
        name = "the recipe" if isinstance(source, Mapping) else str(source)
        return cls.check(host, resolve(host, source, overrides), name)

    @classmethod
    def check(cls, host: PluginHost, table: Mapping[str, Any], name: str) -> "Recipe":
        """Check a complete table, and find the class and the options of each component. `name` is for messages."""
        check_values(table, name)
        table = spelled_out(table)
        for group in ("losses", "metrics"):
            if isinstance(table.get(group), dict):
                table[group] = {
                    key: {"name": key, **part} if isinstance(part, dict) else part for key, part in table[group].items()
                }
        if isinstance(training := table.get("training"), dict):
            given = {key: training[key] for key in OPTIMIZERS if isinstance(training.get(key), dict)}
            table["training"] = training | {key: {"name": "adam", **part} for key, part in given.items()}
        try:
            recipe = cls(**table)
        except ValidationError as error:
            raise LimnerError(f"{name}: {explain(error, '', 'a recipe', _known_keys(error))}") from None
        for kind, place, part in recipe.parts():
            recipe._resolved[place] = resolve_component(host, kind, part.name, part.options, place, name)
            part.__pydantic_extra__ = recipe._resolved[place].given  # a saved recipe has the present names
        return recipe

    def resolved(self, place: str) -> Resolved:
        """The component at a place such as "encoder" or "losses.hinge", ready to be built.

        Raises:
            KeyError: if the recipe has no such place, or was not made by `read` or `check`.
        """
        return self._resolved[place]

    def parts(self) -> list[tuple[str, str, Part]]:
        """Every component of the recipe as (kind, place, part)."""
        single = [("dataset", "data", self.data), ("encoder", "encoder", self.encoder)]
        single += [("generator", "generator", self.generator)]
        single += [("discriminator", "discriminator", self.discriminator)] if self.discriminator else []
        optimizers = [(key, getattr(self.training, key)) for key in OPTIMIZERS]
        single += [("optimizer", f"training.{key}", part) for key, part in optimizers if part]
        single += [("tracker", f"training.trackers.{number}", p) for number, p in enumerate(self.training.trackers)]
        losses = [("loss", f"losses.{name}", part) for name, part in self.losses.items()]
        metrics = [("metric", f"metrics.{name}", part) for name, part in (self.metrics or {}).items()]
        return single + losses + metrics

    def table(self) -> dict[str, Any]:
        """The recipe as plain values, ready for TOML. `Recipe.check` of the table gives the same recipe."""
        return _without_none(self.model_dump())

    def __eq__(self, other: object) -> bool:
        """Whether both say the same."""
        return isinstance(other, Recipe) and self.table() == other.table()


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _known_keys(error: ValidationError) -> list[str]:
    """The keys that the table of the first error may have."""
    location = error.errors()[0]["loc"]
    tables = {"text": Text, "training": Training, "sampling": Sampling}
    table = tables.get(str(location[0]), Recipe) if len(location) > 1 else Recipe
    return list(table.model_fields)
