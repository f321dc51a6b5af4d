"""What a sentence of NLVR claims about an image: a test of its items, for the forms of sentences that can be parsed.

Each sentence is first brought into one wording, then taken apart:

    claim      QUANTITY boxes with CONDITION     there are 2 towers with a black block at the base
               QUANTITY items [PLACE]            there is exactly one black triangle not touching any edge
               QUANTITY items above items        there is a yellow block above a blue block
    condition  conditions joined by "and"        a black block at the top and a yellow block at the base
               QUANTITY items [PLACE]            at least two blue items
               colors                            items of only yellow color, blocks of all 3 colors
               items above items                 a blue block over a blue block

A plain number means exactly as many, and "a" at least one: this agrees best with how people labeled the sentences. A
sentence of any other form has no claim, because a wrong test would be worse than none.
"""

import re
from collections.abc import Callable
from itertools import groupby, pairwise

from .nlvr_items import Boxes, Item

Claim = Callable[[Boxes], bool]
"""Whether a sentence is true of an image with these items."""
Condition = Callable[[list[Item]], bool]
"""Whether something is true of a box."""
Quantity = Callable[[int], bool]
"""Whether a number is the one that is meant."""
Selection = Callable[[Item, list[Item]], bool]
"""Whether an item of a box is meant."""

TOUCHING = 1.5
"""An item this close to a side touches it, in units of which a box has 100. Items are 0, 1, 2, ... units from it."""

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven")
WORDINGS = (
    (r"[.]", ""),
    (r"\b(?:t |at ?|t)?least\b", "at least"),
    (r"^ll\b", "all"),
    (r"\bsquere\b", "square"),
    (r"\btraingle\b", "triangle"),
    (r"\bcirlce\b", "circle"),
    (r"\bblccks\b", "block"),
    (r"\bbule\b", "blue"),
    (r"\bablue\b", "a blue"),
    (r"\bbellow\b|\bunder\b", "below"),
    (r"\bcolou?rs?\b", "color"),
    (r"\bboxes\b", "box"),
    (r"\bgrey (?:box|square)\b", "box"),
    (r"\bobject", "item"),
    (r"\b(block|item|square|circle|triangle|tower|base|black)s\b", r"\1"),
    *((rf"(?<!yellow )(?<!blue )(?<!black )\b{word}\b", str(number)) for number, word in enumerate(NUMBERS, 1)),
    (r"\b(?:wall|side|edge)\b", "edge"),
    (r"\bbottom\b", "base"),
    (r"\bbase edge\b", "base"),
    (r"\bbox corner\b|\bcorner of a box\b", "corner"),
    (r"\b(?:the|any|an?) (edge|corner|base|top|right)\b", r"\1"),
    (r"\b(edge|base) of a box\b", r"\1"),
    (r"\b(?:over|on|on top of) (?=an? (?:yellow|blue|black) block)", "above "),
    (r"\b(?:that|which) (?:is|are)\b|\bclosely\b|\bin it$", ""),
    (r"(?:\b(?:that|which|than) )?\b(?:has|have|having|contains?|with)\b", "with"),
    (r"^there +(?:is|are) ", ""),
    (r"^the tower\b", "a tower"),
    (r"\b(\d) +block +tower(?: +with)?", r"tower with \1 block with"),
)
"""Misspellings, synonyms, plurals and number words, and what replaces them."""

COLOR = r"(?:yellow|blue|black)"
COLORS = rf"{COLOR}(?:(?:, | and ){COLOR})*"
NOUN = r"(?:block|item|square|circle|triangle|one)"
AMOUNT = r"(?:exactly |only |at least |at most |more than )?(?:only )?(?:\d|an?|no)"
ITEMS = rf"(?:(?:small )?{COLOR}(?: or {COLOR})*(?: {NOUN})?|(?:small )?{NOUN})"
PLACE = r"(?:not )?(?:touching (?:right edge|edge|corner|base)|(?:at|on|as) (?:top|base))"
STACK = (
    rf"(?P<upper>{COLOR}) block above an? (?P<lower>{COLOR}) block",
    rf"(?P<lower>{COLOR}) block below an? (?P<upper>{COLOR}) block",
)


def parse_claim(sentence: str) -> Claim | None:
    """The claim of a sentence, or None if it has a form that cannot be parsed."""
    text = in_one_wording(sentence)
    for pattern, make in CLAIMS:
        if (found := re.fullmatch(pattern, text)) and (claim := make(**found.groupdict())):
            return claim
    return None


def in_one_wording(sentence: str) -> str:
    """A sentence in the wording that the patterns of this module expect."""
    text = sentence.lower().strip()
    for pattern, wording in WORDINGS:
        text = re.sub(pattern, wording, text)
    return " ".join(text.split()).removesuffix(" with")


# --- quantities, items, places --------------------------------------------------------------------------------------


def _quantity(text: str) -> Quantity:
    number = text.split()[-1]
    asked = int(number) if number.isdigit() else {"no": 0, "a": 1, "an": 1}[number]
    if "more than" in text:
        return lambda count: count > asked
    if "at most" in text:
        return lambda count: count <= asked
    if "at least" in text or text in ("a", "an"):
        return lambda count: count >= asked
    return lambda count: count == asked


def _number_of(items: str, place: str | None) -> Callable[[list[Item]], int]:
    """How many of such items, such as "yellow circle", a box has at a place, such as "touching edge"."""
    words = items.split()
    colors, shapes = set(words) & {"yellow", "blue", "black"}, set(words) & {"square", "circle", "triangle"}
    there = _place(place)

    def meant(item: Item, box: list[Item]) -> bool:
        looks = (not colors or item.color in colors) and (not shapes or item.shape in shapes)
        return looks and ("small" not in words or item.size == 10) and there(item, box)

    return lambda box: sum(meant(item, box) for item in box)


def _place(text: str | None) -> Selection:
    if text is None:
        return lambda item, box: True
    place = text.removeprefix("not ")

    def there(item: Item, box: list[Item]) -> bool:
        left, top = item.left < TOUCHING, item.top < TOUCHING
        right, base = item.left + item.size > 100 - TOUCHING, item.top + item.size > 100 - TOUCHING
        heights = [other.top for other in box]
        return {
            "touching edge": left or right or top or base,
            "touching right edge": right,
            "touching corner": (left or right) and (top or base),
            "touching base": base,
            "top": item.top == min(heights),
            "base": item.top == max(heights),
        }[place if place.startswith("touching") else place.split()[-1]]

    return there if place == text else lambda item, box: not there(item, box)


def _pairs(box: list[Item], upper: str, lower: str) -> int:
    """How many items of one color lie directly above one of another color, in a stack."""
    stack = sorted(box, key=lambda item: item.top)
    return sum((one.color, other.color) == (upper, lower) for one, other in pairwise(stack))


# --- conditions of a box --------------------------------------------------------------------------------------------


def _condition(text: str) -> Condition | None:
    for pattern, make in CONDITIONS:
        if found := re.fullmatch(pattern, text):
            return make(**found.groupdict())
    for joint in re.finditer(r",? and |, | with ", text):
        first, second = _condition(text[: joint.start()]), _condition(text[joint.end() :])
        if first and second:
            return lambda box, first=first, second=second: first(box) and second(box)
    return None


def _has_items(items: str, place: str | None = None, amount: str | None = None) -> Condition:
    enough, count = _quantity(amount or "a"), _number_of(items, place)
    return lambda box: enough(count(box))


def _has_end(items: str, place: str) -> Condition:
    return _has_items(items, f"at {place}")


def _has_only(colors: str) -> Condition:
    named = set(re.findall(COLOR, colors))
    return lambda box: {item.color for item in box} == named


def _has_colors(number: str, amount: str | None = None) -> Condition:
    enough = _quantity(amount) if amount else lambda count: True
    return lambda box: len({item.color for item in box}) == int(number) and enough(len(box))


def _has_stack(amount: str, upper: str, lower: str) -> Condition:
    enough = _quantity(amount)
    return lambda box: enough(_pairs(box, upper, lower))


def _has_row(amount: str, color: str) -> Condition:
    enough = _quantity(amount)

    def condition(box: list[Item]) -> bool:
        colors = [item.color for item in sorted(box, key=lambda item: item.top)]
        return enough(max((len(list(row)) for name, row in groupby(colors) if name == color), default=0))

    return condition


CONDITIONS: tuple[tuple[str, Callable[..., Condition]], ...] = (
    (rf"(?:(?P<amount>{AMOUNT}) )?(?P<items>{ITEMS})(?: (?P<place>{PLACE}))?", _has_items),
    (rf"an? (?P<items>{COLOR}) (?P<place>base|top)", _has_end),
    (rf"only (?P<colors>{COLORS}) (?:item|block)", _has_only),
    (rf"(?:item|block) of (?:only )?(?P<colors>{COLORS})(?: color)?(?: only)?", _has_only),
    (rf"(?:(?P<amount>{AMOUNT}) )?(?:item|block) of (?:only |all )?(?P<number>\d)(?: different)? color", _has_colors),
    (r"all (?P<number>3)(?: different)? color", _has_colors),
    *((rf"(?P<amount>{AMOUNT}) {stack}", _has_stack) for stack in STACK),
    (rf"(?P<amount>{AMOUNT}) (?P<color>{COLOR}) block stacked together", _has_row),
)


# --- claims about an image ------------------------------------------------------------------------------------------


def _items_are(amount: str, items: str, place: str | None = None) -> Claim:
    enough, count = _quantity(amount), _number_of(items, place)
    return lambda boxes: enough(sum(count(box) for box in boxes))


def _no_items_are(items: str, place: str) -> Claim:
    return _items_are("no", items, place)


def _pairs_are(amount: str, upper: str, lower: str) -> Claim:
    enough = _quantity(amount)
    return lambda boxes: enough(sum(_pairs(box, upper, lower) for box in boxes))


def _boxes_have(amount: str, condition: str | None, color: str | None = None) -> Claim | None:
    enough, test = _quantity(amount), _condition(condition) if condition else lambda box: True
    colors = {color} if color else set(re.findall(COLOR, COLORS))
    if test is None:
        return None
    return lambda boxes: enough(sum(bool(box) and test(box) and {i.color for i in box} <= colors for box in boxes))


def _all_boxes_have(condition: str) -> Claim | None:
    test = _condition(condition)
    return None if test is None else lambda boxes: all(test(box) for box in boxes)


def _ends_are(items: str, place: str, condition: str | None = None, amount: str = "a") -> Claim | None:
    enough, test = _quantity(amount), _condition(condition) if condition else lambda box: True
    count = _number_of(items, f"at {place}")
    return None if test is None else lambda boxes: enough(sum(count(box) for box in boxes if test(box)))


CLAIMS: tuple[tuple[str, Callable[..., Claim | None]], ...] = (
    (rf"none of the (?P<items>{ITEMS}) (?:is|are) (?P<place>{PLACE})", _no_items_are),
    (rf"(?P<amount>{AMOUNT}) (?P<items>{ITEMS})(?: (?:is |are )?(?P<place>{PLACE}))?", _items_are),
    *((rf"(?P<amount>{AMOUNT}) {stack}", _pairs_are) for stack in STACK),
    (rf"(?P<amount>{AMOUNT}) (?:of the )?(?:3 )?(?:tower|box) with (?P<condition>.+)", _boxes_have),
    (rf"(?P<amount>{AMOUNT}) (?P<color>{COLOR}) tower(?: with (?P<condition>.+))?", _boxes_have),
    (r"(?:each|all)(?: 3)? (?:tower|box) with (?P<condition>.+)", _all_boxes_have),
    (r"(?P<condition>.+) in each box", _all_boxes_have),
    (
        rf"(?P<amount>{AMOUNT}) (?P<items>{ITEMS}) as (?P<place>top|base) of a tower(?: with (?P<condition>.+))?",
        _ends_are,
    ),
    (
        rf"(?P<place>top|base) of (?:the |a )?tower(?: with (?P<condition>\d block) with)? is (?P<items>{COLOR})",
        _ends_are,
    ),
)
