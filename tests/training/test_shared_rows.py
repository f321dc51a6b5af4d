"""Several processes that share the rows of a batch learn what one process would with the whole batch."""

import os
import subprocess
import sys

import pytest
import torch
from limner import PluginHost
from limner.shared_rows import AllRows

SCRIPT = """
import sys
import torch
from accelerate import PartialState
from limner import Recipe, host
from limner.training.loop import compute_step, players_of
from limner.training.run import set_up
from limner.training.threads import PlayerThreads

state, single = PartialState(cpu=True), torch.Tensor.float
torch.set_num_threads(1)
for name in sys.argv[1:]:
    torch.Tensor.float = single
    torch.set_default_dtype(torch.float32)
    data = "data.count=40" if name.startswith(("scenes", "quickstart")) else "data={name='scenes', count=40}"
    run = set_up(host(), Recipe.read(host(), name, ["training.precision='float32'", "training.batch_size=6", data]))
    run.batches.batch_size = 5  # it does not divide

    torch.Tensor.float = torch.Tensor.double  # from here on, everything is computed in float64
    torch.set_default_dtype(torch.float64)
    run.networks.double()
    run.model.double()  # the averages
    players = players_of(run)
    players["generator"].set_lr(run.recipe.training.generator_lr)
    if "discriminator" in players:
        players["discriminator"].set_lr(run.recipe.training.discriminator_lr)
    batches = iter(run.batches)
    with PlayerThreads(torch.device("cpu"), 1) as threads:
        for run.step in range(3):
            batch = next(batches)
            compute_step(run, players, threads, batch, run.draw_noise(len(batch)).double())
    if state.is_main_process:
        torch.save(run.networks.state_dict(), f"{name}-{state.num_processes}.pt")
"""


def has_batch_normalization(weights):
    return any("running_mean" in name for name in weights)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(two_processes, tmp_path):
    """For every bundled recipe, with its optimizers, penalties, distractors, and a batch that does not divide.

    In float64, three steps give the same weights. In float32, rounding makes a difference that Adam and Muon enlarge.
    Recipes of photographs get drawn data here. Batch normalization is the exception: each process normalizes its own
    rows, as is usual.
    """
    recipes = list(PluginHost().components("recipe"))
    done = two_processes(SCRIPT, *recipes)
    assert done.returncode == 0, done.stderr[-2000:]
    alone = [sys.executable, "script.py", *recipes]
    done = subprocess.run(alone, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    compared = 0
    for name in recipes:
        one, two = (torch.load(tmp_path / f"{name}-{processes}.pt") for processes in (1, 2))
        if not has_batch_normalization(one):
            compared += 1
            for weight, value in one.items():
                torch.testing.assert_close(two[weight], value, rtol=0, atol=1e-9, msg=f"{name}: {weight}")
    assert compared >= 16


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_one_process_has_all_rows(shape):
    rows = torch.rand(shape)
    assert AllRows().own(rows) is rows
    assert AllRows().gather(rows, 4) is rows
