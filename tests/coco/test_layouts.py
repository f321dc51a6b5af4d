"""The layouts of folders: COCO's JSON, tables of files and captions, texts beside images; what is no such thing."""

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
    """A folder with pictures under names of many scripts."""
    folder = tmp_path / "übung"
    folder.mkdir()
    for shade, name in enumerate(NAMES):
        Image.new("L", (20, 20), 50 * shade).save(folder / name)
    return folder


def pairs(folder: Path, **how) -> list[tuple[str, list[str]]]:
    """What a listing says: files, each with its captions."""
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
        "annotations": [{"id": n, "image_id": n, "caption": said} for n, said in enumerate(CAPTIONS)],
    }
    (folder / "captions.json").write_text(json.dumps(table, ensure_ascii=ascii), encoding="utf-8")


def write_table(folder: Path, mark: str, ending: str, encoding: str, line: str = "\n") -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in [*NAMES, *CAPTIONS]]
    rows = [f"file_name{mark}caption", *(mark.join(row) for row in zip(quoted[: len(NAMES)], quoted[len(NAMES) :]))]
    (folder / f"captions.{ending}").write_bytes(line.join(rows).encode(encoding))


def write_json_lines(folder: Path) -> None:
    rows = [json.dumps({"image": n, "text": said}, ensure_ascii=False) for n, said in zip(NAMES, CAPTIONS)]
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n\n", encoding="utf-8")


def write_texts(folder: Path, encoding: str) -> None:
    for name, said in zip(NAMES, CAPTIONS):
        (folder / name).with_suffix(".txt").write_bytes(f"{said}\r\n\r\n".encode(encoding))


LAYOUTS = {
    "COCO": lambda f: write_coco(f, ascii=False),
    "COCO, escaped": lambda f: write_coco(f, ascii=True),
    "CSV": lambda f: write_table(f, ",", "csv", "utf-8"),
    "CSV, of a spreadsheet": lambda f: write_table(f, ";", "CSV", "utf-8-sig", "\r\n"),
    "TSV": lambda f: write_table(f, "\t", "tsv", "utf-8"),
    "JSON Lines": write_json_lines,
    "texts": lambda f: write_texts(f, "utf-8"),
    "texts, of an editor on Windows": lambda f: write_texts(f, "utf-8-sig"),
}


@pytest.mark.parametrize("write", LAYOUTS.values(), ids=list(LAYOUTS))
def test_names_and_captions_of_every_script_are_read_from_every_layout(pictures, write):
    write(pictures)
    assert dict(pairs(pictures)) == {name: [said] for name, said in zip(NAMES, CAPTIONS)}
    data = CaptionedFolder(16, root=str(pictures)).load()
    shades = {str(data.coco.imgs[n]["file_name"]): int(image[0, 8, 8]) for n, image in zip(data.image_ids, data.pixels)}
    assert shades == pytest.approx({name: 50 * shade for shade, name in enumerate(NAMES)}, abs=2)


# --- tables ---------------------------------------------------------------------------------------------------------


def test_several_rows_of_a_file_are_its_captions_and_further_columns_are_kept(tmp_path):
    rows = "caption,FILE ,split\na cat,a.png,dev\na dog,b.png,test\n the cat ,a.png,dev\n"
    (tmp_path / "captions.csv").write_text(rows)
    assert pairs(tmp_path) == [("a.png", ["a cat", " the cat "]), ("b.png", ["a dog"])]
    table = read_listing(tmp_path, "train2017").table
    assert [image["split"] for image in table["images"]] == ["dev", "test"]
    assert [annotation["split"] for annotation in table["annotations"]] == ["dev", "test", "dev"]


def test_a_caption_in_quotation_marks_may_have_anything_in_it(tmp_path):
    (tmp_path / "captions.csv").write_text('file,caption\na.png,"a cat,\na dog ""and"" a bird"\nb.png,one\u2028line\n')
    assert pairs(tmp_path) == [("a.png", ['a cat,\na dog "and" a bird']), ("b.png", ["one\u2028line"])]


def test_a_row_of_json_may_have_a_list_of_captions_and_none(tmp_path):
    rows = [{"file_name": "a.png", "captions": ["a cat", "the cat"]}, {"file_name": "b.png", "captions": None}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"file_name": "c.png", "captions": []}])))
    assert pairs(tmp_path)[:2] == [("a.png", ["a cat", "the cat"]), ("b.png", [""])]


def test_images_may_lie_beside_a_table_or_in_a_folder_of_their_own(tmp_path):
    (tmp_path / "captions.csv").write_text("file,caption\na.png,a cat\n")
    assert read_listing(tmp_path, "train2017").images == tmp_path
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    assert read_listing(tmp_path, "train2017").images == tmp_path / "images"
    (tmp_path / "other").mkdir()
    assert read_listing(tmp_path, "train2017", images="other").images == tmp_path / "other"


def test_rows_without_a_file_are_told(tmp_path):
    (tmp_path / "captions.csv").write_text("file,caption\na.png,a cat\n,a dog\n \n,a bird\n")
    (note,) = read_listing(tmp_path, "train2017").notes
    assert "3 rows of " in note
    assert "name no file, the first is line 3; they are left out" in note


# --- texts beside images --------------------------------------------------------------------------------------------


def test_every_line_of_a_text_is_a_caption_at_any_depth_and_what_is_hidden_is_passed_over(tmp_path):
    for place in ("a", "deep/er/b", ".limner/c", "deep/.hidden/d", "e"):
        path = tmp_path / f"{place}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.with_suffix(".TXT" if place == "a" else ".txt").write_text(f"a {path.stem}\n\n  the {path.stem}  \n")
    (tmp_path / "f.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image goes by this name")
    (tmp_path / "e.txt").write_text(" \n")
    assert pairs(tmp_path) == [
        ("a.JPG", ["a a", "  the a  "]),
        ("deep/er/b.JPG", ["a b", "  the b  "]),
        ("e.JPG", [""]),
    ]
    assert read_listing(tmp_path, "train2017").notes == [
        "1 of 4 images have no text beside them and are left out: f.png"
    ]


# --- what is told ---------------------------------------------------------------------------------------------------


PROBLEMS = {
    "two tables": ({"a.csv": "", "b.tsv": ""}, {}, "holds several tables: a.csv, b.tsv; say by data.captions which"),
    "no such file": ({}, {"captions": "people.csv"}, r"data.captions: there is no file .*people\.csv"),
    "empty": ({"a.csv": ""}, {}, "a.csv holds no row with a file and a caption"),
    "only a header": ({"a.csv": "file,caption\n"}, {}, "a.csv holds no row with a file and a caption"),
    "no file": (
        {"a.csv": "name,caption\na,b\n"},
        {},
        "has the columns name, caption; none of them is called file_name or",
    ),
    "no caption": ({"a.jsonl": '{"file": "a.png"}'}, {}, "has the columns file; none of them is called caption or"),
    "unquoted": (
        {"a.csv": "file,caption\na.png,a cat, asleep\n"},
        {},
        'line 2 has more columns than the .* "quotation',
    ),
    "torn": ({"a.csv": 'file,caption\na.png,"a cat\n'}, {}, "a.csv cannot be read: unexpected end of data"),
    "no text": ({"a.csv": "file,caption\na.png,a c\udcfft\n"}, {}, "a.csv cannot be read: .*a text in UTF-8"),
    "torn JSON": ({"a.jsonl": '{"file": "a.png", "caption": "x"}\n{"file"'}, {}, "line 2 is not valid JSON"),
    "no object": ({"a.jsonl": "[1]"}, {}, "line 1 holds a list where an object was expected"),
    "no string": ({"a.jsonl": '{"file": "a.png", "caption": 5}'}, {}, "line 1: expected a caption, got 5"),
    "a text in Latin-1": ({"a.png": "", "a.txt": "B\udce4r"}, {}, r"a\.txt cannot be read: .*a text in UTF-8"),
    "nothing": ({"readme.md": ""}, {}, r"no table \(\*.csv, \*.tsv, \*.jsonl\), and no .txt beside an image"),
    "no images": (
        {"a.csv": "file,caption\na.png,b\n"},
        {"images": "there"},
        "the folder of its images, .*there, is not",
    ),
}


@pytest.mark.parametrize(("files", "how", "message"), PROBLEMS.values(), ids=list(PROBLEMS))
def test_what_is_wrong_is_told_in_one_sentence(tmp_path, files, how, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(LimnerError, match=message) as caught:
        read_listing(tmp_path, "train2017", **how)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
