"""Scenes: seeded, objects within the image and apart from each other, no held-out pair in training."""

import pytest
import torch
from limner_scenes.scenes import COLORS, HELD_OUT, SHAPES, SceneBatch, draw_scenes, is_held_out


def draw(seed: int = 0, count: int = 2000, **options) -> SceneBatch:
    return draw_scenes(count, torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("objects", [1, 2])
def test_equal_seeds_draw_equal_scenes(objects):
    first, again, other = draw(3, objects=objects), draw(3, objects=objects), draw(4, objects=objects)
    for name in vars(first):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.facts, other.facts)


@pytest.mark.parametrize("objects", [1, 2])
def test_training_scenes_show_no_held_out_pair(objects):
    trained, held_out = draw(objects=objects), draw(objects=objects, held_out=True)
    assert not is_held_out(trained.colors, trained.shapes).any()
    assert is_held_out(held_out.colors, held_out.shapes).any(1).all()
    shown = {
        (COLORS[color], SHAPES[shape])
        for color, shape in zip(trained.colors.flatten().tolist(), trained.shapes.flatten().tolist(), strict=True)
    }
    assert len(shown) == len(COLORS) * len(SHAPES) - len(HELD_OUT)


@pytest.mark.parametrize("objects", [1, 2])
def test_objects_lie_within_the_image(objects):
    scenes = draw(objects=objects)
    half = scenes.widths[:, :, None] / 2
    assert (scenes.centers - half).min() >= 0.019
    assert (scenes.centers + half).max() <= 0.981


def test_two_objects_have_two_colors_and_a_clear_relation():
    scenes = draw()
    assert (scenes.colors[:, 0] != scenes.colors[:, 1]).all()
    step = scenes.centers[:, 1] - scenes.centers[:, 0]
    along = step.gather(1, scenes.facts[:, :1]).squeeze(1)
    across = step.gather(1, 1 - scenes.facts[:, :1]).squeeze(1)
    assert (along > 3 * across.abs()).all()
    assert (along > scenes.widths.mean(1)).all()  # the boxes do not touch


def test_a_scene_has_one_or_two_objects():
    with pytest.raises(ValueError, match="1 or 2 objects, not 3"):
        draw(objects=3)
