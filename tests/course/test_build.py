"""`tutorials/build.py`: a notebook says below its title where it ran, and learners' copies keep that."""

import runpy

import pytest
from limner.course.lessons import student

pytest.importorskip("jupytext")


@pytest.fixture
def build(root):
    """The names of the script."""
    return runpy.run_path(str(root / "tutorials/build.py"))


def test_a_built_notebook_says_where_it_ran_and_how_long_it_takes_elsewhere(build, tmp_path, monkeypatch):
    monkeypatch.setitem(build["build"].__globals__, "speed", lambda: 264.0)
    monkeypatch.setitem(build["build"].__globals__, "stamp", lambda seconds, images: f"*{images:.0f} images/s*")
    source = tmp_path / "01_short.py"
    source.write_text("# %% [markdown]\n# # A title\n\n# %%\n1 + 1\n")
    build["build"](source)
    import nbformat

    cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells
    assert [cell.source for cell in cells] == ["# A title", "*264 images/s*", "1 + 1"]
    assert cells[2].outputs[0]["data"]["text/plain"] == "2"
    assert student({"cells": cells})["cells"][1]["source"] == "*264 images/s*"


def test_the_time_on_other_machines_follows_from_their_speed(build):
    text = build["stamp"](240.0, 264.0)
    assert text.startswith("*Ran in 240 s on ")
    assert "about 2 minutes at 528 images/s and about 5 minutes at 200" in text
    assert build["minutes"](20) == "less than a minute"
    assert build["minutes"](61) == "about 1 minute"
