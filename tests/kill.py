"""Kills trainings at random moments, above all while they save, resumes each, and compares it with one never stopped.

    python tests/kill.py --kills 200 --seed 0

Every training runs in a process of its own, forked from this one. It is killed again and again: at a random time, or on
entering a random operation on a file, with SIGKILL, SIGTERM or SIGHUP. Then it is resumed. In the end it must have the
weights, the snapshot and the whole state of the training that was never stopped.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import limner
import torch
from limner.testing import tiny_host, tiny_recipe
from limner.training.state import STATE_FILE, read_state

STEPS = 60
RECIPE = tiny_recipe(training={"steps": STEPS, "batch_size": 8, "precision": "float32", "snapshots": [0.5]})
WRITING = ("os.rename", "os.mkdir", "os.remove", "open")


def train(folder: Path) -> None:
    """Train, or resume if there is a state."""
    plugins = tiny_host()
    if (folder / STATE_FILE).exists():
        limner.resume(folder, quiet=True, plugins=plugins)
    else:
        limner.train(RECIPE, folder, quiet=True, plugins=plugins)


def kill_on_writing(folder: Path, fatal: int, number: int) -> None:
    """From now on, send this process a signal when it begins an operation on a file of the folder the n-th time."""
    left = fatal

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in WRITING and str(folder) in str(arguments[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)

    sys.addaudithook(watch)


def run(folder: Path, fatal: int = 0, number: int = 0, seconds: float = 0.0) -> int:
    """Train in another process, which gets a signal at its n-th operation on files, or after a time.

    Returns:
        The signal that ended it; 0 if it ended by itself, 1 if it failed.
    """
    child = os.fork()
    if child == 0:
        try:
            if fatal:
                kill_on_writing(folder, fatal, number)
            warnings.simplefilter("ignore")
            train(folder)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if seconds:
        time.sleep(seconds)
        os.kill(child, number)
    return abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def step_of(folder: Path) -> int:
    """The step of a run's state; -1 if there is none."""
    return read_state(folder)["step"] if (folder / STATE_FILE).exists() else -1


def leaves(value: object, place: str = "") -> dict[str, object]:
    """The values of a state by their place, without times and without when it was saved."""
    if isinstance(value, dict):
        items = [(key, item) for key, item in value.items() if key not in ("seconds", "saved")]
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        return {place: value}
    return {name: leaf for key, item in items for name, leaf in leaves(item, f"{place}/{key}").items()}


def differing(one: Path, other: Path) -> list[str]:
    """The files of weights, and the places of the states, in which two runs differ."""
    mine, theirs = leaves(read_state(one)), leaves(read_state(other))
    files = ["weights.safetensors", "snapshots/0.5/weights.safetensors"]
    found = [file for file in files if (one / file).read_bytes() != (other / file).read_bytes()]
    for place in mine.keys() | theirs.keys():
        a, b = mine.get(place), theirs.get(place)
        same = torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b
        found += [] if same else [place]
    return found


def kill_until_finished(folder: Path, source: random.Random, seconds: float, most: int) -> Counter[str]:
    """Train with at most so many kills until the training reaches its end. Returns their counts by kind.

    Raises:
        AssertionError: if a training fails or loses what it had saved.
    """
    counts: Counter[str] = Counter()
    while True:
        number = source.choices([signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], [3, 1, 1])[0]
        saving, before = source.random() < 0.75, step_of(folder)
        if counts.total() == most:
            ended = run(folder)
        elif saving:
            ended = run(folder, fatal=source.randrange(1, 150), number=number)
        else:
            ended = run(folder, number=number, seconds=source.uniform(0.1, 0.9) * seconds)
        assert ended in (0, number), f"{folder.name} failed"
        after = step_of(folder)
        assert after >= before, f"{folder.name}: from step {before} back to {after}"
        if after == STEPS:
            counts[f"{number.name} at the end"] += ended == number
            return counts
        counts[f"{number.name} {'while saving' if saving else 'at a random time'}"] += 1
        if after < 0:  # killed before anything was saved: it is trained from the start
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Kill as often as asked, and print the counts."""
    parser = argparse.ArgumentParser(description="Kill trainings, resume them, and compare.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source, counts, runs = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as made:
        whole, start = Path(made, "whole"), time.perf_counter()
        assert run(whole) == 0
        seconds = time.perf_counter() - start
        while counts.total() < options.kills:
            folder = Path(made, f"run-{runs}")
            counts += kill_until_finished(folder, source, seconds, min(8, options.kills - counts.total()))
            assert (found := differing(folder, whole)) == [], f"after {counts}, {folder.name} differs in {found}"
            shutil.rmtree(folder)
            runs += 1
            print(f"{counts.total()} kills, {runs} runs equal", flush=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    print(f"{counts.total()} kills with seed {options.seed} ({kinds}): {runs} runs resumed, all equal bit for bit")


if __name__ == "__main__":
    main()
