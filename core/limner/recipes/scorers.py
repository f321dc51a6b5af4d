"""Which of a model's losses scores images."""

from collections.abc import Mapping

from limner.errors import LimnerError, nearest
from limner.interfaces import Loss

SORTS = {"matching": False, "caption": True}  # sorts of losses that score images: whether they read them into words


def scorer(losses: Mapping[str, Loss], by: str | None, place: str = "by") -> Loss:
    """The loss that scores images: of that name, of that sort, or the first that can.

    Raises:
        LimnerError: where there is none; `place` is where it was asked for.
    """
    able = {name: loss for name, loss in losses.items() if type(loss).score is not Loss.score}
    if not able:
        raise LimnerError(
            f"{place}: no loss of this model can score images; train one with sentence-contrast or cycle."
        )
    if by in SORTS and by not in able:
        sort = [loss for loss in able.values() if (type(loss).read is not Loss.read) == SORTS[by]]
        if not sort:
            needed = (
                "a captioner, the loss 'cycle'" if SORTS[by] else "a contrast, such as the loss 'sentence-contrast'"
            )
            raise LimnerError(f"{place}: this model cannot score images by '{by}'; train one with {needed}.")
        return sort[0]
    if by is not None and by not in able:
        there = ", ".join([*SORTS, *able])
        raise LimnerError(
            f"{place}: this model has no '{by}' that scores images{nearest(by, [*SORTS, *able])}; there is {there}."
        )
    return able[by or next(iter(able))]
