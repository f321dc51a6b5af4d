"""Recipes that no one needs and a stranger may send: each is one sentence, at once."""

import math
import tomllib

import pytest
from limner import LimnerError, Recipe
from limner.errors import LONGEST
from limner.recipes.build import dry_run
from limner.recipes.limits import DEEPEST, LARGEST, read_toml
from limner.recipes.merging import parse_value
from limner.reference.describe import all_settings

DIGITS = "9" * 5000


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path):
    file = tmp_path / "my.toml"
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text("image_size = 16\r\ntitle = 'é'", encoding=encoding)
        assert read_toml(file) == {"image_size": 16, "title": "é"}
    file.write_text("image_size = 16", encoding="utf-16")
    with pytest.raises(LimnerError, match=r"my\.toml is not valid TOML: 'utf-8' codec can't decode"):
        read_toml(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a = {'[' * 500}{']' * 500}", "nests more than"),
        (f"a = {'[' * 100_000}{']' * 100_000}", "nests more than"),
        (f"a = {'[' * (DEEPEST + 1)}{']' * (DEEPEST + 1)}", "nests more than"),
        (".".join("a" * (DEEPEST + 2)) + " = 1", "nests more than"),
        (".".join("a" * 100_000) + " = 1", "nests more than"),
        (f"image_size = {DIGITS}", "has a number of thousands of digits"),
        (f"image_size = 0x{DIGITS}", "image_size: expected a number less than 2.63, got one of 20000 bits"),
        (f"image_size = {2**63}", "image_size: expected a number less than 2.63, got one of 64 bits"),
        (f"{'k' * 5000} = 1", "is longer than 200 letters"),
        ("# " + "a" * LARGEST, "has more than 256 KiB"),
        (f"title = ['{'long ' * 1000}']", "title: expected a valid string, got"),
        (f"extends = '{'n' * 300}.toml'", "extends: there is no recipe file"),
        (f"extends = '{'n' * 300}'", "extends: there is no recipe"),
        ("extends = 'a\\u0000.toml'", "not valid TOML|there is no recipe file"),
    ],
)
def test_a_strange_file_is_one_sentence(plugins, tmp_path, text, message):
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(LimnerError, match=message) as caught:
        Recipe.read(plugins, file)
    assert len(str(caught.value)) <= LONGEST
    assert "my.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": "\ud800"}, "title: expected text, got characters that are none"),
        ({"prompts": ["a", "\udcff"]}, "prompts: expected text"),
        ({3: 4}, "expected text for a key, got 3"),
        ({"image_size": 10**5000}, "image_size: expected a number less than"),
    ],
)
def test_a_strange_dict_is_one_sentence(plugins, recipe, change, message):
    with pytest.raises(LimnerError, match=message):
        Recipe.read(plugins, recipe | change)


def test_recipes_that_extend_each_other_under_changing_names_are_a_circle(plugins, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.toml").write_text("extends = 'in/../a.toml'")
    with pytest.raises(LimnerError, match="circle"):
        Recipe.read(plugins, tmp_path / "a.toml")


def test_a_value_that_is_no_toml_is_text():
    assert parse_value(DIGITS) == DIGITS
    assert parse_value("[" * 500) == "[" * 500


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_no_number_of_a_recipe_is_infinite(plugins, recipe, value):
    """The budgets, the learning rates, the weights of losses, and the options of components."""
    floats = [
        f"{table}.{option.name}"
        for table, setting in all_settings().items()
        for option in setting.options
        if option.type.startswith("float")
    ]
    assert {"training.seconds", "training.generator_lr", "sampling.truncation"} <= set(floats)
    for place in [*floats, "losses.hinge.weight", "generator.noise_scale"]:
        with pytest.raises(LimnerError, match=f"{place}: expected a finite number"):
            Recipe.read(plugins, recipe, [f"{place}={value}"])


@pytest.mark.parametrize(
    "override",
    [f"{place}={value}" for place in ("encoder.width", "generator.noise") for value in (2**63 - 1, 10**30, 10**12)]
    + ["discriminator.head=1000000000", "text.vocabulary=1000000000000000000", "encoder.hidden=100000000000"],
)
def test_sizes_that_fit_into_no_memory_are_one_sentence(plugins, recipe, override):
    with pytest.raises(LimnerError, match=r"less than 2\^63|more memory than there is|billion weights"):
        dry_run(plugins, Recipe.read(plugins, recipe, [override]))


@pytest.mark.parametrize("encoder", ["phrase", "transformer"])
def test_layers_have_a_largest_number(plugins, encoder):
    with pytest.raises(LimnerError, match=r"encoder\.layers: expected less than or equal to 100, got 1000000000"):
        Recipe.read(plugins, "quickstart", [f"encoder={{name='{encoder}', layers=1000000000}}"])


@pytest.mark.parametrize("override", ["image_size=65536", "text.length=2000000000"])
def test_images_and_captions_have_a_largest_size(plugins, recipe, override):
    with pytest.raises(LimnerError, match="expected less than or equal to 4096"):
        Recipe.read(plugins, recipe, [override])


def test_a_saved_recipe_is_within_the_limits(plugins, trained):
    assert tomllib.loads((trained / "recipe.toml").read_text()) == read_toml(trained / "recipe.toml")
