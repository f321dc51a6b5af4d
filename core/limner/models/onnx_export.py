"""A trained model as ONNX: encoder and generator in one file, and beside it what a program needs to call them."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from limner.errors import LimnerError, shortened
from limner.files import replace_file
from limner.models.sampling import draw_noise, evaluating
from limner.recipes.build import suggested_prompts
from limner.step import ConditionalGenerator
from limner.types import Tokens

if TYPE_CHECKING:
    from limner.models.model import Model

INPUTS = ("tokens", "mask", "noise")
TOLERANCE = 1 / 255
"""How far the images of the exported model may be from the model's own: half of a level of 8 bits, in [-1, 1]."""
LARGEST = 2**31
"""Bytes that one ONNX file must stay below."""


@dataclass(frozen=True)
class Exported:
    """The files of an exported model, and how far its images are from the model's own."""

    weights: Path
    tokenizer: Path
    about: Path
    difference: float
    """The largest difference of a pixel, in [-1, 1], between ONNX Runtime and PyTorch."""


class Painting(nn.Module):
    """What is exported: from captions and noise to the image of every stage, lowest resolution first, in [-1, 1]."""

    def __init__(self, conditional_generator: ConditionalGenerator):
        super().__init__()
        self.encoder, self.generator = conditional_generator.encoder, conditional_generator.generator

    def forward(
        self, tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"], noise: Float[Tensor, "B Z"]
    ) -> tuple[Tensor, ...]:
        images = self.generator(noise, self.encoder(Tokens(tokens, mask)))
        return tuple(image.float().clamp(-1, 1) for image in images)


class Encoding(nn.Module):
    """The encoder alone, to find out whether it can be exported."""

    def __init__(self, conditional_generator: ConditionalGenerator):
        super().__init__()
        self.encoder = conditional_generator.encoder

    def forward(self, tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> tuple[Tensor, ...]:
        text = self.encoder(Tokens(tokens, mask))
        return text.words, text.sentence


def export_model(model: "Model", file: Path) -> Exported:
    """Write a model as `file`, its tokenizer as NAME.tokenizer.json, and NAME.json, which says how to call it.

    The inputs are `tokens` [B, T] (int64) and `mask` [B, T] (bool) of captions that are padded to the model's length T,
    and `noise` [B, Z] from N(0, 1). The outputs are the images of every stage [B, 3, H, W] in [-1, 1], from low to high
    resolution. B is free. ONNX Runtime then paints prompts with it, and the images are compared with the model's own.

    Raises:
        LimnerError: if a part of the model cannot be exported, the images differ, or a file cannot be written. No file
            is then written, or changed.
    """
    _require_packages()
    if file.suffix != ".onnx":
        raise LimnerError(f"{file} should end in .onnx; the tokenizer and a description are written beside it.")
    tokenizer = getattr(model.tokenizer.inner, "backend_tokenizer", None)
    if tokenizer is None:
        raise LimnerError("The tokenizer of this model has no file of its own (tokenizer.json), so it stays in Python.")
    prompts = suggested_prompts(model.recipe)
    examples = _inputs(model, prompts or [" ".join(sorted(model.tokenizer.words)[:8])])
    network = model.conditional_generator
    with evaluating(network), torch.no_grad():
        content = _to_onnx(model, examples)
        difference = _largest_difference(Painting(network).eval(), content, examples)
    if not difference <= TOLERANCE:
        raise LimnerError(
            f"ONNX Runtime paints other images than the model: pixels differ by up to {difference:.2g}. "
            "Nothing was written; try other versions of torch and onnxscript."
        )
    exported = Exported(file, file.with_suffix(".tokenizer.json"), file.with_suffix(".json"), difference)
    about = _description(model, exported, prompts)
    replace_file(exported.weights, content)
    replace_file(exported.tokenizer, tokenizer.to_str().encode())
    replace_file(exported.about, json.dumps(about, ensure_ascii=False, indent=1).encode())
    return exported


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise LimnerError(
            'Exporting to ONNX needs packages that are not installed; pip install "limner[export]" brings them.'
        ) from None


def _inputs(model: "Model", prompts: Sequence[str]) -> dict[str, Tensor]:
    """The inputs for prompts, at least two of them: tokens, mask and noise."""
    texts = [*prompts, *prompts][: max(2, len(prompts))]
    tokens = model.tokenizer(texts, full=True)
    noise = draw_noise(model.conditional_generator.generator.noise_width, range(len(texts)), seed=0)
    device = next(model.conditional_generator.parameters()).device
    return dict(zip(INPUTS, (tokens.ids.to(device), tokens.mask.to(device), noise.to(device))))


# --- from PyTorch to ONNX -------------------------------------------------------------------------------------------


def _to_onnx(model: "Model", examples: Mapping[str, Tensor]) -> bytes:
    """The model as the content of an ONNX file.

    Raises:
        LimnerError: naming the part that cannot be exported.
    """
    network, recipe = model.conditional_generator, model.recipe
    names = [f"image_{size}" for size in model.resolutions]
    try:
        content = _trace(Painting(network), examples, names)
    except Exception as error:  # a component may do anything
        kind, name, cause = "generator", recipe.generator.name, error
        try:
            _trace(Encoding(network), {key: examples[key] for key in INPUTS[:2]}, ["words", "sentence"])
        except Exception as error:
            kind, name, cause = "encoder", recipe.encoder.name, error
        raise LimnerError(
            f"The {kind} '{name}' cannot be exported to ONNX: {_in_short(cause)}. Train with another {kind}."
        ) from cause
    if len(content) >= LARGEST:
        raise LimnerError("The model has more than two gigabytes, the most that one ONNX file can hold.")
    return content


def _trace(network: nn.Module, examples: Mapping[str, Tensor], outputs: list[str]) -> bytes:
    batch = torch.export.Dim("batch")
    with _quietly():
        program: Any = torch.onnx.export(
            network.eval(),
            tuple(examples.values()),
            dynamo=True,
            verbose=False,
            dynamic_shapes=tuple({0: batch} for _ in examples),
            input_names=list(examples),
            output_names=outputs,
        )
        return program.model_proto.SerializeToString()


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what the exporter says about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _in_short(error: BaseException) -> str:
    """The cause that is farthest down, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return shortened(lines[0].strip().rstrip("."), 200)


def _largest_difference(painting: Painting, content: bytes, examples: Mapping[str, Tensor]) -> float:
    """The largest difference between the images of ONNX Runtime and of PyTorch, for all examples and for the first."""
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    for given in session.get_inputs():
        if not isinstance(given.shape[0], str):
            raise LimnerError(
                f"The encoder or the generator fixes how many images are painted at once, to {given.shape[0]}; "
                "an exported model has to paint any number. Train with another encoder or generator."
            )
    largest = 0.0
    for count in (len(examples["noise"]), 1):
        some = {name: value[:count] for name, value in examples.items()}
        painted: Any = session.run(None, {name: value.cpu().numpy() for name, value in some.items()})
        for image, expected in zip(painted, painting(*some.values()), strict=True):
            largest = max(largest, float((torch.from_numpy(image) - expected.cpu()).abs().max()))
    return largest


# --- what a caller needs --------------------------------------------------------------------------------------------


def _description(model: "Model", exported: Exported, prompts: list[str]) -> dict[str, Any]:
    tokenizer = model.tokenizer
    return {
        "weights": exported.weights.name,
        "tokenizer": exported.tokenizer.name,
        "length": tokenizer.length,  # of a caption in tokens, padded on the right
        "padding": tokenizer.inner.pad_token_id,
        "noise": model.conditional_generator.generator.noise_width,
        "truncation": model.recipe.sampling.truncation,
        "sizes": list(model.resolutions),
        "prompts": prompts,
        "words": sorted(tokenizer.words),  # of the training captions
        "versions": {name: version(name) for name in ("limner", "torch", "onnx")},
    }
