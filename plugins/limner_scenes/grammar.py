"""Captions of scenes, wrong captions that resemble them, and parsing of prompts.

A caption is made from what it asks for (a row of facts, see `scenes`) and a `Wording`: which sentence form, which of
two objects comes first, and which synonyms. The first wording is the plain one:

    a red circle above a blue square on a white background
    a small red circle on a white background
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from .scenes import ANY, BACKGROUNDS, COLORS, COLUMNS, HELD_OUT, SHAPES, SIZES

#: Sentence forms for one object and for two. {front} is "on a white background, " and {background}
#: " on a white background", or both are empty if the background is not mentioned.
FORMS = {
    1: (
        "{a}{background}",
        "there is {a}{background}",
        "{front}{a}",
        "a picture of {a}{background}",
        "{front}there is {a}",
        "{a} is shown{background}",
        "just {a}{background}",
        "{front}one can see {a}",
    ),
    2: (
        "{a} {relation} {b}{background}",
        "there is {a} {relation} {b}{background}",
        "{front}{a} {relation} {b}",
        "a picture of {a} {relation} {b}{background}",
        "{front}there is {a} {relation} {b}",
        "{b} with {a} {relation} it{background}",
        "{relation} {b} is {a}{background}",
        "{front}{b} and, {relation} it, {a}",
    ),
}
WORDINGS = len(FORMS[1])

#: Synonyms; the first one is the plain word. The index of a relation is axis * 2 + flipped.
RELATION_WORDS = (
    ("to the left of", "on the left of", "left of"),
    ("to the right of", "on the right of", "right of"),
    ("above", "over", "on top of"),
    ("below", "under", "beneath"),
)
SHAPE_WORDS = tuple((name, *{"circle": ("disk",), "cross": ("plus sign",)}.get(name, ())) for name in SHAPES)
SIZE_WORDS = (("small", "little"), ("large", "big"))
BACKGROUND_WORDS = ("on", "against")


@dataclass(frozen=True)
class Wording:
    """How a caption is worded.

    Attributes:
        form: index into the sentence forms.
        flipped: whether the second (right or lower) of two objects is named first: "b below a" for "a above b".
        relation, shape, size, background: index of the synonym, modulo the number of synonyms that a word has.
    """

    form: int = 0
    flipped: bool = False
    relation: int = 0
    shape: int = 0
    size: int = 0
    background: int = 0


def draw_wording(random: Random, wordings: int = 1) -> Wording:
    """A random wording among the first `wordings` sentence forms (1 to ``WORDINGS``).

    With one form, there are no synonyms. Either object can come first in any case.
    """
    flipped = random.random() < 0.5
    if wordings == 1:
        return Wording(flipped=flipped)
    return Wording(random.randrange(wordings), flipped, *(random.randrange(6) for _ in range(4)))


def caption(asked: Sequence[int], wording: Wording) -> str:
    """The caption that asks for exactly `asked` (4 or 6 integers; only the background can be ``ANY``)."""
    parts = {"front": "", "background": ""}
    if asked[-1] != ANY:
        preposition = BACKGROUND_WORDS[wording.background % len(BACKGROUND_WORDS)]
        place = f"{preposition} a {BACKGROUNDS[asked[-1]]} background"
        parts = {"front": f"{place}, ", "background": f" {place}"}
    if len(asked) == len(COLUMNS[1]):
        sizes = SIZE_WORDS[asked[0]]
        parts["a"] = f"a {sizes[wording.size % len(sizes)]} {_object(asked[1], asked[2], wording)}"
        return FORMS[1][wording.form].format(**parts)
    relations = RELATION_WORDS[2 * asked[0] + wording.flipped]
    parts["relation"] = relations[wording.relation % len(relations)]
    named = [_with_article(_object(asked[i], asked[i + 1], wording)) for i in (1, 3)]
    parts["a"], parts["b"] = reversed(named) if wording.flipped else named
    return FORMS[2][wording.form].format(**parts)


def _object(color: int, shape: int, wording: Wording) -> str:
    words = SHAPE_WORDS[shape]
    return f"{COLORS[color]} {words[wording.shape % len(words)]}"


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def distractors(asked: Sequence[int], wording: Wording, random: Random, count: int = 4) -> list[str]:
    """Wrong captions in the same wording. None of them is true of an image of which `asked` is true.

    For two objects: the objects exchanged (the same words, with the relation reversed), the colors exchanged, the
    shapes exchanged (if that changes anything), then single words replaced. For one object: single words replaced. A
    wrong caption never introduces a held-out pair, or a model in training would learn that such a pair is always wrong.

    The first one is the only caption that a model cannot reject by its colors and shapes.
    """
    exchanges: list[Sequence[int]] = []
    if len(asked) == len(COLUMNS[2]):
        axis, color_1, shape_1, color_2, shape_2, background = asked
        exchanges = [
            (axis, color_2, shape_2, color_1, shape_1, background),
            (axis, color_2, shape_1, color_1, shape_2, background),
            (axis, color_1, shape_2, color_2, shape_1, background),
        ]
    true, found = caption(asked, wording), dict[str, None]()
    while len(found) < count:
        changed, its_wording = (exchanges.pop(0), wording) if exchanges else _change_one_word(asked, wording, random)
        wrong = caption(changed, its_wording)
        if wrong != true and not _held_out_pairs(changed) - _held_out_pairs(asked):
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
    values = {**vars(wording), "flipped": bool(flipped)}
    return [axis, *objects, asked[-1]], Wording(**values)


def _held_out_pairs(asked: Sequence[int]) -> set[tuple[str, str]]:
    pairs = {(COLORS[color], SHAPES[shape]) for color, shape in zip(asked[1:-1:2], asked[2:-1:2], strict=True)}
    return pairs & set(HELD_OUT)


def parse(prompt: str) -> list[int] | None:
    """What a prompt asks for, in canonical order, or None if it is not a sentence of this grammar.

    Every caption that `caption` makes can be parsed. Capitals and a final period do not matter.
    """
    text = " ".join(prompt.lower().split()).removesuffix(".")
    for objects in FORMS:
        for pattern in _patterns(objects):
            if match := pattern.fullmatch(text):
                return _asked(match.groupdict(), objects)
    return None


def _asked(words: dict[str, str | None], objects: int) -> list[int]:
    def index(slot: str, choices: Sequence[Sequence[str]]) -> int:
        return next((i for i, synonyms in enumerate(choices) if words.get(slot) in synonyms), ANY)

    plain_colors, plain_backgrounds = [[color] for color in COLORS], [[name] for name in BACKGROUNDS]
    background = max(index("front", plain_backgrounds), index("background", plain_backgrounds))
    a = [index("color_a", plain_colors), index("shape_a", SHAPE_WORDS)]
    if objects == 1:
        return [index("size", SIZE_WORDS), *a, background]
    b = [index("color_b", plain_colors), index("shape_b", SHAPE_WORDS)]
    axis, flipped = divmod(index("relation", RELATION_WORDS), 2)
    return [axis, *b, *a, background] if flipped else [axis, *a, *b, background]


@cache
def _patterns(objects: int) -> list[re.Pattern[str]]:
    """The sentence forms as regular expressions, with a named group for each word that can vary."""

    def group(name: str, words: Sequence[str]) -> str:
        return f"(?P<{name}>{'|'.join(words)})"

    def flat(synonyms: Sequence[Sequence[str]]) -> list[str]:
        return [word for words in synonyms for word in words]

    def background(name: str) -> str:
        return f"(?:{'|'.join(BACKGROUND_WORDS)}) a {group(name, BACKGROUNDS)} background"

    def noun(name: str) -> str:
        return f"{group(f'color_{name}', COLORS)} {group(f'shape_{name}', flat(SHAPE_WORDS))}"

    size = f"{group('size', flat(SIZE_WORDS))} " if objects == 1 else ""
    slots = {
        "front": f"(?:{background('front')}, )?",
        "background": f"(?: {background('background')})?",
        "relation": group("relation", flat(RELATION_WORDS)),
        "a": f"an? {size}{noun('a')}",
        "b": f"an? {noun('b')}",
    }
    return [re.compile(form.format(**slots)) for form in FORMS[objects]]
