"""`limner train --resume`, and what stops a training: signals, a closed terminal, a kill."""

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from limner.training import loop
from limner.training.state import STATE_FILE, read_state
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, recipe):
    """A working folder with the tiny recipe as `tiny.toml`."""
    monkeypatch.chdir(tmp_path)
    recipe["training"]["steps"] = 6
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    return tmp_path


@pytest.fixture
def stop_in(monkeypatch):
    """Makes the training receive a signal in one of its steps."""
    keep = loop.keep_snapshots

    def make(step, number=signal.SIGTERM):
        def keep_and_signal(run):
            keep(run)
            if run.step == step - 1:
                signal.raise_signal(number)

        monkeypatch.setattr(loop, "keep_snapshots", keep_and_signal)

    return make


def test_a_stopped_training_says_how_it_is_resumed(command, stop_in, here):
    command("train", "tiny.toml", "--out", "whole", "--quiet")
    stop_in(3)
    status, out, err = command("train", "tiny.toml", "--out", "my run", "--quiet", "--evaluate")
    assert (status, out) == (130, f"The model is in my run, its pictures in {Path('my run/pictures')}.\n")
    assert err == "Note: Stopped after 3 steps; `limner train --resume 'my run'` continues.\n"
    assert not (here / "my run" / "scores.json").exists()
    stop_in(99)
    status, out, err = command("train", "--resume", "my run")
    assert (status, out) == (0, f"The model is in my run, its pictures in {Path('my run/pictures')}.\n")
    assert "training: 100%" in err
    weights = [(here / run / "weights.safetensors").read_bytes() for run in ("whole", "my run")]
    assert weights[0] == weights[1]
    pictures = [sorted(path.name for path in (here / run / "pictures").iterdir()) for run in ("whole", "my run")]
    assert pictures[0] == pictures[1]
    status, _, err = command("train", "--resume", "my run")
    assert (status, err) == (
        1,
        "Error: my run has used its budget of 6 steps; a larger one, such as --set training.steps=12, trains it "
        "further.\n",
    )
    status, _, err = command("train", "--resume", "my run", "--set", "training.steps=8", "--quiet")
    assert status == 0
    assert err.startswith("Note: The budget is 8 steps now, and was 6 steps")
    assert read_state(here / "my run")["step"] == 8


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--resume", "run", "tiny.toml"], 2, "leave out RECIPE and --out"),
        (["--resume", "run", "--out", "other"], 2, "leave out RECIPE and --out"),
        ([], 2, "name a recipe to train"),
        (["--resume", "nowhere"], 1, "Error: There is no run folder nowhere"),
        (["--resume", "."], 1, "Error: . is not a run folder: it has no recipe.toml."),
    ],
)
def test_wrong_arguments_are_one_sentence(command, here, arguments, status, message):
    found, _, err = command("train", *arguments)
    assert found == status
    assert message in " ".join(err.replace("│", " ").split())
    assert sorted(path.name for path in here.iterdir()) == ["tiny.toml"]


def test_a_wrong_recipe_leaves_no_folder(command, here):
    assert command("train", "tiny.toml", "--set", "encoder.name=lstn")[0] == 1
    assert sorted(path.name for path in here.iterdir()) == ["tiny.toml"]


@pytest.mark.slow
def test_two_trainings_at_once_get_two_folders(command, here, monkeypatch):
    made = []

    def train_twice(plugins, run, *arguments):
        if not made:
            made.append(run.folder)
            made.append(command("train", "tiny.toml", "--quiet"))
            made.append(command("train", "tiny.toml", "--quiet", "--out", run.folder))
        return original(plugins, run, *arguments)

    original = loop.run_training
    monkeypatch.setattr(loop, "run_training", train_twice)
    assert command("train", "tiny.toml", "--quiet")[0] == 0
    first, (status, out, _), (refused, _, err) = made
    assert (first, status) == (Path("runs/tiny"), 0)
    assert out.startswith("The model is in runs/tiny-2,")
    assert refused == 1
    assert err.startswith(f"Error: runs/tiny is in use by process {os.getpid()} on ")
    assert all((here / "runs" / name / STATE_FILE).is_file() for name in ("tiny", "tiny-2"))


CLOSING = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)  # becomes the terminal of this session
for stream in range(3):
    os.dup2(terminal, stream)
os.execv(sys.executable, [sys.executable, "-m", "limner", "train", "tiny.toml", "--out", "run"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_a_training_whose_terminal_closes_is_saved(here, recipe):
    recipe["training"]["steps"] = 100_000
    (here / "tiny.toml").write_text(tomli_w.dumps(recipe))
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # tqdm fits its bar in
    command = [sys.executable, "-c", CLOSING, os.ttyname(theirs)]
    training = subprocess.Popen(command, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    shown = b""
    while b"training" not in shown:  # the bar is there
        shown += os.read(ours, 1000)
    os.close(theirs)
    os.close(ours)
    assert training.wait(60) == 130
    state = read_state(here / "run")
    assert state["step"] > 0
    assert not (here / "run" / ".lock").exists()
    weights = load_file(here / "run" / "weights.safetensors")
    assert all(value.equal(weights[f"conditional_generator.{name}"]) for name, value in state["average"].items())


@pytest.mark.slow
def test_killed_trainings_end_with_the_same_bits():
    command = [sys.executable, str(ROOT / "tests" / "kill.py"), "--kills", "4", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all equal bit for bit" in done.stdout
