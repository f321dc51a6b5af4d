"""Muon: the update of a convolution is an orthogonal matrix."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from jaxtyping import Float
from limner import Optimizer
from pydantic import Field
from torch import Tensor
from torch.optim.adam import adam

from .adam import Beta

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of the Newton-Schulz iteration (Jordan et al. 2024). They let small singular values grow fastest."""


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) for convolutions, Adam (Kingma and Ba 2015) for all other weights.

        M <- m M + G,    W <- (1 - lr length d) W - lr length sqrt(max(1, rows / columns)) orthogonal(M)

    G is the gradient of a convolution with weight W, as a matrix with a row per entry of the first dimension: [out, in
    k k], and [in, out k k] for a transposed convolution. If U S V^T is the singular value decomposition of M, then
    orthogonal(M) is nearly U V^T. A few directions dominate M, and with Adam they dominate the update too. Here every
    direction of the update is equally large, so that rare ones are learned as well.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.8,
        betas: Annotated[list[Beta], Field(min_length=2, max_length=2)] = [0.5, 0.99],  # noqa: B006
        length: Annotated[float, Field(gt=0)] = 20.0,
        iterations: Annotated[int, Field(ge=1)] = 5,
        weight_decay: Annotated[float, Field(ge=0)] = 0.0,
    ):
        """
        Args:
            groups: the weights.
            momentum: m, how much of the earlier M is kept.
            betas: of Adam.
            length: of Muon's step, in learning rates.
            iterations: of Newton-Schulz.
            weight_decay: d, how fast the convolutions shrink towards 0.
        """
        options = {"momentum": momentum, "length": length, "iterations": iterations, "weight_decay": weight_decay}
        super().__init__(groups, {"lr": 1e-3, "betas": betas, **options})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            self.update_convolutions([weight for weight in weights if weight.ndim == 4], group)
            self.update_others([weight for weight in weights if weight.ndim != 4], group)

    def update_convolutions(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """One step of Muon."""
        if not weights:
            return
        matrices = []
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
            momentum = self.state[weight]["momentum"].mul_(group["momentum"])
            if weight.grad is not None:
                momentum += weight.grad
            matrices.append(momentum.flatten(1))
        for weight, matrix, factor in zip(weights, matrices, factors(matrices, group["iterations"])):
            rows, columns = matrix.shape
            lr = group["lr"] * group["length"] * max(1, rows / columns) ** 0.5
            first, second = (lr * factor, matrix) if rows <= columns else (matrix, lr * factor)
            if group["weight_decay"]:
                weight.mul_(1 - group["lr"] * group["length"] * group["weight_decay"])
            weight.view(rows, columns).addmm_(first, second, alpha=-1)

    def update_others(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """One step of Adam."""
        if not weights:
            return
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["step"] = torch.zeros((), device=weight.device)
                self.state[weight]["mean"] = torch.zeros_like(weight)
                self.state[weight]["square"] = torch.zeros_like(weight)
        states = [self.state[weight] for weight in weights]
        adam(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def orthogonal(matrix: Float[Tensor, "R C"], iterations: int = 5) -> Float[Tensor, "R C"]:
    """Nearly U V^T, for a matrix U S V^T. Its singular values lie between about 0.7 and 1.2."""
    (factor,) = factors([matrix], iterations)
    return factor @ matrix if matrix.shape[0] <= matrix.shape[1] else matrix @ factor


def factors(matrices: Sequence[Float[Tensor, "_ _"]], iterations: int) -> list[Float[Tensor, "_ _"]]:
    """For every matrix M the small square Q that makes it orthogonal: Q M if it is wide, M Q if it is tall.

    Q is about (M M^T)^-1/2. Matrices with an equal smaller side share one batched product.
    """
    alike: dict[int, list[int]] = {}
    for place, matrix in enumerate(matrices):
        alike.setdefault(min(matrix.shape), []).append(place)
    found: dict[int, Tensor] = {}
    for places in alike.values():
        grams = torch.stack([gram(matrices[place]) for place in places])
        found |= zip(places, inverse_roots(grams, iterations))
    return [found[place] for place in range(len(matrices))]


def gram(matrix: Float[Tensor, "R C"]) -> Float[Tensor, "S S"]:
    """M M^T or M^T M, whichever is smaller."""
    return matrix @ matrix.mT if matrix.shape[0] <= matrix.shape[1] else matrix.mT @ matrix


def inverse_roots(grams: Float[Tensor, "N S S"], iterations: int) -> Float[Tensor, "N S S"]:
    """Q, about A^-1/2 for every A = M M^T, by Muon's Newton-Schulz iteration X <- (a I + b A + c A^2) X.

    It starts with X = M / |M|; |M|^2 is the trace of A. Every X is Q M, so it is enough to iterate the small Q and
    A = X X^T:

        P = a I + b A + c A^2,    Q <- P Q,    A <- P A P
    """
    squares = grams.diagonal(dim1=1, dim2=2).sum(1)[:, None, None].clamp(min=1e-30)
    grams = grams / squares
    a, b, c = COEFFICIENTS
    roots = grams
    for iteration in range(iterations):
        powers = torch.baddbmm(grams, grams, grams, beta=b, alpha=c)
        powers.diagonal(dim1=1, dim2=2).add_(a)
        roots = torch.bmm(powers, roots) if iteration else powers  # Q is I at first
        if iteration < iterations - 1:
            grams = torch.bmm(torch.bmm(powers, grams), powers)
    return roots * squares.rsqrt()
