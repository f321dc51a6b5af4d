"""Batches: every image once in an epoch, its captions in turn, and mismatched captions that are never true of it."""

from itertools import islice

import pytest
import torch
from limner import CaptionedImages, LimnerError, Tokenizer
from limner.data.batches import Batches, draw_mismatched, to_bytes, to_float, true_of
from limner.data.captions import coco_index
from limner.recipes.schema import Text

COLORS = ["red", "green", "blue", "white", "black", "pink"]


def captioned(captions, facts=None, asked=None, distractors=None):
    """Images of 8 pixels, image i all of the byte i, with these lists of captions (and what they mean)."""
    images = [
        {"id": 10 + i, "file_name": f"{i}.png"} | ({"facts": facts[i]} if facts else {}) for i in range(len(captions))
    ]
    annotations = []
    for i, texts in enumerate(captions):
        for j, text in enumerate(texts):
            extra = ({"asked": asked[i][j]} if asked else {}) | (
                {"distractors": distractors[text]} if distractors else {}
            )
            annotations.append({"id": len(annotations), "image_id": 10 + i, "caption": text, **extra})
    coco = coco_index({"images": images, "annotations": annotations}, "the test")
    pixels = torch.arange(len(captions), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    return CaptionedImages(pixels, coco, [image["id"] for image in images])


def batches_of(data, batch_size=4, seed=0, length=8, **processes):
    texts = [a["caption"] for annotations in data.annotations for a in annotations]
    return Batches(data, Tokenizer.learn(texts, Text(length=length)), batch_size, seed, **processes)


def images_of(batch):
    """The number of each image of a batch."""
    return to_bytes(batch.images)[:, 0, 0, 0].tolist()


def texts_of(batches, tokens, tokenizer):
    return [tokenizer.inner.decode(ids, skip_special_tokens=True) for ids in tokens.ids]


def numbered(count, captions=3):
    """Data in which caption j of image i says so."""
    return captioned([[f"image {i} caption {j}" for j in range(captions)] for i in range(count)])


@pytest.fixture
def tokenizer():
    """A tokenizer that knows the words of `numbered`."""
    return Tokenizer.learn([f"image {i} caption {j}" for i in range(20) for j in range(3)], Text(length=8))


# --- mirror images --------------------------------------------------------------------------------------------------


def sided(count):
    """Images that are dark on the left and light on the right; each has a caption that a mirror image keeps true, and
    one that it does not.
    """
    data = captioned([[f"image {i} caption 0", f"image {i} caption 1"] for i in range(count)])
    for annotations in data.annotations:
        annotations[0]["mirrors"], annotations[1]["mirrors"] = True, False
    pixels = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    pixels[..., 4:] = 255
    return CaptionedImages(pixels, data.coco, data.image_ids)


def test_images_are_mirrored_half_the_time_if_the_caption_allows(tokenizer):
    seen = []
    for batch in islice(Batches(sided(16), tokenizer, 8, seed=0), 60):
        left, right = batch.images[..., :4].mean((1, 2, 3)), batch.images[..., 4:].mean((1, 2, 3))
        assert ((left * right) == -1).all(), "each image is dark on one side and light on the other, all of it"
        texts = [tokenizer.inner.decode(ids, skip_special_tokens=True) for ids in batch.tokens.ids]
        seen += zip([text.endswith("0") for text in texts], (left > right).tolist())
    free, bound = ([turned for may, turned in seen if may == side] for side in (True, False))
    assert len(free) > 150
    assert 0.4 < sum(free) / len(free) < 0.6
    assert sum(bound) == 0


def test_the_data_are_not_changed_by_it(tokenizer):
    data = sided(8)
    before = data.pixels.clone()
    list(islice(Batches(data, tokenizer, 4, seed=0), 10))
    assert (data.pixels == before).all()


# --- epochs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "size"), [(12, 4), (13, 4), (12, 12), (5, 32)])
def test_an_epoch_shows_each_image_once_but_for_a_partial_batch(tokenizer, images, size):
    batches = Batches(numbered(images), tokenizer, size, seed=0)
    size = min(size, images)
    stream, orders = iter(batches), []
    for _ in range(3):
        seen = [image for batch in islice(stream, images // size) for image in images_of(batch)]
        assert len(seen) == len(set(seen)) == images // size * size
        orders.append(seen)
    assert orders[0] != orders[1] != orders[2]


def test_an_image_gets_another_of_its_captions_each_epoch(tokenizer):
    batches = Batches(numbered(4), tokenizer, 4, seed=0)
    seen = {
        (image, text)
        for batch in islice(batches, 20)
        for image, text in zip(
            images_of(batch), [tokenizer.inner.decode(ids, skip_special_tokens=True) for ids in batch.tokens.ids]
        )
    }
    assert seen == {(i, f"image {i} caption {j}") for i in range(4) for j in range(3)}


def test_each_image_comes_with_another_of_its_captions():
    """Every other caption of its image, in turn; its own again where it has only one."""
    data = captioned([["a cat"], ["a dog", "a big dog with a bone"], ["one", "one two", "one two three"], ["a bird"]])
    tokenizer = Tokenizer.learn(data.captions, Text(length=8))
    seen = set()
    for batch in islice(Batches(data, tokenizer, 4, seed=0), 60):
        assert batch.other_captions is not None
        assert batch.other_captions.ids.shape[1] == batch.other_captions.mask.sum(1).max(), "no wider than the longest"
        captions, others = (
            [tokenizer.inner.decode(ids, skip_special_tokens=True) for ids in tokens.ids]
            for tokens in (batch.tokens, batch.other_captions)
        )
        seen |= set(zip(images_of(batch), captions, others))
    assert seen == {
        (0, "a cat", "a cat"),
        (1, "a dog", "a big dog with a bone"),
        (1, "a big dog with a bone", "a dog"),
        (2, "one", "one two"),
        (2, "one two", "one two three"),
        (2, "one two three", "one"),
        (3, "a bird", "a bird"),
    }


@pytest.mark.parametrize("other", [0, 1])
def test_batches_follow_from_the_seed(tokenizer, other):
    first, second = (islice(Batches(numbered(16), tokenizer, 4, seed=seed), 8) for seed in (0, other))
    same = [
        torch.equal(one.images, two.images) and torch.equal(one.mismatched, two.mismatched)
        for one, two in zip(first, second)
    ]
    assert all(same) if other == 0 else not any(same)


# --- what is true of what -------------------------------------------------------------------------------------------


def test_a_caption_is_true_if_all_it_asks_for_is_a_fact():
    facts = torch.tensor([[1, 2], [1, 3], [4, 2]])
    asked = torch.tensor([[1, 2], [1, -1], [-1, 2], [-1, -1], [4, 3]])
    expected = [[1, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, 0]]
    assert true_of(asked, facts).int().tolist() == expected


def known(count=40, seed=0):
    """Data whose captions ask for a color, or for a color and a number, and which knows what its images show."""
    random = torch.Generator().manual_seed(seed)
    facts = torch.randint(3, (count, 2), generator=random).tolist()
    captions = [[f"{COLORS[color]}", f"{COLORS[color]} {COLORS[number]}"] for color, number in facts]
    asked = [[[color, -1], [color, number]] for color, number in facts]
    return captioned(captions, facts, asked), facts


def means(text):
    """What a caption of `known` asks for."""
    color, *number = text.split()
    return COLORS.index(color), COLORS.index(number[0]) if number else -1


def is_true(text, facts):
    return all(ask in (-1, fact) for ask, fact in zip(means(text), facts))


def test_a_mismatched_caption_is_never_true_of_the_image():
    data, facts = known()
    batches = batches_of(data, batch_size=10)
    tokenizer = Tokenizer.learn([a["caption"] for group in data.annotations for a in group], Text(length=8))
    checked = 0
    for batch in islice(batches, 40):
        texts = [tokenizer.inner.decode(ids, skip_special_tokens=True) for ids in batch.tokens.ids]
        for row, image in enumerate(images_of(batch)):
            assert is_true(texts[row], facts[image])
            wrong = [not is_true(text, facts[image]) for text in texts]
            assert batch.has_mismatch[row] == any(wrong)
            if batch.has_mismatch[row]:
                assert wrong[batch.mismatched[row]]
                checked += 1
            confusable = [is_true(text, facts[image]) and other != row for other, text in enumerate(texts)]
            assert batch.confusable[row].tolist() == confusable
    assert checked > 300


def test_every_wrong_caption_is_drawn_at_times():
    random = torch.Generator().manual_seed(0)
    confusable = torch.tensor([[True, False, True, False], *[[True] * 4] * 3])
    drawn = [draw_mismatched(confusable, random) for _ in range(50)]
    assert {int(row[0]) for row, _ in drawn} == {1, 3}
    assert all(has.tolist() == [True, False, False, False] for _, has in drawn)


def test_without_facts_only_equal_captions_are_confusable():
    data = captioned([["a cat"], ["a dog"], ["a cat"], ["a bird"]])
    batch = next(iter(batches_of(data)))
    images = images_of(batch)
    cats = {0, 2}
    for row, image in enumerate(images):
        same = [image in cats and other in cats and other != image for other in images]
        assert batch.confusable[row].tolist() == same
        assert images[batch.mismatched[row]] != image
    assert batch.has_mismatch.all()


def test_a_batch_of_one_text_has_no_mismatched_pair():
    batch = next(iter(batches_of(captioned([["a cat"]] * 4))))
    assert not batch.has_mismatch.any()


# --- captions -------------------------------------------------------------------------------------------------------


def test_distractors_belong_to_their_caption():
    captions = [[f"a {color} wall"] for color in COLORS]
    wrong = {
        f"a {color} wall": [f"a {color} door", f"no {color} wall", "spare"][: 2 + i % 2]
        for i, color in enumerate(COLORS)
    }
    data = captioned(captions, distractors=wrong)
    texts = [text for group in captions for text in group] + [text for texts in wrong.values() for text in texts]
    tokenizer = Tokenizer.learn(texts, Text(length=8))
    batch = next(iter(Batches(data, tokenizer, 6, seed=0)))
    assert batch.distractors is not None
    read = [tokenizer.inner.decode(ids, skip_special_tokens=True) for ids in batch.distractors.ids]
    for row, image in enumerate(images_of(batch)):
        assert read[2 * row : 2 * row + 2] == wrong[captions[image][0]][:2], "as many as every caption has"


def test_data_without_distractors_has_none():
    assert next(iter(batches_of(numbered(4)))).distractors is None


def test_blank_captions_and_images_without_others_are_left_out():
    data = captioned([["a cat", "  "], [" \n"], ["a dog"], []])
    batches = batches_of(data, batch_size=2)
    for batch in islice(batches, 10):
        assert set(images_of(batch)) == {0, 2}
        assert batch.tokens.mask.sum(1).min() == 4  # [CLS] a cat [SEP]


def test_data_without_any_caption_is_refused():
    with pytest.raises(LimnerError, match="No image of the data has a caption"):
        batches_of(captioned([["  "], []]))


def test_captions_are_cut_at_the_length_and_counted():
    data = captioned([["one two three four five six seven"], ["one two"], ["one two three four"]])
    batches = batches_of(data, batch_size=3, length=6)
    assert batches.truncated == 1
    assert next(iter(batches)).tokens.ids.shape == (3, 6)


def test_a_batch_is_no_wider_than_its_longest_caption():
    data = captioned([["one two three four five"], *[["one two"]] * 7])
    widths = {
        image: batch.tokens.ids.shape[1]
        for batch in islice(batches_of(data, batch_size=1), 8)
        for image in images_of(batch)
    }
    assert widths == {0: 7} | dict.fromkeys(range(1, 8), 4)


def test_bytes_become_values_and_the_same_bytes_again():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(2, 3, 16, 16)
    values = to_float(pixels)
    assert (values.min(), values.max()) == (-1, 1)
    assert torch.equal(to_bytes(values), pixels)
    assert torch.equal(to_bytes(torch.full((3, 2, 2), 1.5)), torch.full((3, 2, 2), 255, dtype=torch.uint8))
