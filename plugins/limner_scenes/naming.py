"""What a prompt asks for, and what the judge reads in an image, in words and side by side."""

from collections.abc import Sequence

from .judge import NONE, Readings
from .scenes import ANY, BACKGROUNDS, COLORS, COLUMNS, SHAPES

UNREADABLE = "unclear"


def in_words(readings: Readings, asked: Sequence[int]) -> list[tuple[str, str, str]]:
    """(attribute, asked, shown) for the color and the shape of each object, and for the background.

    Objects are matched as `judge.score` does it: by their order along the axis that is asked for, or in the opposite
    order if that fits more colors and shapes. What is not asked for is left out.

    Args:
        readings: of one image.
        asked: a row of facts.
    """
    seen = list(zip(readings.colors[0].tolist(), readings.shapes[0].tolist()))
    wanted = [tuple(asked[1:3])]
    if len(asked) == len(COLUMNS[2]):
        wanted.append(tuple(asked[3:5]))
        axis = max(asked[0], 0)
        first, second = readings.centers[0, :, axis].tolist()
        straight, opposite = (seen, seen[::-1]) if second >= first else (seen[::-1], seen)
        seen = opposite if _agreeing(opposite, wanted) > _agreeing(straight, wanted) else straight
    found = []
    for (color, shape), (seen_color, seen_shape) in zip(wanted, seen):
        found += [("color", *_words(COLORS, color, seen_color)), ("shape", *_words(SHAPES, shape, seen_shape))]
    found.append(("background", *_words(BACKGROUNDS, asked[-1], int(readings.backgrounds[0]))))
    return [told for told in found if told[1]]


def _agreeing(seen: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, ...]]) -> int:
    """How many colors and shapes are as asked; what is not asked for counts as shown."""
    return sum(other in (ANY, one) for pair, asked in zip(seen, wanted) for one, other in zip(pair, asked))


def _words(names: Sequence[str], asked: int, shown: int) -> tuple[str, str]:
    """The names of what is asked for, empty if it is not, and of what is shown."""
    return "" if asked == ANY else names[asked], UNREADABLE if shown == NONE else names[shown]
