"""Running a command in several processes of this machine, which train one model together."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from types import FrameType

from limner.errors import LimnerError

SOON, LATE = 3, 30
"""After a process has failed: seconds until the others are asked to end, and until they are killed."""


def launch(processes: int, arguments: list[str]) -> int:
    """Run `limner` with these arguments in several processes.

    Ctrl-C, SIGTERM and SIGHUP are passed on to all of them. If one fails, the others are ended.

    Returns:
        The exit status: 0, or that of the first process that did not return 0.

    Raises:
        LimnerError: if a process was killed, and none of the others could say so.
    """
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

    from limner.training.signals import SIGNALS

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=5))
    threads = max(1, (os.cpu_count() or 1) // processes)
    shared = (
        {"OMP_NUM_THREADS": str(threads)}
        | os.environ
        | {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(store.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is here, and not in the main process
            "TORCHELASTIC_RESTART_COUNT": "0",
            "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes),
        }
    )
    own_group = 0 if os.name == "posix" else None  # a terminal's Ctrl-C reaches this process only
    workers: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)

    before = {
        number: signal.signal(number, pass_on) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        for rank in map(str, range(processes)):
            command = [sys.executable, "-m", "limner", *arguments]
            workers.append(
                subprocess.Popen(command, env={**shared, "RANK": rank, "LOCAL_RANK": rank}, process_group=own_group)
            )
        codes = _wait(workers)
    finally:
        for worker in workers:
            worker.kill()
        for number, handler in before.items():
            signal.signal(number, handler)
    killed = [rank for rank, code in enumerate(codes) if code < 0]
    if killed and store.add("limner/failed/0", 1) == 1:
        name = signal.Signals(-codes[killed[0]]).name
        raise LimnerError(
            f"Process {killed[0]} of {processes} was ended by {name}; "
            "`limner train --resume` with the run folder continues from the last state in it."
        )
    return next((code if code > 0 else 1 for code in codes if code), 0)


def _wait(workers: list[subprocess.Popen[bytes]]) -> list[int]:
    """Wait until all processes have ended. Returns their exit statuses, that of a signal below 0."""
    failed = None
    while True:
        codes = [worker.poll() for worker in workers]
        left = [worker for worker in workers if worker.returncode is None]
        if not left:
            return [code or 0 for code in codes]
        now = time.monotonic()
        if failed is None and any(code not in (None, 0, 130) for code in codes):  # 130: stopped, and so are the others
            failed = now
        if failed is not None and now > failed + SOON:
            for worker in left:
                worker.kill() if now > failed + LATE else worker.terminate()
        time.sleep(0.05)
