"""Spelling: a misspelled word is one that a person could write, and it stands for one word only."""

import re
from random import Random

import pytest
from limner_scenes.dataset import Scenes
from limner_scenes.scenes import BACKGROUNDS, COLORS, SHAPES, SIZES
from limner_scenes.spelling import MISSPELLINGS, correct, misspell
from limner_scenes.wordings import (
    ALL_FORMS,
    BACKGROUND_CLAUSE,
    BACKGROUND_PHRASES,
    RELATION_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    plural,
)

SYNONYMS = [word for words in (*RELATION_WORDS, *SHAPE_WORDS, *SIZE_WORDS, BACKGROUND_PHRASES) for word in words.all]
TEXTS = [*SYNONYMS, *map(plural, SYNONYMS), *COLORS, *BACKGROUNDS, *ALL_FORMS[1], *ALL_FORMS[2], BACKGROUND_CLAUSE]
WORDS = {word for text in TEXTS for word in re.findall(r"\w+", re.sub("{.*?}", "", text))}


def edits(one: str, other: str) -> int:
    """Letters inserted, removed, replaced, or exchanged with their neighbor (optimal string alignment)."""
    table = {(i, -1): i + 1 for i in range(-1, len(one))} | {(-1, j): j + 1 for j in range(-1, len(other))}
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
            if i and j and a == other[j - 1] and b == one[i - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(one) - 1, len(other) - 1]


def test_a_misspelling_stands_for_one_word():
    every = [wrong for misspellings in MISSPELLINGS.values() for wrong in misspellings.split()]
    assert len(set(every)) == len(every)
    assert not WORDS & set(every)
    assert set(MISSPELLINGS) <= WORDS
    assert {*COLORS, *SHAPES, *SIZES, *BACKGROUNDS, "above", "below", "left", "right"} <= set(MISSPELLINGS)
    for word, misspellings in MISSPELLINGS.items():
        for wrong in misspellings.split():
            assert correct(wrong) == word
            assert 1 <= edits(word, wrong) <= 2
    assert correct("dog") == "dog"


def test_one_word_is_misspelled():
    text, found = "There is a red circle above a blue square.", set()
    for seed in range(200):
        words, others = text[:-1].split(), misspell(text, Random(seed))[:-1].split()
        [changed] = [(word, other) for word, other in zip(words, others, strict=True) if word != other]
        assert correct(changed[1].lower()) == changed[0].lower()
        assert changed[1][0].isupper() == changed[0][0].isupper()
        found.add(changed[0])
    assert found == {"There", "red", "circle", "above", "blue", "square"}


@pytest.mark.slow
@pytest.mark.parametrize("wordings", [1, 8, 20])
def test_captions_are_misspelled_as_often_as_requested(wordings):
    plain, some, every = (Scenes(8, wordings=wordings, count=200, misspelled=share) for share in (0.0, 0.3, 1.0))
    texts = [[entry["caption"] for entry in s.captions(s.scenes())["annotations"]] for s in (plain, some, every)]
    changed = [sum(a != b for a, b in zip(texts[0], other, strict=True)) / len(texts[0]) for other in texts[1:]]
    assert changed[0] == pytest.approx(0.3, abs=0.1)
    assert changed[1] == 1
    prompts = [scenes.prompts(100, 0) for scenes in (plain, every)]
    assert prompts[0].asked.equal(prompts[1].asked)
    assert all(a != b for a, b in zip(prompts[0].texts, prompts[1].texts, strict=True))


def test_distractors_are_misspelled_if_their_caption_is():
    """Otherwise, a misspelling would tell a model that a caption is right."""
    scenes = Scenes(8, wordings=8, count=200, misspelled=0.5)
    for entry in scenes.captions(scenes.scenes())["annotations"]:
        texts = (entry["caption"], *entry["distractors"])
        wrong = [any(correct(word) != word for word in re.findall(r"\w+", text)) for text in texts]
        assert len(set(wrong)) == 1
