"""The full report: a row for every metric, also for those without scores, and what painting costs."""

import json

import limner
import pytest
from limner import Ensemble, LimnerError, Metric
from limner.models.full_report import FullReport, Measured, shown
from limner.models.painting_cost import IMAGES, count_parameters
from limner.testing import tiny_host
from rich.console import Console

PROMPT = "a red circle above a blue square"


class Picky(Metric):
    """Measures no scenes."""

    def __init__(self, dataset):
        raise LimnerError("this metric is not for scenes.")

    def measure(self, painter):
        return {}


class Counting(Metric):
    """Counts the images it gets, and their size."""

    about = "three prompts, seed 0"

    def measure(self, painter):
        images = painter.paint_images([PROMPT] * 3, 0)
        return {"images": float(len(images)), "pixels": float(images.shape[-1])}


class Faulty(Metric):
    """Has a fault."""

    def measure(self, painter):
        raise ZeroDivisionError("float division by zero")


@pytest.fixture
def model(trained):
    """A model that three metrics can be tried on."""
    model = limner.Model.load(trained)
    model.plugins = tiny_host(metric={"picky": Picky, "faulty": Faulty, "counting": Counting})
    model.recipe.metrics = {}
    return model


def test_every_metric_has_a_row_or_a_reason(model):
    report = model.full_report()
    measured = {one.metric: one for one in report.measured}
    assert list(measured)[:2] == ["counting", "cost of painting"], "those with scores come first"
    assert measured["counting"] == Measured("counting", {"images": 3.0, "pixels": 16.0}, "three prompts, seed 0")
    assert measured["picky"] == Measured("picky", {}, "this metric is not for scenes.")
    assert measured["faulty"] == Measured("faulty", {}, "it failed with ZeroDivisionError: float division by zero")


def test_it_has_what_painting_costs(model):
    cost = next(one for one in model.full_report().measured if one.metric == "cost of painting")
    paints = count_parameters(model.conditional_generator)
    assert cost.scores["parameters that paint"] == paints < cost.scores["parameters in all"]
    assert cost.scores["multiply-adds per image"] > 1000
    assert 0 < cost.scores["seconds per image"] < 1
    assert cost.about.startswith(f"{IMAGES} images at once, seed 0, cpu")


def test_an_ensemble_costs_the_weights_of_all(model, trained):
    ensemble = Ensemble([model, limner.Model.load(trained)])
    assert ensemble.full_report().scores["parameters that paint"] == 2 * count_parameters(model.conditional_generator)


def test_its_rows_are_json(model):
    rows = json.loads(model.full_report().to_json())
    assert rows[0] == {"metric": "counting", "score": "images", "value": 3.0, "about": "three prompts, seed 0"}
    assert {"metric": "picky", "reason": "this metric is not for scenes."} in rows
    assert {row["metric"] for row in rows} == {"counting", "picky", "faulty", "cost of painting"}


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_into_a_terminal(width):
    about = "500 prompts of trained pairs and 500 of held-out ones, 500 in held-out wordings, seed 0"
    scores = {"held-out wordings/background": 0.123456, "multiply-adds": 144_000_000.0}
    report = FullReport([Measured("scene-judge", scores, about), Measured("odd", {}, "no \x1b[31m[b]folder[/b]")])
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(report)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    assert any("held-out wordings/background" in line and "0.123" in line for line in lines)
    assert "144,000,000" in capture.get()
    assert "\x1b" not in capture.get()
    assert "[b]folder[/b]" in capture.get()


def test_html_shows_text_as_it_is():
    assert "&lt;b&gt;" in FullReport([Measured("<b>", {}, "none")])._repr_html_()


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.500"), (0.0, "0.000"), (0.00412, "0.0041"), (12_345.6, "12,346"), (-0.25, "-0.250")]
)
def test_values_have_enough_digits(value, text):
    assert shown(value) == text


def test_the_plain_report_has_the_same_reasons(model):
    """A metric declares nothing: what it raises is the reason why it does not apply."""
    assert sorted(model.evaluate(metrics=["all"]).notes) == [
        "counting: three prompts, seed 0",
        "faulty: left out, it failed with ZeroDivisionError: float division by zero",
        "picky: left out, this metric is not for scenes.",
    ]
