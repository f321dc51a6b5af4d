"""Real data, which some machines have next to the repository: every peculiarity that its notes list."""

import json
import warnings
from typing import Any

import pytest
from limner import PluginHost, Recipe, Tokenizer, coco_index
from limner_coco.folder import CaptionedFolder


@pytest.fixture
def read(shared_data, tmp_path):
    """Reads one of the folders with a recipe's options; no file may be damaged."""

    def load(name: str, recipe: str, **changes):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            options: dict[str, Any] = Recipe.read(PluginHost(), recipe).data.options | changes
            options |= {"root": str(shared_data / name), "cache": str(tmp_path)}
            return CaptionedFolder(16, **options).load()

    return load


def texts(data) -> list[str]:
    return [a["caption"] for of_image in data.annotations for a in of_image]


def lengths(captions: list[str], recipe: str) -> tuple[list[int], int]:
    """The number of tokens of each caption, with the recipe's tokenizer, and the number of unknown tokens."""
    tokenizer = Tokenizer.learn(captions, Recipe.read(PluginHost(), recipe).text)
    ids = tokenizer.inner(captions)["input_ids"]
    return [len(row) for row in ids], sum(row.count(tokenizer.inner.unk_token_id) for row in ids)


@pytest.mark.slow
def test_all_captions_of_val2017_become_tokens(shared_data):
    path = shared_data / "coco_captions_val2017" / "captions_val2017.json"
    coco = coco_index(json.loads(path.read_text(encoding="utf-8")), str(path))
    annotations: Any = coco.dataset["annotations"]
    captions = [annotation["caption"] for annotation in annotations]
    found, unknown = lengths(captions, "coco")
    assert (len(captions), unknown) == (25_014, 0)
    assert min(found) == 9
    assert max(found) == 59
    assert 13 < sum(found) / len(found) < 14
    assert sum(length > 40 for length in found) == 8, "the length in the recipe cuts almost none"


@pytest.mark.slow
def test_captions_are_read_with_and_without_the_key_type(shared_data):
    """The published file has no such key; a common copy has one, for old versions of pycocotools."""
    path = shared_data / "coco_captions_val2017" / "captions_val2017.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    without = {key: value for key, value in table.items() if key != "type"}
    assert table["type"] == "captions"
    assert coco_index(table, "it").imgToAnns == coco_index(without, "it").imgToAnns


def test_sentences_by_people_are_kept_as_typed(read):
    data = read("nlvr", "nlvr")
    captions = texts(data)
    assert any("atleast" in text for text in captions)
    assert any("squere" in text for text in captions)
    assert len(set(captions)) < len(captions), "many images share a sentence"
    assert {image["split"] for image in map(data.coco.imgs.__getitem__, data.image_ids)} == {"dev"}
    assert lengths(captions, "nlvr")[1] == 0


def test_other_captions_and_images_can_be_named(read):
    """Sentences that are not true of their images, next to those that are."""
    data = read("nlvr", "nlvr", captions="captions_false.json", images="images_false", images_with={}, limit=50)
    assert len(data) == 50
    assert data.image_ids[0] == 100_001


def test_emoji_names_beyond_ascii_become_tokens(read, shared_data):
    data = read("noto_emoji", "emoji")
    names = texts(data)
    assert all(len(of_image) == 1 for of_image in data.annotations)
    assert not any(image["skin_tone"] for image in map(data.coco.imgs.__getitem__, data.image_ids))
    assert "Japanese “here” button" in names
    everything = json.loads((shared_data / "noto_emoji" / "captions.json").read_text(encoding="utf-8"))["annotations"]
    named = [a["caption"] for a in everything if a["kind"] == "unicode_name"]
    assert [text for text in names if not text.isascii()] == [text for text in named if not text.isascii()]
    assert lengths([a["caption"] for a in everything], "emoji")[1] == 0
