"""The layouts of folders: COCO's JSON, tables of files and captions, text files next to images; and errors."""

import json
from pathlib import Path

import pytest
from limner import LimnerError
from limner_coco.folder import CaptionedFolder
from limner_coco.layouts import read_listing
from PIL import Image

NAMES = ["собака.png", "ein Bär.jpg", "犬 猫.png", "emoji 🐕.jpg", "per cent %20, 'quoted'.png"]
CAPTIONS = ["Собака спит.", "Ein Bär, der schläft", "犬と猫", "a dog 🐕", 'a "quoted" dog, asleep']


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder with images whose names use many scripts."""
    folder = tmp_path / "übung"
    folder.mkdir()
    for shade, name in enumerate(NAMES):
        Image.new("L", (20, 20), 50 * shade).save(folder / name)
    return folder


def pairs(folder: Path, **how) -> list[tuple[str, list[str]]]:
    """The files of a listing, each with its captions."""
    table = read_listing(folder, "train2017", **how).table
    return [
        (image["file_name"], [a["caption"] for a in table["annotations"] if a["image_id"] == image["id"]])
        for image in table["images"]
    ]


def write_coco(folder: Path, ascii: bool) -> None:
    (folder / "images").mkdir()
    for name in NAMES:
        (folder / name).rename(folder / "images" / name)
    table = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(NAMES)],
        "annotations": [{"id": n, "image_id": n, "caption": caption} for n, caption in enumerate(CAPTIONS)],
    }
    (folder / "captions.json").write_text(json.dumps(table, ensure_ascii=ascii), encoding="utf-8")


def write_table(folder: Path, mark: str, ending: str, encoding: str, line: str = "\n") -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in [*NAMES, *CAPTIONS]]
    rows = [f"file_name{mark}caption", *(mark.join(row) for row in zip(quoted[: len(NAMES)], quoted[len(NAMES) :]))]
    (folder / f"captions.{ending}").write_bytes(line.join(rows).encode(encoding))


def write_json_lines(folder: Path) -> None:
    rows = [json.dumps({"image": n, "text": caption}, ensure_ascii=False) for n, caption in zip(NAMES, CAPTIONS)]
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n\n", encoding="utf-8")


def write_texts(folder: Path, encoding: str) -> None:
    for name, caption in zip(NAMES, CAPTIONS):
        (folder / name).with_suffix(".txt").write_bytes(f"{caption}\r\n\r\n".encode(encoding))


LAYOUTS = {
    "COCO": lambda f: write_coco(f, ascii=False),
    "COCO, escaped": lambda f: write_coco(f, ascii=True),
    "CSV": lambda f: write_table(f, ",", "csv", "utf-8"),
    "CSV, from a spreadsheet": lambda f: write_table(f, ";", "CSV", "utf-8-sig", "\r\n"),
    "TSV": lambda f: write_table(f, "\t", "tsv", "utf-8"),
    "JSON Lines": write_json_lines,
    "texts": lambda f: write_texts(f, "utf-8"),
    "texts, from an editor on Windows": lambda f: write_texts(f, "utf-8-sig"),
}


@pytest.mark.parametrize("write", LAYOUTS.values(), ids=list(LAYOUTS))
def test_every_layout_reads_names_in_every_script(pictures, write):
    write(pictures)
    assert dict(pairs(pictures)) == {name: [caption] for name, caption in zip(NAMES, CAPTIONS)}
    data = CaptionedFolder(16, root=str(pictures)).load()
    shades = {str(data.coco.imgs[n]["file_name"]): int(image[0, 8, 8]) for n, image in zip(data.image_ids, data.pixels)}
    assert shades == pytest.approx({name: 50 * shade for shade, name in enumerate(NAMES)}, abs=2)


# --- tables ---------------------------------------------------------------------------------------------------------


def test_a_file_can_have_several_rows_and_more_columns(tmp_path):
    rows = "caption,FILE ,split\na cat,a.png,dev\na dog,b.png,test\n the cat ,a.png,dev\n"
    (tmp_path / "captions.csv").write_text(rows)
    assert pairs(tmp_path) == [("a.png", ["a cat", "the cat "]), ("b.png", ["a dog"])]
    table = read_listing(tmp_path, "train2017").table
    assert [image["split"] for image in table["images"]] == ["dev", "test"]
    assert [annotation["split"] for annotation in table["annotations"]] == ["dev", "test", "dev"]


def test_a_quoted_caption_can_hold_anything(tmp_path):
    rows = 'file,caption\na.png,"a cat,\na dog ""and"" a bird"\nb.png,one\u2028line\n'
    (tmp_path / "captions.csv").write_text(rows, encoding="utf-8")
    assert pairs(tmp_path) == [("a.png", ['a cat,\na dog "and" a bird']), ("b.png", ["one\u2028line"])]


def test_a_row_of_json_can_have_several_captions_or_none(tmp_path):
    rows = [{"file_name": "a.png", "captions": ["a cat", "the cat"]}, {"file_name": "b.png", "captions": None}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"file_name": "c.png", "captions": []}])))
    assert pairs(tmp_path)[:2] == [("a.png", ["a cat", "the cat"]), ("b.png", [""])]


def test_images_can_be_next_to_the_table_or_in_a_folder(tmp_path):
    (tmp_path / "captions.csv").write_text("file,caption\na.png,a cat\n")
    assert read_listing(tmp_path, "train2017").images == tmp_path
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    assert read_listing(tmp_path, "train2017").images == tmp_path / "images"
    (tmp_path / "other").mkdir()
    assert read_listing(tmp_path, "train2017", images="other").images == tmp_path / "other"


def test_rows_without_a_file_are_a_note(tmp_path):
    (tmp_path / "captions.csv").write_text("file,caption\na.png,a cat\n,a dog\n \n,a bird\n")
    (note,) = read_listing(tmp_path, "train2017").notes
    assert "2 rows of " in note
    assert "name no file and are left out; the first is line 3" in note


# --- text files next to images --------------------------------------------------------------------------------------


def test_every_line_of_a_text_file_is_a_caption(tmp_path):
    for place in ("a", "deep/er/b", ".limner/c", "deep/.hidden/d", "e"):
        path = tmp_path / f"{place}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.with_suffix(".TXT" if place == "a" else ".txt").write_text(f"a {path.stem}\n\n  the {path.stem}  \n")
    (tmp_path / "f.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image has this name")
    (tmp_path / "e.txt").write_text(" \n")
    assert pairs(tmp_path) == [
        ("a.JPG", ["a a", "  the a  "]),
        ("deep/er/b.JPG", ["a b", "  the b  "]),
        ("e.JPG", [""]),
    ]
    assert read_listing(tmp_path, "train2017").notes == [
        "1 of 4 images have no text file next to them and are left out: f.png",
        "1 text files belong to no image and are left out: notes.txt",
    ]


# --- errors ---------------------------------------------------------------------------------------------------------


PROBLEMS = {
    "two tables": ({"a.csv": "", "b.tsv": ""}, {}, "holds several tables: a.csv, b.tsv; choose one with data.captions"),
    "no such file": ({}, {"captions": "people.csv"}, r"data.captions: there is no file .*people\.csv"),
    "empty": ({"a.csv": ""}, {}, "a.csv holds no row with a file and a caption"),
    "only a header": ({"a.csv": "file,caption\n"}, {}, "a.csv holds no row with a file and a caption"),
    "no file": (
        {"a.csv": "name,caption\na,b\n"},
        {},
        "has the columns name, caption; none of them is called file_name, ",
    ),
    "no caption": ({"a.jsonl": '{"file": "a.png"}'}, {}, "has the columns file; none of them is called caption, "),
    "unquoted": (
        {"a.csv": "file,caption\na.png,a cat, asleep\n"},
        {},
        'line 2 has 3 columns, and the first line has 2; put .* a comma in straight "quotation',
    ),
    "torn": (
        {"a.csv": 'file,caption\na.png,"a cat\n'},
        {},
        "a.csv: line 2: the quotation mark that opens here is never closed; close it",
    ),
    "no text": ({"a.csv": "file,caption\na.png,a c\udcfft\n"}, {}, "a.csv cannot be read: .*text in UTF-8"),
    "torn JSON": ({"a.jsonl": '{"file": "a.png", "caption": "x"}\n{"file"'}, {}, "line 2 is not valid JSON"),
    "no object": ({"a.jsonl": "[1]"}, {}, "line 1: expected an object, got a list"),
    "no string": ({"a.jsonl": '{"file": "a.png", "caption": 5}'}, {}, "line 1: expected a caption, got 5"),
    "a text in Latin-1": ({"a.png": "", "a.txt": "B\udce4r"}, {}, r"a\.txt cannot be read: .*text in UTF-8"),
    "nothing": (
        {"readme.md": ""},
        {},
        r"no table \(\*.csv, \*.tsv, \*.jsonl\), .* COCO, Karpathy, .* and no .txt next to an",
    ),
    "no images": (
        {"a.csv": "file,caption\na.png,b\n"},
        {"images": "there"},
        "data.images: there is no folder .*there",
    ),
}


@pytest.mark.parametrize(("files", "how", "message"), PROBLEMS.values(), ids=list(PROBLEMS))
def test_errors_are_one_sentence(tmp_path, files, how, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(LimnerError, match=message) as caught:
        read_listing(tmp_path, "train2017", **how)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
