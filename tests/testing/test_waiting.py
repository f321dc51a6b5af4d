"""Operations that wait for a GPU are found on a CPU, with the line that asks for them."""

import pytest
import torch
from limner.testing import find_waits, tiny_host, tiny_recipe
from limner.testing.tiny import LeastSquares
from limner.testing.waiting import WaitingOperations

RECIPES = (
    *("scenes-32", "quickstart", "scenes-wordings", "scenes-one", "scenes-64", "scenes-32-short"),
    *("scenes-32-diverse", "scenes-64-diverse", "scenes-staged", "scenes-super-resolution"),
)
LOSSES = (
    *("minimax", "non-saturating", "relativistic", "matching-aware-penalty", "word-contrast"),
    *("sentence-contrast", "cycle", "noise-reading", "mode-seeking", "autoencoding"),
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_step_of_a_bundled_recipe_waits(recipe):
    assert find_waits({"extends": recipe, "data": {"count": 40}}) == []


@pytest.mark.parametrize("loss", LOSSES)
def test_no_bundled_loss_waits(loss):
    assert find_waits({"extends": "scenes-32", "data": {"count": 40}, "losses": {loss: {}}}) == []


@pytest.mark.parametrize("mismatched", ["nearest", "swapped"])
def test_no_hard_mismatch_waits(mismatched):
    changed = {"hinge": {"mismatched": mismatched}}
    assert find_waits({"extends": "scenes-32", "data": {"count": 40}, "losses": changed}) == []


@pytest.mark.parametrize("encoder", ["mlp", "phrase", "transformer"])
def test_no_encoder_but_the_lstm_waits(encoder):
    assert find_waits({"extends": "scenes-32", "data": {"count": 40}, "encoder": {"name": encoder}}) == []


def test_the_lstm_waits_because_it_packs_captions_by_length():
    waits = find_waits({"extends": "scenes-32", "data": {"count": 40}, "encoder": {"name": "lstm"}})
    assert any("encoders.py" in wait and wait.endswith("_pack_padded_sequence") for wait in waits)


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: x.sum().item(), "item"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: 1 if x.sum() > 0 else 0, "__bool__"),
        (lambda x: float(x.sum()), "__float__"),
        (lambda x: int(x.sum()), "__int__"),
        (lambda x: x[x > 0], "__getitem__"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: torch.where(x > 0), "where"),
        (lambda x: x.cpu(), "cpu"),
        (lambda x: x.to("cpu"), "to"),
        (lambda x: x.unique(), "unique"),
    ],
)
def test_an_operation_that_waits_is_found(operation, name):
    class Asking(LeastSquares):
        def discriminator(self, step):
            operation(step.real.match.detach())
            return super().discriminator(step)

    waits = find_waits(tiny_recipe(losses={"asking": {}}), tiny_host(loss={"asking": Asking}))
    assert waits
    assert all("test_waiting.py, line" in wait for wait in waits)
    assert waits[-1].endswith(f": {name}")


def test_what_stays_on_the_device_is_not_found():
    values = torch.randn(4, 3)
    with WaitingOperations() as watcher:
        _ = values[torch.tensor([1, 0])], values[:, 1:], torch.where(values > 0, values, 0), values.to(torch.float64)
        _ = values.masked_fill(values > 0, 1), values[..., None], values.shape[0], (values > 0).any()
    assert watcher.found == []
