"""From a prompt back to what it asks for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from .scenes import ANY, BACKGROUNDS, COLORS
from .spelling import correct
from .wordings import (
    ALL_FORMS,
    BACKGROUND_CLAUSE,
    BACKGROUND_PHRASES,
    EQUAL_SHAPES,
    RELATION_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    Synonyms,
    plural,
)


def _indices(choices: Sequence[Synonyms]) -> dict[str, int]:
    return {word: i for i, synonyms in enumerate(choices) for word in synonyms.all}


PUNCTUATION = re.compile("[.,:]")
#: The words that can take each slot of a sentence form, and what they stand for.
SLOTS: dict[str, dict[str, int]] = {
    "background": {name: i for i, name in enumerate(BACKGROUNDS)},
    "size": _indices(SIZE_WORDS),
    "relation": _indices(RELATION_WORDS),
    **{slot: {name: i for i, name in enumerate(COLORS)} for slot in ("color", "color_a", "color_b")},
    **{slot: _indices(SHAPE_WORDS) for slot in ("shape", "shape_a", "shape_b")},
    "shapes": {plural(word): i for word, i in _indices(SHAPE_WORDS).items()},
}


def parse(prompt: str) -> list[int] | None:
    """What a prompt asks for, in canonical order, or None if it is not a sentence of the grammar.

    Every caption that `caption` makes can be parsed. Capitals, periods, commas, colons and the misspellings of
    `spelling` do not matter.
    """
    return next(meanings(prompt), None)


def meanings(prompt: str) -> Iterator[list[int]]:
    """What a prompt asks for according to each sentence form that it fits; all of them agree."""
    text = " ".join(map(correct, PUNCTUATION.sub(" ", prompt.lower()).split()))
    for objects in ALL_FORMS:
        for pattern in _patterns(objects):
            if match := pattern.fullmatch(text):
                yield _asked({slot: SLOTS[slot][word] for slot, word in match.groupdict().items() if word})


def _asked(found: Mapping[str, int]) -> list[int]:
    background = found.get("background", ANY)
    if "size" in found:
        return [found["size"], found["color"], found["shape"], background]
    a, b = ([found[f"color_{name}"], found["shapes" if "shapes" in found else f"shape_{name}"]] for name in "ab")
    axis, flipped = divmod(found["relation"], 2)
    return [axis, *b, *a, background] if flipped else [axis, *a, *b, background]


@cache
def _patterns(objects: int) -> list[re.Pattern[str]]:
    """The sentence forms as regular expressions, with a named group for each word that can vary."""
    groups = {slot: f"(?P<{slot}>{'|'.join(words)})" for slot, words in SLOTS.items()}
    prepositions, nouns = zip(*(phrase.split(" a {} ") for phrase in BACKGROUND_PHRASES.all), strict=True)
    place = f"(?:{'|'.join(prepositions)}) a {groups['background']} (?:{'|'.join(nouns)})"
    a, b = ("{size} {color} {shape}", "") if objects == 1 else ("{color_a} {shape_a}", "{color_b} {shape_b}")
    slots = {
        **groups,
        "front": f"(?:{place} )?",
        "background": f"(?: {place})?",
        "clause": f"(?: {BACKGROUND_CLAUSE.format(groups['background'])})?",
        "an": "an?",
        "a": f"an? {a.format(**groups)}",
        "b": f"an? {b.format(**groups)}",
    }
    forms = ALL_FORMS[objects] + (tuple(EQUAL_SHAPES.values()) if objects == 2 else ())
    return [re.compile(PUNCTUATION.sub("", form).format(**slots)) for form in forms]
