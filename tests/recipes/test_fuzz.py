"""Recipes of any content: each is read, or refused in one short sentence, soon; no file is changed."""

import copy
import time
import warnings

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from limner import LimnerError, PluginHost, Recipe
from limner.errors import LONGEST, printable
from limner.recipes.build import dry_run
from limner.recipes.merging import resolve
from limner.testing import tiny_recipe

HOST = PluginHost()
SOON = 20.0  # seconds
HALF = settings(max_examples=settings.default.max_examples // 2)  # pyright: ignore[reportOptionalMemberAccess]

numbers = st.integers() | st.integers(-3, 40) | st.floats() | st.sampled_from([2**31, 2**62, 2**63 - 1, 2**63, 10**30])
words = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["none", "mlp", "scenes", "hinge", "name", "at", "\ud800"]
)
values = st.recursive(
    numbers | words | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def places(table, place=()):
    """Every place in a table."""
    for key, value in table.items():
        yield (*place, key)
        if isinstance(value, dict):
            yield from places(value, (*place, key))


PLACES = sorted(
    places(tiny_recipe(training={"steps": 3, "batch_size": 8}, text={"length": 24}, sampling={"candidates": 1}))
)


def reads_or_refuses(source, overrides=()):
    """Reads a recipe and builds it without memory; anything but a short sentence fails."""
    start, told = time.perf_counter(), ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old names of keys
            dry_run(HOST, Recipe.read(HOST, source, overrides))
    except LimnerError as error:
        told = str(error)
    assert len(told) <= LONGEST
    assert told == printable(told)
    assert time.perf_counter() - start < SOON


@given(st.text(max_size=200) | st.binary(max_size=200) | values.map(lambda value: f"a = {value!r}"))
def test_a_file_of_any_content(tmp_path, content):
    file = tmp_path / "my.toml"
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    file.write_bytes(data)
    reads_or_refuses(file)
    assert file.read_bytes() == data


@HALF
@given(st.data())
def test_a_file_that_is_damaged_somewhere(tmp_path, data):
    content = bytearray(tomli_w.dumps(tiny_recipe(training={"steps": 3, "batch_size": 8})).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=8))
    (tmp_path / "my.toml").write_bytes(content)
    reads_or_refuses(tmp_path / "my.toml")


@given(st.sampled_from(PLACES), values)
def test_a_recipe_with_any_value_at_any_place(place, value):
    table = copy.deepcopy(tiny_recipe(training={"steps": 3, "batch_size": 8}))
    inner = table
    for key in place[:-1]:
        inner = inner.setdefault(key, {})
    inner[place[-1]] = value
    reads_or_refuses(table)


@given(st.sampled_from([".".join(place) for place in PLACES]) | words, st.text(max_size=30) | values.map(str))
def test_any_setting(key, value):
    reads_or_refuses(tiny_recipe(training={"steps": 3, "batch_size": 8}), [f"{key}={value}"])


@given(st.text(max_size=300))
def test_any_name_of_a_recipe(name):
    told = ""
    try:
        resolve(HOST, name)
    except LimnerError as error:
        told = str(error)
    assert len(told) <= LONGEST
