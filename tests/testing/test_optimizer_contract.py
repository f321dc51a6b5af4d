"""The contract of optimizers finds the faults that it promises to find."""

import pytest
import torch
from limner import Optimizer
from limner.testing import BrokenPromise, check_optimizer


class Descent(Optimizer):
    """Gradient descent, with a fault if one is asked for."""

    fault = ""

    def __init__(self, groups):
        """`groups`: the weights."""
        super().__init__(groups, {"lr": 1e-3})
        self.rate = 0.0

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None or (self.fault == "still" and weight.ndim == 4):
                    continue
                self.rate += 1.0
                lr = 1e-2 if self.fault == "deaf" else group["lr"]
                scale = weight.grad.norm().reciprocal() if self.fault == "infinite" else 1.0
                scale = self.rate if self.fault == "forgetful" else scale
                weight.sub_((-lr if self.fault == "upward" else lr) * 0.01 * scale * weight.grad)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("still", r"every weight moves by a finite amount. But: a weight \(4, 6, 3, 3\) stays"),
        ("upward", "it lowers a simple loss"),
        ("deaf", "a learning rate of 0 changes nothing"),
        ("infinite", "a gradient of 0 does no harm"),
        ("forgetful", "it continues exactly"),
    ],
)
def test_faults_are_found(fault, message):
    with pytest.raises(BrokenPromise, match=message):
        check_optimizer(type("Faulty", (Descent,), {"__doc__": "Faulty.", "fault": fault}))


def test_gradient_descent_keeps_the_contract():
    check_optimizer(Descent)
