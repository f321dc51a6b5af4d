"""Recipes: the whole of an experiment in one small TOML file.

A recipe names the components and their options, the data, and the training. It may extend another one and say only
what differs; where it names another component, the options of the one it replaces are dropped.
`encoder = "lstm"` is short for `encoder = {name = "lstm"}`, and so for every component.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from limner.errors import LimnerError
from limner.plugins import PluginHost
from limner.recipes.merging import resolve, spelled_out
from limner.recipes.options import check_options, explain


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
    generator_lr: Annotated[float, Field(gt=0)] = 1e-3  # of learning
    discriminator_lr: Annotated[float, Field(gt=0)] = 1e-3  # also of the encoder, and of what losses own
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field([0.0, 0.99], min_length=2, max_length=2)  # of Adam
    decay: Annotated[float, Field(ge=0, le=1)] = 0.3  # over this last part of the budget the rates fall to 0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99  # of the painting weights, per step
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0  # of the first weights, the noise and the order of the data
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: the fastest that there is
    start_from: str | None = None  # the folder of a run: begin with its weights, wherever it has the same parts
    load_parts: list[str] = []  # from it, such as ["encoder", "generator"]; empty: all that is alike
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


def _known_keys(error: ValidationError) -> list[str]:
    """The keys that a recipe has where the first error stands."""
    location = error.errors()[0]["loc"]
    tables = {"text": Text, "training": Training, "sampling": Sampling}
    table = tables.get(str(location[0]), Recipe) if len(location) > 1 else Recipe
    return list(table.model_fields)
