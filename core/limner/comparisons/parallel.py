"""Many runs of a comparison at the same time, each by a process of its own."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import joblib
import torch
from filelock import FileLock, Timeout
from joblib.externals.loky import ProcessPoolExecutor

from limner.comparisons.progress import ComparisonProgress
from limner.comparisons.results_file import Results, RunResult, free_place, weights_key
from limner.comparisons.variants import Variant
from limner.errors import LimnerError
from limner.plugins import PluginHost, host

TRIES = 3
"""How often runs are tried whose process dies, because the memory is used up, for example."""
ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
"""The cores that this process may use."""
DIED = ("TerminatedWorkerError", "KilledWorker")
"""The errors by which loky and Dask say that a process has died."""
Runs = list[tuple[Variant, int]]
RunGroup = Callable[..., list[RunResult]]  # of `trainer.run_group`
Finished = Iterator[tuple[str, list[RunResult]]]


def run_in_parallel(
    plugins: PluginHost,
    results: Results,
    missing: Sequence[tuple[Variant, int]],
    folder: Path | None,
    bar: ComparisonProgress,
    jobs: int,
    run_group: RunGroup,
    keep_going: bool = False,
) -> Iterator[RunResult]:
    """The missing runs, as they finish; `run_group` trains and measures those that share their weights.

    With `keep_going`, a run that fails is a result. If a process dies, the runs that were probably under way are tried
    again one by one, and one whose process dies again has failed.

    Only this process writes the results.

    Every process has its share of the cores, and computes on as many threads: one seed and the same number of threads
    give the same weights, whatever trains beside it. On a GPU, all processes share it.

    Raises:
        LimnerError: if a run's process dies again and again.
    """
    threads = threads_of(jobs)
    run_group = partial(run_group, keep_going=True) if keep_going else run_group
    groups = _groups(results, missing)
    places = _places(results, groups)
    carried = None if plugins is host() else plugins  # every process finds what is installed
    bar.begin(f"{jobs} at a time")
    for left in repeat(1) if keep_going else reversed(range(TRIES)):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as slots:  # a process may still hold a lock
            share = _Share(Path(slots), jobs, threads)

            def arguments(key: str, share: _Share = share) -> tuple[Any, ...]:
                return run_group, key, groups[key], places[key], _of_group(results, key), folder, carried, share

            work = (joblib.delayed(_in_a_process)(*arguments(key)) for key in list(groups))  # it is read bit by bit
            try:
                for key, runs in cast(Finished, joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(work)):
                    del groups[key]
                    yield from runs
            except Exception as error:
                if type(error).__name__ not in DIED:
                    raise
            for key in list(groups)[:jobs] if keep_going else ():  # at least one of them dies
                yield from _in_a_process_of_its_own(*arguments(key))
                del groups[key]
        if not groups:
            return
        if keep_going:
            continue
        names = ", ".join(f"{variant.label}, seed {seed}" for group in groups.values() for variant, seed in group)
        if not left:
            raise LimnerError(
                f"A process died {TRIES} times before these runs were finished: {names}; is the memory used up? "
                "Use fewer jobs. All other runs are kept."
            )
        warnings.warn(f"A process died, and these runs are tried again: {names}.", stacklevel=4)


def threads_of(jobs: int) -> int:
    """The threads that each of several runs computes on."""
    return max(1, len(ALL_CORES) // jobs)


def _of_group(results: Results, key: str) -> Results:
    """The results with only those runs that have the weights of a group, so that these need not be trained again."""
    return replace(results, runs=[run for run in results.runs if weights_key(run.settings, run.seed) == key])


class _Share:
    """The cores of this machine, in equal shares for several processes."""

    def __init__(self, folder: Path, jobs: int, threads: int):
        """`folder`: holds a lock for each share; `threads`: the cores of each."""
        self.folder, self.jobs, self.threads = folder, jobs, threads

    @contextmanager
    def take(self) -> Iterator[None]:
        """Compute on a share that no other process has. On another machine, the system distributes the cores."""
        torch.set_num_threads(self.threads)
        with ExitStack() as stack:
            for number in range(self.jobs if self.folder.is_dir() else 0):
                with suppress(Timeout):
                    stack.enter_context(FileLock(self.folder / str(number)).acquire(timeout=0))
                    self._stay_on(number)
                    break
            yield

    def _stay_on(self, number: int) -> None:
        """Stay on the cores of a share, where the system can do that."""
        cores = sorted(ALL_CORES)[number * self.threads : (number + 1) * self.threads]
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)


def _groups(results: Results, missing: Sequence[tuple[Variant, int]]) -> dict[str, Runs]:
    """The runs by what their weights depend on: runs of one group share a training."""
    groups: dict[str, Runs] = {}
    for variant, seed in missing:
        groups.setdefault(weights_key(variant.settings, seed), []).append((variant, seed))
    return groups


def _places(results: Results, groups: dict[str, Runs]) -> dict[str, str]:
    """The folder of each group's training, within that of the comparison."""
    places: dict[str, str] = {}
    for key, group in groups.items():
        variant, seed = group[0]
        places[key] = free_place(variant.label, seed, results.runs, places.values())
    return places


def _in_a_process(
    run_group: RunGroup,
    key: str,
    group: Runs,
    place: str,
    results: Results,
    folder: Path | None,
    plugins: PluginHost | None,
    share: _Share,
) -> tuple[str, list[RunResult]]:
    """Train and measure runs that share their weights, on a share of the cores."""
    with share.take():
        return key, run_group(group, place, results, folder, plugins or host())


def _in_a_process_of_its_own(run_group: RunGroup, key: str, group: Runs, *more: Any) -> list[RunResult]:
    """The same in a new process. If that dies, the runs have failed."""
    with ProcessPoolExecutor(1) as pool:
        try:
            return pool.submit(_in_a_process, run_group, key, group, *more).result()[1]
        except BrokenProcessPool:
            problem = "Its process died twice; is the memory used up? Use fewer jobs."
            return [RunResult.failed(variant.label, variant.settings, seed, problem) for variant, seed in group]
