"""The exceptions for bad input and diverged training, and what their messages need: printable text, suggestions."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 600
"""Characters of the longest message."""


class LimnerError(Exception):
    """Bad input. The message names what is wrong, what was expected, and what to do.

    The command line prints the message without a traceback and exits with status 1. Bugs in the program itself raise
    Python's own exceptions. The message is safe to print: input that it quotes may hold control characters and may be
    long, so these are escaped, and the middle of a long message is left out.
    """

    def __init__(self, message: str):
        super().__init__(shortened(printable(message), LONGEST))


class DivergedError(LimnerError):
    """Training diverged: a loss or a weight is no longer finite, although the recipe is valid."""


def printable(text: str) -> str:
    """A text from outside, safe for a terminal: everything but letters, signs and white space is escaped.

    Control characters could otherwise move the cursor or change the window's title.
    """
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode() for sign in text
    )


def shortened(text: str, length: int) -> str:
    """A text of at most that length; the middle of a longer one is left out."""
    if len(text) <= length:
        return text
    end = (length - 5) // 3
    return f"{text[: length - 5 - end]} ... {text[-end:]}"


def quoted(value: object) -> str:
    """A value as Python writes it, for a message; the middle of a long one is left out."""
    try:
        return shortened(repr(value), 100)
    except Exception:  # a value from outside may be anything, and a huge number has no decimal digits
        return f"a {type(value).__name__}"


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8. Bytes of the command line that are not UTF-8 become characters that
    cannot.
    """
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" if a known name is close to `name`, else an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5) if len(name) <= 100 else []
    return f", did you mean '{close[0]}'?" if close else ""
