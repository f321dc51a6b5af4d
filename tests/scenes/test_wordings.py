"""Wordings: sentence forms and synonyms come in a fixed order, and no training caption has a held-out form."""

import re
from dataclasses import replace
from random import Random

import pytest
from limner import Tokenizer
from limner.recipes.schema import Text
from limner_scenes.dataset import Scenes
from limner_scenes.grammar import caption
from limner_scenes.parsing import meanings
from limner_scenes.scenes import COLORS, SHAPES, SIZES
from limner_scenes.wordings import (
    FORMS,
    HELD_OUT_FORMS,
    RELATION_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    USUAL_WORDINGS,
    WORDINGS,
    Wording,
    draw_wording,
    plural,
)

DRAWN = 3000
LONGEST = {1: [1, COLORS.index("orange"), SHAPES.index("cross"), 0], 2: [0, 1, 5, 2, 5, 0]}


def drawn(wordings: int, **options) -> list[Wording]:
    random = Random(0)
    return [draw_wording(random, wordings, **options) for _ in range(DRAWN)]


def prompts_of(objects: int, wordings: int, **options) -> list[str]:
    return Scenes(8, objects=objects, wordings=wordings).prompts(400, 0, **options).texts


def test_there_are_as_many_forms_for_one_object_as_for_two():
    for forms in (FORMS, HELD_OUT_FORMS):
        assert len(forms[1]) == len(forms[2]) == len(set(forms[1])) == len(set(forms[2]))
    assert WORDINGS == 20


def test_the_plain_words_are_those_of_the_facts():
    assert [words.usual[0] for words in SHAPE_WORDS] == list(SHAPES)
    assert [words.usual[0] for words in SIZE_WORDS] == list(SIZES)
    for table in (SHAPE_WORDS, SIZE_WORDS, RELATION_WORDS):
        every = [word for words in table for word in words.all]
        assert len(set(every)) == len(every)
    assert [plural(word) for word in ("circle", "plus sign", "cross", "box")] == [
        "circles",
        "plus signs",
        "crosses",
        "boxes",
    ]


@pytest.mark.parametrize("wordings", [1, 2, USUAL_WORDINGS, USUAL_WORDINGS + 1, WORDINGS])
def test_the_first_wordings_are_drawn(wordings):
    found = drawn(wordings)
    assert {wording.form for wording in found} == set(range(wordings))
    assert {wording.flipped for wording in found} == {False, True}
    many = wordings > USUAL_WORDINGS
    assert {wording.more for wording in found} == {many}
    assert {wording.sentence for wording in found} == ({False, True} if many else {False})
    if wordings == 1:
        assert {replace(wording, flipped=False) for wording in found} == {Wording()}


def test_more_synonyms_come_with_more_than_eight_wordings():
    usual, every = (" ".join(prompts_of(2, wordings)) for wordings in (USUAL_WORDINGS, USUAL_WORDINGS + 1))
    further = {word for words in (*RELATION_WORDS, *SHAPE_WORDS) for word in words.more if word != "plus"}
    assert not any(word in usual for word in further)
    assert all(word in every for word in further)
    assert "backdrop" not in usual
    assert "backdrop" in every


@pytest.mark.parametrize("wordings", [1, 2, USUAL_WORDINGS, WORDINGS])
def test_held_out_wordings_have_the_synonyms_of_the_others(wordings):
    found = drawn(wordings, held_out=True)
    assert {wording.form for wording in found} == set(range(WORDINGS, WORDINGS + len(HELD_OUT_FORMS[1])))
    assert {wording.more for wording in found} == {wordings > USUAL_WORDINGS}
    assert len({wording.relation for wording in found}) == {1: 1, WORDINGS: 60}.get(wordings, 6)


@pytest.mark.parametrize("objects", [1, 2])
@pytest.mark.parametrize("wordings", [2, USUAL_WORDINGS, WORDINGS])
def test_no_other_form_says_what_a_held_out_form_says(objects, wordings):
    for text in prompts_of(objects, wordings, held_out_wording=True):
        assert len(list(meanings(text))) == 1


@pytest.mark.parametrize("objects", [1, 2])
def test_held_out_wordings_have_no_new_words(objects):
    """A model that has read captions of 400 scenes, in the eight usual wordings, knows every word as one token."""
    scenes = Scenes(8, objects=objects, wordings=USUAL_WORDINGS, count=400)
    captions = [entry["caption"] for entry in scenes.captions(scenes.scenes())["annotations"]]
    tokenizer = Tokenizer.learn(captions, Text())
    for text in prompts_of(objects, USUAL_WORDINGS, held_out_wording=True):
        assert tokenizer.check(text) == []
        assert [piece for piece, _ in tokenizer.pieces(text)[1:-1]] == re.findall(r"\w+|,", text)


@pytest.mark.parametrize("objects", [1, 2])
def test_no_caption_is_longer_than_a_model_reads(objects):
    for form in range(WORDINGS + len(HELD_OUT_FORMS[1])):
        for synonym in range(60):
            for shape in range(4):
                wording = Wording(form, form % 2 > 0, synonym, shape, synonym, synonym, more=True, sentence=True)
                text = caption(LONGEST[objects], wording)
                assert 2 + len(re.findall(r"\w+|[^\w\s]", text)) <= Text().length
