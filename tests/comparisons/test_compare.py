"""Comparisons: equal budgets, every variant and seed, stopped and gone on with, and numbers that can be checked."""

import copy
import json
import re
import shutil
from statistics import mean, stdev

import limner
import pandas as pd
import pytest
import tomli_w
from limner import Attention, Comparison, LimnerError, Loss, hookimpl
from limner.comparisons.variants import make_variants, parse_vary, split_values, text_of
from limner.recipes.merging import resolve
from PIL import Image

RECIPE = {
    "image_size": 16,
    "data": {"name": "scenes", "count": 16},
    "encoder": {"name": "mlp", "width": 8, "hidden": 8},
    "generator": {"name": "convolutional", "channels": [8, 8], "noise": 8, "mapping": 8},
    "discriminator": {"name": "convolutional", "channels": [8, 8], "head": 8},
    "losses": {"hinge": {}},
    "metrics": {"scene-diversity": {"prompts": 2, "images": 2}},
    "prompts": ["a red circle above a blue square"],
    "training": {"steps": 2, "batch_size": 8, "precision": "float32", "preview_every": 1.0},
}
JUDGED = RECIPE | {"metrics": {"scene-judge": {"prompts": 6}, **RECIPE["metrics"]}}
WIDTHS = {"encoder.width": [8, 16]}


class Diary:
    """Notes which runs are trained, and does `act()` after each step."""

    def __init__(self):
        self.runs = []
        self.act = lambda: None

    @hookimpl
    def limner_training_started(self, run):
        self.runs.append((run.recipe.encoder.options["width"], run.recipe.training.seed))

    @hookimpl
    def limner_step_finished(self, run):
        self.act()

    def stop_at(self, number):
        """Ctrl-C in the training of that number, counted from 1."""

        def act():
            if len(self.runs) == number:
                raise KeyboardInterrupt

        self.act = act


@pytest.fixture
def diary():
    """What was trained; also where a test can break in."""
    return Diary()


@pytest.fixture
def out(tmp_path):
    """Where the comparisons of a test are."""
    return tmp_path / "found"


@pytest.fixture
def compare(plugins, diary, out):
    """Compares two widths of the encoder with two seeds, unless something else is said."""
    plugins.register(diary)

    def made(vary=WIDTHS, seeds=2, recipe=RECIPE, **options):
        return limner.compare(recipe, vary, seeds, **({"out": out, "quiet": True, "plugins": plugins} | options))

    return made


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A finished comparison and its folder; tests read it and never write to it."""
    folder = tmp_path_factory.mktemp("kept") / "found"
    return limner.compare(JUDGED, WIDTHS, 2, out=folder, quiet=True), folder


def read(folder):
    return json.loads((folder / "results.json").read_text())


# --- what is varied -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("none,spatial, multi-head", ["none", "spatial", "multi-head"]),
        ("0,0.3,1", [0, 0.3, 1]),
        ('{name="multi-head", at=[4, 8]},"none"', [{"name": "multi-head", "at": [4, 8]}, "none"]),
        ("[8, 8],[16, 16]", [[8, 8], [16, 16]]),
        ("false,{}", [False, {}]),
        ("'a, b',\"c\"", ["a, b", "c"]),
        ("it's,that's", ["it's", "that's"]),
        ("mlp", ["mlp"]),
    ],
)
def test_values_are_split_at_commas_and_read_as_settings_are(text, values):
    assert parse_vary([f"some.key={text}"]) == {"some.key": values}
    written = ",".join(map(text_of, values))
    assert parse_vary([f"some.key={written}"]) == {"some.key": values}, "and can be written again"


def test_a_text_that_looks_like_something_else_is_quoted():
    assert [text_of(value) for value in ("1", "a,b", "", "plain", "true")] == ['"1"', '"a,b"', '""', "plain", '"true"']
    assert split_values(text_of("a,b")) == ['"a,b"']


def test_several_keys_give_every_combination(plugins):
    vary = {"encoder.width": [8, 16], "losses.hinge.weight": [1, 2, 3]}
    variants = make_variants(plugins, RECIPE, vary, "here")
    assert [variant.label for variant in variants] == ["8, 1", "8, 2", "8, 3", "16, 1", "16, 2", "16, 3"]
    assert [(v.recipe.encoder.options["width"], v.recipe.losses["hinge"].weight) for v in variants] == [
        (width, weight) for width in (8, 16) for weight in (1, 2, 3)
    ]


class Tint(Attention):
    """An attention that does nothing."""

    def forward(self, features, text):
        return features


class Wash(Tint):
    """Another one."""


class Bringing:
    """A plugin with both."""

    @hookimpl
    def limner_attentions(self):
        return {"tint": Tint, "wash": Wash}


@pytest.mark.parametrize(
    "before", [None, "tint", {"name": "tint"}, {"name": "tint", "at": [8]}, ["tint", "wash"]], ids=str
)
def test_the_name_in_a_slot_is_varied_whatever_stands_there_and_stays_at_its_places(plugins, before):
    plugins.register(Bringing())
    recipe = copy.deepcopy(RECIPE)
    if before is not None:
        recipe["generator"]["attention"] = before
    base = resolve(plugins, recipe, ["generator.attention.at=[4, 8]"])
    variants = make_variants(plugins, base, {"generator.attention.name": ["none", "tint", "wash"]}, "here")
    slots = [variant.recipe.generator.options["attention"] for variant in variants]
    assert slots == [{"name": name, "at": [4, 8]} for name in ("none", "tint", "wash")]


# --- what is trained ------------------------------------------------------------------------------------------------


def test_all_variants_are_trained_on_one_budget_with_one_seed_and_then_with_the_next(compare, diary, out):
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


def test_whole_recipes_are_compared_and_a_changed_one_is_not_mixed_in(compare, out, tmp_path):
    files = [tmp_path / f"{name}.toml" for name in ("narrow", "wide", "third")]
    for file, width in zip(files, (8, 16, 24)):
        file.write_text(tomli_w.dumps(RECIPE | {"encoder": {"name": "mlp", "width": width, "hidden": 8}}))
    found = compare({"recipe": [str(file) for file in files[:2]]}, seeds=1, steps=3)
    assert found["steps"].tolist() == [3, 3]
    assert [len(found.attrs["recipes"]), found.attrs["missing"]] == [2, 0]
    more = compare({"recipe": [str(files[2])]}, seeds=1, steps=3)
    assert [len(more), len(more.attrs["recipes"])] == [3, 3]
    files[0].write_text(files[0].read_text().replace("hidden = 8", "hidden = 9"))
    with pytest.raises(LimnerError, match="hidden is 8 there and 9 here"):
        compare({"recipe": [str(file) for file in files]}, seeds=2, steps=3)


def test_a_budget_in_seconds_takes_that_long(compare):
    result = compare(seeds=1, seconds=0.2, out=None)
    assert all(0.2 <= seconds < 1 for seconds in result["seconds"])
    assert result.attrs["budget"] == {"seconds": 0.2}


def test_nothing_is_written_where_no_folder_is_named(compare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(compare(seeds=1, out=None)) == 2
    assert list(tmp_path.iterdir()) == []


WRONG = {  # what is varied, options, and what the one sentence says
    "a wrong name": ({"encoder.name": ["mlp", "lstm", "lstn"]}, {}, "with encoder.name=lstn: .*did you mean 'lstm'"),
    "a wrong key": ({"encoder.widht": [8]}, {}, "encoder.widht: .* did you mean 'width'"),
    "a wrong value": ({"encoder.width": [8, "wide"]}, {}, "with encoder.width=wide: encoder.width: expected"),
    "sizes that do not fit": ({"generator.channels": [[8], [8] * 4]}, {}, r"with generator.channels=\[8, .* 4 levels"),
    "no wish": ({"losses.hinge": [{}, False]}, {}, "with losses.hinge=false: losses: none of them"),
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
    "two budgets": (WIDTHS, {"steps": 2, "seconds": 2}, "either in steps or in seconds"),
    "no time": (WIDTHS, {"seconds": 0}, "training.seconds: expected greater than 0"),
    "no seed": (WIDTHS, {"seeds": 0}, "seeds: expected how many"),
}


@pytest.mark.parametrize(("vary", "options", "message"), WRONG.values(), ids=WRONG)
def test_whatever_is_wrong_is_told_before_anything_is_trained(compare, diary, out, vary, options, message):
    with pytest.raises(LimnerError, match=message) as caught:
        compare(vary, **options)
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


def test_a_variant_that_diverges_is_a_result_too(compare, plugins, out):
    class BringingIt:
        @hookimpl
        def limner_losses(self):
            return {"exploding": Exploding}

    plugins.register(BringingIt())
    recipe = RECIPE | {"losses": {"exploding": {}}}
    result = compare({"losses.exploding.bad": [True, False]}, 1, recipe)
    assert result["diversity"].isna().tolist() == [True, False]
    assert result.problems == [f"true, seed 0: {read(out)['runs'][0]['problem']}"]
    assert re.search(r"At step 1 the loss .* was nan.* in runs/true-0 are", result.problems[0])
    assert result.problems[0] in (out / "table.md").read_text()
    assert "true/diversity" not in result.summary().scores
    result.plot()
    compare({"losses.exploding.bad": [True, False]}, 1, recipe)
    assert len(read(out)["runs"]) == 2, "it would diverge again"


# --- stopped, and gone on with --------------------------------------------------------------------------------------


def test_a_stopped_comparison_keeps_what_is_finished_and_goes_on(compare, diary, out):
    diary.stop_at(3)
    with pytest.warns(UserWarning, match=r"Stopped with 2 of 4 runs finished; they are kept in .*found, and the same"):
        stopped = compare()
    assert stopped[["encoder.width", "seed"]].to_numpy().tolist() == [[8, 0], [16, 0]]
    assert (read(out)["missing"], len(read(out)["runs"])) == (2, 2)
    half_made = sorted((out / "runs").iterdir())[-1]
    assert half_made not in [out / run["folder"] for run in read(out)["runs"]]
    assert "2 runs are still missing" in (out / "table.md").read_text()

    diary.act = lambda: None
    result = compare()
    assert diary.runs[3:] == [(8, 1), (16, 1)], "the half-made run is made again, the finished ones are not"
    assert (read(out)["missing"], len(result)) == (0, 4)
    assert "missing" not in (out / "table.md").read_text()
    before = (out / "results.json").read_bytes()
    pd.testing.assert_frame_equal(compare(), result)
    assert len(diary.runs) == 5
    assert (out / "results.json").read_bytes() == before


def test_a_comparison_that_was_killed_goes_on(compare, diary, out):
    def kill():
        raise SystemExit

    diary.act = kill
    with pytest.raises(SystemExit):
        compare()
    (out / "results.json.partial").write_text("{")
    assert read(out)["runs"] == []
    assert (out / "runs/8-0/recipe.toml").is_file()
    (out / "runs/8-0/stray").write_text("")
    diary.act = lambda: None
    assert len(compare()) == 4
    assert not (out / "runs/8-0/stray").exists()


def test_stopped_before_anything_is_finished(compare, diary):
    diary.stop_at(1)
    with pytest.warns(UserWarning, match="Stopped with 0 of 4 runs finished"):
        stopped = compare()
    assert len(stopped) == 0
    with pytest.raises(LimnerError, match="nothing to plot"):
        stopped.plot()


def test_more_seeds_and_further_values_add_what_is_missing(compare, diary, out):
    compare(seeds=1)
    compare(seeds=2)
    assert diary.runs == [(8, 0), (16, 0), (8, 1), (16, 1)]
    result = compare({"encoder.width": [24]}, seeds=1)
    assert diary.runs[4:] == [(24, 0)]
    assert result[["encoder.width", "seed"]].to_numpy().tolist() == [[8, 0], [8, 1], [16, 0], [16, 1], [24, 0]]
    assert "--vary encoder.width=8,16,24 --seeds 2" in read(out)["command"]
    assert len(compare(seeds=1)) == 5, "what was made for more stays"
    assert len(diary.runs) == 5


OTHERS = {  # options of another comparison, and the difference
    "budget": ({"steps": 5}, "recipe.training.steps is 2 there and 5 here"),
    "unit": ({"seconds": 5}, "recipe.training.steps is 2 there and not given here"),
    "recipe": ({"overrides": ["encoder.hidden=9"]}, "recipe.encoder.hidden is 8 there and 9 here"),
    "more": ({"overrides": ["losses.r1={}"]}, r"recipe.losses.r1 is not given there and \{\} here"),
    "vary": ({"vary": {"encoder.hidden": [8]}}, "varied is encoder.width there and encoder.hidden here"),
}


@pytest.mark.parametrize(("options", "difference"), OTHERS.values(), ids=OTHERS)
def test_the_folder_of_another_comparison_is_refused(kept, plugins, options, difference):
    _, folder = kept
    before = sorted(folder.rglob("*"))
    with pytest.raises(LimnerError, match=f"found holds another comparison: {difference}; name another folder"):
        limner.compare(JUDGED, **({"vary": WIDTHS} | options), out=folder, plugins=plugins)
    assert sorted(folder.rglob("*")) == before


def test_another_machine_may_look_but_not_go_on(kept, tmp_path, compare, diary):
    shutil.copytree(kept[1], tmp_path / "moved", ignore=shutil.ignore_patterns("runs"))
    results = read(tmp_path / "moved")
    results["machine"]["processor"] = "Abacus"
    (tmp_path / "moved/results.json").write_text(json.dumps(results))
    assert len(compare(recipe=JUDGED, out=tmp_path / "moved")) == 4
    with pytest.raises(LimnerError, match=r"another comparison: machine\.processor is Abacus there and"):
        compare(seeds=3, recipe=JUDGED, out=tmp_path / "moved")
    assert diary.runs == []


def test_a_folder_of_something_else_is_refused(compare, trained, diary, out):
    with pytest.raises(LimnerError, match="is there already and is not an empty folder"):
        compare(out=trained)
    out.mkdir()
    (out / "results.json").write_text("{")
    with pytest.raises(LimnerError, match=r"found/results.json is damaged: JSONDecodeError"):
        compare()
    assert diary.runs == []


# --- what is told of it ---------------------------------------------------------------------------------------------


def test_the_summary_has_the_mean_and_the_deviation_of_the_runs(kept):
    result, folder = kept
    summary = result.summary()
    lines = (folder / "table.md").read_text().splitlines()
    for width in (8, 16):
        for name in ("trained/background", "diversity"):
            values = [r["scores"][name] for r in read(folder)["runs"] if r["settings"]["encoder.width"] == width]
            key = f"{width}/{name.replace('/', ' ')}"
            assert len(values) == 2
            assert summary[key] == pytest.approx(mean(values))
            assert summary.spread[key] == pytest.approx(stdev(values))
            (line,) = [line for line in lines if line.startswith(f"| {name.replace('/', ' ')} |")]
            assert f"{mean(values):.3f} ± {stdev(values):.3f}" in line.split("|")[2 if width == 8 else 3]
    assert "± standard deviation over the seeds" in "\n".join(lines)
    every = [line for line in lines if re.match(r"\| (8|16) \| [01] \| 2 \|", line)]
    assert len(every) == 4


def test_one_seed_has_no_spread(compare, out):
    summary = compare(seeds=1).summary()
    assert summary.spread == {}
    assert "±" not in (out / "table.md").read_text()
    assert "One seed, so no spread is known" in (out / "table.md").read_text()


def test_the_json_says_how_it_was_made(kept, plugins, monkeypatch):
    _, folder = kept
    results = read(folder)
    assert results["command"] == "limner compare RECIPE --vary encoder.width=8,16 --seeds 2 --steps 2 --out found"
    assert results["recipe"] == JUDGED
    assert results["vary"] == WIDTHS
    assert results["budget"] == {"steps": 2}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", results["date"])
    assert results["machine"].keys() == {"processor", "cores", "threads", "device"}
    assert results["machine"]["processor"]
    assert results["machine"]["threads"] == 1
    assert results["versions"]["limner"] == limner.__version__
    assert results["versions"].keys() == {"limner", "python", "torch", "plugins"}
    assert results["versions"]["plugins"]["scenes"] == f"limner {limner.__version__}"
    run = results["runs"][1]
    assert (run["variant"], run["settings"], run["seed"]) == ("16", {"encoder.width": 16}, 0)
    assert (run["steps"], run["precision"], run["folder"]) == (2, "float32", "runs/16-0")
    assert run["images/s"] == pytest.approx(16 / run["seconds"], rel=0.1)
    assert run["scores"].keys() >= {"trained/exact", "held out/exact", "diversity"}
    assert str(folder.parent) not in (folder / "results.json").read_text(), "nothing of this machine's folders"


def test_runs_get_folders_that_every_file_system_takes(compare, out):
    compare({"generator.channels": [[8, 8], [4]], "encoder": [{"name": "mlp"}, "lstm"]}, seeds=1, steps=1)
    assert sorted(path.name for path in (out / "runs").iterdir()) == [
        "4-lstm-0",
        "4-name-mlp-0",
        "8-8-lstm-0",
        "8-8-name-mlp-0",
    ]


def test_labels_that_make_one_folder_name_get_two(compare, out):
    compare({"prompts": [["a red circle"], ["a red: circle"]]}, seeds=1, steps=1)
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["a-red-circle-0", "a-red-circle-2-0"]


def test_the_frame_is_a_frame_of_pandas_and_reads_back_as_it_was(kept):
    result, folder = kept
    columns = ["variant", "encoder.width", "seed", "steps", "seconds", "images/s", *result.metrics]
    assert list(result.columns) == columns
    assert result["encoder.width"].tolist() == [8, 8, 16, 16]
    means = result.groupby("encoder.width")["diversity"].mean()
    assert means[8] == pytest.approx(result.summary()["8/diversity"])
    assert type(result[result["seed"] == 0]) is pd.DataFrame, "a part of it is a plain frame"
    again = limner.load_comparison(folder)
    assert isinstance(again, Comparison)
    pd.testing.assert_frame_equal(again, result)
    assert again.attrs == result.attrs
    pd.testing.assert_frame_equal(limner.load_comparison(folder / "results.json"), result)
    assert "<table" in result._repr_html_()


def test_what_is_no_comparison_is_told(tmp_path):
    with pytest.raises(LimnerError, match=r"There is no comparison .*nowhere/results\.json"):
        limner.load_comparison(tmp_path / "nowhere")
    for text in ("[1]", "{}", '{"runs": [{}], "vary": {}}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(LimnerError, match=r"results.json is damaged"):
            limner.load_comparison(tmp_path)


def test_the_chart_has_a_panel_for_each_score_with_a_bar_and_dots_for_each_variant(kept):
    result, folder = kept
    with Image.open(folder / "chart.png") as picture:
        assert picture.size[0] > 800
    chart = result.plot()
    assert chart._repr_png_().startswith(b"\x89PNG")
    assert [panel.get_title() for panel in chart.axes] == [name.replace("/", " ") for name in result.metrics]
    panel = chart.axes[result.metrics.index("trained/background")]
    assert [text.get_text() for text in chart.axes[0].get_yticklabels()] == ["8", "16"]
    assert [bar.get_width() for bar in panel.patches] == [
        pytest.approx(result.summary()[f"{width}/trained background"]) for width in (8, 16)
    ]
    assert sum(len(dots.get_offsets()) for dots in panel.collections) == 4
    assert panel.get_xlim() == (0, 1)
    assert len(result.plot(["diversity", "trained/exact"]).axes) == 2
    with pytest.raises(LimnerError, match="No run has the score 'diversty', did you mean 'diversity'"):
        result.plot(["diversty"])


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with the recipe as `tiny.toml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(RECIPE))
    return tmp_path


def test_the_command_compares_and_tells_itself(command, here):
    words = ["compare", "tiny.toml", "--vary", "encoder.width=8,16", "--vary", "losses.hinge.weight=1", "--seeds", 1]
    words += ["--steps", 1, "--set", "encoder.hidden=9", "--out", "deep/found"]
    status, out, err = command(*words)
    assert status == 0
    assert "8, 1" in out
    assert "diversity" in out
    assert "Results, table and chart are in deep/found, the models in deep/found/runs." in out
    assert "comparing: 100%" in err
    assert "2.0 of 2 runs" in err
    assert read(here / "deep/found")["command"] == (
        "limner compare tiny.toml --set encoder.hidden=9 --vary encoder.width=8,16 --vary losses.hinge.weight=1 "
        "--seeds 1 --steps 1 --out deep/found"
    )
    assert {path.name for path in (here / "deep/found").iterdir()} == {"results.json", "table.md", "chart.png", "runs"}

    status, out, err = command(*words, "--json", "--quiet")
    assert (status, err) == (0, "")
    assert json.loads(out) == read(here / "deep/found")


def test_the_command_stops_at_ctrl_c_and_goes_on(command, here, monkeypatch):
    from limner.comparisons import train_variants as comparing

    train, trained = comparing.train, []

    def stop_the_second(*arguments, **options):
        trained.append(arguments)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    monkeypatch.setattr(comparing, "train", stop_the_second)
    words = ["compare", "tiny.toml", "--vary", "encoder.width=8,16", "--seeds", 1, "--out", "found", "--quiet"]
    status, out, err = command(*words)
    assert status == 130
    assert err == (
        "Note: Stopped with 1 of 2 runs finished; they are kept in found, and the same command goes on with the rest.\n"
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
def test_bad_input_ends_in_one_line(command, here, words, message):
    status, out, err = command("compare", "tiny.toml", "--out", "found", *words)
    assert (status, out) == (1, "")
    assert re.fullmatch(f"Error: .*{message}.*\n", err)
    assert [path.name for path in here.iterdir()] == ["tiny.toml"]
