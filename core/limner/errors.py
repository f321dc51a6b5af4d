"""The exceptions for bad input and diverged training, and suggestions for mistyped names."""

from collections.abc import Iterable
from difflib import get_close_matches


class LimnerError(Exception):
    """Bad input. The message names what is wrong, what was expected, and what to do.

    The command line prints the message without a traceback and exits with status 1. Bugs in the program itself raise
    Python's own exceptions.
    """


class DivergedError(LimnerError):
    """Training diverged: a loss or a weight is no longer finite, although the recipe is valid."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" if a known name is close to `name`, else an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""
