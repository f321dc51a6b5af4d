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


def test_two_processes_of_two_threads_stay_equal(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launch, "script.py"], capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "rank0.txt").read_text() == (tmp_path / "rank1.txt").read_text()
