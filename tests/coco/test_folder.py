"""Folders of captioned images: their two layouts, images of every kind, and files that cannot be used."""

import json
import shutil
import warnings

import limner
import numpy as np
import pytest
from limner import LimnerError
from limner_coco.folder import CocoFolder, decode
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 255, 255)


def load(folder, **options):
    return CocoFolder(16, root=str(folder), **options).load()


def color(pixels):
    """The color in the middle of an image [3, H, W]."""
    return tuple(int(value) for value in pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2])


# --- layouts --------------------------------------------------------------------------------------------------------


def test_a_folder_of_ones_own_is_read(make_folder):
    data = load(make_folder(count=8))
    assert data.pixels.shape == (8, 3, 16, 16)
    assert [color(image) for image in data.pixels[:4]] == [RED, GREEN, BLUE, WHITE]
    assert data.annotations[1][0]["caption"] == "a plain green wall"


def test_the_layout_of_coco_is_read_by_split(make_folder, tmp_path):
    own, published = make_folder(count=3), tmp_path / "coco"
    for split, count in (("train2017", 3), ("val2017", 1)):
        shutil.copytree(own / "images", published / split)
        table = json.loads((own / "captions.json").read_text())
        table["images"] = table["images"][:count]
        table["annotations"] = [a for a in table["annotations"] if a["image_id"] < count]
        (published / "annotations").mkdir(exist_ok=True)
        (published / "annotations" / f"captions_{split}.json").write_text(json.dumps(table))
    assert len(load(published)) == 3
    assert len(load(published, split="val2017")) == 1
    with pytest.raises(LimnerError, match=r"captions_test2017\.json"):
        load(published, split="test2017")


def test_only_captioned_images_are_read_and_no_more_than_the_limit(make_folder):
    folder = make_folder(count=6, captions={0: [], 3: []})
    assert load(folder).image_ids == [1, 2, 4, 5]
    assert load(folder, limit=2).image_ids == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: shutil.rmtree(f), "data.root: there is no folder"),
        (lambda f: (f / "captions.json").unlink(), "has neither captions.json beside images/ nor annotations"),
        (lambda f: shutil.rmtree(f / "images"), "the folder of its images, .*images, is not"),
        (lambda f: (f / "captions.json").write_text((f / "captions.json").read_text()[:100]), "may be truncated"),
        (lambda f: (f / "captions.json").write_text(""), "not valid JSON"),
        (lambda f: (f / "captions.json").write_bytes(b"\xff\xd8\xff\xe0"), "cannot be read"),
        (lambda f: (f / "captions.json").write_text("[]"), "not in the COCO captions layout: it holds a list"),
        (lambda f: (f / "captions.json").write_text('{"images": []}'), "needs a list 'annotations'"),
        (lambda f: (f / "captions.json").write_text('{"images": [], "annotations": []}'), "holds no captioned image"),
    ],
)
def test_what_is_no_such_folder_is_told(make_folder, change, message):
    folder = make_folder(count=2)
    change(folder)
    with pytest.raises(LimnerError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- files that cannot be used --------------------------------------------------------------------------------------


def corrupt(path):
    path.write_bytes(path.read_bytes()[:60])


BROKEN = {
    "missing": (lambda path: path.unlink(), r"003.png \(missing\)"),
    "cut off": (corrupt, r"003.png \(.+\)"),
    "empty": (lambda path: path.write_bytes(b""), r"003.png \(cannot identify image file"),
    "a text": (lambda path: path.write_text("<html>not found</html>"), r"003.png \(cannot identify image file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), r"003.png \(.*[Dd]irectory"),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_used_is_named_and_allowed_or_refused(make_folder, damage, message):
    folder = make_folder(count=8)
    damage(folder / "images" / "003.png")
    with pytest.raises(LimnerError, match=f"1 of 8 images cannot be used: .*{message}.*data.bad_images = 1%"):
        load(folder)
    with pytest.warns(UserWarning, match=f"1 of 8 images cannot be used: .*{message}.*goes on without"):
        data = load(folder, bad_images=0.125)
    assert data.image_ids == [0, 1, 2, 4, 5, 6, 7]
    assert [color(image) for image in data.pixels[2:4]] == [BLUE, RED]


def test_many_broken_files_are_counted_and_a_few_of_them_named(make_folder):
    folder = make_folder(count=12)
    for number in range(9):
        (folder / "images" / f"{number:03d}.png").unlink()
    with pytest.raises(LimnerError, match=r"9 of 12 images.*000\.png.*004\.png \(missing\); \.\.\.\. More than"):
        load(folder)


def test_where_no_image_can_be_used_there_is_nothing_to_learn_from(make_folder):
    folder = make_folder(count=2)
    for path in (folder / "images").iterdir():
        corrupt(path)
    with pytest.raises(LimnerError, match="2 of 2 images cannot be used"):
        load(folder, bad_images=1.0)


def test_a_decompression_bomb_is_a_bad_file(make_folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # the images have 480
    with pytest.raises(LimnerError, match=r"2 of 2 images cannot be used.*decompression bomb"):
        load(make_folder(count=2))


# --- images of every kind -------------------------------------------------------------------------------------------


def palette():
    image = Image.new("P", (20, 20), 1)
    image.putpalette([*GREEN, *RED, *BLUE])
    return image


MODES = {  # an image, how it is saved, and what is seen of it
    "RGB": (Image.new("RGB", (20, 20), RED), "png", {}, RED),
    "1": (Image.new("1", (20, 20), 1), "png", {}, WHITE),
    "L": (Image.new("L", (20, 20), 90), "png", {}, (90, 90, 90)),
    "L, transparent": (Image.new("L", (20, 20), 90), "png", {"transparency": 90}, WHITE),
    "16 bits": (Image.fromarray(np.full((20, 20), 90 * 257, np.uint16)), "png", {}, (90, 90, 90)),
    "LA": (Image.new("LA", (20, 20), (0, 0)), "png", {}, WHITE),
    "P": (palette(), "png", {}, RED),
    "P, transparent": (palette(), "png", {"transparency": 1}, WHITE),
    "P, another color transparent": (palette(), "png", {"transparency": 0}, RED),
    "RGBA": (Image.new("RGBA", (20, 20), (*RED, 255)), "png", {}, RED),
    "RGBA, transparent": (Image.new("RGBA", (20, 20), (*RED, 0)), "png", {}, WHITE),
    "RGBA, half": (Image.new("RGBA", (20, 20), (*RED, 128)), "png", {}, (255, 127, 127)),
    "CMYK": (Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "jpg", {"quality": 95}, RED),
    "gray JPEG": (Image.new("L", (20, 20), 90), "jpg", {"quality": 95}, (90, 90, 90)),
    "GIF": (palette(), "gif", {}, RED),
    "WebP": (Image.new("RGBA", (20, 20), (*RED, 0)), "webp", {"lossless": True}, WHITE),
}


@pytest.mark.parametrize(("image", "ending", "saving", "seen"), MODES.values(), ids=MODES)
def test_images_of_every_mode_become_rgb_on_white(tmp_path, image, ending, saving, seen):
    path = tmp_path / f"image.{ending}"
    image.save(path, **saving)
    pixels = decode(path, 16)
    assert pixels.shape == (3, 16, 16)
    assert pixels.dtype == np.uint8
    assert color(pixels) == pytest.approx(seen, abs=3)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (1, 1)), (6, (0, 1)), (8, (1, 0))])
def test_a_photograph_is_turned_upright(tmp_path, orientation, corner, ending):
    """The corner that the camera stored at the top left, where it belongs."""
    image = Image.new("RGB", (32, 32), WHITE)
    image.paste(RED, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"turned.{ending}", exif=exif)
    pixels = decode(tmp_path / f"turned.{ending}", 16)
    red = {(y, x) for y in (0, 1) for x in (0, 1) if pixels[1, 3 + 10 * y, 3 + 10 * x] < 60}
    assert red == {corner}


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (21, 60), (5, 5)])
def test_the_middle_of_an_oblong_image_is_cut_out(tmp_path, shape):
    width, height = shape
    image = Image.new("RGB", shape, RED)
    side = min(shape)
    left, top = (width - side) // 2, (height - side) // 2
    image.paste(BLUE, (left, top, left + side, top + side))
    image.save(tmp_path / "oblong.png")
    pixels = decode(tmp_path / "oblong.png", 16)
    assert (pixels[2].astype(int) - pixels[0]).mean() > 240, "all but the rim is blue"


# --- training on photographs ----------------------------------------------------------------------------------------


@pytest.fixture
def photographs(recipe):
    """The tiny recipe for a folder of photographs."""

    def on(folder):
        changes = {"data": {"name": "coco", "root": str(folder)}, "text": {"length": 20}, "prompts": None}
        return {key: value for key, value in (recipe | changes).items() if value is not None}

    return on


def test_a_folder_of_ones_own_can_be_trained_on(photographs, make_folder):
    model = limner.train(photographs(make_folder(count=8)), quiet=True)
    assert "wall" in model.tokenizer.words
    assert model.paint("a plain red wall")[0].size == (16, 16)


def test_previews_are_the_first_captions_where_the_recipe_names_none(make_folder):
    folder = make_folder(count=12)
    prompts = CocoFolder(16, root=str(folder)).preview_prompts()
    assert prompts == [f"a plain {name} wall" for name in ("red", "green", "blue", "white")]


def test_photographs_have_no_metric_of_their_own(photographs, make_folder):
    model = limner.train(photographs(make_folder(count=8)), quiet=True)
    with pytest.raises(LimnerError, match="data set 'coco' has no metric of its own"):
        model.evaluate()


def test_real_photographs_can_be_trained_on(photographs, shared_data, tmp_path):
    folder = shared_data / "coco_mini"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # not one file is bad
        data = load(folder)
    assert data.pixels.shape == (60, 3, 16, 16)
    captions = [a["caption"] for annotations in data.annotations for a in annotations]
    assert len(captions) == 301
    assert not any("\n" in text or "  " in text or text != text.strip() for text in captions)
    gray = data.pixels[data.image_ids.index(431848)].int()
    assert (gray[0] == gray[1]).all()
    assert (gray[1] == gray[2]).all()

    model = limner.train(photographs(folder), tmp_path / "run", quiet=True)
    assert limner.load(tmp_path / "run").tokenizer.words == model.tokenizer.words
