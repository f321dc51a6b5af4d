"""Which of a model's losses scores images, and which components have an ability that a model lacks."""

from collections.abc import Callable, Mapping

from limner.errors import LimnerError, nearest
from limner.interfaces import Loss
from limner.plugins import PluginHost

SORTS = {"matching": False, "caption": True}
"""Sorts of losses that score images, and whether they also caption them."""


def can_score(loss: type[Loss]) -> bool:
    """Whether a class of losses scores how well an image fits a caption."""
    return loss.score is not Loss.score


def can_caption(loss: type[Loss]) -> bool:
    """Whether a class of losses captions images."""
    return loss.read is not Loss.read


def pick_scorer(host: PluginHost, losses: Mapping[str, Loss], by: str | None, place: str = "by") -> Loss:
    """The loss that scores images: the one of that name, the first of that sort, or by default the first that can.

    Raises:
        LimnerError: if there is none. `place` is where it was asked for.
    """
    able = {name: loss for name, loss in losses.items() if can_score(type(loss))}
    if not able:
        names = losses_that(host, can_score)
        raise LimnerError(f"{place}: no loss of this model can score images; train one with {names}.")
    if by in SORTS and by not in able:
        sort = [loss for loss in able.values() if can_caption(type(loss)) == SORTS[by]]
        if not sort:
            names = losses_that(host, lambda loss: can_score(loss) and can_caption(loss) == SORTS[by])
            raise LimnerError(f"{place}: this model cannot score images by '{by}'; train one with the loss {names}.")
        return sort[0]
    if by is not None and by not in able:
        known = [*SORTS, *able]
        raise LimnerError(
            f"{place}: this model has no '{by}' that scores images{nearest(by, known)}; there is {', '.join(known)}."
        )
    return able[by or next(iter(able))]


def losses_that(host: PluginHost, can: Callable[[type[Loss]], bool]) -> str:
    """The installed losses that have an ability, for a message: "sentence-contrast or cycle"."""
    found = []
    for name in host.components("loss"):
        try:
            component = host.load("loss", name)
        except LimnerError:  # a broken plugin; its user is told elsewhere
            continue
        if can(component):
            found.append(f"'{name}'")
    return " or ".join(found) or "one that can (no installed plugin brings any)"
