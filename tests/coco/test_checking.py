"""`limner data coco` and `limner data folder`: what they say of whole, partial and empty folders, and offer."""

import json
import shlex
import shutil
import warnings
from pathlib import Path

import limner_coco.published
import pytest
from limner import PluginHost, Recipe
from limner.build import build_dataset
from limner_coco.checking import check
from PIL import Image


@pytest.fixture
def coco(published, command, tmp_path) -> Path:
    """MS-COCO's folder, whole, as the command has fetched it from the small site."""
    folder = tmp_path / "my coco"
    assert command("data", "coco", "--root", folder, "--download", "--source", published.url)[0] == 0
    published.asked.clear()
    return folder


def offered(out: str, beginning: str) -> list[str]:
    """The arguments of the one command that is offered in a line of the output that begins so."""
    (line,) = [line for line in out.splitlines() if line.startswith(beginning)]
    name, *arguments = shlex.split(line.removeprefix(beginning))
    assert name == "limner"
    return arguments


def loaded(out: str):
    """The data that the offered training would read."""
    kind, recipe, *changes = offered(out, "To train on it: ")
    assert kind == "train"
    assert changes[::2] == ["--set"] * (len(changes) // 2)
    host = PluginHost()
    return build_dataset(host, Recipe.read(host, recipe, changes[1::2])).load()


# --- limner data coco -----------------------------------------------------------------------------------------------


def test_of_an_empty_folder_it_is_said_what_is_missing_and_how_to_get_it(command, tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        status, out, err = command("data", "coco", "--root", folder)
        assert (status, err) == (1, "")
        lines = out.splitlines()
        assert [line.split(": ")[0] for line in lines] == ["train2017", "val2017", "To fetch what is missing"]
        asked = ["--root", str(folder), "--split", "train2017", "--split", "val2017", "--download"]
        assert offered(out, "To fetch what is missing: ") == ["data", "coco", *asked]
    assert f"there is no folder {tmp_path / 'none'}" in lines[0]


def test_what_is_offered_fetches_all_of_it(published, command, tmp_path):
    status, out, _ = command("data", "coco", "--root", tmp_path / "my coco")
    assert status == 1
    status, out, err = command(*offered(out, "To fetch what is missing: "), "--source", published.url)
    assert status == 0
    assert out.splitlines()[:-1] == [
        "train2017: 5 images, 26 captions (5 to 6 an image, 9 words at most); nothing is missing.",
        "val2017: 3 images, 16 captions (5 to 6 an image, 9 words at most); nothing is missing.",
    ]
    assert [place.rpartition("/")[2] for place, _ in published.asked] == [
        "annotations_trainval2017.zip",
        "train2017.zip",
        "val2017.zip",
    ]
    assert "unpacking train2017.zip" in err
    assert len(loaded(out)) == 5


def test_of_a_whole_folder_it_is_said_and_nothing_is_fetched(published, command, coco):
    for more in ([], ["--download", "--source", published.url], ["--thorough"]):
        status, out, _ = command("data", "coco", "--root", coco, *more)
        assert status == 0
        assert out.count("nothing is missing.") == 2
    assert published.asked == []


def test_one_split_can_be_asked_for_and_trained_on(published, command, tmp_path):
    chosen = ["data", "coco", "--root", tmp_path, "--split", "val2017", "--split", "val2017"]
    status, out, _ = command(*chosen, "--download", "--source", published.url)
    assert status == 0
    assert out.count("nothing is missing") == 1
    assert not any("train2017.zip" in place for place, _ in published.asked)
    assert len(loaded(out)) == 3
    assert command("data", "coco", "--root", tmp_path)[0] == 1


def test_an_unknown_split_is_refused(command, tmp_path):
    status, out, err = command("data", "coco", "--root", tmp_path, "--split", "test2017")
    assert (status, out) == (1, "")
    assert err == "Error: --split test2017: MS-COCO has captions for train2017 and val2017.\n"


DAMAGES = {  # what is done to a whole folder, what is said, and what is fetched to mend it
    "images are missing": (
        lambda r: [(r / "train2017" / f"{i:012}.jpg").unlink() for i in (1, 3)],
        "  2 images are missing from ROOT/train2017: 000000000001.jpg; 000000000003.jpg.",
        ["train2017"],
    ),
    "an image is empty": (
        lambda r: (r / "val2017" / "000000000002.jpg").write_bytes(b""),
        "  1 image files are empty: 000000000002.jpg.",
        ["val2017"],
    ),
    "a folder of images is missing": (
        lambda r: shutil.rmtree(r / "val2017"),
        "val2017: ROOT/annotations/captions_val2017.json is there, but the folder of its images, ROOT/val2017, is not.",
        ["val2017"],
    ),
    "captions are missing": (
        lambda r: (r / "annotations" / "captions_train2017.json").unlink(),
        "train2017: data.root: ROOT has neither captions.json beside images/ nor annotations/captions_train2017.json",
        ["annotations"],
    ),
    "captions are cut off": (
        lambda r: (r / "annotations" / "captions_val2017.json").write_text('{"images": [{"id"'),
        "val2017: ROOT/annotations/captions_val2017.json is not valid JSON",
        ["annotations"],
    ),
}


@pytest.mark.parametrize("kept", [True, False], ids=["archives kept", "archives removed"])
@pytest.mark.parametrize(("damage", "said", "mended"), DAMAGES.values(), ids=DAMAGES)
def test_what_is_missing_is_said_and_fetched(published, command, coco, damage, said, mended, kept):
    if not kept:
        for archive in coco.glob("*.zip"):
            archive.unlink()
    damage(coco)
    status, out, err = command("data", "coco", "--root", coco)
    assert (status, err) == (1, "")
    assert any(line.startswith(said.replace("ROOT", str(coco))) for line in out.splitlines())
    assert out.count("nothing is missing") == 1
    assert "To train" not in out
    status, out, _ = command(*offered(out, "To fetch what is missing: "), "--source", published.url)
    assert status == 0
    fetched = [place.rpartition("/")[2].partition(".")[0].partition("_")[0] for place, _ in published.asked]
    assert fetched == ([] if kept else mended)
    assert command("data", "coco", "--root", coco)[0] == 0


def test_archives_are_removed_where_that_is_asked_for(published, command, tmp_path):
    get = ["data", "coco", "--root", tmp_path, "--download", "--source", published.url]
    assert command(*get, "--remove-archives")[0] == 0
    assert list(tmp_path.glob("*.zip*")) == []
    assert len(published.asked) == 3
    assert command(*get, "--remove-archives")[0] == 0
    assert len(published.asked) == 3, "what is there is not fetched for having no archive"


def test_archives_that_were_kept_can_be_removed_later(published, command, coco):
    assert len(list(coco.glob("*.zip"))) == 3
    assert command("data", "coco", "--root", coco, "--download", "--remove-archives")[0] == 0
    assert list(coco.glob("*.zip")) == []


def test_what_cannot_be_fetched_ends_in_a_sentence(published, command, tmp_path, full_disk):
    status, out, err = command("data", "coco", "--root", tmp_path, "--download", "--source", published.url)
    assert (status, out) == (1, "")
    assert err.startswith("Error: 0.0 GB are needed in")


def test_captions_that_are_empty_are_said_and_fetch_nothing(published, command, coco):
    file = coco / "annotations" / "captions_val2017.json"
    table = json.loads(file.read_text())
    table["annotations"][0]["caption"] = " \n"
    file.write_text(json.dumps(table))
    for more in ([], ["--download", "--source", published.url, "--remove-archives"]):
        status, out, _ = command("data", "coco", "--root", coco, *more)
        assert status == 1
        assert "val2017: 3 images, 15 captions (5 an image, 9 words at most).\n  1 captions are empty.\n" in out
        assert "To fetch" not in out
    assert published.asked == []


def test_thorough_finds_images_that_are_damaged_and_has_them_replaced(published, command, coco):
    path = coco / "val2017" / "000000000001.jpg"
    path.write_bytes(path.read_bytes()[:300])
    assert command("data", "coco", "--root", coco)[0] == 0
    status, out, err = command("data", "coco", "--root", coco, "--thorough")
    assert status == 1
    assert "  1 images cannot be decoded: 000000000001.jpg (" in out
    assert "decoding val2017" in err
    again = offered(out, "To fetch what is missing: ")
    assert again[-4:] == ["--split", "val2017", "--thorough", "--download"]
    assert command(*again, "--source", published.url)[0] == 0
    assert published.asked == [], "the archive was still there"


def test_the_place_of_the_archives_is_mscocos_own():
    assert limner_coco.published.SOURCE == "http://images.cocodataset.org"


# --- limner data folder ---------------------------------------------------------------------------------------------


def as_csv(folder: Path, table: dict) -> None:
    rows = ["file_name,caption"]
    rows += [f'{table["images"][a["image_id"]]["file_name"]},"{a["caption"]}"' for a in table["annotations"]]
    (folder / "captions.csv").write_text("\n".join(rows))


def as_json_lines(folder: Path, table: dict) -> None:
    rows = [{"image": i["file_name"], "captions": captions_of(table, i["id"])} for i in table["images"]]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))


def as_texts(folder: Path, table: dict) -> None:
    for image in table["images"]:
        text = (folder / "images" / image["file_name"]).with_suffix(".txt")
        text.write_text("\n".join(captions_of(table, image["id"])))


def captions_of(table: dict, number: int) -> list[str]:
    return [a["caption"] for a in table["annotations"] if a["image_id"] == number]


LAYOUTS = {"COCO": None, "CSV": as_csv, "JSON Lines": as_json_lines, "texts": as_texts}


@pytest.fixture(params=LAYOUTS.values(), ids=list(LAYOUTS))
def any_layout(request, make_folder):
    """Makes a folder of pictures with captions, in each layout in turn."""

    def make(**how) -> Path:
        folder = make_folder("my photos", **how)
        if request.param:
            request.param(folder, json.loads((folder / "captions.json").read_text()))
            (folder / "captions.json").unlink()
        return folder

    return make


def test_a_whole_folder_is_counted_and_can_be_trained_on_as_it_says(command, any_layout):
    folder = any_layout(count=6)
    for more in ([], ["--thorough"]):
        status, out, _ = command("data", "folder", "--root", folder, *more)
        assert status == 0
        first = f"{folder}: 6 images, 12 captions (2 an image, 5 words at most); nothing is missing."
        assert out.splitlines()[0] == first
        assert len(loaded(out)) == 6


def test_captions_that_are_empty_and_images_without_any_are_told(command, any_layout):
    folder = any_layout(count=4, captions={0: ["", "a wall"], 2: [" "]})
    status, out, _ = command("data", "folder", "--root", folder)
    assert status == 1
    assert out.startswith(f"{folder}: 4 images, 5 captions (1 to 2 an image, 5 words at most).\n")
    assert "images have no caption: " in out
    assert "002.png." in out
    assert "To train" not in out


def test_images_that_are_broken_missing_or_empty_are_told_apart(command, make_folder):
    folder = make_folder(count=8)
    (folder / "images" / "001.png").unlink()
    (folder / "images" / "002.png").write_bytes(b"")
    (folder / "images" / "003.png").write_text("<html>not found</html>")
    whole = (folder / "images" / "004.png").read_bytes()
    (folder / "images" / "004.png").write_bytes(whole[:60])
    (folder / "images" / "005.png").unlink()
    seen = ["  2 images are missing from IMAGES: 001.png; 005.png.", "  1 image files are empty: 002.png."]
    seen = [line.replace("IMAGES", str(folder / "images")) for line in seen]
    status, out, _ = command("data", "folder", "--root", folder)
    assert status == 1
    assert out.splitlines()[1:] == seen
    status, out, _ = command("data", "folder", "--root", folder, "--thorough")
    assert status == 1
    assert out.splitlines()[1:3] == seen
    (broken,) = out.splitlines()[3:]
    assert broken.startswith("  2 images cannot be decoded: 003.png (cannot identify image file")
    assert "; 004.png (" in broken


def test_what_is_told_is_what_training_leaves_out(command, any_layout):
    """The check and the reader agree, whatever the layout."""
    folder = any_layout(count=8, captions={6: [""]})
    (folder / "images" / "003.png").write_text("no image")
    assert "1 images cannot be decoded: " in command("data", "folder", "--root", folder, "--thorough")[1]
    host = PluginHost()
    data = build_dataset(host, Recipe.read(host, "coco", [f'data={{name="folder", root="{folder}", bad_images=0.2}}']))
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        assert len(data.load()) == 6
    assert any("003.png (cannot identify" in str(note.message) for note in notes)


def test_the_files_to_read_can_be_named_and_the_offered_training_names_them_too(command, make_folder):
    folder = make_folder(count=3)
    (folder / "captions.json").rename(folder / "people's.json")
    (folder / "images").rename(folder / "my pictures")
    named = ["--captions", "people's.json", "--images", "my pictures"]
    assert command("data", "folder", "--root", folder)[0] == 1
    status, out, _ = command("data", "folder", "--root", folder, *named)
    assert status == 0
    assert len(loaded(out)) == 3


PROBLEMS = {
    "nothing": (lambda f: shutil.rmtree(f), "there is no folder"),
    "no captions": (lambda f: (f / "captions.json").unlink(), "has neither captions.json beside images/ nor"),
    "no images": (lambda f: shutil.rmtree(f / "images"), "is there, but the folder of its images,"),
    "boxes": (
        lambda f: (f / "captions.json").write_text(
            '{"images": [{"id": 1, "file_name": "000.png"}], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}'
        ),
        "a file of instances or keypoints is not a file of captions",
    ),
    "no word": (
        lambda f: (f / "captions.json").write_text(
            '{"images": [{"id": 1, "file_name": "000.png"}], "annotations": [{"image_id": 1, "caption": ""}]}'
        ),
        "holds no captioned image.",
    ),
}


@pytest.mark.parametrize(("change", "said"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_cannot_be_read_is_told_in_a_sentence(command, make_folder, change, said):
    folder = make_folder(count=2)
    change(folder)
    status, out, err = command("data", "folder", "--root", folder)
    assert (status, err, out.count("\n")) == (1, "", 1)
    assert out.startswith(f"{folder}: ")
    assert said in out


def test_by_default_it_is_the_folder_that_one_is_in(command, make_folder, monkeypatch):
    monkeypatch.chdir(make_folder(count=2))
    status, out, _ = command("data", "folder")
    assert status == 0
    assert len(loaded(out)) == 2


def test_a_bomb_is_told(make_folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # the images have 480
    health = check("photos", make_folder(count=2), "train2017", thorough=True)
    assert not health.whole
    assert "2 images cannot be decoded: 000.png (" in health.notes[0]
    assert "decompression bomb" in health.notes[0]


def test_real_photographs_and_drawings_are_whole(command, shared_data):
    for name, images in (("coco_mini", 60), ("nlvr", 3309), ("noto_emoji", 1644)):
        status, out, _ = command("data", "folder", "--root", shared_data / name)
        assert f"{images} images" in out
        assert status == 0, out
