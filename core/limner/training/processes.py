"""The processes that train one model together: how they meet and part, and what they say when one of them ends."""

import atexit
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import torch
from accelerate import PartialState
from accelerate.utils import broadcast
from torch import Tensor, distributed
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from limner.errors import LimnerError
from limner.shell import resume_command
from limner.training.state import read_state

LONGEST = 2**16
"""Bytes of what the main process tells the others."""

LOST = re.compile("gloo.*(read error|write error|connection|connect error|broken pipe|closed|timed out)", re.I | re.S)
"""What gloo says when another process is gone. It has no exception of its own."""


def join_processes() -> PartialState:
    """Meet the processes that `torchrun` or `limner train --processes` started with this one, if any.

    Returns:
        Which of them this one is, and its device.

    Raises:
        LimnerError: if this machine has GPUs, but fewer than processes.
    """
    together, here = "LOCAL_RANK" in os.environ, int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if together and not distributed.is_initialized() and 0 < (gpus := torch.cuda.device_count()) < here:
        raise LimnerError(
            f"Each of the {here} processes on this machine needs a GPU, and it has {gpus}; start {gpus}, or set "
            "CUDA_VISIBLE_DEVICES= to train on the CPU."
        )
    device = torch.accelerator.current_accelerator(check_available=True)
    state = PartialState(cpu=together and (device is None or device.type == "mps"))
    atexit.unregister(_part)
    atexit.register(_part)  # otherwise a process may end with SIGABRT, because another one has ended before
    return state


def _part() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def on_main_process(work: Callable[[], object]) -> str:
    """Do something in the main process only. What it returns is returned in all processes, as text.

    Raises:
        LimnerError: in all processes, if it is raised in the main one.
    """
    state, result, problem = PartialState(), "", ""
    if state.is_main_process:
        try:
            result = str(work())
        except LimnerError as error:
            problem = str(error)
    if state.num_processes > 1:
        plain = json.dumps([result, problem]).encode().ljust(LONGEST)
        told = cast(Tensor, broadcast(torch.tensor(list(plain), device=state.device)))
        result, problem = json.loads(bytes(told.tolist()))
    if problem:
        raise LimnerError(problem)
    return result


@contextmanager
def together(folder: Path | None) -> Iterator[None]:
    """While this context lasts, the end of another process is one sentence. `folder`: the run folder.

    Raises:
        LimnerError: if another process has ended.
    """
    try:
        yield
    except BaseException as error:
        if distributed.is_initialized() and distributed.get_backend() != "gloo":
            atexit.unregister(_part)  # NCCL waits for the others, which may have ended
        if isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and LOST.search(str(error))):
            raise LimnerError(f"Another process of this training ended{_kept(folder)}") from error
        raise


def _kept(folder: Path | None) -> str:
    """What is left of a training, and how to go on with it."""
    try:
        step = read_state(folder)["step"] if folder else None
    except LimnerError:  # it is on another machine, or nothing was saved yet
        step = None
    if folder is None or step is None:
        return "; start it again, or continue it with `limner train --resume` if its run folder has a state."
    return f". The state of step {step} is in {folder}; `{resume_command(folder)}` continues it."


def is_first(store: TCPStore, attempt: str = "0") -> bool:
    """Whether nobody else has asked this of the store that all processes share, in this attempt."""
    return store.add(f"limner/failed/{attempt}", 1) == 1


def is_first_to_fail() -> bool:
    """Whether this process is the first one that fails: it says why, and the others follow from it."""
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=5))
        return is_first(store, os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    except (KeyError, ValueError, RuntimeError):  # nobody can be asked
        return True
