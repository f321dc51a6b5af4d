"""`limner data coco` and `limner data folder`, on folders that are complete, incomplete and broken."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
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
    (root / "val2017/002.png").unlink()
    return root


def images_of(root: Path) -> Path:
    """The folder of the images."""
    return root / "images" if (root / "images").is_dir() else root


@pytest.fixture(params=LAYOUTS)
def photos(request: pytest.FixtureRequest, make_folder) -> Path:
    """Four images with two captions each, in every layout; the second caption of the last image is empty."""
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
            lines = "\n".join(text for file, text in rows if file == image.name)
            (root / image.name).with_suffix(".txt").write_text(lines)
        (root / "images").rmdir()
    return root


def suggested(out: str, sentence: str) -> list[str]:
    """The arguments of the command that is suggested after a sentence, as a shell would parse them."""
    line = next(line for line in out.splitlines() if line.startswith(sentence))
    program, *arguments = shlex.split(line.removeprefix(sentence))
    assert program == "limner"
    return arguments


def count_as_trained(arguments: list[str]) -> int:
    """The number of images on which the suggested `train coco --set ...` would train."""
    assert arguments[:2] == ["train", "coco"]
    assert arguments[2::2] == ["--set"] * len(arguments[2::2])
    data = resolve(PluginHost(), "coco", arguments[3::2])["data"]
    assert data.pop("name") in ("coco", "folder")
    return len(CaptionedFolder(16, **data).load())


# --- MS-COCO --------------------------------------------------------------------------------------------------------


def test_a_complete_coco_folder(command, published):
    status, out, err = command("data", "coco", "--root", published)
    assert (status, err) == (0, "")
    first, second, last = out.splitlines()
    assert first == "train2017: 3 images, 6 captions (2 per image, at most 5 words); nothing is missing."
    assert second == "val2017: 2 images, 4 captions (2 per image, at most 5 words); nothing is missing."
    assert count_as_trained(suggested(last, "To train on it: ")) == 3
    assert command("data", "coco", "--root", published, "--thorough")[:2] == (0, out)


def test_one_complete_split(command, published):
    shutil.rmtree(published / "train2017")
    status, out, _ = command("data", "coco", "--root", published, "--split", "val2017")
    assert status == 0
    assert out.startswith("val2017: 2 images")
    assert count_as_trained(suggested(out, "To train on it: ")) == 2


def test_a_folder_can_be_named_by_a_number(command, published, monkeypatch):
    monkeypatch.chdir(published.rename(published.with_name("2017")).parent)
    status, out, _ = command("data", "coco", "--root", "2017")
    assert status == 0
    assert count_as_trained(suggested(out, "To train on it: ")) == 3


def test_a_coco_folder_with_a_missing_image(command, published):
    (published / "val2017/001.png").unlink()
    status, out, _ = command("data", "coco", "--root", published)
    assert status == 1
    assert out.splitlines()[:3] == [
        "train2017: 3 images, 6 captions (2 per image, at most 5 words); nothing is missing.",
        "val2017: 2 images, 4 captions (2 per image, at most 5 words).",
        f"  1 images are missing from {published / 'val2017'}: 001.png.",
    ]
    assert suggested(out, "To download what is missing: ") == [
        *("data", "coco", "--root", str(published), "--split", "val2017", "--download"),
    ]
    assert "To train" not in out


def test_a_coco_folder_without_images_and_with_torn_captions(command, published):
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
def test_an_empty_folder_and_a_missing_one(command, tmp_path, there):
    root = tmp_path / "my coco"
    if there:
        root.mkdir()
    status, out, err = command("data", "coco", "--root", root, "--thorough")
    assert (status, err) == (1, "")
    assert ("has no captions.json" if there else "there is no folder") in out
    assert len(out.splitlines()) == 3
    assert suggested(out, "To download what is missing: ") == [
        *("data", "coco", "--root", str(root), "--split", "train2017", "--split", "val2017", "--download"),
        "--thorough",
    ]
    assert root.exists() == there, "the check creates nothing"


def test_an_unknown_split_is_refused(command, published):
    status, out, err = command("data", "coco", "--root", published, "--split", "test2017")
    assert (status, out) == (1, "")
    assert err == "Error: --split test2017: MS-COCO has captions for train2017 and val2017.\n"


# --- other folders --------------------------------------------------------------------------------------------------


def test_a_complete_folder(command, make_folder):
    root = make_folder("my photos", captions={0: ["one", "two", "and three"]})
    status, out, err = command("data", "folder", "--root", root, "--thorough")
    assert status == 0, err
    assert out.startswith(f"{root}: 8 images, 17 captions (2 to 3 per image, at most 5 words); nothing is missing.\n")
    assert count_as_trained(suggested(out, "To train on it: ")) == 8


@pytest.mark.parametrize(("few", "named"), [(8, True), (7, False)])
def test_a_few_images_have_a_recipe_of_their_own(command, make_folder, monkeypatch, few, named):
    monkeypatch.setattr("limner_coco.commands.FEW", few)
    _, out, _ = command("data", "folder", "--root", make_folder(count=8))
    assert ("coco-small" in out) == named


def test_the_options_of_the_check_go_to_the_training(command, make_folder):
    root = make_folder("photos", count=3)
    (root / "images").rename(root / "pictures")
    (root / "captions.json").rename(root / "texts.json")
    status, out, _ = command("data", "folder", "--root", root, "--captions", "texts.json", "--images", "pictures")
    assert status == 0
    assert count_as_trained(suggested(out, "To train on it: ")) == 3


def test_an_empty_caption_is_a_note(photos):
    health = check("photos", photos, "train2017", thorough=True)
    assert (health.images, health.captions, health.per_image, health.longest) == (4, 7, "1 to 2", 5)
    blank = [] if list(photos.glob("*.txt")) else ["1 captions are empty"]  # a blank line is not a caption
    assert list(health.notes) == blank


def test_missing_empty_and_broken_files(command, photos):
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
    missing = f"  1 images are missing from {images}: 000.png.\n" in out
    assert missing != texts, "without an image, a text file is ignored"

    status, out, err = command("data", "folder", "--root", photos, "--thorough")
    assert status == 1
    assert re.search(r"^  1 images cannot be decoded: 002\.png \(.+\)\.$", out, re.MULTILINE)
    assert "  1 image files are empty: 001.png.\n" in out
    assert "Traceback" not in err


def test_a_wrong_file_ending_is_no_problem(make_folder):
    root = make_folder(count=2)
    Image.new("LA", (9, 40)).save(root / "images/001.png", "TIFF")
    assert check("photos", root, "train2017", thorough=True).complete
    (root / "images/000.png").write_text("<html>not found</html>")
    assert check("photos", root, "train2017").complete
    (note,) = check("photos", root, "train2017", thorough=True).notes
    assert note.startswith("1 images cannot be decoded: 000.png (cannot identify image file")


def test_an_impossible_file_name_is_missing(command, tmp_path):
    (tmp_path / "photos.csv").write_text(f"file_name,caption\n{'x' * 5000},a wall\n")
    status, out, err = command("data", "folder", "--root", tmp_path)
    assert (status, err) == (1, "")
    assert "1 images are missing" in out


def test_captions_that_are_longer_than_training_reads_are_told(command, make_folder):
    root = make_folder(captions={0: ["one two three " * 20], 1: ["a wall " * 19]})
    status, out, _ = command("data", "folder", "--root", root)
    assert status == 0, "nothing is missing"
    cut = (
        "1 of 14 captions are longer than text.length = 40 tokens of the recipe coco and are cut; set text.length to at"
    )
    assert f"  {cut} least 62.\n" in out
    assert count_as_trained(suggested(out, "To train on it: ")) == 8


def test_images_that_the_captions_do_not_list_are_told(command, make_folder):
    root = make_folder(count=2)
    (root / "images" / "000.png").rename(root / "images" / "more.png")
    shutil.copy(root / "images" / "more.png", root / "images" / "000.png")
    (root / "images" / "notes.md").write_text("no image")
    status, out, _ = command("data", "folder", "--root", root)
    assert status == 0
    assert f"  1 images of {root / 'images'} are not in captions.json and are not used: more.png.\n" in out


def test_a_root_in_a_home_that_nobody_has(command):
    status, out, err = command("data", "folder", "--root", "~no-such-user/x")
    assert (status, err) == (1, "")
    assert "--root: ~no-such-user/x is in the home folder of a user who does not exist" in out


def test_a_file_name_that_leads_outside_is_a_problem(command, make_folder):
    root = make_folder(count=2)
    (root / "captions.json").write_text((root / "captions.json").read_text().replace("001.png", "../../001.png"))
    status, out, err = command("data", "folder", "--root", root)
    assert (status, err) == (1, "")
    assert "The file '../../001.png' is outside of" in out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_among_the_images(make_folder):
    root = make_folder(count=2)
    (root / "images" / "001.png").unlink()
    os.mkfifo(root / "images" / "001.png")
    health = check("it", root, "train2017", thorough=True)
    assert health.notes == ("1 images are folders, pipes or devices, not files: 001.png",)
    assert health.missing == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names of files are always text on this system")
def test_names_and_captions_in_any_script_on_a_terminal_in_ascii(make_folder):
    root = make_folder("übung", count=2)
    os.rename(os.fsencode(root / "images" / "000.png"), os.fsencode(root / "images") + b"/\xff.png")  # noqa: PTH104
    table = json.loads((root / "captions.json").read_text())
    table["images"][0]["file_name"] = "\udcff.png"
    table["annotations"][0]["caption"] = "кот \ud83d"
    (root / "captions.json").write_text(json.dumps(table))
    (root / "images" / "001.png").unlink()
    arguments = [sys.executable, "-m", "limner", "data", "folder", "--root", str(root)]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(arguments, capture_output=True, env=ascii_only, timeout=120)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"bung: 2 images, 4 captions" in done.stdout
    assert b"1 images are missing" in done.stdout


def test_many_files_are_counted_and_a_few_named(make_folder):
    root = make_folder(count=8, captions={7: [" ", ""]})
    for number in range(6):
        (root / f"images/{number:03d}.png").unlink()
    empty, bare, missing = check("photos", root, "train2017").notes
    assert empty == "2 captions are empty"
    assert bare == "1 images have no caption: 007.png"
    assert missing.startswith("6 images are missing")
    assert missing.endswith(": 000.png; 001.png; 002.png; 003.png; 004.png; ...")


def test_images_without_a_text_file_are_a_note(command, make_folder):
    root = make_folder(count=3)
    (root / "captions.json").unlink()
    (root / "images/000.txt").write_text("a wall")
    status, out, _ = command("data", "folder", "--root", root)
    assert status == 1
    assert "  2 of 3 images have no text file next to them and are left out: images/001.png; images/002.png.\n" in out


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
    assert ("holds no captioned image" if table in content else "has no captions.json") in out
