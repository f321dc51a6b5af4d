"""Several processes that train one model together."""

import subprocess
import sys

SCRIPT = """
import os
import torch
from accelerate import PartialState
from limner import train
from limner.testing import tiny_host, tiny_recipe

state = PartialState(cpu=True)
torch.set_num_threads(2)  # so that each player has a thread of its own
model = train(tiny_recipe(training={"steps": 20, "batch_size": 8, "precision": "float32"}, prompts=[]), quiet=True,
              plugins=tiny_host())
total = sum(value.double().sum().item() for value in model.state_dict().values())
open(f"rank{os.environ['RANK']}.txt", "w").write(repr(total))
"""
RESUME = """
import os
import signal
from accelerate import PartialState
from limner import hookimpl, resume, train
from limner.testing import tiny_host, tiny_recipe

class Stop:
    @hookimpl
    def limner_step_finished(self, run):
        if run.step == 7:
            signal.raise_signal(signal.SIGTERM)  # only the main process has callbacks, and all stop

PartialState(cpu=True)
recipe = tiny_recipe(training={"steps": 12, "batch_size": 8, "precision": "float32"})
whole = train(recipe, "whole", plugins=tiny_host(), callbacks=[])
train(recipe, "run", plugins=tiny_host(), callbacks=[Stop()])
resumed = resume("run", plugins=tiny_host(), callbacks=[])
mine, theirs = whole.state_dict(), resumed.state_dict()
same = all(mine[name].equal(theirs[name]) for name in mine)
open(f"rank{os.environ['RANK']}.txt", "w").write(f"{same} {len(whole.history)} {len(resumed.history)}")
"""


def run_in_two_processes(script, tmp_path):
    """What the two processes wrote."""
    (tmp_path / "script.py").write_text(script)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launch, "script.py"], capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    return [(tmp_path / f"rank{rank}.txt").read_text() for rank in range(2)]


def test_two_processes_of_two_threads_stay_equal(tmp_path):
    first, second = run_in_two_processes(SCRIPT, tmp_path)
    assert first == second


def test_two_processes_stop_together_and_resume_exactly(tmp_path):
    assert run_in_two_processes(RESUME, tmp_path) == ["True 1 1", "True 0 0"]
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()
