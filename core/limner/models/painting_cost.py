"""What painting costs on this machine: weights, multiply-adds, time and memory."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from limner.types import Scores

if TYPE_CHECKING:
    from limner.models.model import Model
    from limner.models.painter import TrainedPainter

IMAGES, PASSES = 32, 3
"""Images that are painted at once, and how often, to take the time. One pass before is not timed."""
PROCESS = Path("/proc/self/status")


def measure_painting(painter: "TrainedPainter", models: "Sequence[Model]", prompt: str, size: int | None) -> Scores:
    """The cost of an image.

    Keys: "parameters that paint" (encoder and generator), "parameters in all" (with discriminator and losses),
    "multiply-adds per image" (matrix products and convolutions), "seconds per image" (the fastest of three passes of 32
    images), and "peak memory in bytes" (the most that this process has used so far).

    Args:
        painter: what paints.
        models: the models that it consists of.
        prompt: what is painted.
        size: the resolution; None for the highest.
    """
    with FlopCounterMode(display=False) as counter:
        painter.sample([prompt], 0, size)
    passes = [_seconds(painter, prompt, size) for _ in range(1 + PASSES)][1:]
    scores = {
        "parameters that paint": sum(count_parameters(model.conditional_generator) for model in models),
        "parameters in all": sum(count_parameters(model) for model in models),
        "multiply-adds per image": counter.get_total_flops() // 2,
        "seconds per image": min(passes) / IMAGES,
        "peak memory in bytes": most_memory(device_of(models[0])),
    }
    return {name: float(value) for name, value in scores.items() if value is not None}


def _seconds(painter: "TrainedPainter", prompt: str, size: int | None) -> float:
    start = time.perf_counter()
    painter.sample([prompt] * IMAGES, 0, size)  # its result is on the CPU, so a GPU has finished
    return time.perf_counter() - start


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's weights."""
    return next(module.parameters()).device


def count_parameters(module: nn.Module) -> int:
    """The number of weights of a module."""
    return sum(weight.numel() for weight in module.parameters())


def describe_device(device: torch.device) -> str:
    """A device in words: the name of a GPU, or the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads > 1 else ''}"


def most_memory(device: torch.device) -> int | None:
    """The most memory that this process has used, in bytes: on the GPU if it works there; None if that is unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    if PROCESS.is_file():  # on Linux, getrusage also counts what the process had that started this one
        return next(1024 * int(line.split()[1]) for line in PROCESS.read_text().splitlines() if "VmHWM" in line)
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
