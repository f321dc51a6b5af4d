"""Whatever is in a folder, it is read or refused in one sentence, soon, and no file that was there is changed.

Some seconds by default; `HYPOTHESIS_PROFILE=fuzz` tries many more.
"""

import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from limner import LimnerError, Tokenizer
from limner.recipes.schema import Text
from limner_coco.checking import check
from limner_coco.folder import CaptionedFolder
from PIL import Image

SECONDS = 20  # for the slowest example, on a busy machine
letters = st.characters()  # surrogates included
words = st.text(letters, max_size=12) | st.sampled_from(
    ["a cat", "кот", "猫", "🐕", "a\u2028b", "\ud83d", "a" * 300, "?!", ""]
)
names = st.sampled_from(
    [
        *("a.png", "b.jpg", "c.webp", "A.PNG", "./a.png", "a", "deep/d.png", "a.png#0", "missing.png", "broken.png"),
        *("../secret.png", "deep/../../secret.png", "link.png", "pipe", "deep", "", ".", "..", "a\0b", "x" * 300),
        *("\ud83d.png", "a\nb.png", "\x1b[2J.png", "https://example.org/a.png", "captions.csv"),
    ]
) | st.text(letters, max_size=8)
numbers = st.integers() | st.floats() | st.booleans() | st.none() | st.just(10**4290)
ids = st.integers(0, 3) | st.sampled_from(["1", "2", 1.0, 1.5, None, True, [1], {}]) | numbers
values = st.recursive(
    numbers | words | names, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
rows = st.fixed_dictionaries(
    {}, optional={"file_name": names | values, "image": names, "caption": words | values, "split": values}
)
images = st.fixed_dictionaries({}, optional={"id": ids, "file_name": names | values, "x": values})
annotations = st.fixed_dictionaries({}, optional={"id": ids, "image_id": ids, "caption": words | values})
sentences = st.lists(st.fixed_dictionaries({}, optional={"raw": words | values, "tokens": values}) | values, max_size=3)
splits = st.fixed_dictionaries(
    {"sentences": sentences | values}, optional={"filename": names | values, "filepath": names}
)
tables = (
    st.fixed_dictionaries({"images": st.lists(images, max_size=4), "annotations": st.lists(annotations, max_size=4)})
    | st.fixed_dictionaries({"images": st.lists(splits, max_size=3)})
    | st.fixed_dictionaries({"data": st.lists(rows, max_size=3)})
    | st.lists(rows, max_size=3)
    | st.dictionaries(names, words | rows, max_size=3)
    | values
)
marks = st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])


def lines(separator: str) -> st.SearchStrategy[str]:
    """Lines of cells, some with quotation marks that do not fit."""
    cell = (
        names
        | words
        | words.map('"{}"'.format)
        | st.sampled_from(['"', '""', 'a "b" c', "file_name", "caption", "image"])
    )
    header = st.sampled_from([f"file_name{separator}caption\n", f"image{separator} comment\n", ""])
    return st.tuples(header, st.lists(st.lists(cell, max_size=3).map(separator.join), max_size=4).map("\n".join)).map(
        "".join
    )


texts = (
    tables.map(json.dumps)
    | st.lists(rows.map(json.dumps), max_size=3).map("\n".join)
    | st.one_of(*map(lines, ",;\t|"))
    | st.tuples(st.integers(0, 2000), st.sampled_from("[{")).map(lambda nest: nest[1] * nest[0])
)
contents = st.tuples(marks, texts.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=60)).map(
    b"".join
)
files = st.sampled_from(
    [
        *("captions.json", "annotations/captions_train2017.json", "annotations/train.json", "other.json", "c.csv"),
        *("c.tsv", "c.jsonl", "captions.txt", "results.token", "deep/metadata.csv", "a.txt", "a.json", "b.caption"),
        *("deep/d.txt", ".limner/texts-16px.index", ".limner/captions-16px.index", "Thumbs.db", "._c.csv"),
    ]
)


def make_folder(outside: Path, content: dict[str, bytes]) -> Path:
    """A folder with images, a link, a pipe and these files, and a secret next to it."""
    root = outside / "data"
    (root / "deep").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "c.webp", "deep/d.png", "../secret.png"):
        Image.new("RGB", (4, 4)).save(root / name)
    (root / "link.png").symlink_to("../secret.png")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    os.mkfifo(root / "pipe")
    for name, written in content.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(written)
    return root


def state_of(folder: Path) -> dict[Path, bytes | None]:
    """The content of every file but those of the store."""
    paths = [path for path in sorted(folder.rglob("*")) if ".limner" not in path.parts]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@given(content=st.dictionaries(files, contents, min_size=1, max_size=2))
def test_a_folder_is_read_or_refused_in_one_sentence(content):
    with tempfile.TemporaryDirectory() as outside, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = make_folder(Path(outside), content)
        before, start = state_of(Path(outside)), time.monotonic()
        refusal = None
        try:
            data = CaptionedFolder(16, root=str(root), bad_images=1.0).load()
        except LimnerError as error:
            refusal = str(error)
        else:
            assert len(data) == len(data.pixels) > 0
            texts = [a["caption"] for of_image in data.annotations for a in of_image]
            assert all(isinstance(text, str) and text for text in texts)
        assert refusal is None or (10 < len(refusal) <= 600 and "\n" not in refusal)
        event("read" if refusal is None else "refused")
        for sentence in check("it", root, "train2017").sentences():
            assert "\n" not in sentence
        assert time.monotonic() - start < SECONDS
        assert state_of(Path(outside)) == before


@given(captions=st.lists(words, max_size=5), prompt=words)
def test_any_text_becomes_tokens(captions, prompt):
    tokenizer = Tokenizer.learn(captions, Text(length=8, vocabulary=60))
    assert tokenizer([*captions, prompt]).ids.shape[1] <= 8
    for text in (prompt, *captions):
        refusal, unknown = "", []
        try:
            unknown = tokenizer.check(text)
        except LimnerError as error:
            refusal = str(error)
        assert len(refusal) <= 600
        if text in captions and text.strip() and tokenizer.count(text) <= 8:
            assert (refusal, unknown) == ("", []), "what training has seen is known"
