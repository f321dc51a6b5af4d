"""Run folders and prompts of any content: a picture, or one short sentence, soon; and no file is changed."""

import json
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import limner
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limner import LimnerError
from limner.errors import LONGEST, printable

SOON = 20.0  # seconds
FEWER = settings(max_examples=settings.default.max_examples // 3)  # pyright: ignore[reportOptionalMemberAccess]
PROMPT = "a red circle above a blue square"
FILES = [
    *("recipe.toml", "history.json", "weights.safetensors", "tokenizer/words.json"),
    *("tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"),
]
odd = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.just([])
    | st.just({})
)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory) -> Path:
    """A copy of a run folder, in which a test changes one file at a time."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("fuzz") / "run")


@pytest.fixture(scope="module")
def model(trained):
    """A tiny trained model."""
    return limner.load(trained)


def contents(folder: Path) -> dict[Path, bytes]:
    """All files of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def loads_and_paints_or_refuses(run: Path, file: str, content: bytes) -> None:
    """Loads the run with other content of a file; anything but a picture or a short sentence fails."""
    whole = (run / file).read_bytes()
    (run / file).write_bytes(content)
    before, start, told = contents(run), time.perf_counter(), ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # words that are now unknown
            limner.load(run).paint(PROMPT)
    except LimnerError as error:
        told = str(error)
    finally:
        after = contents(run)
        (run / file).write_bytes(whole)
    assert after == before
    assert len(told) <= LONGEST
    assert told == printable(told)
    assert time.perf_counter() - start < SOON


@FEWER
@given(st.sampled_from(FILES), st.data())
def test_a_run_folder_that_is_damaged_somewhere(run, file, data):
    content = bytearray((run / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, min(len(content), 4000)) | st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 20) | st.just(len(content)))] = data.draw(
            st.binary(max_size=8)
        )
    loads_and_paints_or_refuses(run, file, bytes(content))


def places(value: Any, place: tuple = ()):
    """Every place in a table of JSON, at most the first ten of a list or a table."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(inner)[:10]:
        yield from places(item, (*place, key))


@FEWER
@given(st.sampled_from([file for file in FILES if file.endswith(".json")]), st.data(), odd)
def test_a_run_folder_with_any_value_at_any_place(run, file, data, value):
    table = json.loads((run / file).read_text())
    place = data.draw(st.sampled_from(list(places(table))))
    if place:
        inner = table
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    else:
        table = value
    loads_and_paints_or_refuses(run, file, json.dumps(table).encode())


@given(st.text(max_size=200) | st.text(st.characters(), max_size=60).map(lambda text: f"a red circle {text}"))
def test_any_prompt(model, prompt):
    told = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown words
            assert len(model.paint(prompt)) == 1
            assert model.paint(prompt).grid().width
    except LimnerError as error:
        told = str(error)
    assert len(told) <= LONGEST
