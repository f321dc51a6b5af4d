"""The exponential moving average of the weights that paint."""

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class WeightAverage(Generic[NetworkT]):
    """An exponential moving average of a network's weights (Yazici et al. 2019).

        a <- d a + (1 - d) w

    The players never stop moving around each other; the average paints better than the last weights.
    """

    def __init__(self, network: NetworkT, decay: float):
        """`network`: whose weights w are averaged; `decay`: d, per step."""
        self.decay = decay
        self.average: NetworkT = deepcopy(network).eval()  # a, which starts with the network's weights
        self.pairs = list(zip(self.average.parameters(), network.parameters()))
        self.buffers = list(zip(self.average.buffers(), network.buffers()))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights. Buffers are copied."""
        averages: list[Tensor] = [average for average, _ in self.pairs]
        weights: list[Tensor] = [weight for _, weight in self.pairs]
        torch._foreach_lerp_(averages, weights, 1 - self.decay)  # pyright: ignore[reportPrivateImportUsage]
        for average, buffer in self.buffers:
            average.copy_(buffer)
