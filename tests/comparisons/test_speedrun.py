"""The speedrun: steps and seconds until the target is held, on two samples, by written rules."""

import json
from runpy import run_path
from types import SimpleNamespace

import limner
import pytest
from limner import LimnerError, Speedrun, hookimpl
from limner.comparisons import speedrun as module
from limner.models.report import Report

RULES = {"target": 0.95, "every": 1, "look": 2, "confirm": 4}


@pytest.fixture
def shares(monkeypatch):
    """What the judge says: for the first sample, and for the second one."""
    said = SimpleNamespace(small=[], large=[], asked=[])

    def measure(plugins, recipe, painter):
        options = recipe.metrics["scene-judge"].options
        said.asked.append((options["prompts"], options["seed"]))
        share = (said.small if options["prompts"] == RULES["look"] else said.large).pop(0)
        return Report({"trained/exact": share, "held out/exact": share / 2})

    monkeypatch.setattr(module, "measure", measure)
    return said


@pytest.fixture
def recipe(recipe):
    """The recipe of the comparisons, with a budget of three steps."""
    return recipe | {"training": recipe["training"] | {"steps": 3}}


@pytest.fixture
def run(recipe, plugins, tmp_path):
    """Runs a speedrun with that recipe, by small samples."""

    def run(seeds=1, recipe=recipe, track=recipe, **options):
        options = {"out": tmp_path / "log.json", "track": track, "quiet": True, "plugins": plugins} | RULES | options
        return limner.speedrun(recipe, seeds, **options)

    return run


def test_a_look_counts_only_if_a_second_sample_confirms_it(run, shares, tmp_path):
    shares.small, shares.large = [0.96, 0.5, 0.97], [0.94, 0.951]
    [seed] = run().seeds
    looks = [(look.step, look.exact, look.confirmed) for look in seed.looks]
    assert looks == [(1, 0.96, 0.94), (2, 0.5, None), (3, 0.97, 0.951)]
    assert (seed.reached, seed.seconds) == (3, seed.looks[-1].seconds)
    assert shares.asked == [(2, 0), (4, 1_000_000), (2, 0), (2, 0), (4, 3_000_000)]


def test_training_ends_when_the_target_is_held(run, shares):
    shares.small, shares.large = [0.96], [0.96]
    found = run()
    assert (found.seeds[0].reached, len(found.seeds[0].looks)) == (1, 1)
    assert found.lines()[-1].startswith("1 of 1 seeds hold 0.95, after 1 steps and ")


def test_a_seed_that_never_holds_the_target_is_told(run, shares):
    shares.small, shares.large = [0.5, 0.8, 0.7, 0.99], [0.99]
    found = run(2)
    assert found.lines()[0] == "Seed 0 does not hold 0.95; the best look saw 0.800."
    assert found.summary().startswith("1 of 2 seeds hold 0.95, after 1 steps")


def test_judging_changes_nothing_and_takes_no_time(recipe, plugins, run, monkeypatch):
    weights = []

    class Keep:
        @hookimpl
        def limner_training_finished(self, run):
            weights.append(next(run.model.conditional_generator.generator.parameters()).clone())

    with plugins.registered(Keep()):
        [seed] = run().seeds
        limner.train(recipe, quiet=True, plugins=plugins)
    assert weights[0].equal(weights[1])
    assert [look.step for look in seed.looks] == [1, 2, 3]
    assert all(one.seconds <= other.seconds for one, other in zip(seed.looks, seed.looks[1:]))


def test_a_second_call_adds_the_missing_seeds(run, shares, tmp_path):
    shares.small, shares.large = [0.96, 0.97], [0.96, 0.97]
    run(1)
    found = run(2)
    assert [one.looks[0].exact for one in found.seeds] == [0.96, 0.97]
    assert Speedrun.read(tmp_path / "log.json") == found
    with pytest.raises(LimnerError, match="is the log of a speedrun with another rules"):
        run(3, target=0.9)


def test_an_interrupted_seed_is_not_a_result(run, shares, plugins, diary):
    diary.act = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    shares.small = [0.5]
    diary.runs = SimpleNamespace(append=lambda _: None)
    plugins.register(diary)
    assert run().seeds == []


BROKEN = {
    "other data": ({"data": {"name": "scenes", "count": 65}}, "data: a speedrun trains on the data of"),
    "a size": ({"image_size": 32}, "image_size: a speedrun paints 16 pixels"),
    "seconds": ({"training": {"seconds": 1.0, "batch_size": 8}}, "budget in steps"),
    "a start": ({"training": {"steps": 3, "start_from": "runs/first"}}, "starts from nothing"),
    "sampling": ({"sampling": {"truncation": 1.0}}, "one image of each prompt"),
}


@pytest.mark.parametrize(("changes", "message"), BROKEN.values(), ids=BROKEN)
def test_a_recipe_against_the_rules_is_refused(run, recipe, tmp_path, changes, message):
    with pytest.raises(LimnerError, match=message):
        run(recipe=recipe | changes, track=recipe)
    assert not (tmp_path / "log.json").exists()


def test_a_damaged_log_is_one_sentence(run, tmp_path):
    (tmp_path / "log.json").write_text("{}")
    with pytest.raises(LimnerError, match=r"log.json is no log of a speedrun, or is damaged: .*Name another file"):
        run()


# --- the records ----------------------------------------------------------------------------------------------------


def test_the_page_has_the_records(root):
    tool = run_path(str(root / "tools/speedrun_records.py"))
    page = (root / "docs/speedrun.md").read_text(encoding="utf-8")
    assert tool["with_table"](page, tool["table"](root / "comparisons/speedrun")) == page


def test_every_record_has_a_log_by_the_rules(root):
    folder = root / "comparisons/speedrun"
    for record in json.loads((folder / "records.json").read_text(encoding="utf-8")):
        log = Speedrun.read(folder / record["log"])
        usual = {"target": module.TARGET, "every": module.EVERY, "look": module.LOOK, "confirm": module.CONFIRM}
        assert log.rules == usual
        for seed in log.seeds:
            assert seed.reached is None or seed.looks[-1].confirmed >= log.rules["target"]
