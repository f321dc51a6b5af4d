"""The contract of optimizers."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from limner.interfaces import Optimizer
from limner.testing.checks import check_description, promise, require

SHAPES = ((), (6,), (6, 5), (4, 6, 3, 3), (6, 4, 4, 4), (1, 8, 1, 1))
"""Weights of every form: a number, a vector, a matrix, convolutions."""


Make = Callable[..., tuple[list[nn.Parameter], Optimizer]]
"""Makes weights with these values, and an optimizer of them with this learning rate."""


def check_optimizer(component: type[Optimizer], **options: Any) -> None:
    """Check that an optimizer keeps the promises of its interface; `options`: those to build it with.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    check_description(component, [], options)
    source = torch.Generator().manual_seed(0)
    values = [torch.randn(shape, generator=source) for shape in SHAPES]

    def make(values: Sequence[Tensor], lr: float = 1e-2) -> tuple[list[nn.Parameter], Optimizer]:
        weights = [nn.Parameter(value.clone()) for value in values]
        return weights, component([{"params": weights, "lr": lr}], **options)

    _check_steps(component, make, values)
    with promise(component, "each group has its own learning rate"):
        weights = [nn.Parameter(values[2].clone()) for _ in range(2)]
        groups = [{"params": [weight], "lr": lr} for weight, lr in zip(weights, (1e-2, 0.0))]
        descend(weights, component(groups, **options), 2)
        require(not torch.equal(weights[0], values[2]), "the group with a learning rate above 0 stays where it was.")
        require(torch.equal(weights[1], values[2]), "the group with a learning rate of 0 moved.")
    _check_state(component, make, values)


def _check_steps(component: type[Optimizer], make: Make, values: Sequence[Tensor]) -> None:
    """Every weight moves, towards a lower loss, and only if it should."""
    with promise(component, "it can be built, and every weight moves by a finite amount"):
        weights, optimizer = make(values)
        descend(weights, optimizer, 3)
        for before, weight in zip(values, weights):
            require(bool(weight.isfinite().all()), f"a weight {tuple(before.shape)} is no longer finite.")
            require(bool((weight != before).any()), f"a weight {tuple(before.shape)} stays where it was.")
    with promise(component, "it lowers a simple loss, for weights of every form"):
        weights, optimizer = make(values)
        descend(weights, optimizer, 100)
        for before, weight in zip(values, weights):
            start, end = float(before.square().sum()), float(weight.detach().square().sum())
            require(end < start, f"for a weight {tuple(before.shape)} the loss rose from {start:.3g} to {end:.3g}.")
    with promise(component, "a learning rate of 0 changes nothing"):
        weights, optimizer = make(values, lr=0.0)
        descend(weights, optimizer, 2)
        require(all(torch.equal(a, b) for a, b in zip(weights, values)), "a weight moved.")
    with promise(component, "a weight without a gradient stays where it is"):
        weights, optimizer = make(values)
        optimizer.step()
        require(all(torch.equal(a, b) for a, b in zip(weights, values)), "a weight moved.")
    with promise(component, "a gradient of 0 does no harm"):
        weights, optimizer = make(values)
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        descend(weights, optimizer, 1)
        require(all(bool(weight.isfinite().all()) for weight in weights), "a weight is no longer finite.")


def _check_state(component: type[Optimizer], make: Make, values: Sequence[Tensor]) -> None:
    """Saved and loaded, it continues as if nothing had happened."""
    with promise(component, "with its state saved and loaded, it continues exactly"):
        whole, optimizer = make(values)
        descend(whole, optimizer, 6)
        half, optimizer = make(values)
        descend(half, optimizer, 3)
        resumed, other = make([weight.detach() for weight in half])
        other.load_state_dict(deepcopy(optimizer.state_dict()))
        descend(resumed, other, 3)
        for one, two in zip(whole, resumed):
            require(torch.equal(one, two), f"a weight {tuple(one.shape)} differs.")


def descend(weights: Sequence[nn.Parameter], optimizer: Optimizer, steps: int) -> None:
    """Some steps on the loss 1/2 sum w^2, whose gradient is w."""
    for _ in range(steps):
        for weight in weights:
            weight.grad = weight.detach().clone()
        optimizer.step()
