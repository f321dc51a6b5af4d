"""What `--vary` means: how its values are read and written, and which recipes they make."""

import pytest
from limner import Attention, hookimpl
from limner.comparisons.variants import make_variants, parse_vary, split_values, text_of
from limner.recipes.merging import resolve


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("none,spatial, multi-head", ["none", "spatial", "multi-head"]),
        ("0,0.3,1", [0, 0.3, 1]),
        ('{name="multi-head", at=[4, 8]},"none"', [{"name": "multi-head", "at": [4, 8]}, "none"]),
        ("[8, 8],[16, 16]", [[8, 8], [16, 16]]),
        ("false,{}", [False, {}]),
        ("'a, b',\"c\"", ["a, b", "c"]),
        ("it's,that's", ["it's", "that's"]),
        ("mlp", ["mlp"]),
    ],
)
def test_values_between_commas_are_read_and_written(text, values):
    assert parse_vary([f"some.key={text}"]) == {"some.key": values}
    written = ",".join(map(text_of, values))
    assert parse_vary([f"some.key={written}"]) == {"some.key": values}


def test_a_text_gets_quotes_only_if_needed():
    assert [text_of(value) for value in ("1", "a,b", "", "plain", "true")] == ['"1"', '"a,b"', '""', "plain", '"true"']
    assert split_values(text_of("a,b")) == ['"a,b"']


def test_several_keys_give_every_combination(plugins, recipe):
    vary = {"encoder.width": [8, 16], "losses.hinge.weight": [1, 2, 3]}
    variants = make_variants(plugins, recipe, vary, "here")
    assert [variant.label for variant in variants] == ["8, 1", "8, 2", "8, 3", "16, 1", "16, 2", "16, 3"]
    assert [(v.recipe.encoder.options["width"], v.recipe.losses["hinge"].weight) for v in variants] == [
        (width, weight) for width in (8, 16) for weight in (1, 2, 3)
    ]


class Tint(Attention):
    """An attention that does nothing."""

    def forward(self, features, text):
        return features


class Wash(Tint):
    """Another one."""


class Tinting:
    """A plugin with both."""

    @hookimpl
    def limner_attentions(self):
        return {"tint": Tint, "wash": Wash}


@pytest.mark.parametrize(
    "before", [None, "tint", {"name": "tint"}, {"name": "tint", "at": [8]}, ["tint", "wash"]], ids=str
)
def test_varying_the_name_in_a_slot_keeps_its_resolutions(plugins, recipe, before):
    plugins.register(Tinting())
    if before is not None:
        recipe["generator"]["attention"] = before
    base = resolve(plugins, recipe, ["generator.attention.at=[4, 8]"])
    variants = make_variants(plugins, base, {"generator.attention.name": ["none", "tint", "wash"]}, "here")
    slots = [variant.recipe.generator.options["attention"] for variant in variants]
    assert slots == [{"name": name, "at": [4, 8]} for name in ("none", "tint", "wash")]
