"""Limner: text-to-image generation built out of plugins, trained in minutes, and measured.

    import limner
    model = limner.train("quickstart")
    model.paint("a red circle above a blue square", n=8, seed=3)

Names are imported when first used, so that the command line answers without loading torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limner import exercises
    from limner.comparing import compare
    from limner.comparison import Comparison, load_comparison
    from limner.ensemble import Ensemble
    from limner.errors import LimnerError
    from limner.explain import Explanation
    from limner.hooks import hookimpl
    from limner.interfaces import (
        Attention,
        Dataset,
        Discriminator,
        Generator,
        Loss,
        Metric,
        Painter,
        Stage,
        TextEncoder,
    )
    from limner.model import Model, load
    from limner.pictures import Pictures
    from limner.plugins import PluginHost, host
    from limner.recipe import Recipe
    from limner.report import Report
    from limner.slots import Slot
    from limner.step import Step
    from limner.tokenizer import Tokenizer
    from limner.tradeoffs import Tradeoff, load_tradeoff, tradeoff
    from limner.training import Run, train
    from limner.types import Batch, Canvas, CaptionedImages, Judgement, Scores, Sizes, TextFeatures, Tokens

_HOMES = {
    "comparing": ["compare"],
    "comparison": ["Comparison", "load_comparison"],
    "ensemble": ["Ensemble"],
    "errors": ["LimnerError"],
    "explain": ["Explanation"],
    "hooks": ["hookimpl"],
    "interfaces": [
        "Attention",
        "Dataset",
        "Discriminator",
        "Generator",
        "Loss",
        "Metric",
        "Painter",
        "Stage",
        "TextEncoder",
    ],
    "model": ["Model", "load"],
    "pictures": ["Pictures"],
    "plugins": ["PluginHost", "host"],
    "recipe": ["Recipe"],
    "report": ["Report"],
    "slots": ["Slot"],
    "step": ["Step"],
    "tokenizer": ["Tokenizer"],
    "tradeoffs": ["Tradeoff", "load_tradeoff", "tradeoff"],
    "training": ["Run", "train"],
    "types": ["Batch", "Canvas", "CaptionedImages", "Judgement", "Scores", "Sizes", "TextFeatures", "Tokens"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Attention",
    "Batch",
    "Canvas",
    "CaptionedImages",
    "Comparison",
    "Dataset",
    "Discriminator",
    "Ensemble",
    "Explanation",
    "Generator",
    "Judgement",
    "LimnerError",
    "Loss",
    "Metric",
    "Model",
    "Painter",
    "Pictures",
    "PluginHost",
    "Recipe",
    "Report",
    "Run",
    "Scores",
    "Sizes",
    "Slot",
    "Stage",
    "Step",
    "TextEncoder",
    "TextFeatures",
    "Tokenizer",
    "Tokens",
    "Tradeoff",
    "compare",
    "exercises",
    "hookimpl",
    "host",
    "load",
    "load_comparison",
    "load_tradeoff",
    "tradeoff",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("limner")
    if name == "exercises":
        return import_module("limner.exercises")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'limner' has no attribute '{name}'")
    return getattr(import_module(f"limner.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
