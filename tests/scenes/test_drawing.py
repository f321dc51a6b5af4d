"""Drawing: anti-aliased, the same at every size, with six shapes of similar area."""

import pytest
import torch
from limner_scenes.drawing import coverage, render
from limner_scenes.scenes import COLORS, PALETTE, SHAPES, draw_scenes
from torch.nn.functional import avg_pool2d

ALL = torch.arange(len(SHAPES))


def one_of_each(size: int, width: float = 0.6, center: float = 0.5) -> torch.Tensor:
    return coverage(ALL, torch.full((len(SHAPES), 2), center), torch.full((len(SHAPES),), width), size)


@pytest.mark.parametrize("objects", [1, 2])
def test_a_larger_drawing_shows_the_same(objects):
    scenes = draw_scenes(100, torch.Generator().manual_seed(0), objects=objects)
    small = render(scenes, 32).float()
    averaged = avg_pool2d(render(scenes, 64).float(), 2)
    assert (small - averaged).abs().mean() < 0.5  # of 255
    assert (small - averaged).abs().max() < 100  # at the tips of corners


def test_edges_are_anti_aliased():
    covered = one_of_each(32, center=0.51)
    soft = (covered > 0.05) & (covered < 0.95)
    assert (soft.sum((1, 2)) > 10).all()
    assert (soft.sum((1, 2)) < 120).all()


def test_coverage_does_not_depend_on_resolution():
    parts = torch.stack([one_of_each(size).mean((1, 2)) for size in (32, 64, 128)])
    assert torch.allclose(parts[0], parts[2], rtol=0.02)
    assert torch.allclose(parts[1], parts[2], rtol=0.01)


def test_shapes_fill_their_box_and_have_similar_areas():
    covered = one_of_each(200, width=1.0)
    assert covered.mean((1, 2)).max() < 1.9 * covered.mean((1, 2)).min()
    for mask in covered > 0.5:
        columns, rows = mask.any(0).nonzero(), mask.any(1).nonzero()
        assert len(columns) >= 160  # of 200
        assert abs(columns.min() + columns.max() - 199) <= 2  # centered
        assert abs(rows.min() + rows.max() - 199) <= 3


def test_shapes_are_their_own_mirror_image():
    covered = one_of_each(64)
    assert torch.allclose(covered, covered.flip(2), atol=1e-4)


def test_colors_are_close_to_the_palette():
    scenes = draw_scenes(200, torch.Generator().manual_seed(1))
    images = render(scenes, 64).float()
    palette = torch.tensor(PALETTE).float()
    background = palette[len(COLORS) + scenes.backgrounds]
    assert (images[:, :, 0, 0] - background).abs().max() <= 9
    middle = (scenes.centers[:, 0] * 64).long()
    seen = images[torch.arange(200), :, middle[:, 1], middle[:, 0]]
    assert (seen - palette[scenes.colors[:, 0]]).abs().max() <= 9


def test_palette_colors_are_far_apart():
    palette = torch.tensor(PALETTE).float()
    apart = torch.cdist(palette, palette) + 1e3 * torch.eye(len(palette))
    assert apart.min() > 90


def test_a_size_must_be_positive():
    with pytest.raises(ValueError, match="positive size, not 0"):
        render(draw_scenes(1, torch.Generator()), 0)
