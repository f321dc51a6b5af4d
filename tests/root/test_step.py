"""Older names of a step's values still work, with a warning."""

from dataclasses import replace

import pytest
import torch
from limner import Step
from limner.plugins import host
from limner.recipes.schema import Recipe
from limner.training.run import new_step, set_up


@pytest.fixture(scope="module")
def step():
    recipe = {"extends": "scenes-32", "data": {"count": 40}, "training": {"batch_size": 8}}
    run = set_up(host(), Recipe.read(host(), recipe))
    batch = next(iter(run.batches))
    rows = torch.arange(8) % 2 == 0
    return new_step(run, replace(batch, has_mismatch=rows), run.draw_noise(8))


def without_pairs(step: Step) -> Step:
    none, own = torch.zeros(8, dtype=torch.bool), ~torch.eye(8, dtype=torch.bool)
    batch = replace(step.batch, has_mismatch=none, confusable=own)
    return Step(step.conditional_generator, step.conditional_discriminator, batch, step.noise)


def test_mismatched_has_the_rows_with_a_wrong_caption(step):
    with pytest.warns(DeprecationWarning, match="Step.mismatched_pairs"):
        judged = step.mismatched
    assert torch.equal(judged.match, step.mismatched_pairs.match[step.batch.has_mismatch])
    with pytest.warns(DeprecationWarning, match="mismatched_pairs"):
        assert without_pairs(step).mismatched is None


def test_nearest_mismatched_has_the_rows_with_a_wrong_caption(step):
    with pytest.warns(DeprecationWarning, match="Step.nearest_pairs"):
        judged, rows = step.nearest_mismatched
    assert rows.all()
    assert torch.equal(judged.match, step.nearest_pairs[0].match)
    with pytest.warns(DeprecationWarning, match="nearest_pairs"):
        assert without_pairs(step).nearest_mismatched is None


def test_painted_images_are_the_generated_ones(step):
    with pytest.warns(DeprecationWarning, match="Step.generated_images"):
        assert step.painted_images is step.generated_images
    with pytest.warns(DeprecationWarning, match="Step.conditional_generator"):
        assert step.painting is step.conditional_generator
    with pytest.warns(DeprecationWarning, match="Step.conditional_discriminator"):
        assert step.judging is step.conditional_discriminator
