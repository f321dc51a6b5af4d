"""`limner data coco` and `limner data folder`: what they say of folders that are whole, in part there, and broken."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from limner import PluginHost
from limner.recipes.merging import resolve
from limner_coco.checking import check
from limner_coco.folder import CaptionedFolder
from PIL import Image

LAYOUTS = ["json", "csv", "jsonl", "texts"]


@pytest.fixture
def published(make_folder, tmp_path) -> Path:
    """A folder in MS-COCO's own layout: 3 images in train2017, 2 in val2017."""
    own, root = make_folder("own", count=3), tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train2017", 3), ("val2017", 2)):
        shutil.copytree(own / "images", root / split)
        table = json.loads((own / "captions.json").read_text())
        table["images"] = table["images"][:count]
        table["annotations"] = [a for a in table["annotations"] if a["image_id"] < count]
        (root / "annotations" / f"captions_{split}.json").write_text(json.dumps(table))
    return root


def images_of(root: Path) -> Path:
    """Where a folder of one's own keeps its images."""
    return root / "images" if (root / "images").is_dir() else root


@pytest.fixture(params=LAYOUTS)
def photos(request: pytest.FixtureRequest, make_folder) -> Path:
    """Four images of two captions each, in each of the layouts; the second caption of the last image is empty."""
    root = make_folder("my photos", count=4, captions={3: ["a plain white wall", " "]})
    if request.param == "json":
        return root
    table = json.loads((root / "captions.json").read_text())
    (root / "captions.json").unlink()
    rows = [(f"{a['image_id']:03d}.png", a["caption"]) for a in table["annotations"]]
    if request.param == "csv":
        lines = ["file_name,caption", *(f'{file},"{text}"' for file, text in rows)]
        (root / "captions.csv").write_text("\n".join(lines))
    elif request.param == "jsonl":
        lines = [json.dumps({"file_name": file, "caption": text}) for file, text in rows]
        (root / "captions.jsonl").write_text("\n".join(lines))
    else:
        for image in (root / "images").iterdir():
            image.rename(root / image.name)
            said = "\n".join(text for file, text in rows if file == image.name)
            (root / image.name).with_suffix(".txt").write_text(said)
        (root / "images").rmdir()
    return root


def suggested(out: str, sentence: str) -> list[str]:
    """The arguments of the command that is suggested behind a sentence, as a shell would read them."""
    line = next(line for line in out.splitlines() if line.startswith(sentence))
    program, *arguments = shlex.split(line.removeprefix(sentence))
    assert program == "limner"
    return arguments


def count_as_trained(arguments: list[str]) -> int:
    """How many images the suggested `train coco --set ...` would train on."""
    assert arguments[:2] == ["train", "coco"]
    assert arguments[2::2] == ["--set"] * len(arguments[2::2])
    data = resolve(PluginHost(), "coco", arguments[3::2])["data"]
    assert data.pop("name") in ("coco", "folder")
    return len(CaptionedFolder(16, **data).load())


# --- MS-COCO --------------------------------------------------------------------------------------------------------


def test_coco_that_is_whole(command, published):
    status, out, err = command("data", "coco", "--root", published)
    assert (status, err) == (0, "")
    first, second, last = out.splitlines()
    assert first == "train2017: 3 images, 6 captions (2 an image, 5 words at most); nothing is missing."
    assert second == "val2017: 2 images, 4 captions (2 an image, 5 words at most); nothing is missing."
    assert count_as_trained(suggested(last, "To train on it: ")) == 3
    assert command("data", "coco", "--root", published, "--thorough")[:2] == (0, out)


def test_one_split_that_is_whole(command, published):
    shutil.rmtree(published / "train2017")
    status, out, _ = command("data", "coco", "--root", published, "--split", "val2017")
    assert status == 0
    assert out.startswith("val2017: 2 images")
    assert count_as_trained(suggested(out, "To train on it: ")) == 2


def test_a_folder_may_be_called_by_a_number(command, published, monkeypatch):
    monkeypatch.chdir(published.rename(published.with_name("2017")).parent)
    status, out, _ = command("data", "coco", "--root", "2017")
    assert status == 0
    assert count_as_trained(suggested(out, "To train on it: ")) == 3


def test_coco_that_is_there_in_part(command, published):
    (published / "val2017/001.png").unlink()
    status, out, _ = command("data", "coco", "--root", published)
    assert status == 1
    assert out.splitlines()[:3] == [
        "train2017: 3 images, 6 captions (2 an image, 5 words at most); nothing is missing.",
        "val2017: 2 images, 4 captions (2 an image, 5 words at most).",
        f"  1 images are missing from {published / 'val2017'}: 001.png.",
    ]
    assert suggested(out, "To fetch what is missing: ") == [
        *("data", "coco", "--root", str(published), "--split", "val2017", "--download"),
    ]
    assert "To train" not in out


def test_coco_without_images_and_with_half_a_file_of_captions(command, published):
    shutil.rmtree(published / "val2017")
    captions = published / "annotations/captions_train2017.json"
    captions.write_text(captions.read_text()[:100])
    status, out, _ = command("data", "coco", "--root", published)
    train, val, last = out.splitlines()
    assert status == 1
    assert re.match(r"train2017: .*captions_train2017\.json is not valid JSON: .* it may be truncated", train)
    assert re.match(r"val2017: .* is there, but the folder of its images, .*val2017, is not\.", val)
    assert last.endswith("--split train2017 --split val2017 --download")


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_folder_and_none(command, tmp_path, there):
    root = tmp_path / "my coco"
    if there:
        root.mkdir()
    status, out, err = command("data", "coco", "--root", root, "--thorough")
    assert (status, err) == (1, "")
    assert ("has neither captions.json beside images/" if there else "there is no folder") in out
    assert len(out.splitlines()) == 3
    assert suggested(out, "To fetch what is missing: ") == [
        *("data", "coco", "--root", str(root), "--split", "train2017", "--split", "val2017", "--download"),
        "--thorough",
    ]
    assert root.exists() == there, "checking makes nothing"


def test_an_unknown_split_is_refused(command, published):
    status, out, err = command("data", "coco", "--root", published, "--split", "test2017")
    assert (status, out) == (1, "")
    assert err == "Error: --split test2017: MS-COCO has captions for train2017 and val2017.\n"


# --- folders of one's own -------------------------------------------------------------------------------------------


def test_a_folder_that_is_whole(command, make_folder):
    root = make_folder("my photos", captions={0: ["one", "two", "and three"]})
    status, out, err = command("data", "folder", "--root", root, "--thorough")
    assert status == 0, err
    assert out.startswith(f"{root}: 8 images, 17 captions (2 to 3 an image, 5 words at most); nothing is missing.\n")
    assert count_as_trained(suggested(out, "To train on it: ")) == 8


def test_what_was_told_to_the_check_is_told_to_the_training(command, make_folder):
    root = make_folder("photos", count=3)
    (root / "images").rename(root / "pictures")
    (root / "captions.json").rename(root / "said.json")
    status, out, _ = command("data", "folder", "--root", root, "--captions", "said.json", "--images", "pictures")
    assert status == 0
    assert count_as_trained(suggested(out, "To train on it: ")) == 3


def test_an_empty_caption_is_a_note_in_every_layout_that_has_any(photos):
    health = check("photos", photos, "train2017", thorough=True)
    assert (health.images, health.captions, health.per_image, health.longest) == (4, 7, "1 to 2", 5)
    blank = [] if list(photos.glob("*.txt")) else ["1 captions are empty"]  # a line without text is no caption
    assert list(health.notes) == blank


def test_files_that_are_missing_empty_or_broken(command, photos):
    images = images_of(photos)
    for number in (1, 2):
        path = images / f"{number:03d}.png"
        path.write_bytes(path.read_bytes()[: 40 * (number - 1)])
    (images / "000.png").unlink()
    texts = images == photos
    status, out, _ = command("data", "folder", "--root", photos)
    assert status == 1
    assert f"{photos}: {3 if texts else 4} images" in out
    assert "nothing is missing" not in out
    assert "To train" not in out
    assert "  1 image files are empty: 001.png.\n" in out
    assert "cannot be decoded" not in out
    assert (f"  1 images are missing from {images}: 000.png.\n" in out) != texts, "a text without an image is no image"

    status, out, err = command("data", "folder", "--root", photos, "--thorough")
    assert status == 1
    assert re.search(r"^  1 images cannot be decoded: 002\.png \(.+\)\.$", out, re.MULTILINE)
    assert "  1 image files are empty: 001.png.\n" in out
    assert "Traceback" not in err


def test_a_picture_of_another_kind_under_the_name_is_no_fault(make_folder):
    root = make_folder(count=2)
    Image.new("LA", (9, 40)).save(root / "images/001.png", "TIFF")
    assert check("photos", root, "train2017", thorough=True).whole
    (root / "images/000.png").write_text("<html>not found</html>")
    assert check("photos", root, "train2017").whole
    (note,) = check("photos", root, "train2017", thorough=True).notes
    assert note.startswith("1 images cannot be decoded: 000.png (cannot identify image file")


def test_a_name_that_no_file_can_have_is_missing(command, tmp_path):
    (tmp_path / "photos.csv").write_text(f"file_name,caption\n{'x' * 5000},a wall\n")
    status, out, err = command("data", "folder", "--root", tmp_path)
    assert (status, err) == (1, "")
    assert "1 images are missing" in out


def test_many_files_are_counted_and_the_first_are_named(make_folder):
    root = make_folder(count=8, captions={7: [" ", ""]})
    for number in range(6):
        (root / f"images/{number:03d}.png").unlink()
    empty, bare, missing = check("photos", root, "train2017").notes
    assert empty == "2 captions are empty"
    assert bare == "1 images have no caption: 007.png"
    assert missing.startswith("6 images are missing")
    assert missing.endswith(": 000.png; 001.png; 002.png; 003.png; 004.png; ...")


def test_images_without_a_text_beside_them_are_a_note(command, make_folder):
    root = make_folder(count=3)
    (root / "captions.json").unlink()
    (root / "images/000.txt").write_text("a wall")
    status, out, _ = command("data", "folder", "--root", root)
    assert status == 1
    assert "  2 of 3 images have no text beside them and are left out: 001.png; 002.png.\n" in out


@pytest.mark.parametrize("table", ["captions.json", "captions.csv", "captions.jsonl", "none"])
def test_a_folder_without_a_caption(command, tmp_path, table):
    content = {
        "captions.json": '{"images": [], "annotations": []}',
        "captions.csv": "file_name,caption\n001.png,\n",
        "captions.jsonl": '{"file_name": "001.png", "caption": ""}\n',
    }
    (tmp_path / "photos/images").mkdir(parents=True)
    if table in content:
        (tmp_path / "photos" / table).write_text(content[table])
    status, out, err = command("data", "folder", "--root", tmp_path / "photos")
    assert (status, err) == (1, "")
    assert out.count("\n") == 1
    assert ("holds no captioned image" if table in content else "has neither captions.json") in out
