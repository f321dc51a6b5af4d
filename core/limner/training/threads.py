"""Two threads for the two players, so that they compute at the same time on a CPU."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from accelerate import PartialState

ResultT = TypeVar("ResultT")


class PlayerThreads:
    """Runs one function for each player: at the same time on a CPU of several cores, otherwise one after the other.

    Small convolutions gain little from a second core, but two players that compute at once gain much. The same seed and
    the same number of threads give the same weights, bit for bit. Several processes exchange what they compute, which
    they must do in one order, so each uses its threads for one player after the other.
    """

    def __init__(self, device: torch.device, players: int = 2):
        """`device`: on which they compute; `players`: how many there are. One alone has all threads."""
        self.threads = torch.get_num_threads()
        self.second: ThreadPoolExecutor | None = None
        if device.type == "cpu" and players > 1 and self.threads > 1 and PartialState().num_processes == 1:
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

    def run(self, functions: Sequence[Callable[[], ResultT]]) -> list[ResultT]:
        """Call the functions, one for each player; what each returns."""
        if self.second is None:
            return [function() for function in functions]
        first, *others = functions
        waiting = [self.second.submit(function) for function in others]
        return [first(), *(other.result() for other in waiting)]
