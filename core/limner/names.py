"""Help for a name that was mistyped."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """ ", did you mean 'x'?" where a known name is close to the given one; otherwise nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""
