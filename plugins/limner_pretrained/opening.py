"""Models of transformers, by name or folder: checked, from safetensors only, and without code of their own."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from limner import LimnerError
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging

CODE = "trust_remote_code"  # in what transformers says if a model brings code of its own


def find_model(name: str) -> tuple[str, bool]:
    """Where a model is opened from, and whether that is a folder: names of folders come before those of the hub."""
    folder = Path(name).expanduser()
    return (str(folder), True) if folder.is_dir() else (name, False)


def read_configuration(source: str, local: bool) -> Any:
    """The configuration of a model, from a folder if it is `local`, or else from the hub or what is kept of it.

    Raises:
        LimnerError: if it cannot be found or read, or asks to run code of its own.
    """
    if local and not (Path(source) / "config.json").is_file():
        raise LimnerError(f"model: the folder {source} is not a transformers model: it has no config.json.")
    try:
        config: Any = AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=local)
    except OSError as error:
        if local:
            raise LimnerError(f"model: transformers cannot read '{source}': {first_line(error)}") from None
        raise LimnerError(
            f"model: '{source}' is neither a folder with a model nor kept on this machine, and the hub cannot be "
            "reached or has no such model. Check the name and the connection, or give the folder of a model."
        ) from None
    except Exception as error:  # a configuration may hold anything
        if CODE in str(error):
            raise LimnerError(
                f"model: {f'{source}/config.json' if local else repr(source)} asks to run code of its own, and Limner "
                "runs code of plugins only; use a model that transformers knows."
            ) from None
        raise LimnerError(f"model: transformers cannot read '{source}': {first_line(error)}") from None
    return config


def from_configuration(kind: Any, config: Any, source: str) -> PreTrainedModel:
    """The model with fresh weights."""
    try:
        return kind.from_config(config, trust_remote_code=False) if kind is AutoModel else kind(config)
    except Exception as error:  # a configuration may hold anything
        raise LimnerError(f"model: '{source}' is damaged: {first_line(error)}") from None


def with_weights(kind: Any, config: Any, source: str, local: bool) -> PreTrainedModel:
    """The model with all of its weights, in float32, from safetensors only."""
    if local:
        with torch.device("meta"):  # where it takes no memory
            planned = from_configuration(kind, config, source)
        _check_weights(planned, Path(source))
    try:
        model, found = kind.from_pretrained(
            source,
            output_loading_info=True,
            use_safetensors=True,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=local,
        )
    except Exception as error:  # files may hold anything
        raise LimnerError(
            f"model: the weights of '{source}' cannot be read: {first_line(error)} "
            "They are expected as model.safetensors; download them again, or check the connection."
        ) from None
    if missing := sorted(weight for weight in found["missing_keys"] if not weight.startswith("pooler.")):
        raise LimnerError(f"model: '{source}' lacks weights, such as '{missing[0]}'; download it again.")
    return model


def _check_weights(planned: PreTrainedModel, folder: Path) -> None:
    """Check that a folder's weights are in plain files beside each other, and about as large as its model."""
    index, files = folder / "model.safetensors.index.json", list(folder.glob("*.safetensors"))
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LimnerError(f"model: {index} is damaged: {first_line(error)}") from None
        if odd := [name for name in names if not isinstance(name, str) or Path(name).name != name]:
            raise LimnerError(f"model: {index} is damaged: {odd[0]!r:.100} is no file beside it.")
    weights, stored = sum(weight.numel() for weight in planned.parameters()), sum(file.stat().st_size for file in files)
    if files and weights > 4 * stored:  # a weight has a byte or more, and several parts may share one
        raise LimnerError(
            f"model: the weights of '{folder}' cannot be read: {weights} do not fit into files of {stored} bytes; "
            "download them again."
        )


def first_line(error: BaseException) -> str:
    """The first sentence of an error's message."""
    message = " ".join(str(error).split()).split(". ")[0][:200].rstrip(" .:")
    return f"{message}."


@contextmanager
def quietly(downloading: bool = False) -> Iterator[None]:
    """Silences transformers, whose warnings are covered by the checks here; downloads keep their progress bar."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not downloading:
        logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
