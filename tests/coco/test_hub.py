"""Data sets that the library datasets reads, from Parquet files as they are on the hub."""

import io

import limner
import numpy as np
import pytest
from limner import LimnerError
from limner.testing import check_dataset
from limner_coco.hub import HubCaptions, texts_of
from PIL import Image

datasets = pytest.importorskip("datasets", reason='needs pip install "limner[hub]"')
COLORS = [(255, 0, 0), (0, 160, 0), (0, 0, 255)]


@pytest.fixture
def parquet(tmp_path, monkeypatch):
    """A folder with a data set of three images of one color each, with captions in a column."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

    def make(column: str = "caption", captions=("red", "green", "blue"), image: str = "image", broken: int = 0):
        contents = []
        for number, color in enumerate(COLORS):
            file = io.BytesIO()
            Image.fromarray(np.full((20, 24, 3), color, np.uint8)).save(file, "PNG")
            content = file.getvalue() if number >= broken else b"no image"
            contents.append({"bytes": content, "path": None})
        table = datasets.Dataset.from_dict({image: contents, column: list(captions), "number": [0, 1, 2]})
        folder = tmp_path / "published"
        folder.mkdir(exist_ok=True)
        table.cast_column(image, datasets.Image()).to_parquet(folder / "train-00000-of-00001.parquet")
        return str(folder)

    return make


@pytest.fixture
def read(tmp_path):
    def make(repository: str, **options) -> HubCaptions:
        return HubCaptions(16, repository=repository, cache=str(tmp_path / "cache"), **options)

    return make


@pytest.mark.parametrize(
    ("column", "captions", "expected"),
    [
        ("caption", ["red", "green", "blue"], [["red"], ["green"], ["blue"]]),
        ("text", ["red", "green", "blue"], [["red"], ["green"], ["blue"]]),
        ("captions", [["red", "a red wall"], ["green"], ["blue"]], [["red", "a red wall"], ["green"], ["blue"]]),
        ("sentences", [[{"raw": "red"}], [{"raw": "green"}], [{"raw": "blue"}]], [["red"], ["green"], ["blue"]]),
        ("Text", ["red", "green", "blue"], [["red"], ["green"], ["blue"]]),
    ],
)
def test_usual_columns_are_found(parquet, read, column, captions, expected):
    found = read(parquet(column, captions)).load()
    assert [[a["caption"] for a in annotations] for annotations in found.annotations] == expected
    assert found.pixels.shape == (3, 3, 16, 16)
    assert [tuple(pixels[:, 8, 8].tolist()) for pixels in found.pixels] == COLORS


def test_the_rows_are_read_once(parquet, read, monkeypatch):
    source = parquet()
    read(source).load()
    monkeypatch.setattr(datasets, "load_dataset", None)
    assert len(read(source).load()) == 3


def test_a_limit_and_named_columns(parquet, read):
    found = read(parquet("words", image="photo"), image="photo", caption="words", limit=2).load()
    assert found.captions == ["red", "green"]


def test_a_broken_image_is_left_out(parquet, read):
    with pytest.warns(UserWarning, match="1 of 3 images cannot be used"):
        found = read(parquet(broken=1), bad_images=0.5).load()
    assert found.captions == ["green", "blue"]
    with pytest.raises(LimnerError, match="more than data"):
        read(parquet(broken=1)).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"caption": "captoin"},
            r"data.caption: .* has no column 'captoin'; name one of its columns: image, words, number",
        ),
        ({}, r"data.caption: .* has no column that looks like the caption; name one of its columns"),
        ({"caption": "number"}, r"data.caption: row 0 of 'number' is no text"),
        ({"caption": "words", "image": "img"}, r"data.image: .* has no column 'img'"),
        ({"caption": "words", "split": "dev"}, r"data.repository: .* cannot be read: .*split"),
    ],
)
def test_what_is_wrong_is_one_sentence(parquet, read, tmp_path, options, message):
    with pytest.raises(LimnerError, match=message):
        read(parquet("words"), **options).load()
    assert not [path for path in (tmp_path / "cache").glob("*") if path.name.endswith("partial")]


def test_a_repository_that_is_not_there(read):
    with pytest.raises(LimnerError, match=r"data.repository: ann/photos cannot be read: "):
        read("ann/photos").load()


def test_without_the_library_one_sentence_names_the_extra(read, monkeypatch):
    monkeypatch.setattr("limner_coco.hub.find_spec", lambda name: None)
    with pytest.raises(LimnerError, match=r'pip install "limner\[hub\]"'):
        read("ann/photos")


def test_it_trains(parquet, recipe, tmp_path):
    recipe["data"] = {"name": "hub", "repository": parquet(), "cache": str(tmp_path / "cache")}
    recipe |= {"prompts": ["red"], "losses": {"hinge": {}}}
    recipe["training"] = {"steps": 1, "batch_size": 2, "precision": "float32"}
    limner.train(recipe, callbacks=[])


def test_captions_in_a_cell():
    assert texts_of({"raw": "a", "tokens": ["a"]}) == ["a"]
    assert texts_of([["a", "b"], "c"]) == ["a", "b", "c"]
    assert texts_of([{"raw": "a"}, {"text": "b"}]) == ["a", "b"]
    assert texts_of(3) is None
    assert texts_of(["a", None]) is None


def test_it_keeps_the_promises_of_a_data_set(parquet, tmp_path):
    check_dataset(HubCaptions, repository=parquet(), cache=str(tmp_path / "cache"))
