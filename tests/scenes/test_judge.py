"""The judge: right on real images, even if they are blurred or noisy, and not easily fooled."""

from random import Random

import pytest
import torch
from limner_scenes.dataset import Scenes
from limner_scenes.drawing import render
from limner_scenes.grammar import caption, distractors
from limner_scenes.judge import NONE, read, score
from limner_scenes.parsing import parse
from limner_scenes.scenes import ANY, COLORS, PALETTE, SceneBatch, compose, draw_scenes
from limner_scenes.wordings import WORDINGS, draw_wording
from torch import Tensor
from torch.nn.functional import conv2d, pad

COUNT = 150
ATTRIBUTES = {1: ("size", "color", "shape", "background"), 2: ("relation", "color", "shape", "background")}


def scenes_of(objects: int, count: int = COUNT, **options) -> SceneBatch:
    return draw_scenes(count, torch.Generator().manual_seed(11), objects=objects, **options)


def paint(scenes: SceneBatch, size: int = 32) -> Tensor:
    return render(scenes, size).float() / 127.5 - 1


def blur(images: Tensor, sigma: float) -> Tensor:
    reach = max(2, int(3 * sigma))
    weights = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)
    padded = pad(images, (reach,) * 4, mode="replicate")
    return conv2d(conv2d(padded, weights, groups=3), weights.transpose(2, 3), groups=3)


def exact(images: Tensor, scenes: SceneBatch) -> float:
    return score(read(images), scenes.facts)["exact"].float().mean().item()


@pytest.mark.parametrize("objects", [1, 2])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_real_images_are_read_correctly(objects, size):
    scenes = scenes_of(objects, COUNT if size < 128 else 50)
    judged = score(read(paint(scenes, size)), scenes.facts)
    assert set(judged) == {*ATTRIBUTES[objects], "exact"}
    for right in judged.values():
        assert right.float().mean() >= 0.995


@pytest.mark.parametrize("objects", [1, 2])
@pytest.mark.parametrize("size", [32, 64])
def test_mild_blur_and_noise_do_no_harm(objects, size):
    scenes = scenes_of(objects)
    images = paint(scenes, size)
    noise = 0.05 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    assert exact(blur(images, 0.5 * size / 32) + noise, scenes) >= 0.97


@pytest.mark.parametrize("objects", [1, 2])
@pytest.mark.parametrize("size", [32, 64])
def test_prompts_of_the_whole_grammar_are_judged_correctly(objects, size):
    """Real images of a thousand prompts: in all wordings, half of them misspelled, half of them held-out wordings."""
    scenes = Scenes(size, objects=objects, wordings=WORDINGS, misspelled=0.5)
    right = []
    for held_out_wording in (False, True):
        prompts = scenes.prompts(125, size, held_out_wording=held_out_wording)
        asked = torch.tensor([parse(text) for text in prompts.texts])
        shown = torch.where(asked == ANY, torch.arange(125)[:, None] % 4, asked)  # any background
        images = paint(compose(shown, torch.Generator().manual_seed(size)), size)
        right.append(score(read(images), prompts.asked)["exact"])
    assert torch.cat(right).float().mean() >= 0.995


def test_held_out_combinations_are_read_correctly():
    scenes = scenes_of(2, held_out=True)
    assert exact(paint(scenes), scenes) >= 0.995


@pytest.mark.parametrize("objects", [1, 2])
def test_wrong_captions_fail_on_the_wrong_attribute(objects):
    scenes, random = scenes_of(objects), Random(0)
    readings = read(paint(scenes, 64))
    wordings = [draw_wording(random, 8) for _ in range(COUNT)]
    wrong = [
        distractors(facts, wording, random) for facts, wording in zip(scenes.facts.tolist(), wordings, strict=True)
    ]
    for k in range(4):
        asked = torch.tensor([parse(texts[k]) for texts in wrong])
        judged = score(readings, asked)
        assert not judged["exact"].any()
        changed = torch.stack([~judged[name] for name in ATTRIBUTES[objects]], dim=1)
        assert (changed.sum(1) >= 1).all()
        if objects == 1:  # the columns of the facts are the attributes
            assert torch.equal(changed, asked != scenes.facts)


def test_each_attribute_is_judged_by_itself():
    scenes = scenes_of(2)
    scenes = scenes[(scenes.shapes[:, 0] != scenes.shapes[:, 1]).nonzero().squeeze(1)]
    readings = read(paint(scenes))
    axis, color_1, shape_1, color_2, shape_2, background = scenes.facts.T
    other = (background + 1) % 4
    for name, columns in {
        "relation": (axis, color_2, shape_2, color_1, shape_1, background),  # the opposite relation
        "color": (axis, color_2, shape_1, color_1, shape_2, background),
        "background": (axis, color_1, shape_1, color_2, shape_2, other),
    }.items():
        judged = score(readings, torch.stack(columns, dim=1))
        assert {key for key, right in judged.items() if not right.all()} == {name, "exact"}
        assert not judged[name].any()


def test_what_is_not_asked_for_does_not_count():
    scenes = scenes_of(2, 20)
    asked = scenes.facts.clone()
    asked[:, -1] = ANY
    assert score(read(paint(scenes)), asked)["exact"].all()
    assert caption(asked[0].tolist(), draw_wording(Random(0)))


@pytest.mark.parametrize("size", [32, 64])
def test_noise_and_blank_images_show_nothing(size):
    noise = torch.randn(50, 3, size, size, generator=torch.Generator().manual_seed(0))
    for images in (noise, torch.zeros_like(noise), torch.ones_like(noise), blur(2 * noise, 2)):
        readings = read(images)
        assert (readings.counts == 0).all()
        assert (readings.shapes == NONE).all()
        assert not score(readings, scenes_of(2, 50).facts)["exact"].any()


@pytest.mark.parametrize("size", [32, 64])
def test_fuzzy_blobs_have_no_shape(size):
    scenes = scenes_of(1)
    steps = (torch.arange(size) + 0.5) / size
    x, y = steps - scenes.centers[:, 0, :1], steps - scenes.centers[:, 0, 1:]
    amount = torch.exp(-(x[:, None, :] ** 2 + y[:, :, None] ** 2) / (2 * 0.15**2))[:, None]
    palette = torch.tensor(PALETTE) / 127.5 - 1
    color = palette[scenes.colors[:, 0]][:, :, None, None]
    background = palette[len(COLORS) + scenes.backgrounds][:, :, None, None]
    assert exact(background + amount * (color - background), scenes) <= 0.01
    pairs = scenes_of(2)
    assert exact(blur(paint(pairs, size), size / 8), pairs) <= 0.01


@pytest.mark.parametrize("size", [32, 64])
def test_half_shapes_have_no_shape(size):
    scenes = scenes_of(1)
    steps = (torch.arange(size) + 0.5) / size
    left = steps < scenes.centers[:, 0, :1]
    images = paint(scenes, size)
    empty = images[:, :, :1, :1]
    readings = read(torch.where(left[:, None, None, :], empty, images))
    assert (readings.shapes[:, 0] == NONE).float().mean() >= 0.99


def test_wrong_counts_are_never_exact():
    one, two = scenes_of(1), scenes_of(2)
    asked_of_one = torch.stack([one.facts[:, 0], two.facts[:, 1], two.facts[:, 2], two.facts[:, -1]], dim=1)
    assert not score(read(paint(one)), two.facts)["exact"].any()
    assert not score(read(paint(two)), asked_of_one)["exact"].any()


def test_an_extra_object_counts_but_specks_do_not():
    scenes = scenes_of(2)
    images = paint(scenes, 32)
    color = torch.tensor(PALETTE)[(scenes.colors.sum(1) + 1) % 4 + len(COLORS)] / 127.5 - 1
    corners = [(0, 0), (0, 25), (25, 0), (25, 25)]
    flat = torch.stack([images[:, :, r : r + 7, c : c + 7].std((2, 3)).amax(1) < 0.01 for r, c in corners], dim=1)
    differs = (scenes.backgrounds != (scenes.colors.sum(1) + 1) % 4) & flat.any(1)
    extra, specked = images.clone(), images.clone()
    for i in differs.nonzero().flatten().tolist():
        row, column = corners[int(flat[i].long().argmax())]
        extra[i, :, row : row + 7, column : column + 7] = color[i, :, None, None]
        specked[i, :, row + 2 : row + 4, column + 2 : column + 4] = color[i, :, None, None]
    assert differs.sum() > 50
    assert not score(read(extra[differs]), scenes.facts[differs])["exact"].any()
    assert exact(specked, scenes) >= 0.99


def test_images_must_be_square():
    with pytest.raises(ValueError, match=r"\[N, 3, H, H\], not \[1, 3, 32, 16\]"):
        read(torch.zeros(1, 3, 32, 16))
