"""Parsing: every caption of the grammar is understood, in one way, however it is worded, punctuated or misspelled."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from limner import Tokenizer
from limner.recipes.schema import Text
from limner_scenes.dataset import Scenes
from limner_scenes.grammar import caption, distractors
from limner_scenes.parsing import meanings, parse
from limner_scenes.scenes import ANY, BACKGROUNDS, COLORS, COLUMNS, SHAPES
from limner_scenes.spelling import misspell
from limner_scenes.wordings import HELD_OUT_FORMS, WORDINGS, Wording

ABOVE = [1, COLORS.index("red"), SHAPES.index("circle"), COLORS.index("blue"), SHAPES.index("square"), ANY]
CIRCLES = [1, COLORS.index("red"), 0, COLORS.index("blue"), 0, ANY]

CHOICES = {"size": 2, "axis": 2, "color": len(COLORS), "shape": len(SHAPES), "background": len(BACKGROUNDS)}
ASKED = st.sampled_from(list(COLUMNS.values())).flatmap(
    lambda names: st.tuples(*(st.integers(ANY if name == "background" else 0, CHOICES[name] - 1) for name in names))
)
ASKED = ASKED.filter(lambda asked: len(asked) == len(COLUMNS[1]) or asked[1] != asked[3])  # two objects differ in color
SYNONYM = st.integers(0, 59)
WORDING = st.builds(
    Wording,
    form=st.integers(0, WORDINGS + len(HELD_OUT_FORMS[1]) - 1),
    flipped=st.booleans(),
    relation=SYNONYM,
    shape=SYNONYM,
    size=SYNONYM,
    background=SYNONYM,
    more=st.booleans(),
    sentence=st.booleans(),
)
many = settings(max_examples=400, deadline=None, derandomize=True, database=None)


@many
@given(ASKED, WORDING, st.integers(0, 1000))
@example(CIRCLES, Wording(form=WORDINGS - 1), 0)
def test_every_caption_has_one_meaning(asked, wording, seed):
    text = caption(asked, wording)
    for spelled in (text, misspell(text, Random(seed)), text.upper(), text.replace(",", " ,").replace(":", "")):
        found = list(meanings(spelled))
        assert found
        assert all(meaning == list(asked) for meaning in found)
        assert parse(spelled) == list(asked)


@many
@given(ASKED, WORDING, st.integers(0, 1000))
@example(CIRCLES, Wording(form=WORDINGS - 1), 0)
def test_distractors_are_wrong_in_every_wording(asked, wording, seed):
    text, wrong = caption(asked, wording), distractors(asked, wording, Random(seed))
    assert len({text, *wrong}) == 5
    for other in wrong:
        meaning = parse(other)
        assert meaning is not None
        assert any(one not in (ANY, fact) for one, fact in zip(meaning, asked, strict=True) if fact != ANY)


@pytest.mark.parametrize(
    "prompt",
    [
        "a red circle above a blue square",
        "A blue square below a red circle.",
        "a red circle that is above a blue square",
        "a blue square which has a red circle above it",
        "There is a blue square with a red circle above it.",
        "two shapes: a blue square and, above it, a red circle",
        "Above a blue square there is a red disc",
        "a red cirlce abvoe a bule squere",
    ],
)
def test_many_sentences_ask_for_the_same(prompt):
    assert parse(prompt) == ABOVE


def test_two_objects_of_one_shape_have_a_plural():
    assert parse("Two circles, the red one above the blue one.") == CIRCLES
    assert parse("two dots, the blue one beneath the red one, on a grey background") == [*CIRCLES[:-1], 1]


@pytest.mark.parametrize(
    "prompt",
    ["", "a red dog", "a red circle", "a mauve star above a red star", "two circles", "a red circle; a blue square"],
)
def test_other_sentences_are_not_parsed(prompt):
    assert parse(prompt) is None


@pytest.mark.parametrize("objects", [1, 2])
def test_captions_that_a_tokenizer_decodes_can_be_parsed(objects):
    """A captioner writes tokens, and decoding them leaves spaces before the punctuation."""
    scenes = Scenes(8, objects=objects, wordings=WORDINGS, count=300, misspelled=0.5)
    annotations = scenes.captions(scenes.scenes())["annotations"]
    captions = [entry["caption"] for entry in annotations]
    tokenizer = Tokenizer.learn(captions, Text())
    decoded = [tokenizer.inner.decode(tokenizer([text]).ids[0].tolist(), skip_special_tokens=True) for text in captions]
    assert [parse(str(text)) for text in decoded] == [entry["asked"] for entry in annotations]
