"""Adam, with all weights updated in one fused call."""

from typing import Annotated, Any

import torch
from limner import Optimizer
from pydantic import Field

Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(torch.optim.Adam, Optimizer):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Adam (Kingma and Ba 2015, algorithm 1).

        m <- b1 m + (1 - b1) g,    v <- b2 v + (1 - b2) g^2
        w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + 1e-8)

    Each number has a step of its own size: about lr, whatever the size of its gradient g.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        betas: Annotated[list[Beta], Field(min_length=2, max_length=2)] = [0.0, 0.99],  # noqa: B006
    ):
        """`groups`: the weights; `betas`: b1 and b2, how much of the earlier m and v is kept."""
        on_gpu = groups[0]["params"][0].is_cuda
        super().__init__(groups, betas=(betas[0], betas[1]), fused=True, capturable=on_gpu)
