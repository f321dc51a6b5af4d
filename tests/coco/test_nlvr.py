"""The metric `nlvr-judge`: reading drawings of three boxes, parsing sentences about them, and both on real pairs."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from limner import LimnerError, to_float
from limner.testing import check_metric
from limner_coco.folder import CaptionedFolder
from limner_coco.nlvr_claims import parse_claim
from limner_coco.nlvr_items import BOX, BOXES, COLORS, GRAY, IMAGE, Item, read_boxes
from limner_coco.nlvr_judge import NlvrJudge, shares
from limner_scenes.dataset import Scenes
from PIL import Image, ImageDraw
from torch import Tensor

FINE = 8  # how many times larger a drawing is made before it is averaged
LOOKS = list(itertools.product(COLORS, ("square", "circle", "triangle"), (10, 20, 30)))
TOWERS = (("black", "blue"), ("yellow",), ("blue", "blue", "yellow"))
"""The colors of three towers, from the base to the top."""
SCATTERED = [
    [
        Item("blue", "triangle", 20, 0.0, 80.0),
        Item("yellow", "circle", 10, 40.0, 30.0),
        Item("black", "square", 30, 60.0, 3.0),
    ],
    [Item("yellow", "square", 20, 80.0, 40.0)],
    [Item("black", "circle", 30, 10.0, 10.0), Item("black", "triangle", 10, 60.0, 60.0)],
]


def tower(colors: Sequence[str]) -> list[Item]:
    return [Item(color, "square", 20, 40.0, 80.0 - 21 * place) for place, color in enumerate(colors)]


def draw(boxes: Sequence[Sequence[Item]], size: int = IMAGE) -> Image.Image:
    """A drawing as NLVR has them."""
    image = Image.new("RGB", (IMAGE * FINE, IMAGE * FINE), (128, 128, 128))
    pen = ImageDraw.Draw(image)
    for (left, top), box in zip(BOXES, boxes):
        unit = BOX / 100 * FINE
        x, y = left * FINE, top * FINE
        pen.rectangle((x, y, x + BOX * FINE - 1, y + BOX * FINE - 1), (GRAY,) * 3)
        for item in box:
            a, b = x + item.left * unit, y + item.top * unit
            c, d = a + item.size * unit - 1, b + item.size * unit - 1
            if item.shape == "square":
                pen.rectangle((a, b, c, d), COLORS[item.color])
            elif item.shape == "circle":
                pen.ellipse((a, b, c, d), COLORS[item.color])
            else:
                pen.polygon(((a, d), ((a + c) / 2, b), (c, d)), COLORS[item.color])
    return image.resize((size, size), Image.Resampling.BOX)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)


def looks(boxes: Sequence[Sequence[Item]]) -> list[list[tuple[str, str, int]]]:
    return [sorted((item.color, item.shape, item.size) for item in box) for box in boxes]


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("place", [0.0, 33.4, 61.0])
def test_every_item_is_read_wherever_it_is(size, place):
    for look in zip(*[iter(LOOKS)] * 3):
        boxes = [[Item(*one, left=place, top=70 - place)] for one in look]
        found = read_boxes(pixels(draw(boxes, size)))
        assert found is not None
        assert looks(found) == looks(boxes)
        for [item] in found:
            assert item.left == pytest.approx(place, abs=3 if size == 64 else 1)
            assert item.top == pytest.approx(70 - place, abs=3 if size == 64 else 1)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_towers_are_read_block_by_block(size):
    boxes = [tower(colors) for colors in TOWERS]
    found = read_boxes(pixels(draw(boxes, size)))
    assert found is not None
    for box, colors in zip(found, TOWERS):
        from_base = sorted(box, key=lambda item: -item.top)
        assert [item.color for item in from_base] == list(colors)
        assert [item.size for item in box] == [20] * len(colors)


def test_noise_and_tints_do_no_harm():
    image = pixels(draw(SCATTERED)).astype(float)
    noisy = image * 0.95 + np.random.default_rng(0).normal(0, 8, image.shape)
    found = read_boxes(noisy.clip(0, 255).astype(np.uint8))
    assert found is not None
    assert looks(found) == looks(SCATTERED)


@pytest.mark.parametrize("spot", [(10, 10, 50, 14), (10, 10, 17, 17), (5, 5, 60, 60)], ids=["bar", "between", "large"])
def test_a_spot_that_is_no_item_makes_an_image_unreadable(spot):
    image = draw([[], [], []])
    ImageDraw.Draw(image).rectangle(spot, (0, 0, 0))
    assert read_boxes(pixels(image)) is None


def test_a_speck_is_ignored():
    image = draw([[], [], []])
    image.putpixel((20, 20), (0, 0, 0))
    assert read_boxes(pixels(image)) == [[], [], []]


# --- claims ---------------------------------------------------------------------------------------------------------

OF_TOWERS = {
    "There are 2 blue blocks": False,
    "There are 3 blue blocks": True,
    "there are at least 2 blue blocks": True,
    "There are more than 3 blue blocks": False,
    "There is no black block as the top of a tower": True,
    "There is 1 tower with a black block at the bottom": True,
    "There is a blue block above a black block.": True,
    "There is a black block above a blue block": False,
    "There is a black block bellow a blue blocks.": True,
    "There is at least 1 tower with 2 blue blocks stacked together": True,
    "each tower has at least 1 blue block": False,
    "there is a tower with exactly three blocks having a yellow block at the top": True,
    "The tower with two blocks has a blue block at the top": True,
    "The base of a three blocks tower is blue.": True,
    "There is a yellow tower.": True,
    "There is a blue tower": False,
    "Two towers have a blue block at the top": False,
    "there is one tower with a black block at the base and a blue block at the top": True,
    "t least one tower has only one block": True,
    "There is a tower with blocks of all 3 colors": False,
    "There is 1 tower with only blue and yellow blocks": True,
}
OF_ITEMS = {
    "There is a blue triangle touching the wall.": True,
    "there is exactly one yellow square touching the edge": True,
    "There is a yellow square closely touching right wall of a box.": True,
    "there is a yellow circle not touching any edge": True,
    "None of the black triangles are touching a edge": True,
    "none of the blue triangle is touching the edge": False,
    "there is a blue triangle touching the base": True,
    "There is a blue traingle touching the corner": True,
    "There is 1 box with 2 black items": True,
    "There is a box with items of only black colour": True,
    "There is a box with 3 items of all 3 different colors.": True,
    "One of the grey boxes contains exactly one object": True,
    "there is a small black triangle": True,
    "there is a small black circle": False,
    "there are yellow items in each box": False,
    "There is a box with a yellow circle, a black square and a blue triangle": True,
    "There is a black or yellow triangle touching the wall": False,
    "There is a box with three items and a black item on top": True,
}


@pytest.mark.parametrize(("sentence", "truth"), OF_TOWERS.items())
def test_claims_about_towers(sentence, truth):
    claim = parse_claim(sentence)
    assert claim is not None
    assert claim([tower(colors) for colors in TOWERS]) is truth


@pytest.mark.parametrize(("sentence", "truth"), OF_ITEMS.items())
def test_claims_about_items(sentence, truth):
    claim = parse_claim(sentence)
    assert claim is not None
    assert claim(SCATTERED) is truth


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "a red circle above a blue square",
        "There is a red block",
        "There is a box with a black item between 2 items of the same color and no item on top of that.",
        "There are two towers that are the same in height.",
        "There is a square touching the corner that is not yellow.",
        "A man riding a wave on top of a surfboard",
    ],
)
def test_other_sentences_have_no_claim(sentence):
    assert parse_claim(sentence) is None


# --- the metric -----------------------------------------------------------------------------------------------------

CAPTIONS = {
    "There is a yellow tower.": [tower(["yellow"]), tower(["blue"]), tower(["black", "blue"])],
    "There are 3 blue blocks": [tower(["blue"] * 3), tower(["black"]), tower(["black"])],
    "There is a box with two black items": SCATTERED,
    "Nobody knows what this claims": [tower(["black"])] * 3,
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four drawings with a caption each; three of the captions have a claim."""
    (tmp_path / "images").mkdir()
    for number, boxes in enumerate(CAPTIONS.values()):
        draw(boxes).save(tmp_path / "images" / f"{number}.png")
    images = [{"id": number, "file_name": f"{number}.png"} for number in range(len(CAPTIONS))]
    annotations = [{"id": number, "image_id": number, "caption": text} for number, text in enumerate(CAPTIONS)]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return tmp_path


class Copies:
    """Paints each caption as its real drawing, or all captions as that of one."""

    def __init__(self, always: str | None = None):
        self.always = always

    def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
        images = [pixels(draw(CAPTIONS[self.always or text])) for text in prompts]
        return to_float(torch.from_numpy(np.stack(images)))


def test_it_measures_whether_claims_are_true(folder):
    metric = NlvrJudge(CaptionedFolder(128, root=str(folder)))
    right = metric.measure(Copies())
    assert right["captions decided"] == 0.75
    assert {key: right[f"painted/{key}"] for key in ("claim true", "readable")} == {"claim true": 1, "readable": 1}
    assert right["real/claim true"] == 1
    assert right["painted/claim of another"] == 0
    same = metric.measure(Copies("There is a yellow tower."))
    assert same["painted/claim true"] == same["painted/claim of another"] == pytest.approx(1 / 3)


def test_an_unreadable_image_counts_as_wrong():
    claim = parse_claim("there is no black block")
    assert claim
    gray = torch.full((2, 3, 128, 128), GRAY / 127.5 - 1)
    gray[1, :, 10:50, 10:14] = -1
    assert shares(gray, [claim, claim]) == {"claim true": 0.5, "claim of another": 0.5, "readable": 0.5}


def test_it_keeps_the_promises_of_metrics(folder):
    check_metric(NlvrJudge, CaptionedFolder(128, root=str(folder)), captions=3)


def test_single_images_have_verdicts(folder):
    metric = NlvrJudge(CaptionedFolder(128, root=str(folder)))
    prompts = metric.example_prompts(2)
    assert prompts == list(CAPTIONS)[:2]
    image = Copies().paint_images(prompts)[0]
    assert metric.verdict(image, prompts[0]) == {"readable": True, "claim true": True}
    assert metric.verdict(image, prompts[1]) == {"readable": True, "claim true": False}
    assert metric.verdict(image, "a red circle") is None


def test_it_measures_nothing_else(folder, make_folder):
    with pytest.raises(LimnerError, match="this metric reads the drawings of NLVR in a folder; the data set is Scenes"):
        NlvrJudge(Scenes(64, count=8))
    with pytest.raises(LimnerError, match=r"cannot read images of 32 pixels; use 64 pixels or more\."):
        NlvrJudge(CaptionedFolder(32, root=str(folder)))
    with pytest.raises(LimnerError, match="this metric decides 0 of the 12 captions of this data"):
        NlvrJudge(CaptionedFolder(64, root=str(make_folder()))).measure(Copies())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("captions", "images", "stride", "decided", "agrees"),
    [("captions.json", "images", 3, 0.80, 0.99), ("captions_false.json", "images_false", 1, 0.74, 0.985)],
    ids=["true", "false"],
)
@pytest.mark.parametrize("size", [64, 128])
def test_it_agrees_with_people(shared_data, tmp_path, captions, images, stride, decided, agrees, size):
    """On the false pairs, and the true ones of every third image; the metric's docstring has the numbers of all."""
    options = {"captions": captions, "images": images, "cache": str(tmp_path)}
    data = CaptionedFolder(size, root=str(shared_data / "nlvr"), **options).load()
    answers, readings, asked = [], {}, 0
    for row in range(0, len(data.annotations), stride):
        for annotation in data.annotations[row]:
            asked += 1
            claim = parse_claim(annotation["caption"])
            if claim and row not in readings:
                readings[row] = read_boxes(data.pixels[row].numpy())
            if claim and (boxes := readings[row]) is not None:
                answers.append(claim(boxes))
    truth = images == "images"
    assert len(answers) / asked >= decided
    assert sum(answer == truth for answer in answers) / len(answers) >= agrees
