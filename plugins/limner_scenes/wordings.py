"""How captions are worded: their sentence forms, the forms that no training caption has, and synonyms."""

from dataclasses import dataclass
from random import Random

#: Sentence forms for one object and for two. {front} is "on a white background, ", {background}
#: " on a white background" and {clause} ", and the background is white", or all are empty if the
#: background is not mentioned. {a} and {b} are objects with their article, {an} is "a" or "an".
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
        "{an} {color} {shape} that is {size}{background}",
        "there is {an} {color} {shape} which is {size}{background}",
        "the {shape} is {color} and {size}{background}",
        "{front}we see {a}",
        "the picture shows {a}{background}",
        "an image of {a}{background}",
        "here is {a}{clause}",
        "{a} can be seen{background}",
        "one {size} {color} {shape}{background}",
        "{front}a single {size} {color} {shape}",
        "one shape: {a}{background}",
        "only {a}{background}",
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
        "{a} that is {relation} {b}{background}",
        "{b} which has {a} {relation} it{background}",
        "the {color_a} {shape_a} is {relation} the {color_b} {shape_b}{background}",
        "{front}we see {b} with {a} {relation} it",
        "the picture shows {a} {relation} {b}{background}",
        "an image of {a} which is {relation} {b}{background}",
        "here is {a} {relation} {b}{clause}",
        "{a} can be seen {relation} {b}{background}",
        "there is {b} with {a} {relation} it{background}",
        "{b} has {a} {relation} it{background}",
        "two shapes: {b} and {relation} it {a}{background}",
        "two shapes, {a} {relation} {b}{background}",
    ),
}
WORDINGS = len(FORMS[1])
#: The first sentence forms, which use the usual words only.
USUAL_WORDINGS = 8

#: The form that takes the place of another one if both objects have the same shape; {shapes} is its plural.
EQUAL_SHAPES = {FORMS[2][-1]: "two {shapes}, the {color_a} one {relation} the {color_b} one{background}"}

#: Forms that no training caption has, made of words that occur in the usual forms: does a model understand a
#: sentence, or only the forms that it has seen?
HELD_OUT_FORMS = {
    1: (
        "shown is {a}{background}",
        "there is {a} one can see{background}",
        "there, one can see {a}{background}",
        "a picture of just {a}{background}",
    ),
    2: (
        "{a} is {relation} {b}{background}",
        "{relation} {b} there is {a}{background}",
        "with {a} {relation} it, there is {b}{background}",
        "{b}, {a} {relation} it{background}",
    ),
}
ALL_FORMS = {objects: FORMS[objects] + HELD_OUT_FORMS[objects] for objects in FORMS}


@dataclass(frozen=True)
class Synonyms:
    """Words that mean the same: the `usual` ones, of which the first is the plain one, and `more`."""

    usual: tuple[str, ...]
    more: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """The usual words, and more."""
        return self.usual + self.more

    def pick(self, index: int, more: bool) -> str:
        """The word at `index`, modulo their number, among the usual ones or all."""
        words = self.all if more else self.usual
        return words[index % len(words)]


#: The index of a relation is axis * 2 + flipped.
RELATION_WORDS = (
    Synonyms(("to the left of", "on the left of", "left of"), ("at the left of", "further left than")),
    Synonyms(("to the right of", "on the right of", "right of"), ("at the right of", "further right than")),
    Synonyms(("above", "over", "on top of"), ("atop", "higher than")),
    Synonyms(("below", "under", "beneath"), ("underneath", "lower than")),
)
#: In the order of ``SHAPES`` and of ``SIZES``.
SHAPE_WORDS = (
    Synonyms(("circle", "disk"), ("dot", "round shape")),
    Synonyms(("square",), ("box", "block")),
    Synonyms(("triangle",), ("triangle shape",)),
    Synonyms(("star",), ("star shape",)),
    Synonyms(("heart",), ("heart shape",)),
    Synonyms(("cross", "plus sign"), ("plus", "plus shape")),
)
SIZE_WORDS = (Synonyms(("small", "little"), ("tiny",)), Synonyms(("large", "big"), ("huge",)))
BACKGROUND_PHRASES = Synonyms(
    ("on a {} background", "against a {} background"),
    ("with a {} background", "on a {} backdrop", "against a {} backdrop", "before a {} backdrop"),
)
BACKGROUND_CLAUSE = "and the background is {}"


def plural(noun: str) -> str:
    """The plural of a shape's name."""
    return f"{noun}es" if noun[-1] in "sx" else f"{noun}s"


@dataclass(frozen=True)
class Wording:
    """How a caption is worded.

    Attributes:
        form: index into the sentence forms; those from ``WORDINGS`` on are the held-out ones.
        flipped: whether the second (right or lower) of two objects is named first: "b below a" for "a above b".
        relation, shape, size, background: index of the synonym, modulo the number of synonyms that a word has.
        more: whether synonyms beyond the usual ones count.
        sentence: whether the caption starts with a capital and ends with a period.
    """

    form: int = 0
    flipped: bool = False
    relation: int = 0
    shape: int = 0
    size: int = 0
    background: int = 0
    more: bool = False
    sentence: bool = False


def draw_wording(random: Random, wordings: int = 1, *, held_out: bool = False) -> Wording:
    """A random wording among the first `wordings` sentence forms (1 to ``WORDINGS``), or among the held-out ones.

    With one form, there are no synonyms; with up to eight, the usual ones; with more, all of them, and half of the
    captions have a capital and a period. Either object can come first in any case.
    """
    flipped = random.random() < 0.5
    if wordings == 1 and not held_out:
        return Wording(flipped=flipped)
    form = WORDINGS + random.randrange(len(HELD_OUT_FORMS[1])) if held_out else random.randrange(wordings)
    if wordings == 1:
        return Wording(form, flipped)
    more = wordings > USUAL_WORDINGS
    # The numbers of synonyms divide the range, so that all are equally likely.
    synonyms = [random.randrange(60 if more else 6) for _ in range(4)]
    return Wording(form, flipped, *synonyms, more=more, sentence=more and random.random() < 0.5)
