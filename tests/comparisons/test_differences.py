"""Differences between variants: paired by seed, with Student's interval."""

from math import inf, sqrt

import pandas as pd
import pytest
from limner import LimnerError
from limner.comparisons.differences import Difference, Differences

SCORES = {"a": [0.5, 0.7, 0.9], "b": [0.6, 0.81, 1.0], "c": [0.9, 0.5, 0.8]}


@pytest.fixture
def runs():
    """Three variants, three seeds each. The seeds matter more than the variants."""
    rows = [(name, seed, value) for name, values in SCORES.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["variant", "seed", "exact"])


def test_the_interval_is_that_of_student(runs):
    first, second = Differences.of(runs, ["exact"])
    assert (first.variant, first.other, first.seeds) == ("b", "a", 3)
    pairs = [0.1, 0.11, 0.1]
    middle = sum(pairs) / 3
    deviation = sqrt(sum((pair - middle) ** 2 for pair in pairs) / 2)
    half = 4.302653 * deviation / sqrt(3)  # the quantile for two degrees of freedom, from a printed table
    assert first.mean == pytest.approx(middle)
    assert (first.low, first.high) == pytest.approx((middle - half, middle + half), abs=1e-7)
    assert first.clear, "each seed agrees, although the seeds differ by more than the variants"
    assert not second.clear


def test_runs_are_paired_by_seed_and_not_by_place(runs):
    shuffled = runs.sample(frac=1, random_state=1)
    assert Differences.of(shuffled, ["exact"], to="a").found == [
        one for name in shuffled["variant"].unique() for one in Differences.of(runs, ["exact"]) if one.variant == name
    ]


def test_a_seed_that_one_variant_lacks_is_left_out(runs):
    runs.loc[(runs["variant"] == "b") & (runs["seed"] == 1), "exact"] = None  # this run diverged
    first = Differences.of(runs, ["exact"])[0]
    assert (first.variant, first.seeds, first.mean) == ("b", 2, pytest.approx(0.1))
    assert [one.variant for one in Differences.of(runs[(runs["variant"] != "b") | (runs["seed"] == 1)], ["exact"])] == [
        "c"
    ]


def test_the_sentences_say_what_the_seeds_explain(runs):
    first, second = map(str, Differences.of(runs, ["exact"]))
    assert first == "exact: b is 0.103 above a (95 % interval +0.089 to +0.118, 3 seeds)."
    assert second.startswith("exact: c is 0.033 above a (95 % interval -0.")
    assert second.endswith("the seeds alone can explain this.")
    alone = Difference.of("exact", "b", "a", [-0.2])
    assert (alone.low, alone.high, alone.clear) == (-inf, inf, False)
    assert str(alone) == "exact: b is 0.200 below a with one seed; whether that is chance cannot be told."


def test_any_variant_can_be_the_base(runs):
    assert [(one.variant, one.other) for one in Differences.of(runs, ["exact"], to="c")] == [("a", "c"), ("b", "c")]
    with pytest.raises(LimnerError, match=r"There is no variant 'd'.*there is a, b, c"):
        Differences.of(runs, ["exact"], to="d")


def test_a_comparison_tells_its_differences(kept):
    result, folder = kept
    found = result.differences(["trained/background", "diversity"])
    assert [(one.metric, one.variant) for one in found] == [("trained/background", "16"), ("diversity", "16")]
    assert "may be chance" in found._repr_html_()
    assert [panel.get_title() for panel in found.plot().axes] == ["trained background", "diversity"]
    assert "Difference to 8, paired by seed." in (folder / "table.md").read_text()
    with pytest.raises(LimnerError, match="No run has the score 'exat'"):
        result.differences(["exat"])


def test_one_seed_has_no_interval_to_draw(compare):
    found = compare(seeds=1).differences()
    assert len(found) == 1
    with pytest.raises(LimnerError, match="There is no interval to draw"):
        found.plot()
