"""The COCO captions layout: what is tidied, and what is refused with its place."""

import json
from typing import Any

import pytest
from limner import LimnerError
from limner.data.captions import coco_index

IMAGES = [{"id": 1, "file_name": "one.png"}, {"id": 2, "file_name": "two.png"}]


def annotation(**changes):
    return {"id": 7, "image_id": 1, "caption": "a cat"} | changes


def index(table, source="here") -> Any:
    """The index of a table, untyped: pycocotools' stubs know no captions."""
    return coco_index(table, source)


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("a cat", "a cat"),
        ("  a  cat ", "a cat"),
        ("a cat\n", "a cat"),
        ("a\ncat\r\n sits\tthere", "a cat sits there"),
        ("A CAT, 2 dogs.", "A CAT, 2 dogs."),
        ("\n", ""),
    ],
)
def test_white_space_is_tidied_and_nothing_else(text, tidied):
    table = {"images": IMAGES, "annotations": [annotation(caption=text)]}
    assert index(table).imgToAnns[1][0]["caption"] == tidied
    assert table["annotations"][0]["caption"] == text, "what was given is not changed"


def test_the_index_is_of_pycocotools_and_keeps_every_key(capsys):
    table = {
        "type": "captions",
        "images": [IMAGES[0] | {"facts": [1, 2]}, IMAGES[1]],
        "annotations": [annotation(asked=[1, -1]), annotation(id=8, image_id=2), annotation(id=9)],
    }
    coco = index(table)
    assert sorted(coco.getImgIds()) == [1, 2]
    assert [a["id"] for a in coco.imgToAnns[1]] == [7, 9]
    assert coco.imgs[1]["facts"] == [1, 2]
    assert coco.anns[7]["asked"] == [1, -1]
    assert coco.dataset["type"] == "captions"
    assert capsys.readouterr().out == "", "pycocotools prints its progress"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "needs a list 'images'"),
        ({"annotations": {"id": 1}}, "needs a list 'annotations'"),
        ({"images": ["one.png"]}, "every image needs 'id' and 'file_name', this one has not: 'one.png'"),
        ({"images": [{"id": 1}]}, "every image needs 'id' and 'file_name'"),
        ({"images": [{"id": 1, "file_name": None}]}, "every image needs 'id' and 'file_name'"),
        ({"images": [{"id": [1], "file_name": "one.png"}]}, "every image needs 'id' and 'file_name'"),
        ({"images": [*IMAGES, IMAGES[0]]}, "two images have the id 1"),
        ({"annotations": [annotation(image_id=3)]}, "annotation 7 belongs to image 3, which the file does not list"),
        ({"annotations": [{"id": 7, "caption": "a cat"}]}, "annotation 7 has no 'image_id'"),
        (
            {"annotations": [{"id": 7, "image_id": 1, "bbox": [0, 0, 9, 9]}]},
            "no annotation.*'caption'.*a file of instances",
        ),
        ({"annotations": [annotation(caption=None)]}, "no annotation has a text 'caption'"),
        ({"annotations": [annotation(), annotation(caption=7)]}, "needs a text 'caption', this one has none"),
        ({"annotations": ["a cat"]}, "needs a text 'caption'"),
    ],
)
def test_what_is_no_captions_table_is_refused(changes, message):
    table = {"images": IMAGES, "annotations": [annotation()]} | changes
    with pytest.raises(LimnerError, match=message) as caught:
        coco_index(table, "captions.json")
    assert "captions.json" in str(caught.value)


def test_a_missing_caption_counts_as_empty():
    absent = {"id": 8, "image_id": 1}
    coco = index({"images": IMAGES, "annotations": [annotation(), absent, annotation(id=9, caption=None)]})
    assert [a["caption"] for a in coco.imgToAnns[1]] == ["a cat", "", ""]
    assert absent == {"id": 8, "image_id": 1}, "what was given is not changed"


def test_annotations_without_an_id_get_their_places():
    nameless = {"image_id": 1, "caption": "a cat"}
    coco = index({"images": IMAGES, "annotations": [nameless, {**nameless, "id": 7}, nameless]})
    assert [a["id"] for a in coco.imgToAnns[1]] == [0, 7, 2]


def test_the_real_captions_of_coco_are_read(shared_data):
    path = shared_data / "coco_captions_val2017" / "captions_val2017.json"
    coco = index(json.loads(path.read_text(encoding="utf-8")), str(path))
    assert (len(coco.imgs), len(coco.anns)) == (5_000, 25_014)
    assert not any("\n" in a["caption"] or a["caption"] != a["caption"].strip() for a in coco.anns.values())
