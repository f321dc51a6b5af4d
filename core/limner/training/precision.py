"""The precision that a training computes in."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from limner.recipes.schema import Training


def precision_of(settings: "Training", device: torch.device) -> str:
    """The precision of a training: what the recipe says; "auto" is the fastest on this device."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if fast_bfloat16(device) else "float32"


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: on GPUs and CPUs that have instructions for it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(torch.cpu.get_capabilities().get(unit) for unit in ("amx_bf16", "avx512_bf16"))
