"""The losses of a step, read from the device when somebody asks for them."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor


class LossValues(Mapping[str, float]):
    """Losses by name. The first one that is read waits until the device has computed its step; all others are free.

    On a GPU, Python prepares several steps ahead. A callback that reads every step's losses at once makes it wait, and
    slows training down.
    """

    def __init__(self, names: tuple[str, ...], values: Float[Tensor, " L"]):
        """`names`: of the losses; `values`: on the device, in the same order."""
        self.names, self.numbers, self.copied = names, values, None
        if values.is_cuda:
            self.numbers = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self.numbers.copy_(values, non_blocking=True)
            self.copied = torch.cuda.Event()
            self.copied.record()

    @cached_property
    def read(self) -> dict[str, float]:
        """All losses as numbers."""
        if self.copied is not None:
            self.copied.synchronize()
        return dict(zip(self.names, self.numbers.tolist()))

    def __getitem__(self, name: str) -> float:
        return self.read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
