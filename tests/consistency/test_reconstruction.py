"""Reconstruction against its formula in float64, and whom it teaches."""

import numpy as np
import pytest
import torch
from limner import PluginHost, Recipe
from limner.training.loop import set_up
from limner.training.run import new_step
from limner_consistency.reconstruction import Reconstruction


def images(size, seed):
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("sizes_of_stages", [[16], [8, 16]], ids=["one resolution", "two resolutions"])
def test_it_is_the_mean_absolute_difference(make_step, sizes, sizes_of_stages):
    generated = [images(size, 1).requires_grad_() for size in sizes_of_stages]
    real = [images(size, 2) for size in sizes_of_stages]
    loss = Reconstruction(sizes).generator(make_step(generated_images=generated, real_images=real))
    by_hand = [
        np.abs(one.detach().double().numpy() - other.double().numpy()).mean() for one, other in zip(generated, real)
    ]
    assert loss.item() == pytest.approx(np.mean(by_hand), rel=1e-6)
    loss.backward()
    assert all(image.grad is not None and image.grad.any() for image in generated)


def test_it_is_zero_for_the_real_images(make_step, sizes):
    same = [images(16, 1)]
    assert Reconstruction(sizes).generator(make_step(generated_images=same, real_images=same)).item() == 0


def test_the_discriminator_learns_nothing_from_it(make_step, sizes):
    assert Reconstruction(sizes).discriminator(make_step()) is None


def test_the_images_of_a_batch_are_paired_with_their_own_captions(smallest_recipe):
    """A generator that paints the real image of each caption has no loss; one that paints them shuffled has some."""
    plugins = PluginHost()
    run = set_up(plugins, Recipe.read(plugins, smallest_recipe() | {"losses": {"reconstruction": {}}}))
    loss = run.networks.named_losses()["reconstruction"]
    step = new_step(run, next(iter(run.batches)), torch.zeros(8, 8))
    vars(step)["generated_images"] = [step.batch.images]
    painted_right = loss.generator(step)
    vars(step)["generated_images"] = [step.batch.images.flip(0)]
    painted_wrong = loss.generator(step)
    assert painted_right is not None
    assert painted_wrong is not None
    assert painted_right.item() == 0
    assert painted_wrong.item() > 0.1
