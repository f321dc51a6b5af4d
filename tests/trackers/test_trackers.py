"""Trainings are recorded by trackers: TensorBoard's files, MLflow's and Weights & Biases' folders are read back."""

import importlib.machinery
import importlib.util
import io
import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import limner
import numpy as np
import pytest
import torch
from limner import LimnerError, Recipe, hookimpl
from limner_trackers.recording import norm_of, parameters_of
from PIL import Image

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning", "ResourceWarning")
]  # of the trackers' own packages


def installed(module: str) -> None:
    pytest.importorskip(module, reason=f"needs pip install {module}")


@pytest.fixture
def tracked(recipe):
    """A tiny recipe that is tracked; six steps, recorded in every second one."""

    def make(name: str = "tensorboard", steps: int = 6, **options):
        recipe["training"] |= {"steps": steps, "trackers": [{"name": name, "every": 2, **options}]}
        recipe["metrics"] = {"prompt-diversity": {"prompts": 2, "images": 3}}
        return recipe

    return make


# --- TensorBoard ----------------------------------------------------------------------------------------------------


def events(folder: Path):
    """What TensorBoard reads of a log."""
    installed("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()


def steps_of(log, tag: str) -> list[int]:
    return [event.step for event in log.Scalars(tag)]


def test_tensorboard_has_losses_speed_norms_previews_and_parameters(tracked, tmp_path):
    installed("tensorboard")
    limner.train(tracked(steps=5), tmp_path / "run", quiet=True)
    log = events(tmp_path / "run/tensorboard")
    scalars = set(log.Tags()["scalars"])
    assert {"losses/generator", "losses/discriminator", "images per second"} <= scalars
    assert {"gradient norms/generator", "gradient norms/discriminator"} <= scalars
    assert steps_of(log, "losses/hinge/generator") == [2, 4, 5]
    assert all(event.value > 0 for event in log.Scalars("gradient norms/generator"))
    previews = log.Images("previews")
    assert [event.step for event in previews] == [0, 1, 2, 3, 4, 5]
    picture = Image.open(io.BytesIO(previews[-1].encoded_image_string))
    saved = Image.open(tmp_path / "run/pictures/samples.png")
    assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(saved.convert("RGB")))
    [parameters] = (tmp_path / "run/tensorboard").glob("*/hparams.yml")
    assert "training.steps: 5" in parameters.read_text()


def test_a_loss_is_the_mean_since_the_last_one(tracked, tmp_path):
    installed("tensorboard")
    seen = []

    class Losses:
        @hookimpl
        def limner_step_finished(self, run, losses):
            seen.append(losses["generator"])

    limner.train(tracked(steps=4), tmp_path / "run", callbacks=[Losses()])
    log = events(tmp_path / "run/tensorboard").Scalars("losses/generator")
    assert [event.value for event in log] == pytest.approx([sum(seen[:2]) / 2, sum(seen[2:]) / 2])


def test_scores_are_recorded_after_the_training(tracked, tmp_path):
    installed("tensorboard")
    model = limner.train(tracked(), tmp_path / "run", quiet=True)
    report = model.evaluate()
    model.evaluate(sampling=model.recipe.sampling.model_copy(update={"truncation": 1.0}))  # not as the recipe says
    log = events(tmp_path / "run/tensorboard")
    assert {name: log.Scalars(f"scores/{name}")[0].value for name in report.scores} == pytest.approx(report.scores)
    assert all(steps_of(log, f"scores/{name}") == [6] for name in report.scores)


def test_a_resumed_training_continues_its_log(tracked, tmp_path):
    installed("tensorboard")

    class Fault:
        @hookimpl(trylast=True)
        def limner_step_finished(self, run):
            if run.step == 7:
                raise LimnerError("the power is out")

    recipe = tracked(steps=8)
    recipe["training"]["checkpoint_every"] = 0.5
    with pytest.raises(LimnerError):
        limner.train(recipe, tmp_path / "run", callbacks=[Fault()])
    assert steps_of(events(tmp_path / "run/tensorboard"), "losses/generator") == [2, 4, 6]
    limner.resume(tmp_path / "run", quiet=True)  # from step 4
    assert steps_of(events(tmp_path / "run/tensorboard"), "losses/generator") == [2, 4, 6, 8]
    assert len(list((tmp_path / "run/tensorboard").glob("*/hparams.yml"))) == 1


def test_without_a_run_folder_each_training_has_a_log_of_its_own(tracked, tmp_path, monkeypatch):
    installed("tensorboard")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        limner.train(tracked(steps=2), quiet=True)
    assert sorted(path.name for path in (tmp_path / "tensorboard/limner").iterdir()) == ["scenes", "scenes-2"]


@pytest.mark.slow
def test_a_comparison_names_the_project_and_its_runs(tracked, tmp_path, monkeypatch):
    installed("tensorboard")
    monkeypatch.chdir(tmp_path)
    recipe = tracked(steps=2, folder="logs")
    found = limner.compare(recipe, {"encoder.width": [8, 16]}, seeds=2, out=tmp_path / "widths", quiet=True)
    logs = {path.name for path in (tmp_path / "logs/widths").iterdir()}
    assert logs == {f"{width}-seed-{seed}" for width in (8, 16) for seed in (0, 1)}
    log = events(tmp_path / "logs/widths/8-seed-0")
    score = next(name for name in found.columns if f"scores/{name}" in log.Tags()["scalars"])
    assert log.Scalars(f"scores/{score}")[0].step == 2


@pytest.mark.slow
def test_only_the_first_of_several_processes_records(two_processes, tracked, tmp_path):
    installed("tensorboard")
    script = "import json, sys, limner\nlimner.train(json.loads(sys.argv[1]), 'run', quiet=True)\n"
    recipe = {
        "extends": "scenes-one",
        "data": {"count": 64},
        "prompts": ["a red circle"],
        "training": {"steps": 4, "batch_size": 8, "trackers": [{"name": "tensorboard", "every": 2}]},
    }
    done = two_processes(script, json.dumps(recipe))
    assert done.returncode == 0, done.stderr
    files = [path for path in (tmp_path / "run/tensorboard").iterdir() if path.is_file()]
    assert len(files) == 1
    assert steps_of(events(tmp_path / "run/tensorboard"), "losses/generator") == [2, 4]


# --- MLflow ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_mlflow_has_the_same(tracked, tmp_path, monkeypatch):
    installed("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    uri = (tmp_path / "mlruns").as_uri()
    model = limner.train(tracked("mlflow", uri=uri, project="first"), tmp_path / "run", quiet=True)
    report = model.evaluate()
    client = MlflowClient(uri)
    [experiment] = client.search_experiments(filter_string="name = 'first'")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    assert run.data.params["training.steps"] == "6"
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "losses/generator")] == [2, 4, 6]
    scores = {name.removeprefix("scores/"): v for name, v in run.data.metrics.items() if name.startswith("scores/")}
    assert sorted(scores.values()) == pytest.approx(sorted(report.scores.values()))
    pictures = [path for path in (tmp_path / "mlruns").rglob("*.png") if "previews" in path.name]
    assert len(pictures) == 7

    with pytest.warns(UserWarning, match="The budget is 8 steps now"):
        limner.resume(tmp_path / "run", ["training.steps=8"], quiet=True)
    [run] = client.search_runs([experiment.experiment_id])
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "losses/generator")] == [2, 4, 6, 8]


def test_a_training_that_diverges_leaves_no_log_open(tracked, tmp_path, monkeypatch):
    installed("mlflow")
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    recipe = tracked("mlflow", steps=50, uri=(tmp_path / "mlruns").as_uri())
    recipe["training"] |= {"generator_lr": 1e30, "discriminator_lr": 1e30}
    with pytest.raises(limner.DivergedError):
        limner.train(recipe, quiet=True)
    assert mlflow.active_run() is None


# --- Weights & Biases -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_wandb_keeps_everything_offline(tracked, tmp_path, monkeypatch):
    installed("wandb")
    for key in ("WANDB_SILENT", "WANDB_DISABLE_SERVICE_STARTUP_LOGS"):
        monkeypatch.setenv(key, "true")
    monkeypatch.chdir(tmp_path)
    model = limner.train(tracked("wandb", mode="offline", project="first"), tmp_path / "run", quiet=True)
    report = model.evaluate()
    import_module("wandb").teardown()  # its service writes the last records after a run is finished
    first, second = sorted((tmp_path / "run/wandb").glob("offline-run-*"))  # the scores are a second part of one run
    assert (
        first.name.rpartition("-")[2]
        == second.name.rpartition("-")[2]
        == (tmp_path / "run/trackers/wandb.txt").read_text()
    )
    written = next(first.glob("*.wandb")).read_bytes()
    assert all(key in written for key in (b"losses/generator", b"gradient norms/generator", b"training.steps"))
    assert len(list(first.rglob("previews*.png"))) == 7
    written = next(second.glob("*.wandb")).read_bytes()
    assert [name for name in report.scores if f"scores/{name}".encode() not in written] == []


# --- Aim and Comet, by stand-ins for their packages -----------------------------------------------------------------


def stand_in(monkeypatch, name: str, **members) -> None:
    """A module in place of a package, as the import system knows it."""
    module = ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def test_aim_is_told_everything(tracked, tmp_path, monkeypatch):
    made = []

    class AimRun(dict):
        def __init__(self, repo, experiment, run_hash=None):
            super().__init__()
            self.experiment, self.hash, self.tracked = experiment, run_hash or "abc", []
            made.append(self)

        def track(self, value, name, step):
            self.tracked.append((name, step))

        def close(self):
            self.closed = True

    stand_in(monkeypatch, "aim", Run=AimRun, Image=lambda picture, caption: picture)
    limner.train(tracked("aim"), tmp_path / "run", quiet=True).evaluate()
    first, second = made
    assert (first.name, first.experiment, first["hparams"]["training.steps"]) == ("run", "limner", 6)
    assert [step for name, step in first.tracked if name == "losses/generator"] == [2, 4, 6]
    assert ("previews", 6) in first.tracked
    assert second.hash == "abc"
    assert any(name.startswith("scores/") for name, _ in second.tracked)
    assert first.closed
    assert second.closed


def test_comet_is_told_everything(tracked, tmp_path, monkeypatch):
    told = []

    class Experiment:
        def __getattr__(self, method):
            return lambda *values, **options: told.append((method, values, options))

    def start(**options):
        told.append(("start", (), options))
        return Experiment()

    stand_in(monkeypatch, "comet_ml", start=start, __version__="3.50.0")
    limner.train(tracked("comet"), tmp_path / "run", quiet=True).evaluate()
    starts = [options for method, _, options in told if method == "start"]
    assert [options["project_name"] for options in starts] == ["limner", "limner"]
    assert len({options["experiment_key"] for options in starts}) == 1
    assert [o["step"] for method, values, o in told if method == "log_metric" and values[0] == "losses/generator"] == [
        2,
        4,
        6,
    ]
    assert sum(method == "log_image" for method, _, _ in told) == 7
    assert sum(method == "end" for method, _, _ in told) == 2


# --- bad input ------------------------------------------------------------------------------------------------------


def without(monkeypatch, module: str) -> None:
    """Behave as if a module was not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr("limner_trackers.recording.find_spec", lambda name: None if name == module else found(name))


def test_a_tracker_that_is_not_installed_names_the_command(tracked, tmp_path, monkeypatch):
    without(monkeypatch, "comet_ml")
    with pytest.raises(
        LimnerError, match=r"training.trackers.0: the tracker 'comet' is not installed; pip install comet_ml\."
    ):
        limner.train(tracked("comet"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        (["tensorbord"], "training.trackers.0: there is no tracker 'tensorbord', did you mean 'tensorboard'?"),
        ([{"name": "tensorboard", "evry": 5}], "did you mean 'every'?"),
        ([{"name": "tensorboard", "every": 0}], "greater than or equal to 1"),
        (["wandb", "wandb"], "name the tracker 'wandb' once"),
        ("wandb", "training.trackers"),
    ],
)
def test_a_wrong_tracker_is_one_sentence(plugins, recipe, trackers, message):
    recipe["training"]["trackers"] = trackers
    with pytest.raises(LimnerError) as caught:
        Recipe.read(plugins, recipe)
    assert message in str(caught.value)


def test_names_are_enough_also_on_the_command_line(plugins, recipe):
    read = Recipe.read(plugins, recipe, ['training.trackers=["tensorboard", {name = "wandb", every = 5}]'])
    assert [(t.name, t.options) for t in read.training.trackers] == [("tensorboard", {}), ("wandb", {"every": 5})]


def test_a_tracker_that_cannot_start_ends_the_training_before_its_first_step(tracked, monkeypatch):
    def start(**options):
        raise RuntimeError("no key")

    stand_in(monkeypatch, "comet_ml", start=start, __version__="3.50.0")
    with pytest.raises(LimnerError, match="The tracker 'comet' could not start: no key"):
        limner.train(tracked("comet"), quiet=True)


def test_a_tracker_that_fails_later_does_not_end_the_training(tracked, monkeypatch, capsys):
    def fail(*values, **options):
        raise ConnectionError("the server is gone")

    experiment = SimpleNamespace(
        set_name=print, log_parameters=print, set_step=print, log_metric=fail, log_image=fail, end=print
    )
    stand_in(monkeypatch, "comet_ml", start=lambda **options: experiment, __version__="3.50.0")
    model = limner.train(tracked("comet"), callbacks=[])
    assert model.paint("a red circle")
    assert "the server is gone" in capsys.readouterr().err


# --- its parts ------------------------------------------------------------------------------------------------------


def test_the_norm_is_that_of_all_gradients_together():
    assert norm_of([torch.tensor([3.0]), torch.tensor([[4.0]])]) == pytest.approx(5)
    assert norm_of([]) == 0


def test_parameters_are_flat_and_leave_out_trackers(plugins, tracked):
    flat = parameters_of(Recipe.read(plugins, tracked()))
    assert flat["training.batch_size"] == 8
    assert flat["encoder.name"] == "mlp"
    assert flat["prompts"] == json.dumps(["a red circle above a blue square", "a green square above a red circle"])
    assert not any("trackers" in key for key in flat)
