"""The one exception that means: the input, not the program, is wrong."""


class LimnerError(Exception):
    """Bad input, in one sentence that names what is wrong, what was expected, and what to do.

    The command line prints the sentence and exits with status 1; a traceback would only hide it.
    Mistakes in the program itself raise Python's own exceptions.
    """


class DivergedError(LimnerError):
    """A training whose losses or weights stopped being finite: the input was legal, and this is what came of it."""
