"""Folders of captioned images as a data set: which images and captions are used, and unusable files."""

import json
import os
import shutil
import warnings

import limner
import limner_coco.store
import pytest
from limner import LimnerError, Recipe
from limner_coco.folder import SIDES, CaptionedFolder
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 255, 255)


def load(folder, **options):
    return CaptionedFolder(16, root=str(folder), **options).load()


def color(pixels):
    """The color in the middle of an image [3, H, W]."""
    return tuple(int(value) for value in pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2])


# --- layouts --------------------------------------------------------------------------------------------------------


def test_a_folder_of_images_is_read(make_folder):
    data = load(make_folder(count=8))
    assert data.pixels.shape == (8, 3, 16, 16)
    assert [color(image) for image in data.pixels[:4]] == [RED, GREEN, BLUE, WHITE]
    assert data.annotations[1][0]["caption"] == "a plain green wall"


def test_the_coco_layout_is_read_by_split(make_folder, tmp_path):
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


def test_only_captioned_images_up_to_the_limit_are_read(make_folder):
    folder = make_folder(count=6, captions={0: [], 3: []})
    warning = r"2 of 6 images have no caption and are left out: 000\.png; 003\.png\."
    with pytest.warns(UserWarning, match=warning):
        assert load(folder).image_ids == [1, 2, 4, 5]
    with pytest.warns(UserWarning, match=warning):
        assert load(folder, limit=2).image_ids == [1, 2]


def test_empty_captions_are_counted_and_left_out(make_folder):
    folder = make_folder(count=4, captions={0: ["", " \n", "a wall"], 1: [" "]})
    table = json.loads((folder / "captions.json").read_text())
    table["annotations"] += [{"id": 98, "image_id": 2}, {"id": 99, "image_id": 2, "caption": None}]
    (folder / "captions.json").write_text(json.dumps(table))
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        data = load(folder)
    assert [str(note.message) for note in notes] == [
        f"5 of 10 captions of {folder / 'captions.json'} are empty and left out.",
        "1 of 4 images have no caption and are left out: 001.png.",
    ]
    assert data.image_ids == [0, 2, 3]
    assert [a["caption"] for a in data.annotations[0]] == ["a wall"]
    assert len(data.annotations[1]) == 2


def test_another_folder_of_images_is_another_store(tmp_path):
    """The images have the same names, sizes and times."""
    (tmp_path / "captions.csv").write_text("file,caption\nx.png,a wall\n")
    for folder, shade in (("a", RED), ("b", BLUE)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (20, 20), shade).save(tmp_path / folder / "x.png", compress_level=0)
        os.utime(tmp_path / folder / "x.png", ns=(5, 5))
    for _ in range(2):
        assert color(load(tmp_path, images="a").pixels[0]) == RED
        assert color(load(tmp_path, images="b").pixels[0]) == BLUE
    (tmp_path / "images").symlink_to(tmp_path / "a")
    assert color(load(tmp_path).pixels[0]) == RED
    (tmp_path / "images").unlink()
    (tmp_path / "images").symlink_to(tmp_path / "b")
    assert color(load(tmp_path).pixels[0]) == BLUE


def test_a_root_that_moves_keeps_its_store(make_folder, tmp_path, monkeypatch):
    folder = make_folder(count=2)
    load(folder)
    folder.rename(tmp_path / "moved")
    monkeypatch.setattr(limner_coco.store, "decode_images", None)
    assert len(load(tmp_path / "moved")) == 2


def test_a_root_in_a_home_that_nobody_has_is_told():
    with pytest.raises(LimnerError, match=r"data\.root: ~no-such-user/x is in the home folder of a user who does not"):
        load("~no-such-user/x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_among_the_images_is_named_and_left_out(make_folder):
    folder = make_folder(count=8)
    (folder / "images" / "003.png").unlink()
    os.mkfifo(folder / "images" / "003.png")
    with pytest.warns(UserWarning, match=r"1 of 8 images cannot be used: .*003\.png \(it is a pipe or a device"):
        assert len(load(folder, bad_images=0.2)) == 7


def test_a_file_name_that_leads_outside_is_refused(make_folder):
    folder = make_folder(count=2)
    table = json.loads((folder / "captions.json").read_text())
    table["images"][1]["file_name"] = "../../secret.png"
    (folder / "captions.json").write_text(json.dumps(table))
    with pytest.raises(LimnerError, match=r"The file '\.\./\.\./secret\.png' is outside of"):
        load(folder)


# --- which images and captions ---------------------------------------------------------------------------------------


@pytest.fixture
def marked(make_folder):
    """A folder with images of two splits and captions of two kinds."""
    folder = make_folder(count=6)
    table = json.loads((folder / "captions.json").read_text())
    for image in table["images"]:
        image |= {"split": "test" if image["id"] % 3 == 0 else "dev", "old": image["id"] > 3}
    for annotation in table["annotations"]:
        annotation["kind"] = "name" if annotation["id"] % 2 == 0 else "more"
    (folder / "captions.json").write_text(json.dumps(table))
    return folder


def test_images_and_captions_are_selected_by_their_keys(marked):
    assert load(marked, images_with={"split": "dev"}).image_ids == [1, 2, 4, 5]
    assert load(marked, images_with={"split": "dev", "old": True}).image_ids == [4, 5]
    test = load(marked, images_with={"split": "test"}, captions_with={"kind": "name"})
    assert [[a["caption"] for a in of_image] for of_image in test.annotations] == [
        ["a plain red wall"],
        ["a plain white wall"],
    ]
    assert [color(image) for image in test.pixels] == [RED, WHITE]
    assert [color(image) for image in load(marked).pixels[:4]] == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"images_with": {"split": "train"}},
            r"data.images_with: .*captions.json: no image has split = 'train'; there is",
        ),
        ({"images_with": {"spilt": "dev"}}, r"no image has spilt = 'dev'; none has that key\."),
        (
            {"captions_with": {"kind": "nmae"}},
            r"data.captions_with: .*no caption has kind = 'nmae'; there is name, more\.",
        ),
    ],
)
def test_an_empty_selection_is_an_error(marked, option, message):
    with pytest.raises(LimnerError, match=message):
        load(marked, **option)


# --- mirror images ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "sided"),
    [
        ("a dog on the left", True),
        ("A RIGHT-handed player", True),
        ("the leftmost of three", True),
        ("clockwise arrows", True),
        ("counterclockwise arrows button", True),
        ("an anti-clockwise turn", True),
        ("a bright upright piano", False),
        ("a clock on a cleft rock", False),
    ],
)
def test_captions_that_say_left_or_right_are_recognized(caption, sided):
    assert bool(SIDES.search(caption)) == sided


def test_only_allowed_captions_are_mirrored_on_request(make_folder):
    folder = make_folder(count=2, captions={0: ["a wall", "a wall on the left"], 1: ["Left wall"]})
    mirrors = [[a["mirrors"] for a in of_image] for of_image in load(folder, mirror=True).annotations]
    assert mirrors == [[True, False], [False]]
    assert not any(a["mirrors"] for of_image in load(folder).annotations for a in of_image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: shutil.rmtree(f), "data.root: there is no folder"),
        (lambda f: (f / "captions.json").unlink(), "has no captions.json, no annotations"),
        (lambda f: shutil.rmtree(f / "images"), "the folder of its images, .*images, is not"),
        (lambda f: (f / "captions.json").write_text((f / "captions.json").read_text()[:100]), "may be truncated"),
        (lambda f: (f / "captions.json").write_text(""), "not valid JSON"),
        (lambda f: (f / "captions.json").write_bytes(b"\xff\xd8\xff\xe0"), "cannot be read"),
        (lambda f: (f / "captions.json").write_text("[]"), "not in the COCO captions layout: it holds a list"),
        (lambda f: (f / "captions.json").write_text('{"images": []}'), "needs a list 'annotations'"),
        (lambda f: (f / "captions.json").write_text('{"images": [], "annotations": []}'), "holds no captioned image"),
    ],
)
def test_an_unreadable_folder_is_an_error(make_folder, change, message):
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
    "a folder": (lambda path: (path.unlink(), path.mkdir()), r"003.png \(it is a folder"),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_an_unusable_file_is_named_and_left_out_or_refused(make_folder, damage, message):
    folder = make_folder(count=8)
    damage(folder / "images" / "003.png")
    with pytest.raises(LimnerError, match=f"1 of 8 images cannot be used: .*{message}.*data.bad_images = 1%"):
        load(folder)
    with pytest.warns(UserWarning, match=f"1 of 8 images cannot be used: .*{message}.*They are left out"):
        data = load(folder, bad_images=0.125)
    assert data.image_ids == [0, 1, 2, 4, 5, 6, 7]
    assert [color(image) for image in data.pixels[2:4]] == [BLUE, RED]


def test_many_broken_files_are_counted_and_a_few_named(make_folder):
    folder = make_folder(count=12)
    for number in range(9):
        (folder / "images" / f"{number:03d}.png").unlink()
    with pytest.raises(LimnerError, match=r"9 of 12 images.*000\.png.*004\.png \(missing\); \.\.\.\. This is more"):
        load(folder)


def test_a_folder_without_a_usable_image_is_an_error(make_folder):
    folder = make_folder(count=2)
    for path in (folder / "images").iterdir():
        corrupt(path)
    with pytest.raises(LimnerError, match="2 of 2 images cannot be used"):
        load(folder, bad_images=1.0)


def test_a_decompression_bomb_is_an_unusable_file(make_folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # the images have 480
    with pytest.raises(LimnerError, match=r"2 of 2 images cannot be used.*decompression bomb"):
        load(make_folder(count=2))


# --- training on photographs ----------------------------------------------------------------------------------------


@pytest.fixture
def photographs(recipe):
    """The tiny recipe for a folder of photographs."""

    def on(folder):
        changes = {"data": {"name": "coco", "root": str(folder)}, "text": {"length": 40}, "prompts": None}
        return {key: value for key, value in (recipe | changes).items() if value is not None}

    return on


def test_a_model_can_be_trained_on_a_folder(photographs, make_folder):
    model = limner.train(photographs(make_folder(count=8)), quiet=True)
    assert "wall" in model.tokenizer.words
    assert model.paint("a plain red wall")[0].size == (16, 16)


def test_by_default_previews_are_different_captions_from_all_over_the_folder(make_folder):
    folder = make_folder(count=12)
    prompts = CaptionedFolder(16, root=str(folder)).preview_prompts()
    assert prompts == [f"a plain {name} wall" for name in ("red", "green", "blue", "white")]


def test_previews_are_captions_of_different_photographs_from_first_to_last(root, tmp_path):
    dataset = CaptionedFolder(16, root=str(root / "tutorials/photographs"), cache=str(tmp_path))
    firsts = [annotations[0]["caption"] for annotations in dataset.load().annotations]
    places = [firsts.index(prompt) for prompt in dataset.preview_prompts()]
    assert places == [0, 1, 3, 4, 6, 7, 9, 10]


def test_photographs_have_no_metric_of_their_own(photographs, make_folder):
    model = limner.train(photographs(make_folder(count=8)), quiet=True)
    with pytest.raises(LimnerError, match=r"data set 'coco' has no metric of its own.*there is .*retrieval"):
        model.evaluate()


@pytest.mark.parametrize(
    ("name", "change", "images", "captions"),
    [
        ("coco", {"root": "coco_mini"}, 60, 301),
        ("coco-small", {"root": "coco_mini"}, 60, 301),
        ("nlvr", {}, 1641, 1641),
        ("emoji", {}, 1644, 1644),
    ],
)
def test_real_data_is_read_by_its_recipe(plugins, shared_data, tmp_path, name, change, images, captions):
    written = Recipe.read(plugins, name)
    root = shared_data / change.get("root", written.data.options["root"])
    options = written.data.options | change | {"root": str(root), "cache": str(tmp_path)}
    before = sorted(root.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no file is damaged
        data = CaptionedFolder(16, **options).load()
    texts = [a["caption"] for annotations in data.annotations for a in annotations]
    assert (len(data), len(texts)) == (images, captions)
    assert data.pixels.shape == (images, 3, 16, 16)
    assert not any("\n" in text or "  " in text or text != text.strip() for text in texts)
    assert sorted(root.iterdir()) == before  # nothing is written next to the data


def test_real_captions_lose_stray_blanks_but_no_words(shared_data, tmp_path):
    """The annotations listed in the notes of the data: stray blanks, line breaks, capitals, digits, six captions."""
    folder = shared_data / "coco_mini"
    raw = {a["id"]: a["caption"] for a in json.loads((folder / "captions.json").read_text())["annotations"]}
    data = load(folder, cache=str(tmp_path))
    read = {a["id"]: a["caption"] for annotations in data.annotations for a in annotations}
    assert read.keys() == raw.keys()
    assert all(read[number].split() == raw[number].split() for number in raw), "no word is lost or changed"
    for blanks in (513099, 565154, 350217, 332123, 555895):
        assert read[blanks] != raw[blanks]
    for kept in (195108, 416192):
        assert read[kept] == raw[kept].strip()
    assert read[195108].isupper()
    assert len(data.annotations[data.image_ids.index(2923)]) == 6


def test_a_model_can_be_trained_on_photographs(photographs, shared_data, tmp_path):
    recipe = photographs(shared_data / "coco_mini")
    recipe["data"] |= {"cache": str(tmp_path / "cache"), "mirror": True}
    model = limner.train(recipe, tmp_path / "run", quiet=True)
    assert limner.load(tmp_path / "run").tokenizer.words == model.tokenizer.words
