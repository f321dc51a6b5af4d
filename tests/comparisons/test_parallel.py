"""Runs that are trained at the same time, by processes of their own, equal those trained one after the other."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from threading import Thread

import joblib
import limner
import psutil
import pytest
import tomli_w
import torch
from limner import LimnerError, load_comparison
from limner.comparisons import parallel
from limner.comparisons.progress import ComparisonProgress
from limner.comparisons.results_file import RunResult
from limner.comparisons.variants import Variant
from limner.plugins import host
from limner.recipes.schema import Recipe
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

WIDTHS = {"encoder.width": [8, 16]}


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def serial(recipe, tmp_path, one_thread):
    """The comparison made one after the other, on one thread as its rivals, and its folder."""
    return limner.compare(recipe, WIDTHS, 2, out=tmp_path / "serial", quiet=True), tmp_path / "serial"


@pytest.fixture
def two_cores(monkeypatch):
    """As if the machine had two cores, so that two jobs have a thread each."""
    monkeypatch.setattr(parallel, "ALL_CORES", {0, 1})


def require_equal(found, out, serial):
    """Scores and weights are those of the comparison made one after the other."""
    expected, folder = serial
    for row, other in zip(expected.results.ordered_runs(), found.results.ordered_runs(), strict=True):
        assert (row.variant, row.seed, row.scores) == (other.variant, other.seed, other.scores)
        weights = load_file(out / other.folder / "weights.safetensors")
        for name, weight in load_file(folder / row.folder / "weights.safetensors").items():
            assert torch.equal(weight, weights[name]), name


def kill_one(out):
    """Kill a process of joblib as soon as it trains. Returns the thread that does it."""

    def kill():
        while not list(out.glob("runs/*/recipe.toml")):
            time.sleep(0.02)
        children = psutil.Process().children(recursive=True)
        max(children, key=lambda child: child.cpu_times().user).kill()

    thread = Thread(target=kill, daemon=True)
    thread.start()
    return thread


def test_two_at_a_time_equal_one_after_the_other(recipe, out, serial, two_cores):
    found = limner.compare(recipe, WIDTHS, 2, out=out, quiet=True, jobs=2)
    require_equal(found, out, serial)
    require_equal(load_comparison(out), out, serial)
    assert found.results.missing == 0
    assert found.results.machine["threads"] == 1


def test_there_may_be_many_more_runs_than_jobs(recipe, out):
    """More than joblib starts with, which is twice the number of jobs."""
    found = limner.compare(recipe, {"encoder.width": [8, 12, 16]}, 2, out=out, quiet=True, jobs=2)
    assert (len(found), found.results.missing) == (6, 0)


def test_finished_runs_are_kept_and_the_others_are_added(recipe, out, serial, two_cores):
    limner.compare(recipe, WIDTHS, 1, out=out, quiet=True)
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/weights.safetensors")}
    require_equal(limner.compare(recipe, WIDTHS, 2, out=out, quiet=True, jobs=2), out, serial)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_seeds_are_added_whatever_threads_this_process_has(recipe, out, two_cores, one_thread):
    limner.compare(recipe, WIDTHS, 1, out=out, quiet=True, jobs=2)
    torch.set_num_threads(2)
    assert len(limner.compare(recipe, WIDTHS, 2, out=out, quiet=True, jobs=2)) == 4


def test_runs_that_differ_in_sampling_share_a_training(recipe, out):
    vary = WIDTHS | {"sampling.truncation": [0.5, 1.0]}
    found = limner.compare(recipe, vary, 1, out=out, quiet=True, jobs=2)
    assert len(found) == 4
    assert len({run.folder for run in found.results.runs}) == 2


def test_a_run_whose_process_is_killed_is_tried_again(recipe, out):
    recipe["training"]["steps"] = 200
    thread = kill_one(out)
    with pytest.warns(UserWarning, match="A process died, and these runs are tried again: .*seed"):
        found = limner.compare(recipe, WIDTHS, 1, out=out, quiet=True, jobs=2)
    thread.join()
    assert found.results.missing == 0
    assert all(run.steps == 200 for run in found.results.runs)


@pytest.mark.skipif(os.name != "posix", reason="this system ends processes without a signal")
def test_a_comparison_that_is_ended_ends_its_processes(recipe, out, tmp_path):
    recipe["training"] |= {"steps": 100_000, "checkpoint_every": 1.0, "preview_every": 1.0}
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    command = ["compare", "tiny.toml", "--vary", "encoder.width=8,16", "--seeds", "1", "--jobs", "2", "--out", str(out)]
    arguments = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-m", "limner", *command, "--quiet"], **arguments) as started:
        while len(list(out.glob("runs/*/recipe.toml"))) < 2:
            assert started.poll() is None
            time.sleep(0.1)
        children = psutil.Process(started.pid).children(recursive=True)
        started.terminate()
        _, err = started.communicate(timeout=60)
    assert "Stopped with 0 of 2 runs finished" in " ".join(err.split())
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_runs_whose_process_always_dies_end_in_one_sentence(recipe, out, monkeypatch):
    monkeypatch.setattr(parallel, "TRIES", 1)
    recipe["training"]["steps"] = 60
    kill_one(out)
    with pytest.raises(LimnerError, match=r"A process died 1 times before these runs were finished: .*Use fewer jobs"):
        limner.compare(recipe, WIDTHS, 1, out=out, quiet=True, jobs=2)
    assert limner.compare(recipe, WIDTHS, 1, out=out, quiet=True).results.missing == 0  # it can be resumed


def test_with_keep_going_a_run_whose_process_dies_is_a_result(recipe):
    def group_of(group, *_, keep_going):
        [(variant, seed)] = group
        if variant.label == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        return [RunResult(variant.label, variant.settings, seed, 2, 1.0, 1.0, "float32", {"score": 1.0}, None)]

    checked = Recipe.check(host(), recipe, "the recipe")
    runs = [(Variant({"key": number}, checked), 0) for number in range(5)]
    results = limner.compare(recipe, WIDTHS, 1, quiet=True).results
    bar = ComparisonProgress(0, len(runs), quiet=True)
    options = {"jobs": 2, "run_group": group_of, "keep_going": True}
    found = list(parallel.run_in_parallel(host(), replace(results, runs=[]), runs, None, bar, **options))
    assert sorted(run.variant for run in found) == ["0", "1", "2", "3", "4"]
    [failed] = [run for run in found if run.problem]
    assert (failed.variant, failed.scores) == ("0", {})
    assert "died twice" in str(failed.problem)


def test_a_dask_cluster_gives_the_same_runs(recipe, out, serial, two_cores):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = limner.compare(recipe, WIDTHS, 2, out=out, quiet=True, jobs=2)
    require_equal(found, out, serial)


def test_no_job_is_an_error(recipe):
    with pytest.raises(
        LimnerError, match="jobs: expected how many runs are trained at the same time, at least 1, got 0"
    ):
        limner.compare(recipe, WIDTHS, 1, quiet=True, jobs=0)
