"""Tables of files and captions: the lists that are published, and defects with their lines."""

import pytest
from limner import LimnerError
from limner_coco.layouts import read_listing

# --- published lists ------------------------------------------------------------------------------------------------


def test_flickr8k(make, captions_of):
    text = 'a_1.jpg#0\tA child , in a "pink" dress .\na_1.jpg#1\t"A girl .\nb_2.jpg#0\tA dog | runs .\n'
    folder = make("Flickr8k.token.txt", text, "Flicker8k_Dataset/a_1.jpg", "Flicker8k_Dataset/b_2.jpg")
    make("Flickr_8k.trainImages.txt", "a_1.jpg\n")
    make("ExpertAnnotations.txt", "a_1.jpg\tb_2.jpg#2\t1\t1\t1\n")
    assert captions_of(folder) == [['A child , in a "pink" dress .', '"A girl .'], ["A dog | runs ."]]


def test_flickr8k_with_a_header(make, captions_of):
    folder = make(
        "captions.txt", 'image,caption\na.jpg,A child\nb.jpg,"A dog, asleep"\n', "Images/a.jpg", "Images/b.jpg"
    )
    assert captions_of(folder) == [["A child"], ["A dog, asleep"]]


def test_flickr30k(make, captions_of):
    """Its one line without a separator is told, and not fatal."""
    rows = [
        "image_name| comment_number| comment",
        "a.jpg| 0| Two men , in a yard .",
        'a.jpg| 1| "Two" men .',
        "b.jpg| 0   A dog .",
    ]
    folder = make("results.csv", "\n".join(rows), "flickr30k_images/a.jpg", "flickr30k_images/b.jpg")
    with pytest.warns(UserWarning, match="left out") as notes:
        assert captions_of(folder) == [["Two men , in a yard .", '"Two" men .']]
    assert "1 of 3 captions of" in str(notes[0].message)
    assert "1 of 2 images have no caption and are left out: b.jpg" in str(notes[1].message)


def test_the_original_list_of_flickr30k(make, captions_of):
    folder = make("results_20130124.token", "a.jpg#0\tTwo men .\na.jpg#1\tMen .\n", "flickr30k-images/a.jpg")
    assert captions_of(folder) == [["Two men .", "Men ."]]


@pytest.mark.parametrize("order", [0, 1])
def test_conceptual_captions(make, order, captions_of):
    """3M has the caption first and 12M the address."""
    rows = [("a dog, asleep", "https://example.org/x/a%20b.jpg?w=9"), ('the "cat', "http://example.org/c.jpg")]
    text = "\n".join("\t".join(row[::-1] if order else row) for row in rows)
    folder = make("Train_GCC-training.tsv", text, "images/a b.jpg", "images/c.jpg")
    assert captions_of(folder) == [["a dog, asleep"], ['the "cat']]


def test_addresses_without_images_are_refused(make):
    folder = make("cc12m.tsv", "https://example.org/a.jpg\ta dog\n")
    with pytest.raises(
        LimnerError, match=r"cc12m\.tsv has addresses of images and not their files; download .*img2dataset"
    ):
        read_listing(folder, "train2017")


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_an_image_folder_of_hugging_face(make, name, captions_of):
    for split in ("train", "test"):
        text = (
            f"file_name,text\n1.png,{split}\n"
            if name.endswith("csv")
            else f'{{"file_name": "1.png", "text": "{split}"}}\n'
        )
        folder = make(f"{split}/{name}", text, f"{split}/1.png")
    assert captions_of(folder) == [["train"]]
    assert captions_of(folder, split="test") == [["test"]]
    assert captions_of(folder, captions=f"test/{name}") == [["test"]]
    with pytest.raises(LimnerError, match=rf"holds several tables: test/{name}, train/{name}; choose one"):
        read_listing(folder, "dev")


def test_localized_narratives_name_images_by_their_ids(make, captions_of):
    folder = make(
        "narratives.jsonl",
        '{"dataset_id": "open_images", "image_id": "00ab", "caption": "In this image"}',
        "x/00ab.jpg",
    )
    assert captions_of(folder) == [["In this image"]]


def test_a_table_without_a_header(make, captions_of):
    assert captions_of(make("c.csv", "a.png,a cat\nb.png,a dog\n", "a.png", "b.png")) == [["a cat"], ["a dog"]]


# --- quotation marks ------------------------------------------------------------------------------------------------


def test_a_blank_before_a_quotation_mark_is_fine(make, captions_of):
    assert captions_of(make("c.csv", 'file, caption\na.png, "a cat, asleep"\n', "a.png")) == [["a cat, asleep"]]


def test_quoted_cells_between_tabs(make, captions_of):
    assert captions_of(make("c.tsv", 'file\tcaption\na.png\t"a ""cat""\tasleep"\n', "a.png")) == [['a "cat" asleep']]


DEFECTS = {
    "a mark within": (
        'file,caption\na.png,x\nb.png,"a "cat" b"\n',
        'line 3: text follows a closing quotation mark; write ""',
    ),
    "never closed": (
        'file,caption\na.png,x\nb.png,"a cat\nc.png,y\n',
        "line 3: the quotation mark that opens here is never",
    ),
    "other marks": (
        "file,caption\na.png,“a cat, asleep”\n",
        r"line 2 has 3 columns, .* a comma in straight \"quotation marks\"",
    ),
    "after several lines": (
        'file,caption\na.png,"a\ncat"\nb.png,a,b\n',
        "line 4 has 3 columns, and the first line has 2",
    ),
    "too long": ("file,caption\na.png," + "a" * 140_000, "line 2: field larger than field limit"),
    "two columns": ("file,caption,Caption \na.png,one,two\n", r"c\.csv has two columns 'caption'; rename one"),
    "two columns of files": ("file,FILE,caption\na.png,b.png,one\n", r"c\.csv has two columns 'file'; rename one"),
    "no files": ("text,caption\na,b\n", "none of them is called file_name"),
}


@pytest.mark.parametrize(("text", "message"), DEFECTS.values(), ids=DEFECTS)
def test_defects_are_told_with_their_lines(make, text, message):
    with pytest.raises(LimnerError, match=message) as caught:
        read_listing(make("c.csv", text), "train2017")
    assert "\n" not in str(caught.value)


def test_two_keys_of_one_name_in_json_lines_are_an_error(make):
    folder = make("c.jsonl", '{"file": "a.png", "caption": "one", "caption": "two"}\n')
    with pytest.raises(LimnerError, match=r"c\.jsonl: line 1 has an object with two keys 'caption'"):
        read_listing(folder, "train2017")
