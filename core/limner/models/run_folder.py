"""The folder of a run: what is written into it, and how it is read back. Each file is whole, or as it was before."""

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from limner.data.tokenizer import WORDS_FILE, Tokenizer
from limner.errors import LimnerError
from limner.files import replace_file
from limner.interfaces import TextEncoder
from limner.plugins import PluginHost
from limner.recipes.build import pretrained_model
from limner.recipes.schema import Recipe

RECIPE_FILE, WEIGHTS_FILE, HISTORY_FILE, TOKENIZER_FOLDER, ENCODER_FOLDER = (
    "recipe.toml",
    "weights.safetensors",
    "history.json",
    "tokenizer",
    "encoder",
)
RENAMED_WEIGHTS = {"painting.": "conditional_generator.", "judging.": "conditional_discriminator."}
"""Prefixes of weights in older run folders, with their new names."""
History = list[dict[str, int | float]]


@dataclass(frozen=True)
class SavedRun:
    """What a run folder holds."""

    folder: Path
    recipe: Recipe
    tokenizer: Tokenizer
    weights: dict[str, Tensor]
    history: History


def write_run(
    folder: Path,
    recipe: Recipe,
    tokenizer: Tokenizer,
    encoder: TextEncoder,
    weights: dict[str, Tensor],
    history: History,
) -> None:
    """Write recipe, tokenizer, weights and history into `folder`; and, once, the encoder's pretrained model."""
    (folder / TOKENIZER_FOLDER).mkdir(parents=True, exist_ok=True)
    if not (folder / TOKENIZER_FOLDER / WORDS_FILE).exists():
        tokenizer.save(folder / TOKENIZER_FOLDER)
    if encoder.pretrained and not (folder / ENCODER_FOLDER).exists():
        whole = folder / f"{ENCODER_FOLDER}.partial"
        shutil.rmtree(whole, ignore_errors=True)
        encoder.save_pretrained(whole)
        whole.rename(folder / ENCODER_FOLDER)
    replace_file(folder / RECIPE_FILE, tomli_w.dumps(recipe.table()).encode())
    replace_file(folder / HISTORY_FILE, json.dumps(history).encode())
    partial = folder / f"{WEIGHTS_FILE}.partial"
    save_file({name: value.contiguous() for name, value in weights.items()}, partial)
    partial.replace(folder / WEIGHTS_FILE)


def read_run(folder: Path, plugins: PluginHost) -> SavedRun:
    """Read a run folder.

    Raises:
        LimnerError: if it is not a run folder, is only half written, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise LimnerError(f"There is no run folder {folder}; 'limner train RECIPE --out {folder}' makes one.")
    if not (folder / RECIPE_FILE).is_file():
        raise LimnerError(f"{folder} is not a run folder: it has no {RECIPE_FILE}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Limner wrote the old keys here, not the user
        recipe = Recipe.read(plugins, folder / RECIPE_FILE)
    needed = [WEIGHTS_FILE, f"{TOKENIZER_FOLDER}/{WORDS_FILE}"]
    for file in [*needed, ENCODER_FOLDER] if pretrained_model(recipe) else needed:
        if not (folder / file).exists():
            raise LimnerError(
                f"{folder} is only half written: it has no {file}. Its training ended before the first weights "
                "were saved, so train again into another folder."
            )
    try:
        tokenizer = Tokenizer.load(folder / TOKENIZER_FOLDER)
    except Exception as error:  # transformers and tokenizers raise many kinds
        cause = " ".join(str(error).split())[:300]
        raise LimnerError(f"The tokenizer in {folder / TOKENIZER_FOLDER} is damaged: {cause}.") from None
    try:
        weights = {_new_name(name): value for name, value in load_file(folder / WEIGHTS_FILE).items()}
    except (SafetensorError, OSError) as error:
        raise LimnerError(f"{folder / WEIGHTS_FILE} is damaged: {error}.") from None
    try:
        file = folder / HISTORY_FILE
        history = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    except ValueError as error:
        raise LimnerError(f"{folder / HISTORY_FILE} is damaged: {error}.") from None
    return SavedRun(folder, recipe, tokenizer, weights, history)


def _new_name(weight: str) -> str:
    for old, new in RENAMED_WEIGHTS.items():
        if weight.startswith(old):
            return new + weight.removeprefix(old)
    return weight
