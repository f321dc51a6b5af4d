"""The tokenizer: learned the same in every run, saved and read back, and what it says of a prompt."""

import json
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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


LETTERS = st.sampled_from("ab é\u0301\u0308 ,.-'[]CLSEP中🙂\t\n\x1c\u00a0ßİ\u200d#") | st.characters(codec="utf-8")


@given(st.lists(st.text(LETTERS, max_size=40), min_size=1, max_size=4), st.booleans())
def test_reading_each_word_once_gives_the_tokens_of_the_inner_tokenizer(texts, full):
    texts = [*texts, "a [SEP] red", "", "  a  "]
    tokenizer, slow = (Tokenizer.learn(CAPTIONS, Text(length=10)) for _ in range(2))
    assert tokenizer._frame
    slow.__dict__["_frame"] = None
    found, expected = tokenizer(texts, full), slow(texts, full)
    assert torch.equal(found.ids, expected.ids)
    assert torch.equal(found.mask, expected.mask)
    encoded = slow.inner(texts, padding="max_length" if full else True, truncation=True, max_length=10)
    assert found.ids.tolist() == encoded["input_ids"]
    assert found.mask.tolist() == encoded["attention_mask"]


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


VERBATIM = [
    "一只红色的猫",
    "🐕",
    "👩‍🚀 🐈",
    "?!",
    "...",
    "ねこがいる",
    "สีแดง",
    "लाल बिल्ली",
    "κόκκινη γάτα",
    "café",
    "©",
]


@pytest.mark.parametrize("caption", VERBATIM)
def test_a_caption_in_any_script_is_a_known_prompt(caption, tmp_path):
    tokenizer = Tokenizer.learn([caption, "a red circle"], Text())
    tokenizer.save(tmp_path)
    for known in (tokenizer, Tokenizer.load(tmp_path)):
        assert known.check(caption) == []
        with pytest.raises(LimnerError, match="No word of the prompt 'zebra'"):
            known.check("zebra")


@pytest.mark.parametrize("prompt", ["红色的猫", "猫", "猫?"])
def test_characters_of_chinese_are_known_one_by_one(prompt):
    assert Tokenizer.learn(["一只红色的猫"], Text()).check(prompt) == []


def test_a_run_that_kept_chinese_as_one_word_is_read(tmp_path):
    tokenizer = Tokenizer.learn(["一只红色的猫 and a ship's mast"], Text())
    tokenizer.save(tmp_path)
    (tmp_path / "words.json").write_text(json.dumps({"length": 24, "words": ["一只红色的猫", "ship's", "mast"]}))
    assert Tokenizer.load(tmp_path).check("红色的猫, ship's") == []


def test_a_word_of_known_tokens_is_no_unknown_prompt():
    """Japanese has no spaces, so that a part of a sentence is another word, but of the same tokens."""
    sentence = "いろはにほへとちりぬるをわかよたれそつねならむうゐのおくやまけふこえてあさきゆめみしゑひもせす"
    tokenizer = Tokenizer.learn([sentence], Text(vocabulary=50))
    assert tokenizer.check("いろは") == ["いろは"], "it is noted, but not refused"
    with pytest.raises(LimnerError, match="No word of the prompt"):
        tokenizer.check("ろい")  # no caption has the token of a word that starts so


@pytest.mark.parametrize(("composed", "other"), [("café", "cafe\u0301"), ("cafe\u0301", "café"), ("café", "CAFE")])
def test_accents_may_be_composed_or_left_out(composed, other):
    unknown = Tokenizer.learn([composed], Text()).check(other)
    assert unknown == ([] if other != "CAFE" else ["cafe"])


@pytest.mark.parametrize(("captions", "prompt"), [(["a cat"], "🐕"), (["a cat"], "?!"), (["猫"], "犬"), ([], "a cat")])
def test_what_no_caption_has_is_refused(captions, prompt):
    with pytest.raises(LimnerError, match="No word of the prompt") as caught:
        Tokenizer.learn(captions, Text()).check(prompt)
    assert "such as ." not in str(caught.value)


def test_half_of_a_character_does_no_harm(tokenizer):
    assert tokenizer(["a red \ud83d"]).ids.tolist() == tokenizer(["a red \ufffd"]).ids.tolist()
    assert tokenizer.check("a red circle \udcff") == []
    assert len(tokenizer.pieces("a \ud83d")) == tokenizer.count("a \ud83d")
    assert Tokenizer.learn(["a cat \ud83d"], Text()).words == {"a", "cat"}


def test_a_word_of_very_many_letters_is_unknown_and_takes_no_time():
    """WordPiece takes minutes to learn from it, and no signal stops it."""
    start = time.process_time()
    tokenizer = Tokenizer.learn([*CAPTIONS, "x" * 300_000, "a " + "yz" * 150_000 + " b"], Text())
    assert time.process_time() - start < 10
    assert tokenizer(["a " + "x" * 300_000]).ids[0, 2] == tokenizer.inner.unk_token_id
    assert tokenizer.inner.get_vocab() == Tokenizer.learn([*CAPTIONS, "a  b"], Text()).inner.get_vocab()


def test_a_prompt_of_a_million_letters_is_refused(tokenizer):
    with pytest.raises(LimnerError, match="The prompt has 1000000 letters, at most 10000 are read; make it shorter"):
        tokenizer.check("x" * 1_000_000)


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


@pytest.mark.parametrize("periods", [False, True])
def test_a_final_period_means_nothing_if_no_caption_has_one(periods):
    captions = ["a red circle", "a blue square"]
    learned = Tokenizer.learn([f"{text}." for text in captions] if periods else captions, Text())
    with_period, without = learned(["a red circle."]).ids, learned(["a red circle"]).ids
    assert torch.equal(with_period, without) != periods
    assert learned.count("a red circle.") == with_period.shape[1]
