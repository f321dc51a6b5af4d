"""Captions: the plain wording, and four distractors that are wrong in the same wording."""

from dataclasses import replace
from random import Random

import pytest
import torch
from limner_scenes.grammar import caption, distractors
from limner_scenes.parsing import parse
from limner_scenes.scenes import ANY, COLORS, HELD_OUT, SHAPES, draw_facts
from limner_scenes.wordings import HELD_OUT_FORMS, WORDINGS, Wording, draw_wording

ABOVE = [1, COLORS.index("red"), SHAPES.index("circle"), COLORS.index("blue"), SHAPES.index("square"), ANY]


def rows(objects: int, held_out: bool = False) -> list[list[int]]:
    facts = draw_facts(100, torch.Generator().manual_seed(5), objects=objects, held_out=held_out).tolist()
    return [[*row[:-1], ANY] if i % 2 else row for i, row in enumerate(facts)]


def true(asked: list[int], facts: list[int]) -> bool:
    return all(a in (ANY, fact) for a, fact in zip(asked, facts, strict=True))


def test_plain_wordings():
    assert caption(ABOVE, Wording()) == "a red circle above a blue square"
    assert caption(ABOVE, Wording(flipped=True)) == "a blue square below a red circle"
    assert (
        caption([0, 1, 0, 7, 4, 2], Wording()) == "an orange circle to the left of a pink heart on a black background"
    )
    assert caption([1, 5, 3, 0], Wording()) == "a large blue star on a white background"


def test_other_wordings():
    form = Wording(form=5, relation=2, shape=1)
    assert caption(ABOVE, form) == "a blue square with a red disk on top of it"
    assert parse("on a gray background, an orange plus sign right of a red disk") == [0, 0, 0, 1, 5, 1]


def test_later_wordings():
    circles = [1, 0, 0, 5, 0, 0]
    assert (
        caption(circles, Wording(WORDINGS - 1)) == "two circles, the red one above the blue one on a white background"
    )
    assert caption(ABOVE, Wording(WORDINGS - 1)) == "two shapes, a red circle above a blue square"
    assert caption(ABOVE, Wording(9, sentence=True)) == "A blue square which has a red circle above it."
    assert caption([1, 1, 3, 0], Wording(8)) == "an orange star that is large on a white background"
    assert caption([1, 1, 3, 0], Wording(14)) == "here is a large orange star, and the background is white"
    assert caption([0, 1, 1, 0], Wording(0, False, 0, 2, 2, 3, more=True)) == "a tiny orange block on a white backdrop"


@pytest.mark.parametrize("objects", [1, 2])
def test_forms_are_worded_differently(objects):
    forms = WORDINGS + len(HELD_OUT_FORMS[objects])
    assert len({caption(rows(objects)[0], Wording(form)) for form in range(forms)}) == forms


@pytest.mark.parametrize("objects", [1, 2])
@pytest.mark.parametrize("held_out", [False, True])
def test_distractors_are_wrong_and_have_the_same_wording(objects, held_out):
    random = Random(0)
    for facts in rows(objects, held_out):
        image = [*facts[:-1], facts[-1] if facts[-1] != ANY else 2]
        wording = draw_wording(random, WORDINGS)
        wrong = distractors(facts, wording, random)
        assert len(set(wrong)) == 4
        for text in wrong:
            asked = parse(text)
            assert asked is not None
            assert not true(asked, image)
            assert text in (caption(asked, wording), caption(asked, replace(wording, flipped=not wording.flipped)))


def test_distractors_exchange_objects_colors_and_shapes():
    assert distractors(ABOVE, Wording(), Random(0))[:3] == [
        "a blue square above a red circle",
        "a blue circle above a red square",
        "a red square above a blue circle",
    ]


@pytest.mark.parametrize("form", range(WORDINGS + len(HELD_OUT_FORMS[2])))
def test_the_first_distractor_reverses_the_relation_in_the_same_words(form):
    for flipped in (False, True):
        wording = Wording(form, flipped, 1, 0, 0, 0)
        first = distractors(ABOVE, wording, Random(0))[0]
        assert sorted(first.replace(",", "").split()) == sorted(caption(ABOVE, wording).replace(",", "").split())
        assert parse(first) == [1, *ABOVE[3:5], *ABOVE[1:3], ANY]


def test_two_distractors_of_one_object_have_another_shape():
    facts = [0, COLORS.index("purple"), SHAPES.index("circle"), ANY]
    for seed in range(20):
        first, second, *_ = distractors(facts, Wording(), Random(seed))
        shapes = {text.removeprefix("a small purple ") for text in (first, second)}
        assert len(shapes) == 2
        assert shapes <= set(SHAPES) - {"circle"}


@pytest.mark.parametrize("objects", [1, 2])
def test_distractors_of_trained_scenes_name_no_held_out_pair(objects):
    random = Random(1)
    names = {f"{color} {shape}" for color, shape in HELD_OUT}
    for facts in rows(objects):
        assert not any(name in text for text in distractors(facts, Wording(), random) for name in names)
