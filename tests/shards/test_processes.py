"""Two processes that train one model: each reads its own shards, and both have the same batches."""

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import signal
import sys
from itertools import islice

import torch
from accelerate import PartialState
from limner import PluginHost, Recipe, hookimpl, resume, train
from limner.testing import tiny_recipe
from limner.testing.tiny import TINY, make_plugin
from limner.training.run import set_up

class Stop:
    @hookimpl
    def limner_step_finished(self, run):
        if run.step == 5:
            signal.raise_signal(signal.SIGTERM)  # only the main process has callbacks, and all stop

state = PartialState(cpu=True)
torch.set_num_threads(1)
plugins = PluginHost()
plugins.register(make_plugin(TINY))
training = {"steps": 9, "batch_size": 8, "precision": "float32"}
recipe = tiny_recipe(data={"name": "shards", "root": sys.argv[1], "shuffle": 3}, training=training)
run = set_up(plugins, Recipe.read(plugins, recipe))
numbers = {image.number // 5 for image in run.batches.stream.epoch(torch.Generator())}
batch = next(islice(run.batches, 4, None))
reds = (127.5 * (batch.images[:, 0, 0, 0] + 1)).round().int().tolist()
whole = train(recipe, "whole", plugins=plugins, callbacks=[]).state_dict()
train(recipe, "run", plugins=plugins, callbacks=[Stop()])
resumed = resume("run", plugins=plugins, callbacks=[]).state_dict()
same = all(value.equal(resumed[name]) for name, value in whole.items())
open(f"rank{state.process_index}.txt", "w").write(f"{sorted(numbers)}\\n{reds} {batch.mismatched.tolist()} {same}")
"""


def test_two_processes_read_their_own_shards_and_resume_exactly(two_processes, make_shards, tmp_path):
    folder = make_shards(*[list(range(first, first + 5)) for first in (0, 5, 10)])
    done = two_processes(SCRIPT, str(folder))
    assert done.returncode == 0, done.stderr[-2000:]
    shards, batches = zip(*((tmp_path / f"rank{rank}.txt").read_text().split("\n") for rank in range(2)))
    assert shards == ("[0, 2]", "[1]")
    assert batches[0] == batches[1]
    assert batches[0].endswith("True")
