"""What decides whether steps can share a CUDA graph. The graphs themselves need a GPU: see benchmarks/gpu.py."""

from unittest.mock import Mock

import pytest
import torch
from limner import LimnerError, train
from limner.data.batches import Batches
from limner.plugins import host
from limner.recipes.schema import Recipe
from limner.testing import tiny_host, tiny_recipe
from limner.testing.tiny import LeastSquares
from limner.training.capture import CapturedStep, tensors_of
from limner.training.loop import compute_step
from limner.training.optimizers import Player
from limner.training.run import set_up
from limner.training.threads import PlayerThreads

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need an NVIDIA GPU")


def training(recipe, plugins):
    """A run, a captured step of it that is not enabled, and a batch."""
    run = set_up(plugins, Recipe.read(plugins, recipe))
    networks = run.networks
    generator = Player(list(networks.conditional_generator.generator.parameters()))
    optimizers = [generator.optimizer]
    return run, CapturedStep(run, lambda *_: ((), torch.zeros(0)), optimizers), next(iter(run.batches))


class Lazy(LeastSquares):
    """A loss that is due in every fourth step."""

    every = 4


class Counting(LeastSquares):
    """A loss that changes a plain attribute in every step."""

    counted = 0

    def discriminator(self, step):
        self.counted += 1
        return super().discriminator(step)


def test_steps_with_the_same_due_losses_are_of_one_kind():
    run, captured, batch = training(tiny_recipe(losses={"lazy": {}, "tiny": {}}), tiny_host(loss={"lazy": Lazy}))
    kinds = []
    for step in range(9):
        run.step = step
        kinds.append(captured.kind_of_step(batch))
    assert len(set(kinds)) == 2
    assert [kind == kinds[0] for kind in kinds] == [step % 4 == 0 for step in range(9)]


@pytest.mark.parametrize("change", ["attribute", "frozen weight", "shape", "optimizer"])
def test_a_step_is_of_another_kind_after_a_change_that_python_sees(change):
    run, captured, batch = training(tiny_recipe(), tiny_host())
    before = captured.kind_of_step(batch)
    generator = run.networks.conditional_generator.generator
    match change:
        case "attribute":
            setattr(generator, "grown", 2)  # noqa: B010
        case "frozen weight":
            next(generator.parameters()).requires_grad_(False)
        case "shape":
            assert isinstance(run.batches, Batches)
            batch = run.batches.batch(torch.arange(4), torch.arange(4), torch.zeros(4, dtype=torch.bool))
        case "optimizer":
            captured.optimizers[0].param_groups[0]["weight_decay"] = 0.5
    assert captured.kind_of_step(batch) != before


def test_an_attribute_that_always_changes_is_named():
    run, captured, batch = training(tiny_recipe(losses={"odd": {}}), tiny_host(loss={"odd": Counting}))
    captured.last = captured.kind_of_step(batch)
    vars(run.networks.named_losses()["odd"])["counted"] = 7
    assert captured.difference(captured.kind_of_step(batch)) == "'counted' of losses.odd"


def test_the_component_that_cannot_be_recorded_is_named():
    class Asking(LeastSquares):
        def discriminator(self, step):
            try:
                raise RuntimeError("operation not permitted when stream is capturing")
            finally:
                raise RuntimeError("the capture has ended")

    run, captured, _ = training(tiny_recipe(losses={"odd": {}}), tiny_host(loss={"odd": Asking}))
    with pytest.raises(RuntimeError) as caught:
        run.networks.named_losses()["odd"].discriminator(Mock())
    assert captured.component(caught.value).startswith("Asking (losses.odd, line ")


def test_a_training_that_gives_up_goes_on_with_a_warning_or_stops_if_capture_is_demanded():
    _, captured, _ = training(tiny_recipe(), tiny_host())
    with pytest.warns(UserWarning, match="not captured as CUDA graphs: it is odd."):
        captured.give_up("it is odd")
    captured.wanted = True
    with pytest.raises(LimnerError, match=r'training\.capture: it is odd; use training.capture = "auto".'):
        captured.give_up("it is odd")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_capture_on_a_cpu_is_refused():
    recipe = tiny_recipe(training={"steps": 2, "batch_size": 8, "capture": True})
    with pytest.raises(LimnerError, match=r"training\.capture: CUDA graphs need an NVIDIA GPU"):
        train(recipe, plugins=tiny_host(), quiet=True)


def test_all_tensors_of_a_batch_are_copied():
    run, _, batch = training({"extends": "scenes-32", "data": {"count": 40}, "training": {"steps": 1}}, host())
    shapes = [tuple(tensor.shape) for tensor in tensors_of((batch, run.draw_noise(32)))]
    # images, mismatched, has_mismatch, confusable, noise; ids and masks of the captions, distractors and other captions
    assert len(shapes) == 11
    assert shapes[0] == (32, 3, 32, 32)
    assert shapes[-1] == (32, 32)


def test_captions_of_fixed_length_give_the_same_losses():
    """Captured steps never trim captions, and padding has no influence."""
    recipe = {"extends": "scenes-wordings", "data": {"count": 40}, "training": {"steps": 1, "precision": "float32"}}
    found = []
    for fixed in (False, True):
        run = set_up(host(), Recipe.read(host(), recipe))
        run.batches.fixed_length = fixed
        batch = next(iter(run.batches))
        networks, judging = run.networks, run.networks.conditional_discriminator
        assert judging is not None
        generator = Player(list(networks.conditional_generator.generator.parameters()))
        discriminator = Player([*judging.parameters(), *networks.losses.parameters()])
        players = {"generator": generator, "discriminator": discriminator}
        threads = PlayerThreads(torch.device("meta"))
        names, values = compute_step(run, players, threads, batch, run.draw_noise(len(batch)))
        found.append((batch.tokens.ids.shape[1], names, values))
    (short, names, values), (long, same_names, same_values) = found
    assert short < long
    assert names == same_names
    torch.testing.assert_close(values, same_values, rtol=1e-4, atol=1e-4)


@needs_gpu
def test_captured_steps_equal_usual_ones():
    weights = []
    for capture in (True, False):
        settings = {"steps": 40, "batch_size": 8, "precision": "float32", "capture": capture}
        weights.append(train(tiny_recipe(training=settings), plugins=tiny_host(), callbacks=[]).state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-5, msg=name)
