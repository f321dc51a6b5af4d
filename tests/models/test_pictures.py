"""Pictures for people: grids, labels, film strips; and the report of what was measured."""

import io
import json
from base64 import b64decode

import limner
import numpy as np
import pytest
import torch
from limner import LimnerError, Pictures, Report
from limner.models.animation import film_animation
from limner.models.pictures import film_strip, text_font, wrap
from limner.testing import tiny_host, tiny_recipe
from PIL import Image, ImageSequence


def plain(value, count=1):
    """Images of one gray."""
    return torch.full((count, 3, 16, 16), float(value))


def test_images_keep_their_values():
    images = plain(0)
    images[0, 0, 2, 5] = 1
    picture = Pictures.of(images, ["a"])[0]
    assert picture.size == (16, 16)
    assert picture.getpixel((5, 2)) == (255, 128, 128)
    assert picture.getpixel((2, 5)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("labels", "columns", "cells"),
    [(["a"], None, (1, 1)), (["a"] * 10, None, (8, 2)), (list("abcdefgh"), None, (4, 2)), (list("aabb"), 2, (2, 2))],
)
def test_a_grid_has_a_cell_for_each_image(labels, columns, cells):
    grid = Pictures.of(plain(0, len(labels)), labels, columns).grid()
    assert grid.width == 6 + cells[0] * (128 + 6)
    assert cells[1] * (128 + 12) < grid.height < cells[1] * (128 + 40)


def test_each_picture_has_its_label_and_equal_ones_appear_once():
    def beneath(labels, column):
        left = 6 + column * (128 + 6)
        return (
            Pictures.of(plain(0, 2), labels, columns=2).grid().crop((left, 6 + 128, left + 128, 6 + 128 + 15)).tobytes()
        )

    assert beneath(["a", "b"], 1) == beneath(["c", "b"], 1) != beneath(["a", "c"], 1)
    assert set(beneath(["a", "a"], 1)) == {255}, "nothing but white"


@pytest.mark.parametrize("width", [60, 128, 500])
def test_labels_are_broken_at_blanks_and_lose_no_word(width):
    text = "a small red circle to the left of a very big blue square on a white background"
    lines = wrap(text, width, text_font(12))
    assert " ".join(lines) == text
    assert all(text_font(12).getlength(line) <= width or " " not in line for line in lines)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_pictures_are_written_and_shown(tmp_path, ending):
    pictures = Pictures.of(plain(0, 2), ["a", "b"])
    path = pictures.save(tmp_path / "deep" / f"two.{ending}")
    with Image.open(path) as read:
        assert read.size == pictures.grid().size
    with Image.open(io.BytesIO(pictures._repr_png_())) as shown:
        assert shown.size == pictures.grid().size


def test_a_film_has_a_row_for_each_prompt_from_first_to_last():
    film = [(f"step {i}", Pictures.of(torch.cat([plain(i / 10), plain(-i / 10)]), ["up", "down"])) for i in range(9)]
    strip = film_strip(film, frames=3)
    assert strip.columns == 3
    seen = [image.tobytes()[0] for image in strip.images]
    assert seen == pytest.approx([127.5 * (1 + value) for value in (0, 0.4, 0.8, 0, -0.4, -0.8)], abs=1)
    assert strip.labels[0] == "up, step 0 to step 8"


def test_a_film_is_an_animation_from_first_to_last(tmp_path):
    film = [(f"step {i}", Pictures.of(plain(i / 10), ["up"])) for i in range(9)]
    animation = film_animation(film, frames=3)
    assert [np.asarray(frame)[60, 20, 0] for frame in animation.frames] == pytest.approx([127.5, 178.5, 229.5], abs=1)
    assert animation.frames[0].crop((0, 0, 60, 20)).tobytes() != animation.frames[1].crop((0, 0, 60, 20)).tobytes()
    shown = io.BytesIO(b64decode(animation._repr_mimebundle_()["image/gif"]))
    for file in (shown, animation.save(tmp_path / "deep/film.gif"), animation.save(tmp_path / "film.webp")):
        with Image.open(file) as read:
            assert (len(list(ImageSequence.Iterator(read))), read.info["loop"]) == (3, 0)
    with pytest.raises(LimnerError, match=r"film\.png: an animation is written as \.gif or \.webp"):
        animation.save(tmp_path / "film.png")


@pytest.mark.parametrize(
    "empty", [lambda: film_strip([], 3), lambda: film_animation([], 3), lambda: Pictures([], []).grid()]
)
def test_nothing_cannot_be_shown(empty):
    with pytest.raises(LimnerError, match="There is no"):
        empty()


def test_a_report_has_columns_and_rows():
    report = Report.collect(
        {"judge": {"trained/exact": 0.5, "held out/exact": 0.25, "trained/color": 1.0}, "other": {"d": 2.0}}
    )
    assert report.columns() == {"trained": {"exact": 0.5, "color": 1.0}, "held out": {"exact": 0.25}, "": {"d": 2.0}}
    assert report["trained/exact"] == 0.5
    assert json.loads(report.to_json()) == report.scores
    lines = [line.split() for line in str(report).splitlines()]
    assert any({"exact", "0.500", "0.250"} <= set(line) for line in lines)
    assert "<td>0.250</td>" in report._repr_html_()


def test_a_score_of_two_metrics_keeps_both():
    scores = Report.collect({"one": {"exact": 1.0}, "two": {"exact": 2.0}}).scores
    assert scores == {"exact": 1.0, "two exact": 2.0}


def test_a_picture_that_is_too_large_for_its_format_says_so(tmp_path):
    many = Pictures([Image.new("RGB", (16, 16))] * 1024, ["a red circle"] * 1024)
    with pytest.raises(LimnerError, match=r"o\.webp: this picture has 1078 x 19846 pixels, and a \.webp file at most"):
        many.save(tmp_path / "o.webp")
    assert many.save(tmp_path / "o.png").is_file()
    with pytest.raises(LimnerError, match=r"o\.txt: pictures are written as \.png, \.jpg or \.webp"):
        many.save(tmp_path / "o.txt")


def test_an_older_picture_survives_a_full_disk(tmp_path, monkeypatch):
    out = Pictures([Image.new("RGB", (16, 16))], ["first"]).save(tmp_path / "o.png")
    before = out.read_bytes()

    def fail(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(LimnerError, match=r"o\.png cannot be written: No space left on device"):
        Pictures([Image.new("RGB", (16, 16), "red")], ["second"]).save(out)
    assert out.read_bytes() == before


def test_many_prompts_with_one_picture_each_are_a_grid():
    model = limner.train(tiny_recipe(), plugins=tiny_host(), callbacks=[])
    prompts = [f"a plain {color} wall" for color in ("red", "green", "blue", "white", "red")]
    assert model.paint(prompts).columns is None  # as many as fit
    assert model.paint(prompts, n=3).columns == 3  # a row for each prompt
