"""Running a command in several processes of this machine, which train one model together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from limner.errors import LimnerError

Worker = subprocess.Popen[bytes]

GROUPS = os.name == "posix"
"""Whether a terminal's Ctrl-C reaches only the process that passes it on. On Windows, it reaches all of them."""
SOON, LATE = 3, 30
"""After a process has failed: seconds until the others are asked to end, and until they are killed."""


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `limner` with these arguments in several processes.

    Ctrl-C, SIGTERM and SIGHUP are passed on to all of them. If one fails, the others are ended.

    Returns:
        The exit status: 0, or that of a process that did not return 0.

    Raises:
        LimnerError: if a process was killed, and none of the others could say so.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    port, workers = listening.getsockname()[1], []
    with _passing_signals_on(workers):
        workers += [_start(rank, processes, port, arguments) for rank in range(processes)]

        from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]  # slow, and so is their start

        # Through this store, the processes find each other, and the first one that fails is the one that says so.
        store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach())
        codes = _wait(workers)
    killed = [rank for rank, code in enumerate(codes) if code < 0]
    if killed:
        from limner.training.processes import is_first

        if is_first(store):
            raise LimnerError(
                f"Process {killed[0]} of {processes} was ended by {signal.Signals(-codes[killed[0]]).name}; "
                "`limner train --resume` with the run folder continues from the last state in it."
            )
    return next((code if code > 0 else 1 for code in codes if code), 0)


def _start(rank: int, processes: int, port: int, arguments: Sequence[str]) -> Worker:
    """Start a process, with the variables that `torchrun` sets, and its share of the cores."""
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RESTART_COUNT": 0}
    meeting["TORCHELASTIC_USE_AGENT_STORE"] = True  # the store is in the process that starts the others
    told = {name: str(value) for name, value in (place | meeting).items()}
    return subprocess.Popen(
        [sys.executable, "-m", "limner", *arguments],
        env={"OMP_NUM_THREADS": threads} | os.environ | told,
        process_group=0 if GROUPS else None,
    )


@contextmanager
def _passing_signals_on(workers: Sequence[Worker]) -> Iterator[None]:
    """While this context lasts, signals that stop a training go to the processes. At its end, none is left."""
    from limner.training.signals import SIGNALS

    def pass_on(number: int, _: FrameType | None) -> None:
        for worker in workers if GROUPS or number != signal.SIGINT else ():
            worker.send_signal(number)

    caught = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, pass_on) for number in caught}
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(workers: Sequence[Worker]) -> list[int]:
    """Wait until all processes have ended. Returns their exit statuses, that of a signal below 0."""
    deadlines: list[float] = []
    while any(worker.poll() is None for worker in workers):
        codes = [worker.returncode for worker in workers]
        if not deadlines and any(code not in (None, 0, 130) for code in codes):  # 130: stopped, and so are the others
            deadlines = [time.monotonic() + SOON, time.monotonic() + LATE]
        if deadlines and time.monotonic() > deadlines[0]:
            for worker in workers:
                worker.terminate() if len(deadlines) == 2 else worker.kill()
            deadlines = deadlines[1:] or [float("inf")]
        time.sleep(0.05)
    return [worker.returncode for worker in workers]
