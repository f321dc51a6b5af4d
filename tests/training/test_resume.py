"""Resuming: whatever stops a training, it ends with the bits of one that was never stopped; and what is refused."""

import runpy
import shutil
import signal
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import limner
import pytest
import torch
from limner import LimnerError, Loss, hookimpl
from limner.locks import claim
from limner.testing import tiny_host, tiny_recipe
from limner.training.signals import SIGNALS
from limner.training.state import STATE_FILE, differences, random_states, read_state, restore_random_states, save_state
from torch import nn

LENGTH = 12
"""Steps of the trainings below."""
PLUGINS = tiny_host()
leaves = runpy.run_path(str(Path(__file__).parents[1] / "kill.py"))["leaves"]
"""Flattens a state, without what differs even between equal trainings."""


class Interrupt:
    """Sends this process a signal during a step."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    @hookimpl
    def limner_training_started(self, run):
        self.run = run
        self.limner_step_finished(run)

    @hookimpl(trylast=True)
    def limner_step_finished(self, run):
        if run.step == self.step - 1:
            signal.raise_signal(self.number)


def training(**changes):
    return {"steps": LENGTH, "batch_size": 8, "precision": "float32", "seed": 3, "checkpoint_every": 0.3} | changes


def staged(recipe):
    """Grows a stage in mid-training, and freezes what has learned."""
    stages = [{"name": "initial", "size": 8, "channels": [8, 8]}, {"name": "refinement", "channels": 8}]
    recipe["generator"] = {"name": "staged", "noise": 8, "stages": stages, "grow": [0.5], "freeze": True}
    recipe["discriminator"] = {"name": "scales", "channels": [8, 8], "meet": 8, "head": 8}


RECIPES = {
    "Adam": lambda recipe: None,
    "Muon": lambda recipe: recipe["training"].update(optimizer="muon"),
    "bfloat16": lambda recipe: recipe["training"].update(precision="bfloat16"),
    "growing and freezing": staged,
}


@pytest.fixture
def tiny():
    """A recipe of tiny components."""
    return tiny_recipe(generator={"name": "tiny", "noise": 8}, training=training())


def assert_same(run: Path, other: Path) -> None:
    """Compare the whole states of two runs, bit by bit, and the models beside them."""
    mine, theirs = (leaves(read_state(folder)) for folder in (run, other))
    assert mine.keys() == theirs.keys()
    unequal = lambda a, b: not torch.equal(a, b) if isinstance(a, torch.Tensor) else a != b  # noqa: E731
    assert [place for place in mine if unequal(mine[place], theirs[place])] == []
    assert (run / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()


@pytest.fixture
def whole(tiny, tmp_path):
    """A run of tiny components that was never stopped."""
    limner.train(tiny, tmp_path / "whole", callbacks=[], plugins=PLUGINS)
    return tmp_path / "whole"


# --- the same bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", RECIPES.values(), ids=RECIPES)
def test_a_stopped_training_ends_with_the_same_bits(recipe, tmp_path, change):
    recipe["data"]["count"] = 40  # an epoch has five steps
    recipe["training"] = training()
    change(recipe)
    limner.train(recipe, tmp_path / "whole", callbacks=[])
    limner.train(recipe, tmp_path / "run", callbacks=[Interrupt(1)])
    for step in (5, 6, 10):  # an epoch ends, a stage joins, an epoch ends
        limner.resume(tmp_path / "run", callbacks=[stop := Interrupt(step)])
        assert stop.run.interrupted
        assert stop.run.step == step
    model = limner.resume(tmp_path / "run", callbacks=[])
    assert [row["step"] for row in model.history] == [10]
    assert len(model.film) == LENGTH + 1  # also painted at the steps at which it was stopped
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_two_threads_are_exact_too(tiny, tmp_path):
    torch.set_num_threads(2)
    try:
        limner.train(tiny, tmp_path / "whole", callbacks=[], plugins=PLUGINS)
        limner.train(tiny, tmp_path / "run", callbacks=[Interrupt(7)], plugins=PLUGINS)
        limner.resume(tmp_path / "run", callbacks=[], plugins=PLUGINS)
    finally:
        torch.set_num_threads(1)
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_a_state_of_the_middle_suffices(tiny, whole, tmp_path):
    """As after a kill: the weights are newer than the state."""
    run = tmp_path / "run"

    class Copy:
        @hookimpl
        def limner_checkpoint_saved(self, folder, run):
            if run.step == 4:
                shutil.copy(folder / STATE_FILE, tmp_path)

    limner.train(tiny, run, callbacks=[Copy()], plugins=PLUGINS)
    shutil.copy(tmp_path / STATE_FILE, run)
    (run / f"{STATE_FILE}.partial").write_bytes(b"half of it")
    limner.resume(run, callbacks=[], plugins=PLUGINS)
    assert_same(whole, run)


class Annealed(Loss):
    """Draws numbers from torch's own generator, and counts its calls."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.calls, self.dropout = 0, nn.Dropout(0.5)

    def generator(self, step):
        self.calls += 1
        return self.dropout(step.generated.match).mean() / self.calls


def test_what_a_component_counts_and_draws_is_restored(tmp_path):
    plugins = tiny_host(loss={"annealed": Annealed})
    recipe = tiny_recipe(losses={"tiny": {}, "annealed": {}}, training=training())
    limner.train(recipe, tmp_path / "whole", callbacks=[], plugins=plugins)
    limner.train(recipe, tmp_path / "run", callbacks=[Interrupt(5)], plugins=plugins)
    limner.resume(tmp_path / "run", callbacks=[], plugins=plugins)
    mine, theirs = (leaves(read_state(tmp_path / name)) for name in ("whole", "run"))
    assert all(torch.equal(mine[place], theirs[place]) for place in mine if isinstance(mine[place], torch.Tensor))


def test_every_stop_signal_keeps_the_same(tiny, tmp_path):
    tiny["training"] = training(steps=1000)
    for number in SIGNALS:
        before = signal.getsignal(number)
        limner.train(tiny, tmp_path / number.name, callbacks=[stop := Interrupt(4, number)], plugins=PLUGINS)
        assert stop.run.interrupted
        assert signal.getsignal(number) is before
        assert_same(tmp_path / "SIGINT", tmp_path / number.name)


def test_a_second_ctrl_c_ends_at_once(tiny, tmp_path):
    class Twice(Interrupt):
        @hookimpl
        def limner_step_finished(self, run):
            super().limner_step_finished(run)
            super().limner_step_finished(run)

    with pytest.raises(KeyboardInterrupt):
        limner.train(tiny, tmp_path / "run", callbacks=[Twice(3)], plugins=PLUGINS)
    assert read_state(tmp_path / "run")["step"] == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_an_ignored_signal_stays_ignored(tiny, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        limner.train(tiny, tmp_path / "run", callbacks=[stop := Interrupt(1, signal.SIGHUP)], plugins=PLUGINS)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not stop.run.interrupted
    assert stop.run.progress == 1


def test_random_numbers_on_a_gpu_of_apple_are_kept(monkeypatch):
    states = [torch.tensor([1, 2, 3], dtype=torch.uint8)]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: states[-1])
    monkeypatch.setattr(torch.mps, "set_rng_state", states.append)
    run: Any = SimpleNamespace(batches=SimpleNamespace(device=torch.device("mps"), own_random=torch.Generator()))
    kept = random_states(run)
    states.append(torch.zeros(3, dtype=torch.uint8))
    restore_random_states(run, kept)
    assert states[-1].tolist() == [1, 2, 3]
    run.batches.device = torch.device("cpu")
    restore_random_states(run, kept)
    assert len(states) == 3, "on another kind of device, nothing is restored"


# --- further, and with another recipe -------------------------------------------------------------------------------


def test_more_steps_train_a_finished_run_further(tiny, whole, tmp_path):
    with pytest.raises(LimnerError, match="whole has used its budget of 12 steps; a larger one, such as --set"):
        limner.resume(whole, callbacks=[], plugins=PLUGINS)
    stop = Interrupt(99)
    with pytest.warns(UserWarning, match="The budget is 20 steps now, and was 12 steps: what depends on progress"):
        model = limner.resume(
            whole, ["training.steps=20", "prompts=['a plain blue wall']"], callbacks=[stop], plugins=PLUGINS
        )
    assert stop.run.step == 20
    assert model.history[-1]["step"] == 20
    assert model.film[0][1].labels == ["a plain blue wall"]
    assert read_state(whole)["budget"] == "20 steps"
    assert "steps = 20" in (whole / "recipe.toml").read_text()
    tiny["training"] |= {"steps": 20, "decay": 0}
    limner.train(tiny, tmp_path / "long", callbacks=[], plugins=PLUGINS)
    tiny["training"] |= {"steps": 12}
    limner.train(tiny, tmp_path / "short", callbacks=[], plugins=PLUGINS)
    with pytest.warns(UserWarning, match="The budget is 20 steps now"):
        limner.resume(tmp_path / "short", ["training.steps=20"], callbacks=[], plugins=PLUGINS)
    long, short = (tmp_path / name / "weights.safetensors" for name in ("long", "short"))
    assert long.read_bytes() == short.read_bytes()


def test_seconds_that_were_used_count(tiny, tmp_path):
    class Slow(Interrupt):
        @hookimpl
        def limner_training_started(self, run):
            self.run, self.first = run, run.seconds

        @hookimpl(trylast=True)
        def limner_step_finished(self, run):
            if run.seconds > self.step and not run.interrupted:
                signal.raise_signal(signal.SIGINT)
                self.step = 9

    tiny["training"] = training(seconds=0.6)
    del tiny["training"]["steps"]
    limner.train(tiny, tmp_path / "run", callbacks=[first := Slow(0.2)], plugins=PLUGINS)
    limner.resume(tmp_path / "run", callbacks=[second := Slow(9)], plugins=PLUGINS)
    assert 0.2 < first.run.seconds == second.first < 0.6 <= second.run.seconds
    seconds = [row["seconds"] for row in second.run.model.history]
    assert seconds == sorted(seconds)


def test_what_may_not_be_changed_is_named(whole):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    changes = ["training.steps=20", "training.seed=4", "encoder.width=32", "training.preview_every=0.5"]
    with pytest.raises(LimnerError, match=r"encoder.width, training.seed cannot be changed .*, only training.steps, "):
        limner.resume(whole, changes, callbacks=[], plugins=PLUGINS)
    assert before == {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}


def test_other_surroundings_are_told_and_training_continues(tiny, tmp_path):
    limner.train(tiny, tmp_path / "run", callbacks=[Interrupt(4)], plugins=PLUGINS)
    torch.set_num_threads(2)
    try:
        with pytest.warns(UserWarning, match=r"began with threads 1 \(now 2\): the weights may differ slightly"):
            limner.resume(tmp_path / "run", callbacks=[stop := Interrupt(99)], plugins=PLUGINS)
    finally:
        torch.set_num_threads(1)
    assert stop.run.progress == 1
    assert differences({"torch": "1", "limner": "1"}, {"torch": "2", "limner": "1"}) == ["torch 1 (now 2)"]


# --- what cannot be resumed -----------------------------------------------------------------------------------------


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "no run": (lambda run: (run / "recipe.toml").unlink(), "run is not a run folder: it has no recipe.toml"),
    "no folder": (shutil.rmtree, "There is no run folder"),
    "no state": (lambda run: (run / STATE_FILE).unlink(), "has no state.safetensors, so it cannot be resumed; train"),
    "cut state": (lambda run: cut(run / STATE_FILE), "state.safetensors is damaged: .*; nothing was changed"),
    "empty state": (lambda run: cut(run / STATE_FILE, 0), "state.safetensors is damaged"),
    "flipped bit": (lambda run: flip(run / STATE_FILE), "state.safetensors is damaged: its checksum is wrong"),
    "other weights": (
        lambda run: (run / "recipe.toml").write_text(
            (run / "recipe.toml").read_text().replace("noise = 8", "noise = 9")
        ),
        "state.safetensors does not fit the recipe beside it, or is damaged: .*size mismatch",
    ),
    "missing component": (
        lambda run: (run / "recipe.toml").write_text((run / "recipe.toml").read_text().replace('"tiny"', '"tinny"')),
        "there is no .* 'tinny', did you mean 'tiny'",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_what_cannot_be_resumed_is_one_sentence_and_stays(tiny, tmp_path, damage, message):
    run = tmp_path / "run"
    limner.train(tiny, run, callbacks=[Interrupt(2)], plugins=PLUGINS)
    damage(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(LimnerError, match=message) as caught:
        limner.resume(run, callbacks=[], plugins=PLUGINS)
    assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_state_is_read_while_a_training_replaces_it(tmp_path, monkeypatch):
    (tmp_path / "recipe.toml").touch()
    old, new = ({"number": number, "weights": torch.full((100,), float(number))} for number in range(2))
    save_state(tmp_path, old)
    map_file = torch.UntypedStorage.from_file

    def replace_then_map(*arguments, **options):  # `safe_open` opens a file for its header, and then again, here
        save_state(tmp_path, new)
        return map_file(*arguments, **options)

    monkeypatch.setattr(torch.UntypedStorage, "from_file", replace_then_map)
    read = read_state(tmp_path)
    assert (read["weights"] == read["number"]).all()


def test_a_folder_is_trained_by_one_process_at_a_time(tiny, whole, tmp_path):
    with claim(whole), pytest.raises(LimnerError, match="whole is in use by process"):
        limner.resume(whole, ["training.steps=20"], callbacks=[], plugins=PLUGINS)
    with claim(tmp_path / "new"), pytest.raises(LimnerError, match="new is in use by process"):
        limner.train(tiny, tmp_path / "new", callbacks=[], plugins=PLUGINS)
    assert not (tmp_path / "new").exists()

    class Claiming:
        @hookimpl
        def limner_step_finished(self, run):
            with pytest.raises(LimnerError, match="run is in use"), claim(run.folder):
                pass
            self.done = True

    claiming = Claiming()
    limner.train(tiny, tmp_path / "run", callbacks=[claiming], plugins=PLUGINS)
    assert claiming.done
    assert not (tmp_path / "run" / ".lock").exists()


def test_an_optimizer_that_cannot_be_saved_trains_all_the_same(tmp_path):
    class Odd(limner.Optimizer):
        def __init__(self, groups):
            super().__init__(groups, {"lr": 1e-3})

        @torch.no_grad()
        def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
            for weight in (weight for group in self.param_groups for weight in group["params"]):
                self.state[weight]["memory"] = object()

    plugins = tiny_host(optimizer={"odd": Odd})
    recipe = tiny_recipe(training=training(optimizer="odd"))
    with pytest.warns(UserWarning, match="cannot be resumed if it is stopped, because .*memory is of type object"):
        limner.train(recipe, tmp_path / "run", callbacks=[stop := Interrupt(99)], plugins=plugins)
    assert stop.run.progress == 1


# --- pictures, snapshots, captions ----------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_written_is_told_once(tiny, tmp_path):

    class Block:
        @hookimpl
        def limner_training_started(self, run):
            (run.folder / "pictures").touch()

    from limner.training.callbacks import SavedPictures

    run = tmp_path / "run"
    with pytest.warns(UserWarning, match="Training continues without this picture") as told:
        limner.train(tiny, run, callbacks=[Block(), SavedPictures(run)], plugins=PLUGINS)
    assert len(told) == 1
    assert read_state(run)["step"] == LENGTH


def test_weights_are_saved_before_a_preview_fails(tiny, tmp_path, monkeypatch):
    tiny["training"] = training(preview_every=1.0)
    paint = limner.Model.paint_images

    def fail(model, *arguments, **options):
        if (tmp_path / "run" / "weights.safetensors").exists() and model.history:
            raise MemoryError
        return paint(model, *arguments, **options)

    monkeypatch.setattr(limner.Model, "paint_images", fail)
    with pytest.raises(MemoryError):
        limner.train(tiny, tmp_path / "run", callbacks=[], plugins=PLUGINS)
    assert read_state(tmp_path / "run")["step"] == LENGTH


def test_snapshots_that_are_close_have_names_of_their_own(tiny, tmp_path):
    tiny["training"] = training(snapshots=[0.5, 0.50000001])
    limner.train(tiny, tmp_path / "run", callbacks=[Interrupt(8)], plugins=PLUGINS)
    kept = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert kept == ["0.5", "0.50000001"]
    shutil.rmtree(tmp_path / "run" / "snapshots")
    limner.resume(tmp_path / "run", callbacks=[], plugins=PLUGINS)
    assert not (tmp_path / "run" / "snapshots").exists(), "they were kept once"


def test_captions_that_are_cut_are_counted(tiny):
    tiny["text"] = {"length": 4}
    with pytest.warns(UserWarning, match=r"\d+ of 32 captions are longer than text.length = 4 tokens and are cut; set"):
        limner.train(tiny, callbacks=[], plugins=PLUGINS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        limner.train(tiny, overrides=["text.length=24"], callbacks=[], plugins=PLUGINS)
