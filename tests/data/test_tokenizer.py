"""The tokenizer: learned the same in every run, saved and read back, and what it says of a prompt."""

import json

import pytest
from limner import LimnerError, Tokenizer
from limner.data.tokenizer import split_words
from limner.recipes.schema import Text

CAPTIONS = [
    "a red circle above a blue square",
    "a blue heart, left of a green circle.",
    "the ship's mast",
    "two naïve cats",
]


@pytest.fixture
def tokenizer():
    return Tokenizer.learn(CAPTIONS, Text(length=10))


@pytest.mark.parametrize("vocabulary", [60, 2000])
def test_the_same_captions_give_the_same_tokens_in_every_run(vocabulary):
    """The trainer of `tokenizers` by itself numbers pieces of words in another order each time."""
    first, *others = (Tokenizer.learn(CAPTIONS, Text(vocabulary=vocabulary)).inner.get_vocab() for _ in range(5))
    assert all(other == first for other in others)
    assert len(first) <= vocabulary


def test_real_captions_give_the_same_tokens_in_every_run(shared_data):
    table = json.loads((shared_data / "coco_mini" / "captions.json").read_text(encoding="utf-8"))
    captions = [a["caption"] for a in table["annotations"]]
    one, other = (Tokenizer.learn(captions, Text(vocabulary=400)).inner.get_vocab() for _ in range(2))
    assert one == other
    assert len(one) == 400


def test_tokens_are_padded_with_zero_and_cut_at_the_length(tokenizer):
    tokens = tokenizer(["a red circle", "a red circle above a blue square left of a green heart"])
    assert tokens.ids.shape == (2, 10)
    assert tokens.mask.sum(1).tolist() == [5, 10]
    assert tokens.ids[0, 5:].tolist() == [0] * 5
    assert tokens.ids.max() < tokenizer.vocabulary
    assert tokenizer.inner.decode(tokens.ids[0], skip_special_tokens=True) == "a red circle"


def test_case_does_not_matter_and_words_stay_whole(tokenizer):
    assert tokenizer(["A RED Circle"]).ids.tolist() == tokenizer(["a red circle"]).ids.tolist()
    assert tokenizer.inner.all_special_tokens == ["[UNK]", "[SEP]", "[PAD]", "[CLS]"]


def test_a_tokenizer_is_read_back_as_it_was(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.words == tokenizer.words
    assert again.length == tokenizer.length
    assert again(CAPTIONS).ids.tolist() == tokenizer(CAPTIONS).ids.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red circle.", ["a", "red", "circle"]),
        ("the ship's mast, isn’t it?", ["the", "ship's", "mast", "isn’t", "it"]),
        ("top-left_corner 2x", ["top", "left", "corner", "2x"]),
        ("два круга", ["два", "круга"]),
        ("?!", ["?", "!"]),
    ],
)
def test_words(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("a red circle", []),
        ("A Red, ROUND circle; round!", ["round"]),
        ("the mast's cats", ["mast's"]),
    ],
)
def test_unknown_words_of_a_prompt_are_told_once(prompt, unknown):
    assert Tokenizer.learn(CAPTIONS, Text(length=24)).check(prompt) == unknown


def test_a_pretrained_tokenizer_can_be_taken_from_a_folder(tokenizer, tmp_path):
    tokenizer.inner.save_pretrained(str(tmp_path))
    taken = Tokenizer.learn(["a purple cat"], Text(tokenizer=str(tmp_path)))
    assert taken(CAPTIONS).ids.tolist() == Tokenizer(tokenizer.inner, [], 24)(CAPTIONS).ids.tolist()
    assert taken.words == {"a", "purple", "cat"}


@pytest.mark.parametrize("name", ["bert-base-uncased", "no/such-tokenizer"])
def test_a_pretrained_tokenizer_that_cannot_be_had_is_told(name):
    with pytest.raises(LimnerError, match=f"text.tokenizer: '{name}' is not a folder .* cannot be fetched"):
        Tokenizer.learn(CAPTIONS, Text(tokenizer=name))


def test_the_tokenizer_of_the_encoder_model_comes_first(tokenizer, tmp_path):
    tokenizer.inner.save_pretrained(str(tmp_path))
    taken = Tokenizer.learn(["a purple cat"], Text(), str(tmp_path))
    assert taken.inner.get_vocab() == tokenizer.inner.get_vocab()
    with pytest.raises(LimnerError, match=r"^encoder: 'no/such-model' is not a folder with a tokenizer"):
        Tokenizer.learn(CAPTIONS, Text(), "no/such-model")


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(LimnerError, match=r"text.tokenizer: '.*' is not a folder with a tokenizer"):
        Tokenizer.learn(CAPTIONS, Text(tokenizer=str(tmp_path)))


def test_padding_and_truncation_are_moved_to_the_right(tokenizer, tmp_path):
    tokenizer.inner.padding_side = tokenizer.inner.truncation_side = "left"
    tokenizer.inner.save_pretrained(str(tmp_path))
    taken = Tokenizer.learn([], Text(length=6, tokenizer=str(tmp_path)))
    tokens = taken(["a red circle above a blue square", "a circle"])
    assert tokens.mask.tolist() == [[True] * 6, [True] * 4 + [False] * 2]
    assert taken.inner.decode(tokens.ids[0], skip_special_tokens=True) == "a red circle above"


def test_special_tokens_are_not_words_but_unknown_is(tokenizer):
    tokenizer.inner.unk_token = "[SEP]"  # as in CLIP, whose end of a text is also its padding and its unknown token
    assert tokenizer.pieces("a red circle")[-1] == ("[SEP]", False)
