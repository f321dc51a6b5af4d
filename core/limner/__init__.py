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
    from limner.comparisons.league import league
    from limner.comparisons.league_table import League, load_league
    from limner.comparisons.measure_tradeoff import Tradeoff, load_tradeoff, tradeoff
    from limner.comparisons.results import Comparison, load_comparison
    from limner.comparisons.speedrun import Speedrun, speedrun
    from limner.comparisons.train_variants import compare
    from limner.course import exercises
    from limner.course.diagrams import diagram
    from limner.course.toy_view import toy
    from limner.data.batches import to_bytes, to_float
    from limner.data.captions import coco_index
    from limner.data.images import DECODER_VERSION, decode_image, decode_images, image_format
    from limner.data.tokenizer import Tokenizer
    from limner.errors import DivergedError, LimnerError
    from limner.files import visible_files
    from limner.hooks import hookimpl
    from limner.interfaces import (
        Attention,
        Dataset,
        Discriminator,
        Generator,
        Loss,
        Metric,
        Optimizer,
        Stage,
        TextEncoder,
    )
    from limner.models.ensemble import Ensemble
    from limner.models.explain import Explanation
    from limner.models.model import Model, load
    from limner.models.painter import RealImages
    from limner.models.pictures import Pictures
    from limner.models.report import Report
    from limner.play.notebook import playground
    from limner.plugins import PluginHost, host
    from limner.recipes.schema import Recipe
    from limner.reports.write import report
    from limner.shell import shell_quote
    from limner.slots import Slot
    from limner.step import Step, resize
    from limner.training.loop import Run, train
    from limner.training.resume import resume
    from limner.types import (
        Batch,
        Canvas,
        CaptionedImages,
        ImageStream,
        Judgement,
        Painter,
        Scores,
        Sizes,
        StreamedImage,
        TextFeatures,
        Tokens,
    )

_HOMES = {
    "comparisons.results": ["Comparison", "load_comparison"],
    "comparisons.league": ["league"],
    "comparisons.league_table": ["League", "load_league"],
    "comparisons.measure_tradeoff": ["Tradeoff", "load_tradeoff", "tradeoff"],
    "comparisons.speedrun": ["Speedrun", "speedrun"],
    "comparisons.train_variants": ["compare"],
    "course.diagrams": ["diagram"],
    "course.toy_view": ["toy"],
    "data.batches": ["to_bytes", "to_float"],
    "data.captions": ["coco_index"],
    "data.images": ["DECODER_VERSION", "decode_image", "decode_images", "image_format"],
    "data.tokenizer": ["Tokenizer"],
    "errors": ["DivergedError", "LimnerError"],
    "files": ["visible_files"],
    "hooks": ["hookimpl"],
    "interfaces": [
        "Attention",
        "Dataset",
        "Discriminator",
        "Generator",
        "Loss",
        "Metric",
        "Optimizer",
        "Stage",
        "TextEncoder",
    ],
    "models.ensemble": ["Ensemble"],
    "models.explain": ["Explanation"],
    "models.model": ["Model", "load"],
    "models.painter": ["RealImages"],
    "models.pictures": ["Pictures"],
    "models.report": ["Report"],
    "play.notebook": ["playground"],
    "plugins": ["PluginHost", "host"],
    "reports.write": ["report"],
    "recipes.schema": ["Recipe"],
    "shell": ["shell_quote"],
    "slots": ["Slot"],
    "step": ["Step", "resize"],
    "training.loop": ["Run", "train"],
    "training.resume": ["resume"],
    "types": [
        "Batch",
        "Canvas",
        "CaptionedImages",
        "ImageStream",
        "Judgement",
        "Painter",
        "Scores",
        "Sizes",
        "StreamedImage",
        "TextFeatures",
        "Tokens",
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DECODER_VERSION",
    "Attention",
    "Batch",
    "Canvas",
    "CaptionedImages",
    "Comparison",
    "Dataset",
    "Discriminator",
    "DivergedError",
    "Ensemble",
    "Explanation",
    "Generator",
    "ImageStream",
    "Judgement",
    "League",
    "LimnerError",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Painter",
    "Pictures",
    "PluginHost",
    "RealImages",
    "Recipe",
    "Report",
    "Run",
    "Scores",
    "Sizes",
    "Slot",
    "Speedrun",
    "Stage",
    "Step",
    "StreamedImage",
    "TextEncoder",
    "TextFeatures",
    "Tokenizer",
    "Tokens",
    "Tradeoff",
    "coco_index",
    "compare",
    "decode_image",
    "decode_images",
    "diagram",
    "exercises",
    "hookimpl",
    "host",
    "image_format",
    "league",
    "load",
    "load_comparison",
    "load_league",
    "load_tradeoff",
    "playground",
    "report",
    "resize",
    "resume",
    "shell_quote",
    "speedrun",
    "to_bytes",
    "to_float",
    "toy",
    "tradeoff",
    "train",
    "visible_files",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("limner")
    if name == "exercises":
        return import_module("limner.course.exercises")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'limner' has no attribute '{name}'")
    return getattr(import_module(f"limner.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
