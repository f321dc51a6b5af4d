"""Loading the model, or the ensemble, that a command names."""

from pathlib import Path
from typing import TYPE_CHECKING

import limner
from limner.errors import LimnerError

if TYPE_CHECKING:
    from limner.models.painter import TrainedPainter


def load_painter(run: Path, others: list[Path] | None, weights: str | None) -> "TrainedPainter":
    """The model of a run; an ensemble if there are other runs or weights.

    Raises:
        LimnerError: if a folder holds no run, or the weights are not numbers.
    """
    if not others and weights is None:
        return limner.load(run)
    try:
        numbers = [float(weight) for weight in weights.split(",")] if weights is not None else None
    except ValueError:
        raise LimnerError(f"--weights {weights}: expected numbers between commas, such as 2,1,1.") from None
    return limner.Ensemble([run, *(others or [])], numbers)
