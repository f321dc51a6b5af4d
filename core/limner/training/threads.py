"""Two threads for the two players, so that they compute at the same time on a CPU."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from accelerate import PartialState

FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")


class PlayerThreads:
    """Runs one function for each player: at the same time on a CPU of several cores, otherwise one after the other.

    Small convolutions gain little from a second core, but two players that compute at once gain much. The same seed and
    the same number of threads give the same weights, bit for bit. Several processes exchange what they compute, which
    they must do in one order, so each uses its threads for one player after the other.
    """

    def __init__(self, device: torch.device):
        self.threads = torch.get_num_threads()
        self.second: ThreadPoolExecutor | None = None
        if device.type == "cpu" and self.threads > 1 and PartialState().num_processes == 1:
            half = self.threads // 2
            self.second = ThreadPoolExecutor(1, "second-player", torch.set_num_threads, (half,))

    def __enter__(self) -> "PlayerThreads":
        if self.second:
            torch.set_num_threads(self.threads // 2)
        return self

    def __exit__(self, *_: object) -> None:
        if self.second:
            self.second.shutdown()
            torch.set_num_threads(self.threads)

    def run_both(self, first: Callable[[], FirstT], second: Callable[[], SecondT]) -> tuple[FirstT, SecondT]:
        """Call both functions; what each returns."""
        if self.second is None:
            return first(), second()
        other = self.second.submit(second)
        return first(), other.result()
