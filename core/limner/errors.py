"""The exceptions for bad input, and help for a mistyped name."""

from collections.abc import Iterable
from difflib import get_close_matches


class LimnerError(Exception):
    """Bad input, in one sentence that names what is wrong, what was expected, and what to do.

    The command line prints the sentence and exits with status 1; a traceback would only hide it.
    Mistakes in the program itself raise Python's own exceptions.
    """


class DivergedError(LimnerError):
    """A training whose losses or weights stopped being finite: the input was legal, and this is what came of it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """ ", did you mean 'x'?" where a known name is close to the given one; otherwise nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""
