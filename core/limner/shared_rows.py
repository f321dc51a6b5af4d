"""How several processes share the rows of a batch, and still compute what one process would.

Every process knows the whole batch. It encodes, generates and looks at its own rows only, which is nearly all of the
work, and then gathers the results of all. So each loss sees the whole batch, in every process the same.
"""

from typing import Any, cast

import torch
from jaxtyping import Shaped
from torch import Tensor, distributed
from torch.autograd.function import Function


class AllRows:
    """All rows in one process: nothing is shared."""

    rank = 0
    """The number of this process."""
    processes = 1
    """P, how many there are."""

    def own(self, rows: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "b ..."]:
        """The rows of this process."""
        return rows

    def gather(self, own: Shaped[Tensor, "b ..."], total: int) -> Shaped[Tensor, "B ..."]:
        """The rows of all processes, from those of this one; `total`: how many there are."""
        return own

    def gather_values(self, own: list[Any], total: int) -> list[Any]:
        """As `gather`, for values other than tensors, one in each row."""
        return own


class SharedRows(AllRows):
    """Row i belongs to process i mod P.

        gather:  forward  x = [x_1 ... x_P],      backward  g_p = P g[rows of p]
        own:     forward  x_p = x[rows of p],     backward  g = [g_1 ... g_P] / P

    All processes compute the same losses from what they gathered, so each has the whole gradient of every weight that
    is used after `gather`. A weight that is used before it gets the gradient through its own rows only, times P. So
    the mean over the processes is the gradient of the whole batch, for both. The two are each other's derivative, so
    the gradient of a gradient (in a penalty, say) is right, too.
    """

    def __init__(self, rank: int, processes: int):
        """`rank`: the number of this process; `processes`: P."""
        self.rank, self.processes = rank, processes

    def own(self, rows: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "b ..."]:
        return cast(Tensor, Own.apply(rows, self.rank, self.processes))

    def gather(self, own: Shaped[Tensor, "b ..."], total: int) -> Shaped[Tensor, "B ..."]:
        return cast(Tensor, Gather.apply(own, total, self.rank, self.processes))

    def gather_values(self, own: list[Any], total: int) -> list[Any]:
        found: list[Any] = [None] * self.processes
        distributed.all_gather_object(found, own)
        return [found[row % self.processes][row // self.processes] for row in range(total)]


class Gather(Function):
    """The rows of all processes; see `SharedRows`."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int, rank: int, processes: int) -> Tensor:
        ctx.place = rank, processes
        longest = -(-total // processes)
        rows = own.new_zeros((longest, *own.shape[1:]))
        rows[: len(own)] = own
        found = [torch.empty_like(rows) for _ in range(processes)]
        distributed.all_gather([_bytes(each) for each in found], _bytes(rows))
        return torch.stack(found, 1).flatten(0, 1)[:total].contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        _, processes = ctx.place
        return cast(Tensor, Own.apply(gradients[0], *ctx.place)) * processes, None, None, None


class Own(Function):
    """The rows of this process; see `SharedRows`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, processes: int) -> Tensor:
        ctx.place = len(rows), rank, processes
        return rows[rank::processes].contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        _, _, processes = ctx.place
        return cast(Tensor, Gather.apply(gradients[0], *ctx.place)) / processes, None, None


def _bytes(tensor: Tensor) -> Tensor:
    """The same memory as bytes, which every backend can send."""
    return tensor.view(-1).view(torch.uint8)
