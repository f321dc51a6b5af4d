"""`limner train --dry-run` says what a training costs, and trains nothing."""

import re

import pytest
from limner.cli.train import _duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.4, "7 seconds"), (99.0, "99 seconds"), (300.0, "5 minutes"), (9000.0, "2.5 hours")]
)
def test_a_duration_has_the_unit_that_suits_it(seconds, text):
    assert _duration(seconds) == text


def test_a_dry_run_prints_the_cost_and_leaves_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = command("train", "scenes-32", "--set", "data.count=40", "--dry-run")
    assert status == 0
    assert "40 images, 40 captions" in out
    assert "2,400 steps, about" in out
    assert re.search(r"weights of the generator\s+\S\s+1,[0-9]{3},[0-9]{3}", out)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_recipe_is_one_sentence(command):
    status, _, err = command("train", "scenes-33", "--dry-run")
    assert status == 1
    assert "no recipe 'scenes-33', did you mean 'scenes-32'?" in err
