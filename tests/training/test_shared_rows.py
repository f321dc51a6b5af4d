"""Processes that share the rows of a batch have the gradients of one process with the whole batch."""

import pytest
import torch
from limner import PluginHost
from limner.shared_rows import AllRows

SCRIPT = """
import os, sys
import torch
from accelerate import PartialState
from limner import Recipe, host
from limner.shared_rows import AllRows, SharedRows
from limner.training.loop import compute_gradients, players_of
from limner.training.run import new_step, set_up

def gradients(run, batch, noise, rows):
    step = new_step(run, batch, noise)
    step.rows = rows
    found = []
    for side, player in players_of(run).items():
        compute_gradients(run, step, player, side, torch.autocast("cpu", enabled=False))
        player.average_gradients()
        found += [gradient.clone() for gradient in player.gradients]
    return found

state = PartialState(cpu=True)
torch.set_num_threads(1)
lines = []
for name in sys.argv[1:]:
    data = "data.count=40" if name.startswith(("scenes", "quickstart")) else "data={name='scenes', count=40}"
    recipe = Recipe.read(host(), name, ["training.precision='float32'", "training.batch_size=6", data])
    run = set_up(host(), recipe)
    run.batches.batch_size = 5  # it does not divide
    batch = next(iter(run.batches))
    noise = run.draw_noise(len(batch))
    whole = gradients(run, batch, noise, AllRows())
    shared = gradients(run, batch, noise, SharedRows(state.process_index, state.num_processes))
    assert len(whole) == len(shared) > 10
    worst = max(((a - b).norm() / (a.norm() + 1e-6)).item() for a, b in zip(whole, shared))
    lines.append(f"{name} {worst:.2e}")
open(f"rank{state.process_index}.txt", "w").write("\\n".join(lines))
"""


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(two_processes, tmp_path):
    """For every bundled recipe, with penalties, distractors, and a batch that does not divide.

    Recipes of photographs get drawn data here.
    """
    recipes = list(PluginHost().components("recipe"))
    done = two_processes(SCRIPT, *recipes)
    assert done.returncode == 0, done.stderr[-2000:]
    for rank in range(2):
        worst = dict(line.split() for line in (tmp_path / f"rank{rank}.txt").read_text().splitlines())
        assert list(worst) == recipes
        assert {name: value for name, value in worst.items() if float(value) > 1e-4} == {}


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_one_process_has_all_rows(shape):
    rows = torch.rand(shape)
    assert AllRows().own(rows) is rows
    assert AllRows().gather(rows, 4) is rows
