"""Captions of scenes, and wrong captions that resemble them.

A caption is made from what it asks for (a row of facts, see `scenes`) and a `Wording` (see `wordings`): which sentence
form, which of two objects comes first, and which synonyms. The first wording is the plain one:

    a red circle above a blue square on a white background
    a small red circle on a white background
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random

from .scenes import ANY, BACKGROUNDS, COLORS, COLUMNS, HELD_OUT, SHAPES, SIZES
from .wordings import (
    ALL_FORMS,
    BACKGROUND_CLAUSE,
    BACKGROUND_PHRASES,
    EQUAL_SHAPES,
    RELATION_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    Wording,
    plural,
)

HELD_OUT_INDICES = {(COLORS.index(color), SHAPES.index(shape)) for color, shape in HELD_OUT}


def caption(asked: Sequence[int], wording: Wording) -> str:
    """The caption that asks for exactly `asked` (4 or 6 integers; only the background can be ``ANY``)."""
    objects = 1 if len(asked) == len(COLUMNS[1]) else 2
    slots = _describe_one(asked, wording) if objects == 1 else _describe_two(asked, wording)
    form = ALL_FORMS[objects][wording.form]
    if objects == 2 and asked[2] == asked[4]:
        form = EQUAL_SHAPES.get(form, form)
    text = form.format(**slots, **_describe_background(asked[-1], wording.background, wording.more))
    return f"{text[0].upper()}{text[1:]}." if wording.sentence else text


def _describe_one(asked: Sequence[int], wording: Wording) -> dict[str, str]:
    size = SIZE_WORDS[asked[0]].pick(wording.size, wording.more)
    article, color, shape = _object(asked[1], asked[2], wording.shape, wording.more)
    return {"a": f"a {size} {color} {shape}", "an": article, "size": size, "color": color, "shape": shape}


def _describe_two(asked: Sequence[int], wording: Wording) -> dict[str, str]:
    one = _object(asked[1], asked[2], wording.shape, wording.more)
    other = _object(asked[3], asked[4], wording.shape, wording.more)
    if wording.flipped:
        one, other = other, one
    return {
        "relation": RELATION_WORDS[2 * asked[0] + wording.flipped].pick(wording.relation, wording.more),
        **{"a": " ".join(one), "color_a": one[1], "shape_a": one[2], "shapes": plural(one[2])},
        **{"b": " ".join(other), "color_b": other[1], "shape_b": other[2]},
    }


@cache
def _describe_background(background: int, synonym: int, more: bool) -> dict[str, str]:
    if background == ANY:
        return {"front": "", "background": "", "clause": ""}
    color = BACKGROUNDS[background]
    place = BACKGROUND_PHRASES.pick(synonym, more).format(color)
    return {"front": f"{place}, ", "background": f" {place}", "clause": f", {BACKGROUND_CLAUSE.format(color)}"}


@cache
def _object(color: int, shape: int, synonym: int, more: bool) -> tuple[str, str, str]:
    """Article, color and shape in words."""
    words = COLORS[color], SHAPE_WORDS[shape].pick(synonym, more)
    return "an" if words[0][0] in "aeiou" else "a", *words


def distractors(asked: Sequence[int], wording: Wording, random: Random, count: int = 4) -> list[str]:
    """Wrong captions in the same wording. None of them is true of an image of which `asked` is true.

    For two objects: the objects exchanged (the same words, with the relation reversed), the colors exchanged, the
    shapes exchanged (if that changes anything), then single words replaced. For one object: two with other shapes,
    since outlines take longest to learn, then single words replaced. A wrong caption never introduces a held-out pair,
    or a model in training would learn that such a pair is always wrong.

    The first one for two objects is the only caption that a model cannot reject by its colors and shapes.
    """
    exchanges: list[Sequence[int]] = []
    if len(asked) == len(COLUMNS[2]):
        axis, color_1, shape_1, color_2, shape_2, background = asked
        exchanges = [
            (axis, color_2, shape_2, color_1, shape_1, background),
            (axis, color_2, shape_1, color_1, shape_2, background),
            (axis, color_1, shape_2, color_2, shape_1, background),
        ]
    else:
        others = random.sample([shape for shape in range(len(SHAPES)) if shape != asked[2]], 2)
        exchanges = [(*asked[:2], shape, asked[-1]) for shape in others]
    true, allowed, found = caption(asked, wording), _held_out_pairs(asked), dict[str, None]()
    while len(found) < count:
        changed, its_wording = (exchanges.pop(0), wording) if exchanges else _change_one_word(asked, wording, random)
        wrong = caption(changed, its_wording)
        if wrong != true and _held_out_pairs(changed) <= allowed:
            found[wrong] = None
    return list(found)


def _change_one_word(asked: Sequence[int], wording: Wording, random: Random) -> tuple[Sequence[int], Wording]:
    names = COLUMNS[1] if len(asked) == len(COLUMNS[1]) else COLUMNS[2]
    column = random.choice([i for i, value in enumerate(asked) if value != ANY])
    if names[column] == "axis":
        return _change_relation(asked, wording, random)
    choices = {"size": SIZES, "color": COLORS, "shape": SHAPES, "background": BACKGROUNDS}[names[column]]
    taken = asked[1:-1:2] if names[column] == "color" else (asked[column],)  # two objects never share a color
    changed = list(asked)
    changed[column] = random.choice([value for value in range(len(choices)) if value not in taken])
    return changed, wording


def _change_relation(asked: Sequence[int], wording: Wording, random: Random) -> tuple[Sequence[int], Wording]:
    relation = (2 * asked[0] + wording.flipped + random.randint(1, 3)) % 4
    axis, flipped = divmod(relation, 2)
    objects = asked[1:-1]
    if flipped != wording.flipped:  # the object named first stays first, and now is the other one along the axis
        objects = [*objects[2:], *objects[:2]]
    return [axis, *objects, asked[-1]], replace(wording, flipped=bool(flipped))


def _held_out_pairs(asked: Sequence[int]) -> set[tuple[int, int]]:
    """The held-out pairs that a caption names, as indices of color and shape."""
    return HELD_OUT_INDICES.intersection(zip(asked[1:-1:2], asked[2:-1:2], strict=True))
