"""The folder of a run: what is written into it, and how it is read back. Each file is whole, or as it was before.

A run folder may come from a stranger: nothing in it is run as code, no other file is read, and no memory is taken for
weights that it does not hold.
"""

import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from limner.data.tokenizer import WORDS_FILE, Tokenizer
from limner.errors import LimnerError, shortened
from limner.files import replace_file, replacing, writing
from limner.interfaces import TextEncoder
from limner.models.run_files import (
    ENCODER_FOLDER,
    HISTORY_FILE,
    RECIPE_FILE,
    TOKENIZER_FOLDER,
    WEIGHTS_FILE,
    History,
    no_run_folder,
    read_history,
    read_scores,
)
from limner.plugins import PluginHost
from limner.recipes.build import pretrained_model
from limner.recipes.limits import read_toml
from limner.recipes.schema import Recipe
from limner.types import Scores

RENAMED_WEIGHTS = {"painting.": "conditional_generator.", "judging.": "conditional_discriminator."}
"""Prefixes of weights in older run folders, with their new names."""
LEFT_OUT = "left out"
"""What the weights of a kept model say that they lack: "discriminator" and "losses", or "losses" only."""


@dataclass(frozen=True)
class SavedRun:
    """What a run folder holds; its weights stay on the disk until `read_weights` reads them."""

    folder: Path
    recipe: Recipe
    tokenizer: Tokenizer
    history: History
    scores: Scores  # of the last evaluation; empty if there was none
    left_out: frozenset[str] = frozenset()
    """The parts that a kept model lacks: "discriminator" and "losses", or "losses" only."""


def write_run(
    folder: Path,
    recipe: Recipe,
    tokenizer: Tokenizer,
    encoder: TextEncoder,
    weights: dict[str, Tensor],
    history: History,
    described: dict[str, str] | None = None,
) -> None:
    """Write recipe, tokenizer, weights and history into `folder`; and, once, the encoder's pretrained model.

    `described` are texts about the weights, such as what is `LEFT_OUT`.

    Raises:
        LimnerError: if something cannot be written, because the disk is full, for example.
    """
    _write_once(folder / TOKENIZER_FOLDER, tokenizer.save)
    if encoder.pretrained:
        _write_once(folder / ENCODER_FOLDER, encoder.save_pretrained)
    replace_file(folder / RECIPE_FILE, tomli_w.dumps(recipe.table()).encode())
    replace_file(folder / HISTORY_FILE, json.dumps(history).encode())
    with replacing(folder / WEIGHTS_FILE) as partial:
        save_tensors({name: value.contiguous() for name, value in weights.items()}, partial, described)


def save_tensors(tensors: dict[str, Tensor], file: Path, described: dict[str, str] | None = None) -> None:
    """Write tensors, and texts that describe them, beside the recipe; whoever may read that may read this file."""
    save_file(tensors, file, described)
    shutil.copymode(file.with_name(RECIPE_FILE), file)  # safetensors lets nobody else read its files


def _write_once(folder: Path, save: Callable[[Path], None]) -> None:
    """Write a folder that never changes; it is there as a whole, or not at all."""
    if folder.exists():
        return
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        with writing(folder):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            save(partial)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_run(folder: Path, plugins: PluginHost) -> SavedRun:
    """Read a run folder.

    Raises:
        LimnerError: if it is not a run folder, is only half written, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise no_run_folder(folder, plugins.components("model"))
    if not (folder / RECIPE_FILE).is_file():
        raise LimnerError(f"{folder} is not a run folder: it has no {RECIPE_FILE}.")
    recipe = _read_recipe(folder / RECIPE_FILE, plugins)
    needed = [WEIGHTS_FILE, f"{TOKENIZER_FOLDER}/{WORDS_FILE}"]
    for file in [*needed, ENCODER_FOLDER] if pretrained_model(recipe) else needed:
        if not (folder / file).exists():
            raise LimnerError(
                f"{folder} is only half written: it has no {file}. Its training ended before the first weights "
                "were saved, so train again into another folder."
            )
    for part in (TOKENIZER_FOLDER, ENCODER_FOLDER):
        _refuse_code(folder / part)
    tokenizer = _read_tokenizer(folder / TOKENIZER_FOLDER, recipe.text.length)
    try:
        with safe_open(folder / WEIGHTS_FILE, "pt") as opened:
            left_out = frozenset((opened.metadata() or {}).get(LEFT_OUT, "").split())
    except (SafetensorError, OSError) as error:
        raise LimnerError(f"{folder / WEIGHTS_FILE} is damaged: {error}.") from None
    return SavedRun(folder, recipe, tokenizer, read_history(folder), read_scores(folder), left_out)


def _read_recipe(file: Path, plugins: PluginHost) -> Recipe:
    """The recipe of a run. It is complete, so that it never reads another file."""
    table = read_toml(file)
    if "extends" in table:
        raise LimnerError(f"{file}: extends: the recipe of a run is complete and extends no other; remove this key.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Limner wrote the old keys here, not the user
        return Recipe.check(plugins, table, str(file))


def _refuse_code(folder: Path) -> None:
    """Refuse a tokenizer or a model that names Python code of its own, which transformers would offer to run."""
    for file in sorted(folder.glob("*.json")):
        try:
            table = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # it is told when it is used
        if isinstance(table, dict) and "auto_map" in table:
            raise LimnerError(
                f"{file} asks to run code of its own ('auto_map'), and Limner runs code of plugins only; "
                "use a run without it."
            )


def _read_tokenizer(folder: Path, length: int) -> Tokenizer:
    """The tokenizer of a run, which reads captions of `length` tokens."""
    try:
        tokenizer = Tokenizer.load(folder)
        tokenizer(["a"])
        tokenizer.pieces("a")
        known = all(isinstance(word, str) for word in tokenizer.words)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # transformers and tokenizers raise many kinds; a panic of Rust is no Exception
        cause = shortened(" ".join(str(error).split()), 300)
        raise LimnerError(f"The tokenizer in {folder} is damaged: {cause}.") from None
    if not known or tokenizer.length != length:
        raise LimnerError(
            f"The tokenizer in {folder} is damaged: {WORDS_FILE} should have a list of words and the length {length}, "
            "that of the recipe."
        )
    return tokenizer


# --- weights --------------------------------------------------------------------------------------------------------


def check_shapes(folder: Path, expected: Mapping[str, Tensor]) -> None:
    """Compare the names and shapes of a run's weights with those of the model to be built, without reading any weight.

    `expected` may be on the meta device, where it takes no memory.

    Raises:
        LimnerError: for the first weights that are missing, unknown, or of another shape.
    """
    file = folder / WEIGHTS_FILE
    try:
        with safe_open(file, "pt") as opened:
            shapes = {_new_name(name): tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LimnerError(f"{file} is damaged: {error}.") from None
    wanted = {name: tuple(value.shape) for name, value in expected.items()}
    for name in sorted(wanted.keys() | shapes.keys()):
        if wanted.get(name) != shapes.get(name):
            needed, found = (list(of[name]) if name in of else "none" for of in (wanted, shapes))
            raise LimnerError(
                f"{file} does not fit the recipe beside it: size mismatch of '{name}', {needed} by the recipe and "
                f"{found} in the file."
            )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a run, under their present names.

    Raises:
        LimnerError: if the file is damaged.
    """
    try:
        return {_new_name(name): value for name, value in load_file(folder / WEIGHTS_FILE).items()}
    except (SafetensorError, OSError) as error:
        raise LimnerError(f"{folder / WEIGHTS_FILE} is damaged: {error}.") from None


def _new_name(weight: str) -> str:
    for old, new in RENAMED_WEIGHTS.items():
        if weight.startswith(old):
            return new + weight.removeprefix(old)
    return weight
