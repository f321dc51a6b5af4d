"""Where a training step waits for the GPU: found on any machine, by watching one step."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from limner.plugins import PluginHost, host
from limner.recipes.schema import Recipe
from limner.training.loop import compute_step, players_of
from limner.training.run import set_up
from limner.training.threads import PlayerThreads

READS = {"item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__", "__contains__", "__array__"}
"""Methods that bring a value to Python, which waits until the GPU has computed it."""
SIZES = {"nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "bincount", "equal", "allclose"}
"""Functions whose result, or its shape, depends on values."""
PACKING = {"_pack_padded_sequence"}


class WaitingOperations(TorchFunctionMode):
    """Notes every operation that would wait for a GPU, with the line of code that asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", str(func))
        if self.waits(name, args):
            self.found.append(f"{caller()}: {name}")
        return func(*args, **(kwargs or {}))

    def waits(self, name: str, args: tuple[Any, ...]) -> bool:
        """Whether this call needs a value from the device."""
        if name in READS | SIZES | PACKING:
            return True
        if name == "where":
            return len(args) == 1
        if name == "to":
            return any(str(value) == "cpu" for value in args[1:])
        if name == "repeat_interleave":
            return any(isinstance(value, Tensor) for value in args[1:])
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            return any(isinstance(value, Tensor) and value.dtype in (torch.bool, torch.uint8) for value in index)
        return False


def caller() -> str:
    """The file and line outside of torch that made the current call."""
    ours = [frame for frame in traceback.extract_stack() if not _is_torch(frame.filename)]
    return f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}, in {ours[-1].name}"


def _is_torch(filename: str) -> bool:
    parts = Path(filename).parts
    return "torch" in parts or filename == __file__ or {"einops", "jaxtyping", "beartype"} & set(parts) != set()


def find_waits(recipe: str | Mapping[str, Any], plugins: PluginHost | None = None) -> list[str]:
    """Where a training step of this recipe would wait for a GPU: one "file, line, in function: operation" each.

    A step that waits cannot be captured as a CUDA graph, and keeps the GPU idle. Values should stay on the device: use
    `torch.where` in place of `if`, weights of 0 in place of a boolean index, and `LossValues` to look at losses.

    The first step is watched, in which every lazy loss is due. Nothing is trained.
    """
    plugins = plugins or host()
    run = set_up(plugins, Recipe.read(plugins, recipe))
    players = players_of(run)
    threads = PlayerThreads(torch.device("meta"))  # one after the other
    batch = next(iter(run.batches))
    noise = run.draw_noise(len(batch))
    with WaitingOperations() as watcher:
        compute_step(run, players, threads, batch, noise)
    return list(dict.fromkeys(watcher.found))
