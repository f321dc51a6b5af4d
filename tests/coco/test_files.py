"""Text and JSON of any origin: byte-order marks, encodings, and defects with their places."""

import json

import limner_coco.files
import pytest
from limner import LimnerError
from limner_coco.files import parse_json, read_json, read_text
from limner_coco.layouts import read_listing


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_in_every_encoding_that_marks_itself(tmp_path, encoding, end):
    (tmp_path / "text").write_bytes(f"кот\u2028猫{end}🐕{end}".encode(encoding))
    assert read_text(tmp_path / "text") == "кот\u2028猫\n🐕\n"


def test_files_that_were_joined_lose_all_their_marks(tmp_path):
    (tmp_path / "text").write_bytes("a\n".encode("utf-8-sig") + "b\n".encode("utf-8-sig"))
    assert read_text(tmp_path / "text") == "a\nb\n"


def test_the_line_that_is_no_text_is_told(tmp_path):
    (tmp_path / "text").write_bytes(b"a\nb\nB\xe4r\n")
    with pytest.raises(LimnerError, match="text cannot be read: line 3 is not text in UTF-8; save the file as text"):
        read_text(tmp_path / "text")


@pytest.mark.parametrize("name", ["captions.json", "c.csv", "c.jsonl", "a.txt"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch, name):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "images").mkdir()
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / name).write_text("x")
    monkeypatch.setattr(limner_coco.files.Path, "read_bytes", refuse)
    with pytest.raises(LimnerError, match=r"cannot be read: Permission denied\.$"):
        read_listing(tmp_path, "train2017")


DEFECTS = {
    "deep": ("[" * 60 + "]" * 60, "it nests lists or objects more than 50 deep"),
    "very deep": ("[" * 100_000 + "]" * 100_000, "it nests lists or objects more than 50 deep"),
    "deep objects": ('{"a":' * 600 + "1" + "}" * 600, "it nests lists or objects more than 50 deep"),
    "a long number": ("[" + "1" * 5000 + "]", "it has a number of thousands of digits"),
    "a key twice": ('{"caption": "a", "caption": "b"}', "it has an object with two keys 'caption'; remove or rename"),
    "torn": ('{"a": [1,\n', "it is not valid JSON: .* at line 2; it may be truncated"),
}


@pytest.mark.parametrize(("text", "message"), DEFECTS.values(), ids=DEFECTS)
def test_defects_of_json_are_one_sentence(text, message):
    with pytest.raises(LimnerError, match=message):
        parse_json(text, "it")


def test_json_is_read(tmp_path):
    value = {"a": [1, None, {"b": ["кот", 1.5]}], "deep": json.loads("[" * 45 + "]" * 45)}
    (tmp_path / "value.json").write_text(json.dumps(value), encoding="utf-16")
    assert read_json(tmp_path / "value.json") == value
