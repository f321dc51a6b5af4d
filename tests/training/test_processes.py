"""Several processes that train one model together."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tomli_w
from limner import LimnerError
from limner.cli.launch import launch
from limner.training.run import check_share
from limner.training.state import read_state

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

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
BAD_INPUT = """
import os
import sys
from limner import LimnerError, train
from limner.cli.app import main
from limner.testing import tiny_host, tiny_recipe

def error_of(out, **changes):
    try:
        train(tiny_recipe(**changes), out, plugins=tiny_host(), callbacks=[])
    except LimnerError as error:
        return str(error)

training = {"steps": 3, "precision": "float32"}
cases = [
    error_of("full", training=training | {"batch_size": 4}),
    error_of("new", training=training | {"batch_size": 5}),
]
open(f"rank{os.environ['RANK']}.txt", "w").write("\\n".join(map(str, cases)))
sys.argv = ["limner", "train", "quickstart", "--out", "full", "--quiet"]
main()
"""


@pytest.fixture
def run_in_two_processes(two_processes, tmp_path):
    """Runs a script, and returns what the two processes wrote into files. `status`: 1 if an error is to be printed."""

    def run(script, status=0):
        done = two_processes(script)
        if "SIGABRT" in done.stderr:  # seldom, on a very busy machine, gloo aborts a process that ends
            for begun in ("whole", "run"):
                shutil.rmtree(tmp_path / begun, ignore_errors=True)
            done = two_processes(script)
        assert done.returncode == status, done.stderr[:4000] + done.stderr[-2000:]
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == status, "only one process prints an error"
        return [(tmp_path / f"rank{rank}.txt").read_text() for rank in range(2)]

    return run


def test_two_processes_of_two_threads_stay_equal(run_in_two_processes):
    first, second = run_in_two_processes(SCRIPT)
    assert first == second


def test_two_processes_stop_together_and_resume_exactly(run_in_two_processes, tmp_path):
    assert run_in_two_processes(RESUME) == ["True 1 1", "True 0 0"]
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


def test_bad_input_is_one_sentence_in_all_processes(run_in_two_processes, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    expected = [
        "full is there already and is not an empty folder; name another one.",
        "A batch of 5 images cannot be divided equally among 2 processes; "
        "set training.batch_size to a multiple of 2, such as 4.",
    ]
    assert [told.split("\n") for told in run_in_two_processes(BAD_INPUT, status=1)] == [expected, expected]
    assert not (tmp_path / "new").exists()


def test_there_is_an_image_for_each_process():
    with pytest.raises(LimnerError, match="2 processes cannot share 1 training image; start fewer processes"):
        check_share(batch_size=1, images=1, processes=2)
    with pytest.raises(LimnerError, match=r"divided equally among 3 processes; .* a multiple of 3, such as 3"):
        check_share(batch_size=2, images=64, processes=3)


# --- limner train --processes ---------------------------------------------------------------------------------------


@pytest.fixture
def long_recipe(tmp_path, recipe):
    """The tiny recipe as `tiny.toml`, with more steps than a test waits for, of which many are saved."""
    recipe["training"] |= {"steps": 5000, "checkpoint_every": 0.0005, "preview_every": 1.0}
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))


@pytest.fixture
def start(tmp_path):
    """A function that starts two processes that train; those that are left at the end of the test are killed."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", "limner", "train", *arguments, "--processes", "2", "--quiet"]
        launcher = subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(launcher)
        return launcher

    yield start
    for launcher in started:
        with launcher:
            launcher.kill()


def wait_for_step(folder, step):
    """Wait until a step is saved. Returns the step that is."""
    for _ in range(600):
        if (folder / "state.safetensors").exists() and (saved := read_state(folder)["step"]) >= step:
            return saved
        time.sleep(0.1)
    pytest.fail("the training does not get on")


@pytest.mark.usefixtures("long_recipe")
def test_a_training_goes_on_after_one_of_its_processes_was_killed(tmp_path, start):
    launcher, run = start("tiny.toml", "--out", "run"), tmp_path / "run"
    wait_for_step(run, 1)
    [second] = [one for one in psutil.Process(launcher.pid).children() if one.environ().get("RANK") == "1"]
    second.kill()
    out, err = launcher.communicate(timeout=60)
    saved = read_state(run)["step"]
    assert (launcher.returncode, out) == (1, "")
    assert err == (
        f"Error: Another process of this training ended. The state of step {saved} is in run; "
        "`limner train --resume run --processes 2` continues it.\n"
    )
    launcher = start("--resume", "run")
    wait_for_step(run, saved + 1)
    launcher.send_signal(signal.SIGINT)
    out, err = launcher.communicate(timeout=60)
    saved = read_state(run)["step"]
    assert (launcher.returncode, out) == (130, "The model is in run, its pictures in run/pictures.\n")
    assert err == f"Note: Stopped after {saved} steps; `limner train --resume run --processes 2` continues.\n"


@pytest.mark.skipif(os.name != "posix", reason="a script stands for Python")
def test_the_launcher_says_that_all_processes_were_killed(tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -9 $$\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(LimnerError, match="Process 0 of 2 was ended by SIGKILL; `limner train --resume`"):
        launch(2, [])


# --- several machines -----------------------------------------------------------------------------------------------


def test_the_page_shows_the_script_for_slurm():
    assert (ROOT / "docs/train.slurm").read_text(encoding="utf-8") in (ROOT / "docs/several-machines.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.skipif(os.name != "posix", reason="SLURM runs on Linux")
def test_the_script_for_slurm_trains_on_two_simulated_machines(tmp_path, recipe):
    try:
        with socket.create_server(("localhost", 0)) as free:
            port = free.getsockname()[1]
    except OSError as error:
        pytest.skip(f"no port can be opened: {error}")
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    tools = {"scontrol": "echo localhost", "srun": '"$@" & first=$!; "$@" & second=$!; wait $first && wait $second'}
    for name, text in tools.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o700)
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    job = {"PATH": path, "PORT": str(port), "SLURM_NNODES": "2", "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n[1-2]"}
    done = subprocess.run(
        ["bash", ROOT / "docs/train.slurm", "tiny.toml", "run"],
        **{"cwd": tmp_path, "env": os.environ | job, "capture_output": True, "text": True, "timeout": 240},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "The model is in run, its pictures in run/pictures.\n"
    surroundings = read_state(tmp_path / "run")["surroundings"]
    assert surroundings["processes"] == "2"
