"""Exercises of the lessons: `check` says whether an answer is missing, right, or wrong, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from reprlib import repr as shortened
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """The result of `check`. A notebook shows its sentence.

    `solved` says whether the answer is right; it is None if there is no answer yet.
    """

    solved: bool | None
    sentence: str

    def __repr__(self) -> str:
        return self.sentence


def check(answer: Any, expected: Any, hint: str, *, tolerance: float = 1e-3) -> Verdict:
    """Check an answer. This never raises an exception, whatever the answer is.

    Args:
        answer: what replaces the `...`: a number, a string, a tensor, a list, a function, or anything else.
        expected: the right answer, or a function that takes the answer and returns whether it is right.
        hint: a sentence that is shown until the answer is right.
        tolerance: the largest error of a float, relative to the largest expected number. Integers must be exact.

    Returns:
        The verdict. A notebook shows it if the call is the last line of a cell.
    """
    if is_missing(answer):
        return Verdict(None, f"Your turn: put your answer in place of `...` and run this cell again. Hint: {hint}")
    try:
        wrong = difference(answer, expected, tolerance)
    except Exception as error:  # an answer may be anything
        wrong = f"checking {short(answer)} raised {type(error).__name__}: {error}"
    return Verdict(False, f"Not yet: {wrong.rstrip('.')}. Hint: {hint}") if wrong else Verdict(True, "Right!")


def short(answer: Any) -> str:
    """A short text for an answer."""
    if isinstance(answer, Tensor) and answer.ndim:
        return f"a tensor of shape {list(answer.shape)}"
    return answer.__name__ if isinstance(answer, type) else shortened(answer)


def is_missing(answer: Any) -> bool:
    """Whether an answer, or a part of it, is still `...`."""
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    return answer is ... or (isinstance(answer, list | tuple | set) and any(map(is_missing, answer)))


def difference(answer: Any, expected: Any, tolerance: float) -> str:
    """How an answer is wrong, without revealing the right one. Empty if it is right."""
    if callable(expected) and not isinstance(expected, type):
        return "" if expected(answer) else f"{short(answer)} is not what was asked for"
    if isinstance(expected, list | tuple):
        if not isinstance(answer, list | tuple | Tensor):
            return f"expected {len(expected)} answers in a list, got {short(answer)}"
        if len(answer) != len(expected):
            return f"expected {len(expected)} answers, got {len(answer)}"
        wrong = [difference(one, other, tolerance) for one, other in zip(answer, expected)]
        return next((f"answer {number}: {found}" for number, found in enumerate(wrong, 1) if found), "")
    if isinstance(expected, Tensor | Real) and not isinstance(expected, bool):
        return _numeric_difference(answer, torch.as_tensor(expected), tolerance)
    if isinstance(answer, str) and isinstance(expected, str):
        answer, expected = answer.strip().casefold(), expected.casefold()
    return "" if answer == expected else f"{short(answer)} is not right"


def _numeric_difference(answer: Any, expected: Tensor, tolerance: float) -> str:
    try:
        given = torch.as_tensor(answer).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        return f"expected {'numbers' if expected.ndim else 'a number'}, got {short(answer)}"
    wanted = expected.detach().cpu().double()
    if given.numel() == wanted.numel() == 1:
        given, wanted = given.reshape(()), wanted.reshape(())
    if given.shape != wanted.shape:
        return f"expected the shape {list(wanted.shape)}, got {list(given.shape)}"
    allowed = tolerance * (float(wanted.abs().max()) or 1.0) if expected.is_floating_point() else 0.0
    far = ~torch.isclose(given, wanted, rtol=0, atol=allowed)
    if not far.any():
        return ""
    if not far.ndim:
        return f"{given.item():.4g} is too {'large' if given > wanted else 'small'}"
    return f"{int(far.sum())} of {far.numel()} numbers are off, by up to {(given - wanted)[far].abs().max().item():.2g}"
