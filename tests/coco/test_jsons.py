"""JSON files of captions in the forms of published sets; other forms are refused in a sentence that names these."""

import json

import pytest
from limner import LimnerError
from limner_coco.folder import CaptionedFolder
from limner_coco.layouts import read_listing

COCO = {
    "info": {},
    "images": [{"id": 0, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}],
    "annotations": [{"id": 0, "image_id": 0, "caption": "a cat"}, {"id": 1, "image_id": 1, "caption": "a dog"}],
}


@pytest.fixture
def make(make):
    """Makes a folder with a JSON file, and images at these places."""
    return lambda name, value, *images: make(name, json.dumps(value), *images)


def test_the_splits_of_karpathy(make, captions_of):
    def image(name, split, *sentences):
        texts = [{"tokens": text.split(), "raw": text, "sentid": 1} for text in sentences]
        return {"filepath": "val2014", "filename": name, "imgid": 1, "split": split, "sentids": [1], "sentences": texts}

    value = {
        "dataset": "coco",
        "images": [image("a.jpg", "train", "a cat", "the cat"), image("b.jpg", "test", "a dog")],
    }
    folder = make("dataset_coco.json", value, "val2014/a.jpg", "val2014/b.jpg")
    assert captions_of(folder) == [["a cat", "the cat"], ["a dog"]]
    assert captions_of(folder, images_with={"split": "test"}) == [["a dog"]]


def test_the_splits_of_karpathy_for_flickr(make, captions_of):
    value = {
        "images": [{"filename": "a.jpg", "split": "val", "sentences": [{"tokens": ["a", "cat"]}]}],
        "dataset": "flickr8k",
    }
    assert captions_of(make("dataset_flickr8k.json", value, "Flicker8k_Dataset/a.jpg")) == [["a cat"]]


def test_textcaps(make, captions_of):
    entries = [
        {
            "image_id": "0ab",
            "image_path": "train/0ab.jpg",
            "caption_str": text,
            "reference_strs": ["a sign", "the sign"],
        }
        for text in ("a sign", "the sign")
    ]
    value = {"dataset_name": "textcaps", "dataset_type": "train", "data": entries}
    assert captions_of(make("TextCaps_0.1_train.json", value, "train_images/0ab.jpg")) == [["a sign", "the sign"]]


def test_vizwiz(make, captions_of):
    folder = make("annotations/train.json", COCO, "train/a.jpg", "train/b.jpg")
    make(
        "annotations/val.json",
        COCO | {"images": COCO["images"][:1], "annotations": COCO["annotations"][:1]},
        "val/a.jpg",
    )
    assert captions_of(folder) == [["a cat"], ["a dog"]]
    assert captions_of(folder, split="val") == [["a cat"]]


def test_nocaps(make, captions_of):
    folder = make("nocaps_val_4500_captions.json", COCO, "validation/a.jpg", "validation/b.jpg")
    make("config.json", {"version": 1})
    assert captions_of(folder) == [["a cat"], ["a dog"]]


FORMS = {
    "objects": [{"image": "a.jpg", "caption": "a cat"}, {"image": "b.jpg", "caption": "a dog"}],
    "objects with several captions": [
        {"image": "a.jpg", "caption": ["a cat"]},
        {"image_id": "b.jpg", "image": "b.jpg", "caption": ["a dog"]},
    ],
    "objects with captions that are objects": [
        {"file_name": f, "captions": [{"caption": c}]} for f, c in (("a.jpg", "a cat"), ("b.jpg", "a dog"))
    ],
    "texts by file": {"a.jpg": "a cat", "b.jpg": "a dog"},
    "lists by file": {"a.jpg": ["a cat"], "b.jpg": ["a dog"]},
    "objects by file": {"a.jpg": {"caption": "a cat", "tags": "x"}, "b.jpg": {"caption": "a dog"}},
}


@pytest.mark.parametrize("name", ["captions.json", "list.json"])
@pytest.mark.parametrize("value", FORMS.values(), ids=FORMS)
def test_lists_and_objects_of_files_and_captions(make, name, value, captions_of):
    assert captions_of(make(name, value, "images/a.jpg", "images/b.jpg")) == [["a cat"], ["a dog"]]


@pytest.mark.parametrize(
    "value", [[], {}, {"a": "b"}, [1], ["a.jpg"], {"a.jpg": 5}, {"images": 5, "labels": []}, None, 5]
)
def test_other_forms_are_refused_with_the_names_of_those_that_are_read(make, value):
    folder = make("other.json", value, "a.jpg")
    with pytest.raises(
        LimnerError, match=r"no table .* in the form of COCO, Karpathy, TextCaps or Flickr, and no \.txt"
    ):
        read_listing(folder, "train2017")
    with pytest.raises(LimnerError, match=r"other\.json (is not in the COCO captions layout|has )") as caught:
        CaptionedFolder(16, root=str(folder), captions="other.json").load()
    if value != {"images": 5, "labels": []}:
        assert "Karpathy's splits, TextCaps, a list of objects with a file and a caption" in str(caught.value)


def test_a_file_of_boxes_is_refused(make):
    value = COCO | {"annotations": [{"id": 1, "image_id": 0, "bbox": [0, 0, 9, 9]}]}
    folder = make("annotations/train.json", value, "train/a.jpg")
    with pytest.raises(LimnerError, match=r"no captions\.json"):
        read_listing(folder, "train2017")
    with pytest.raises(LimnerError, match="a file of instances or keypoints is not a file of captions"):
        CaptionedFolder(16, root=str(folder), captions="annotations/train.json").load()


def test_a_torn_file_is_told_if_there_is_no_other(make):
    folder = make("list.json", FORMS["objects"], "a.jpg", "b.jpg")
    (folder / "list.json").write_text((folder / "list.json").read_text()[:30])
    with pytest.raises(LimnerError, match=r"list\.json is not valid JSON: .*it may be truncated"):
        read_listing(folder, "train2017")
    (folder / "a.txt").write_text("a cat")
    assert len(read_listing(folder, "train2017").table["annotations"]) == 1


def test_packed_data_is_to_be_unpacked(make):
    folder = make("dataset_info.json", {"splits": 1})
    (folder / "00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(LimnerError, match=r"no \.txt next to an image; unpack 00000\.parquet first"):
        read_listing(folder, "train2017")
