"""The cache of features: exact, independent of padding, of limited size, and shared."""

import re
import sqlite3
import warnings

import limner
import pytest
import torch
from limner import LimnerError, Tokens
from limner_pretrained.cache import FeatureCache, cache_folder
from limner_pretrained.language import LanguageModel

pytestmark = pytest.mark.filterwarnings("ignore:.* captions are longer")  # the small models spell out their words

CAPTIONS = ["a red circle above a blue square", "a star", "a green heart on a white background", "a star"]


@pytest.fixture
def encoded(monkeypatch):
    """Counts the captions that language models encode."""
    counted = []
    forward = LanguageModel.forward
    monkeypatch.setattr(LanguageModel, "forward", lambda self, t: (counted.append(len(t)), forward(self, t))[1])
    return counted


def test_cached_features_are_exactly_the_computed_ones(folder, encoder_of, tokenizer_of, encoded):
    cached, plain, tokenizer = encoder_of(folder), encoder_of(folder, cache=0.0), tokenizer_of(folder)
    for tokens in (tokenizer(CAPTIONS), tokenizer(CAPTIONS), tokenizer(CAPTIONS[:1]), tokenizer(CAPTIONS[1::-1])):
        torch.testing.assert_close(cached.hidden_states(tokens), plain.hidden_states(tokens), rtol=0, atol=2e-6)
    first = cached.hidden_states(tokenizer(CAPTIONS))
    encoded.clear()
    assert torch.equal(plain.hidden_states(tokenizer(CAPTIONS)), first)
    assert sum(encoded) == 3, "equal captions are encoded once"
    encoded.clear()
    assert torch.equal(cached.hidden_states(tokenizer(CAPTIONS)), first)
    again = encoder_of(folder)
    assert torch.equal(again.hidden_states(tokenizer(CAPTIONS)), first)
    assert encoded == [], "and cached ones not at all"


def test_a_real_model_encodes_each_sentence_once(real_bert, encoder_of, tokenizer_of, encoded):
    encoder, tokenizer = encoder_of(real_bert), tokenizer_of(real_bert)
    features = encoder.hidden_states(tokenizer(CAPTIONS))
    alone = encoder_of(real_bert, cache=0.0).hidden_states(tokenizer(CAPTIONS[:1]))
    torch.testing.assert_close(features[:1], alone, rtol=0, atol=1e-5)
    circle, star = encoder.language.sentence(features, tokenizer(CAPTIONS).mask)[:2]
    assert torch.cosine_similarity(circle, star, dim=0) < 0.8, "different sentences differ from the first step on"
    encoded.clear()
    assert torch.equal(encoder.hidden_states(tokenizer(CAPTIONS)), features)
    assert encoded == []


def test_padding_does_not_matter_to_the_cache(small_bert, encoder_of, tokenizer_of, encoded):
    encoder, tokens = encoder_of(small_bert), tokenizer_of(small_bert)(CAPTIONS)
    features = encoder.hidden_states(tokens)
    encoded.clear()
    length = tokens.mask[1].sum()
    star = Tokens(tokens.ids[1:2, :length], tokens.mask[1:2, :length])
    assert torch.equal(encoder.hidden_states(star), features[1:2, :length])
    other = Tokens(tokens.ids.masked_fill(~tokens.mask, 9), tokens.mask)
    assert torch.equal(encoder.hidden_states(other), features)
    assert encoded == []
    assert features[~tokens.mask].abs().sum() == 0


def test_two_models_never_share_features(small_bert, small_clip, encoder_of, tokenizer_of, tmp_path, cache):
    one, other = encoder_of(small_bert), encoder_of(small_clip)
    changed = tmp_path / "changed"
    with torch.no_grad():
        model = encoder_of(small_bert).language.model
        model.embeddings.word_embeddings.weight[7, 3] += 1e-6
        model.save_pretrained(changed)
    tokenizer_of(small_bert).inner.save_pretrained(str(changed))
    numbers = {encoder.frozen.fingerprint for encoder in (one, other, encoder_of(changed))}
    assert len(numbers) == 3
    moved = tmp_path / "elsewhere"
    one.save_pretrained(moved)
    tokenizer_of(small_bert).inner.save_pretrained(str(moved))
    assert encoder_of(moved).frozen.fingerprint == one.frozen.fingerprint, "whatever its folder"


def test_only_training_writes_to_the_cache(small_bert, encoder_of, tokenizer_of, cache):
    encoder, tokens = encoder_of(small_bert), tokenizer_of(small_bert)(CAPTIONS)
    encoder.eval()(tokens)
    assert not cache.exists()
    encoder.train()(tokens)
    assert [file.suffix for file in cache.iterdir() if file.suffix == ".sqlite"] == [".sqlite"]


def test_a_training_encodes_each_caption_once(recipe, small_bert, cache, encoded):
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16}
    recipe |= {"prompts": []}
    recipe["data"]["count"] = 24
    recipe["training"]["steps"] = 6
    model = limner.train(recipe, quiet=True)
    (file,) = cache.glob("*.sqlite")
    kept = len(FeatureCache(file, 24, 1.0))
    assert sum(encoded) == kept
    encoded.clear()
    again = limner.train(recipe, quiet=True)
    assert encoded == []
    one, other = model.conditional_generator.state_dict(), again.conditional_generator.state_dict()
    assert all(torch.equal(weight, other[name]) for name, weight in one.items()), "cached features change nothing"


def test_a_full_cache_warns_once(tmp_path):
    bounded = FeatureCache(tmp_path / "f.sqlite", 4, gigabytes=0.0005)
    features: dict[tuple[int, ...], torch.Tensor] = {(number, 1): torch.randn(2000, 4) for number in range(40)}
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        for caption, words in features.items():
            bounded.add({caption: words})
    (message,) = [str(note.message) for note in notes]
    assert re.match(r"No more features .*full.* encoder.cache = 0.0005 GB", message)
    assert 5 < len(bounded) < 40
    assert (tmp_path / "f.sqlite").stat().st_size <= 0.0005e9
    found = bounded.find(list(features))
    assert all(torch.equal(words, features[caption]) for caption, words in found.items())


def test_two_trainings_can_use_it_at_once(tmp_path):
    one, other = (FeatureCache(tmp_path / "f.sqlite", 4, 1.0) for _ in range(2))
    words = torch.randn(3, 4)
    one.add({(1, 2, 3): words})
    other.add({(1, 2, 3): words, (4, 5, 6): words})
    assert set(one.find([(1, 2, 3), (4, 5, 6), (7,)])) == {(1, 2, 3), (4, 5, 6)}


def test_many_captions_are_found_in_several_queries(tmp_path):
    cache = FeatureCache(tmp_path / "f.sqlite", 4, 1.0)
    features = {(number, number): torch.randn(2, 4) for number in range(1200)}
    cache.add(features)
    assert len(cache.find(list(features))) == 1200


def test_a_damaged_file_is_an_error(tmp_path):
    (tmp_path / "f.sqlite").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(LimnerError, match=r"encoder.cache: .*f\.sqlite cannot be used .* delete it"):
        FeatureCache(tmp_path / "f.sqlite", 4, 1.0)


def test_a_file_damaged_inside_is_an_error(tmp_path):
    path = tmp_path / "f.sqlite"
    cache = FeatureCache(path, 4, 1.0)
    cache.add({(number, 1): torch.randn(2000, 4) for number in range(40)})
    cache.file.close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(LimnerError, match="cannot be used for features"):
        FeatureCache(path, 4, 1.0).find([(1, 1)])


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LimnerError, match=r"name another folder in LIMNER_CACHE, or set encoder\.cache = 0"):
        FeatureCache(tmp_path / "taken" / "f.sqlite", 4, 1.0)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine" / "features"
    monkeypatch.delenv("LIMNER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "limner" / "features"


def test_the_cache_holds_no_pickle(small_bert, encoder_of, tokenizer_of, cache):
    encoder_of(small_bert).hidden_states(tokenizer_of(small_bert)(CAPTIONS))
    (file,) = cache.glob("*.sqlite")
    rows = sqlite3.connect(file).execute("SELECT ids, words FROM features").fetchall()
    assert {len(words) for _, words in rows} == {len(ids) * 24 for ids, _ in rows}  # int32 ids, float32 words of 24
