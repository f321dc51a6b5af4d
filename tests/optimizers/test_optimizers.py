"""Adam and Muon: their equations in float64, their contract, and what a recipe may say of them."""

import limner
import pytest
import torch
from limner import LimnerError, Recipe
from limner.testing import check_optimizer
from limner_optimizers.adam import Adam
from limner_optimizers.muon import COEFFICIENTS, Muon, orthogonal
from torch import nn

SHAPES = [(128, 1152), (1152, 128), (32, 48), (48, 32), (96, 96), (3, 400), (1, 9)]


@pytest.mark.parametrize("optimizer", [Adam, Muon])
def test_the_contract_is_kept(optimizer):
    check_optimizer(optimizer)


@pytest.mark.parametrize("momentum", [0.0, 0.95])
def test_muon_keeps_the_contract_with_any_momentum(momentum):
    check_optimizer(Muon, momentum=momentum)


def by_svd(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """U p(S) V^T in float64: the polynomial of the iteration, applied to the singular values themselves."""
    a, b, c = COEFFICIENTS
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.norm()
    for _ in range(iterations):
        values = a * values + b * values**3 + c * values**5
    return left @ torch.diag(values) @ right


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_newton_schulz_is_its_polynomial_of_the_singular_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonal(matrix).double(), by_svd(matrix), atol=2e-5, rtol=0)
    torch.testing.assert_close(orthogonal(matrix.double()), by_svd(matrix), atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_update_is_nearly_orthogonal(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(matrix).double())
    large = torch.linalg.svdvals(matrix.double()) > 0.02 * matrix.norm()
    assert values.max() < 1.3
    assert values[large].min() > 0.6


def test_matrices_of_equal_sides_are_batched_without_mixing():
    weights = [nn.Parameter(torch.randn(8, 4, 3, 3)) for _ in range(3)]
    together = Muon([{"params": weights, "lr": 0.1}])
    alone = [nn.Parameter(weight.detach().clone()) for weight in weights]
    gradients = [torch.randn(8, 4, 3, 3) for _ in weights]
    for weight, one, gradient in zip(weights, alone, gradients):
        weight.grad = one.grad = gradient
        Muon([{"params": [one], "lr": 0.1}]).step()
    together.step()
    for weight, one in zip(weights, alone):
        torch.testing.assert_close(weight, one)


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (64, 2, 1, 1)])
def test_two_steps_of_muon_by_hand(shape):
    start = torch.randn(shape, dtype=torch.float64)
    weight = nn.Parameter(start.clone())
    muon = Muon([{"params": [weight], "lr": 1e-3}], momentum=0.5, length=10.0)
    expected, momentum = start.flatten(1), torch.zeros_like(start.flatten(1))
    for seed in range(2):
        gradient = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        weight.grad = gradient
        muon.step()
        momentum = 0.5 * momentum + gradient.flatten(1)
        rows, columns = momentum.shape
        expected = expected - 1e-2 * max(1, rows / columns) ** 0.5 * by_svd(momentum)
    torch.testing.assert_close(weight.detach().flatten(1), expected, atol=1e-10, rtol=0)


def test_all_but_convolutions_move_as_with_adam():
    weights = [[nn.Parameter(torch.ones(shape)) for shape in ((5,), (5, 3))] for _ in range(2)]
    optimizers = [
        Muon([{"params": weights[0], "lr": 0.1}], betas=[0.5, 0.9]),
        torch.optim.Adam(weights[1], lr=0.1, betas=(0.5, 0.9)),
    ]
    for step in range(3):
        for group, optimizer in zip(weights, optimizers):
            for weight in group:
                weight.grad = (step + 1) * weight.detach().cos()
            optimizer.step()
    for one, other in zip(*weights):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.optimizer=moon", "training.optimizer: there is no optimizer 'moon', did you mean 'muon'"),
        ("training.optimizer.momentum=1.5", "training.optimizer.momentum: expected less than 1, got 1.5"),
        ("training.optimizer.speed=2", "the optimizer 'muon' has no option 'speed'; it has momentum, betas, length"),
        (
            "training.optimizer={name='adam', momentum=0.9}",
            "'adam' has no option 'momentum'; it has betas",
        ),
    ],
)
def test_bad_settings_give_one_sentence(plugins, change, message):
    with pytest.raises(LimnerError, match=message):
        Recipe.read(plugins, "scenes-32", [change])


def test_a_recipe_without_an_optimizer_uses_adam(recipe):
    assert "optimizer" not in recipe["training"]
    plain = limner.train(recipe, quiet=True)
    named = limner.train(recipe, overrides=["training.optimizer=adam"], quiet=True)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, named.state_dict()[name]), name


def test_the_old_key_of_adams_betas_still_works(plugins):
    with pytest.warns(FutureWarning, match=r"training\.betas is now called training\.optimizer\.betas"):
        read = Recipe.read(plugins, "scenes-32", ["training.betas=[0.1, 0.9]"])
    assert read.training.optimizer is not None
    assert read.training.optimizer.options["betas"] == [0.1, 0.9]
    assert read.training.optimizer.name == "muon"


def test_training_with_muon_gives_one_result(recipe):
    recipe["training"] |= {"optimizer": {"name": "muon"}}
    one, two = (limner.train(recipe, quiet=True).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
