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


@pytest.mark.parametrize(("of_image", "of_annotation"), [(1, "1"), ("1", 1), (1.0, 1), (1, 1.0), (1.0, "1")])
def test_ids_may_be_numbers_in_one_list_and_texts_in_the_other(of_image, of_annotation):
    image = {"id": of_image, "file_name": "one.png"}
    coco = index({"images": [image], "annotations": [annotation(image_id=of_annotation)]})
    (number,) = coco.imgs
    assert number == of_image
    assert [a["caption"] for a in coco.imgToAnns[number]] == ["a cat"]
    assert image == {"id": of_image, "file_name": "one.png"}, "what was given is not changed"


@pytest.mark.parametrize("own", [{}, [1], 1.5, {"a": [[[]]]}])
def test_an_id_that_is_no_number_and_no_text_is_refused(own):
    with pytest.raises(LimnerError, match=r"here: expected a number or a text as an annotation's id, got \{'caption'"):
        index({"images": IMAGES, "annotations": [annotation(id=own)]})
    with pytest.raises(LimnerError, match="every image needs 'id' and 'file_name'"):
        index({"images": [{"id": own, "file_name": "one.png"}], "annotations": []})


def test_half_of_a_character_is_replaced():
    """As when a program cut the text within an emoji; no tokenizer and no file takes it."""
    coco = index({"images": IMAGES, "annotations": [annotation(caption="a dog \ud83d"), annotation(caption="a 🐕")]})
    assert [a["caption"] for a in coco.imgToAnns[1]] == ["a dog \ufffd", "a 🐕"]


def test_a_caption_of_a_million_letters_is_refused():
    with pytest.raises(
        LimnerError, match="the caption of annotation 7 has 1000000 letters, at most 10000 are read: 'aaa"
    ):
        index({"images": IMAGES, "annotations": [annotation(caption="a" * 1_000_000)]})


def test_a_value_that_nests_deeply_does_not_fill_a_message():
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(LimnerError, match="needs a text 'caption'") as caught:
        index({"images": IMAGES, "annotations": [annotation(caption=deep)]})
    assert len(str(caught.value)) < 300


def test_the_real_captions_of_coco_are_read(shared_data):
    path = shared_data / "coco_captions_val2017" / "captions_val2017.json"
    coco = index(json.loads(path.read_text(encoding="utf-8")), str(path))
    assert (len(coco.imgs), len(coco.anns)) == (5_000, 25_014)
    assert not any("\n" in a["caption"] or a["caption"] != a["caption"].strip() for a in coco.anns.values())
