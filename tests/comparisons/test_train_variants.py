"""`limner.compare`: equal budgets, every variant and seed, and resuming where it stopped."""

import json
import re
import shutil

import limner
import pandas as pd
import pytest
import tomli_w
from limner import LimnerError, Loss, hookimpl


def read(folder):
    return json.loads((folder / "results.json").read_text())


# --- what is trained ------------------------------------------------------------------------------------------------


def test_all_variants_train_with_one_seed_then_with_the_next(compare, diary, out):
    result = compare(steps=3)
    assert diary.runs == [(8, 0), (16, 0), (8, 1), (16, 1)]
    assert set(result["steps"]) == {3}
    for run in read(out)["runs"]:
        model = limner.load(out / run["folder"])
        assert (model.recipe.training.steps, model.recipe.training.seed) == (3, run["seed"])
        assert model.recipe.encoder.options["width"] == run["settings"]["encoder.width"]
        assert model.evaluate().scores == run["scores"]
        assert json.loads((out / run["folder"] / "scores.json").read_text()) == run["scores"]
        assert (out / run["folder"] / "pictures" / "film.png").is_file()


def test_whole_recipes_can_be_compared(compare, recipe, out, tmp_path):
    files = [tmp_path / f"{name}.toml" for name in ("narrow", "wide", "third")]
    for file, width in zip(files, (8, 16, 24)):
        file.write_text(tomli_w.dumps(recipe | {"encoder": {"name": "mlp", "width": width, "hidden": 8}}))
    found = compare({"recipe": [str(file) for file in files[:2]]}, seeds=1, steps=3)
    assert found["steps"].tolist() == [3, 3]
    assert [len(found.results.recipes), found.results.missing] == [2, 0]
    more = compare({"recipe": [str(files[2])]}, seeds=1, steps=3)
    assert [len(more), len(more.results.recipes)] == [3, 3]
    files[0].write_text(files[0].read_text().replace("hidden = 8", "hidden = 9"))
    with pytest.raises(LimnerError, match="hidden is 8 there and 9 here"):
        compare({"recipe": [str(file) for file in files]}, seeds=2, steps=3)


def test_a_budget_in_seconds_is_kept(compare):
    result = compare(seeds=1, seconds=0.2, out=None)
    assert all(0.2 <= seconds < 1 for seconds in result["seconds"])
    assert result.results.budget == {"seconds": 0.2}


def test_nothing_is_written_without_a_folder(compare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(compare(seeds=1, out=None)) == 2
    assert list(tmp_path.iterdir()) == []


WRONG = {  # what is varied (None: the widths), options, and the error message
    "a wrong name": ({"encoder.name": ["mlp", "lstm", "lstn"]}, {}, "with encoder.name=lstn: .*did you mean 'lstm'"),
    "a wrong key": ({"encoder.widht": [8]}, {}, "encoder.widht: .* did you mean 'width'"),
    "a wrong value": ({"encoder.width": [8, "wide"]}, {}, "with encoder.width=wide: encoder.width: expected"),
    "sizes that do not fit": ({"generator.channels": [[8], [8] * 4]}, {}, r"with generator.channels=\[8, .* 4 levels"),
    "no loss": ({"losses.hinge": [{}, False]}, {}, "with losses.hinge=false: losses: none"),
    "no metric": ({"metrics.scene-judge.prompts": [5, 0]}, {}, "prompts=0: .*should be at least 1"),
    "another data's metric": (
        {"data": ["scenes", {"name": "coco", "root": "."}]},
        {},
        "with data=.*: this metric judges captioned scenes",
    ),
    "the same twice": ({"encoder.width": [8, 16, 8]}, {}, "'8' and '8' are one and the same recipe"),
    "a budget": ({"training.steps": [2, 3]}, {}, "the same budget and the same seeds; do not vary them"),
    "a budget as a table": ({"training": [{"seconds": 1}, {"steps": 3}]}, {}, "the same budget"),
    "a seed": ({"training.seed": [2, 3]}, {}, "the same budget and the same seeds"),
    "no key": ({}, {}, "There is nothing to compare"),
    "no value": ({"encoder.width": []}, {}, r"vary: encoder.width: expected a list of values, got \[\]"),
    "a text for a list": ({"encoder.name": "lstm"}, {}, "vary: encoder.name: expected a list of values, got 'lstm'"),
    "two budgets": (None, {"steps": 2, "seconds": 2}, "either in steps or in seconds"),
    "no time": (None, {"seconds": 0}, "training.seconds: expected greater than 0"),
    "no seed": (None, {"seeds": 0}, "seeds: expected how many"),
}


@pytest.mark.parametrize(("vary", "options", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_are_reported_before_any_training(compare, widths, diary, out, vary, options, message):
    with pytest.raises(LimnerError, match=message) as caught:
        compare(widths if vary is None else vary, **options)
    assert "\n" not in str(caught.value)
    assert diary.runs == []
    assert not out.exists()


class Exploding(Loss):
    """Is not a number from the second step on."""

    def __init__(self, sizes, *, bad: bool = False):
        super().__init__(sizes)
        self.bad = bad

    def generator(self, step):
        value = step.generated.match.mean()
        self.calls = getattr(self, "calls", 0) + 1
        return value * float("nan") if self.bad and self.calls > 1 else value


def test_a_variant_that_diverges_is_a_result(compare, plugins, recipe, out):
    class ExplodingPlugin:
        @hookimpl
        def limner_losses(self):
            return {"exploding": Exploding}

    plugins.register(ExplodingPlugin())
    recipe |= {"losses": {"exploding": {}}}
    result = compare({"losses.exploding.bad": [True, False]}, 1, recipe)
    assert result["diversity"].isna().tolist() == [True, False]
    assert result.problems == [f"true, seed 0: {read(out)['runs'][0]['problem']}"]
    assert re.search(r"At step 2 the loss .* was nan.* in runs/true-0 are", result.problems[0])
    assert result.problems[0] in (out / "table.md").read_text()
    assert "true/diversity" not in result.summary().scores
    result.plot()
    compare({"losses.exploding.bad": [True, False]}, 1, recipe)
    assert len(read(out)["runs"]) == 2, "it would diverge again"


def test_runs_get_folders_that_every_file_system_allows(compare, out):
    compare({"generator.channels": [[8, 8], [4]], "encoder": [{"name": "mlp"}, "lstm"]}, seeds=1, steps=1)
    assert sorted(path.name for path in (out / "runs").iterdir()) == [
        "4-lstm-0",
        "4-name-mlp-0",
        "8-8-lstm-0",
        "8-8-name-mlp-0",
    ]


def test_labels_that_give_the_same_folder_name_get_two_folders(compare, out):
    compare({"prompts": [["a red circle"], ["a red: circle"]]}, seeds=1, steps=1)
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["a-red-circle-0", "a-red-circle-2-0"]


# --- stopped and resumed --------------------------------------------------------------------------------------------


def test_a_stopped_comparison_keeps_finished_runs_and_resumes(compare, diary, out):
    diary.stop_at(3)
    with pytest.warns(UserWarning, match=r"Stopped with 2 of 4 runs finished; they are kept in .*found, and the same"):
        stopped = compare()
    assert stopped[["encoder.width", "seed"]].to_numpy().tolist() == [[8, 0], [16, 0]]
    assert (read(out)["missing"], len(read(out)["runs"])) == (2, 2)
    unfinished = sorted((out / "runs").iterdir())[-1]
    assert unfinished not in [out / run["folder"] for run in read(out)["runs"]]
    assert "2 runs are still missing" in (out / "table.md").read_text()

    diary.act = lambda: None
    result = compare()
    assert diary.runs[3:] == [(8, 1), (16, 1)], "the unfinished run is trained again, the finished ones are not"
    assert (read(out)["missing"], len(result)) == (0, 4)
    assert "missing" not in (out / "table.md").read_text()
    before = (out / "results.json").read_bytes()
    pd.testing.assert_frame_equal(compare(), result)
    assert len(diary.runs) == 5
    assert (out / "results.json").read_bytes() == before


def test_a_killed_comparison_resumes(compare, diary, out):
    def kill():
        raise SystemExit

    diary.act = kill
    with pytest.raises(SystemExit):
        compare()
    (out / "results.json.partial").write_text("{")
    assert read(out)["runs"] == []
    assert (out / "runs/8-0/recipe.toml").is_file()
    diary.act = lambda: None
    assert len(compare()) == 4


def test_a_comparison_without_finished_runs_is_empty(compare, diary):
    diary.stop_at(1)
    with pytest.warns(UserWarning, match="Stopped with 0 of 4 runs finished"):
        stopped = compare()
    assert len(stopped) == 0
    with pytest.raises(LimnerError, match="nothing to plot"):
        stopped.plot()


def test_more_seeds_and_values_add_the_missing_runs(compare, diary, out):
    compare(seeds=1)
    compare(seeds=2)
    assert diary.runs == [(8, 0), (16, 0), (8, 1), (16, 1)]
    result = compare({"encoder.width": [24]}, seeds=1)
    assert diary.runs[4:] == [(24, 0)]
    assert result[["encoder.width", "seed"]].to_numpy().tolist() == [[8, 0], [8, 1], [16, 0], [16, 1], [24, 0]]
    assert "--vary encoder.width=8,16,24 --seeds 2" in read(out)["command"]
    assert len(compare(seeds=1)) == 5, "runs beyond what is asked for stay"
    assert len(diary.runs) == 5


OTHERS = {  # options of another comparison, and the difference
    "budget": ({"steps": 5}, "recipe.training.steps is 2 there and 5 here"),
    "unit": ({"seconds": 5}, "recipe.training.steps is 2 there and not given here"),
    "recipe": ({"overrides": ["encoder.hidden=9"]}, "recipe.encoder.hidden is 8 there and 9 here"),
    "more": ({"overrides": ["losses.r1={}"]}, r"recipe.losses.r1 is not given there and \{\} here"),
    "vary": ({"vary": {"encoder.hidden": [8]}}, "varied is encoder.width there and encoder.hidden here"),
}


@pytest.mark.parametrize(("options", "difference"), OTHERS.values(), ids=OTHERS)
def test_the_folder_of_another_comparison_is_refused(kept, plugins, judged_recipe, widths, options, difference):
    _, folder = kept
    before = sorted(folder.rglob("*"))
    with pytest.raises(LimnerError, match=f"found holds another comparison: {difference}; name another folder"):
        limner.compare(judged_recipe, **({"vary": widths} | options), out=folder, plugins=plugins)
    assert sorted(folder.rglob("*")) == before


def moved(kept, folder, key):
    """A copy of the finished comparison, as if a machine that differs in `key` had made it; and this machine."""
    shutil.copytree(kept[1], folder, ignore=shutil.ignore_patterns("runs"))
    results = read(folder)
    here = dict(results["machine"])
    results["machine"][key] = "Abacus"
    (folder / "results.json").write_text(json.dumps(results))
    return here


@pytest.mark.parametrize("key", ["processor", "instructions"])  # processors of one name may differ in the second
def test_all_runs_of_a_seed_come_from_one_machine(kept, out, compare, judged_recipe, diary, key):
    moved(kept, out, key)
    assert len(compare(recipe=judged_recipe)) == 4, "nothing is missing"
    told = rf"runs with seed 0 from another machine: machine\.{key} is Abacus there and"
    with pytest.raises(LimnerError, match=told):
        compare({"encoder.width": [8, 16, 24]}, recipe=judged_recipe)
    assert diary.runs == []


def test_another_machine_trains_further_seeds(kept, out, compare, judged_recipe):
    here = moved(kept, out, "processor")
    assert len(compare(seeds=3, recipe=judged_recipe)) == 6
    results = read(out)
    assert results["machine"]["processor"] == "Abacus"
    assert results["other_machines"] == {"2": here}
    assert re.search(r"float32, on Abacus \(.*\), seed 2 on .*;", (out / "table.md").read_text())
    with pytest.raises(LimnerError, match=r"runs with seed 0 from another machine"):
        compare({"encoder.width": [8, 16, 24]}, seeds=4, recipe=judged_recipe)


def test_a_seed_whose_runs_are_forgotten_is_trained_here(kept, out, compare, judged_recipe):
    here = moved(kept, out, "processor")
    results = read(out)
    elsewhere = results["machine"]
    for run in results["runs"]:
        if run["seed"] == 1:
            run |= {"problem": "It failed.", "scores": {}}
    (out / "results.json").write_text(json.dumps(results | {"machine": here, "other_machines": {"1": elsewhere}}))
    assert len(compare(recipe=judged_recipe, keep_going=True)) == 4
    assert "other_machines" not in read(out)


def test_a_folder_of_something_else_is_refused(compare, trained, diary, out):
    with pytest.raises(LimnerError, match="is there already and is not an empty folder"):
        compare(out=trained)
    out.mkdir()
    (out / "results.json").write_text("{")
    with pytest.raises(LimnerError, match=r"found/results.json is damaged: JSONDecodeError"):
        compare()
    assert diary.runs == []


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch, recipe):
    """An empty folder to work in, with the recipe as `tiny.toml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    return tmp_path


def test_the_command_compares_and_records_itself(command, here):
    words = ["compare", "tiny.toml", "--vary", "encoder.width=8,16", "--vary", "losses.hinge.weight=1", "--seeds", 1]
    words += ["--steps", 1, "--set", "encoder.hidden=9", "--out", "deep/found"]
    status, out, err = command(*words)
    assert status == 0
    assert "8, 1" in out
    assert "diversity" in out
    assert "Results, table, chart and pictures are in deep/found, models in deep/found/runs." in out
    assert "comparing: 100%" in err
    assert "2.0 of 2 runs" in err
    assert read(here / "deep/found")["command"] == (
        "limner compare tiny.toml --set encoder.hidden=9 --vary encoder.width=8,16 --vary losses.hinge.weight=1 "
        "--seeds 1 --steps 1 --out deep/found"
    )
    made = {path.name for path in (here / "deep/found").iterdir()}
    assert made == {"results.json", "table.md", "chart.png", "pictures", "runs"}

    status, out, err = command(*words, "--json", "--quiet")
    assert (status, err) == (0, "")
    assert json.loads(out) == read(here / "deep/found")


def test_the_command_stops_at_ctrl_c_and_resumes(command, here, monkeypatch):
    from limner.comparisons import trainer

    train, trained = trainer.train_the_rest, []

    def stop_the_second(*arguments, **options):
        trained.append(arguments)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    monkeypatch.setattr(trainer, "train_the_rest", stop_the_second)
    words = ["compare", "tiny.toml", "--vary", "encoder.width=8,16", "--seeds", 1, "--out", "found", "--quiet"]
    status, out, err = command(*words)
    assert status == 130
    assert err == (
        "Note: Stopped with 1 of 2 runs finished; they are kept in found, "
        "and the same command resumes the comparison.\n"
    )
    assert "diversity" in out
    assert command(*words)[0] == 0
    assert len(trained) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vary", "encoder.name=mlp,lstn"], "tiny.toml with encoder.name=lstn: .* did you mean 'lstm'"),
        (["--vary", "encoder.name"], "--vary encoder.name: expected KEY=VALUE,VALUE"),
        (["--vary", "encoder.name=mlp,,lstm"], "expected KEY=VALUE,VALUE"),
        (["--vary", "encoder.width=8", "--vary", "encoder.width=9"], "encoder.width is varied twice"),
        (["--vary", "encoder.width=8", "--steps", "2", "--seconds", "2"], "either in steps or in seconds"),
        (["--vary", "encoder.width=8", "--out", "."], "is there already and is not an empty folder"),
    ],
)
def test_a_mistake_on_the_command_line_ends_in_one_line(command, here, words, message):
    status, out, err = command("compare", "tiny.toml", "--out", "found", *words)
    assert (status, out) == (1, "")
    assert re.fullmatch(f"Error: .*{message}.*\n", err)
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]
