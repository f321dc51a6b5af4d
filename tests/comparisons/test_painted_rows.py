"""What the runs of a comparison paint, kept as PNG files."""

import shutil

import limner
import numpy as np
import pytest
import torch
from limner import LimnerError, Pictures
from limner.comparisons.painted_rows import read_rows


def test_each_run_has_a_row_of_what_its_model_paints(kept):
    _, folder = kept
    rows = {(row.variant, row.seed): row for row in read_rows(folder)}
    assert sorted(rows) == [("16", 0), ("16", 1), ("8", 0), ("8", 1)]
    model = limner.load(folder / "runs/8-1")
    row = rows["8", 1]
    assert row.prompts == ["a red circle above a blue square"]
    painted = Pictures.of(model.paint_images(row.prompts), row.prompts)
    assert [image.tobytes() for image in row.images] == [image.tobytes() for image in painted.images]


def test_pictures_have_a_row_for_each_variant_below_the_prompts(kept):
    result, folder = kept
    shown = result.pictures()
    assert shown.labels == ["8", "16"]
    assert list(shown.headings) == ["a red circle above a blue square"]
    again = limner.load_comparison(folder / "results.json").pictures(seed=1, variants=["16"])
    assert again.labels == ["16"]
    assert again[0].tobytes() != shown[1].tobytes(), "another seed, another model"
    assert shown.grid().height > Pictures(shown.images, shown.labels, shown.columns, shown.scale).grid().height


def test_headings_are_above_the_images():
    images = Pictures.of(torch.zeros(2, 3, 16, 16), ["one", "two"]).images
    plain, headed = Pictures(images, ["", ""], 2), Pictures(images, ["", ""], 2, headings=["first", "second"])
    above = np.asarray(headed.grid())[: headed.grid().height - plain.grid().height]
    assert above.min() < 128, "there are dark letters"
    assert (np.asarray(headed.grid())[len(above) :] == np.asarray(plain.grid())).mean() > 0.98


def test_pictures_outlive_the_models_and_missing_ones_are_painted(compare, out):
    first = compare(seeds=1)
    file = out / "pictures/8-0.png"
    before = file.read_bytes()
    file.unlink()
    assert first.pictures().labels == ["16"]
    assert compare(seeds=1).pictures().labels == ["8", "16"]
    assert file.read_bytes() == before
    shutil.rmtree(out / "runs")
    assert compare(seeds=1).pictures().labels == ["8", "16"]


def test_variants_that_are_sampled_differently_have_rows_of_their_own(compare, out):
    found = compare({"sampling.truncation": [0.01, 4.0]}, seeds=1)
    narrow, wide = found.pictures().images
    assert narrow.tobytes() != wide.tobytes()
    assert sorted(path.name for path in (out / "pictures").iterdir()) == ["0.01-0.png", "4.0-0.png"]


def test_equal_file_names_are_told_apart(compare, out, recipe):
    found = compare({"prompts": [["a red circle"], ["a red  circle"]]}, seeds=1)
    assert len(found.pictures()) == 2
    assert len(list((out / "pictures").iterdir())) == 2


def test_without_a_folder_there_are_no_pictures(compare):
    found = compare(seeds=1, out=None)
    with pytest.raises(LimnerError, match=r"A comparison without a folder .* keeps no pictures"):
        found.pictures()


def test_missing_and_damaged_pictures_are_named(kept, tmp_path):
    result, folder = kept
    with pytest.raises(LimnerError, match=r"has pictures of 16 \(seed 0\), .*; the command"):
        result.pictures(seed=7)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/pictures/8-0.png").write_bytes(b"no image")
    with pytest.raises(LimnerError, match=r"pictures/8-0.png is damaged: .* Remove it"):
        limner.load_comparison(tmp_path / "copy").pictures()


def test_a_run_without_prompts_warns(compare, recipe):
    with pytest.warns(UserWarning, match="No pictures of 8, seed 0: its recipe has no preview prompts"):
        compare(seeds=1, recipe=recipe | {"prompts": []}, vary={"encoder.width": [8]})
