"""Signals that ask a training to stop: Ctrl-C, the end of a batch job, a closed terminal."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopSignals:
    """While this context lasts, a first SIGINT, SIGTERM or SIGHUP only sets `received`; a second one ends the program.

    A signal that the program was started to ignore, as by `nohup`, is still ignored. A second SIGHUP is, too, because
    a terminal that closes may send it twice. In a thread other than the main one, signals stay as they are.
    """

    def __init__(self) -> None:
        self.received = False
        self.before: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self.before.clear()

    def _receive(self, number: int, _: FrameType | None) -> None:
        hangup = number == getattr(signal, "SIGHUP", None)
        if self.received and not hangup:
            self.__exit__()
            signal.raise_signal(number)
        self.received = True
        if hangup:
            _leave_terminal()


@contextmanager
def as_interrupts() -> Iterator[None]:
    """While this context lasts, SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does. Without it, they end a
    program at once, and the processes that it started go on.
    """
    handled = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        handled = []
    for number in handled:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _leave_terminal() -> None:
    """Drop what is printed from now on if it would go to a terminal: it is closed, and printing would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and _is_terminal(stream.fileno()):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_terminal(descriptor: int) -> bool:
    """Whether it is a terminal, or was one that is closed by now."""
    try:
        return os.isatty(descriptor) or os.fstat(descriptor).st_mode & 0o170000 == 0o020000
    except (OSError, ValueError):
        return False
