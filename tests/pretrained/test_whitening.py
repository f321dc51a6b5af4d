"""Whitening: the formula, what it measures, and that a model keeps it."""

import limner
import numpy as np
import pytest
import torch
from limner_pretrained.encoder import PretrainedEncoder
from limner_pretrained.whitening import RIDGE, Whitening
from torch import nn

CAPTIONS = [
    f"a {color} {shape}" for color in ("red", "green", "blue", "yellow") for shape in ("circle", "heart", "star")
]

pytestmark = pytest.mark.filterwarnings("ignore:.* captions are longer")  # the small models spell out their words


def uneven(count, width):
    """Vectors that differ a hundred times as much in one direction as in another."""
    torch.manual_seed(0)
    scales = torch.logspace(0, -2, width)
    return torch.randn(count, width) * scales @ torch.linalg.qr(torch.randn(width, width)).Q + 3


def test_it_is_the_inverse_square_root_of_the_covariance():
    vectors, whitening = uneven(500, 6), Whitening(6)
    whitening.fit(vectors)
    exact = vectors.double().numpy()
    covariance = np.cov(exact.T, bias=True)
    covariance += RIDGE * np.trace(covariance) / 6 * np.eye(6)
    root = whitening.matrix.double().numpy()
    np.testing.assert_allclose(root @ covariance @ root, np.eye(6), atol=1e-4)
    expected = np.stack([np.linalg.solve(np.linalg.inv(root), row - exact.mean(0)) for row in exact[:3]])
    np.testing.assert_allclose(whitening(vectors[:3]), expected, rtol=1e-3, atol=1e-3)


def test_no_direction_outweighs_the_others_afterwards():
    vectors, whitening = uneven(2000, 4), Whitening(4)
    before = torch.linalg.svdvals(vectors - vectors.mean(0))
    whitening.fit(vectors)
    after = torch.linalg.svdvals(whitening(vectors) - whitening(vectors).mean(0))
    assert before[-1] / before[0] < 0.02
    assert after[-1] / after[0] > 0.4  # the ridge keeps the smallest one shorter
    assert whitening(vectors).mean(0).abs().max() < 1e-4


@pytest.mark.parametrize("vectors", [torch.ones(5, 3), torch.randn(1, 3), uneven(2, 3)], ids=["equal", "one", "few"])
def test_too_few_vectors_are_not_blown_up(vectors):
    whitening = Whitening(3)
    whitening.fit(vectors)
    assert whitening(vectors).abs().max() < 2


def test_before_it_is_fitted_nothing_changes():
    vectors = uneven(3, 4)
    assert torch.equal(Whitening(4)(vectors), vectors)


def test_precision_does_not_matter():
    vectors, whitening = uneven(100, 4), Whitening(4)
    whitening.fit(vectors)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(whitening(vectors), whitening(vectors.float()))


# --- in the encoder -------------------------------------------------------------------------------------------------


@pytest.fixture
def fitted(encoder_of, tokenizer_of):
    """Makes an encoder that is fitted to the captions."""

    def make(folder, **options):
        encoder = encoder_of(folder, **options)
        encoder.fit(tokenizer_of(folder)(CAPTIONS))
        return encoder

    return make


@pytest.mark.parametrize("fine_tune", [0.0, 0.02])
@torch.no_grad()
def test_words_and_sentences_are_whitened_apart(folder, fitted, tokenizer_of, fine_tune):
    encoder, tokens = fitted(folder, fine_tune=fine_tune), tokenizer_of(folder)(CAPTIONS)
    hidden = encoder.hidden_states(tokens)
    for whitening, vectors in (
        (encoder.white_word, hidden[tokens.mask]),
        (encoder.white_sentence, encoder.language.sentence(hidden, tokens.mask)),
    ):
        own = Whitening(vectors.shape[1])
        own.fit(vectors)
        torch.testing.assert_close(whitening.matrix, own.matrix, rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(whitening.mean, own.mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("fine_tune", [0.0, 0.02])
@torch.no_grad()
def test_padding_has_no_influence(folder, fitted, tokenizer_of, fine_tune):
    encoder, tokenizer = fitted(folder, fine_tune=fine_tune), tokenizer_of(folder)
    alone, among = (encoder(tokenizer(captions)) for captions in (CAPTIONS[:1], [CAPTIONS[0], "a heart above a star"]))
    length = alone.words.shape[1]
    torch.testing.assert_close(among.sentence[0], alone.sentence[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(among.words[0, :length], alone.words[0], rtol=0, atol=1e-4)
    assert not among.words[~among.mask].any()


def test_it_can_be_left_out(small_bert, encoder_of):
    encoder = encoder_of(small_bert, whiten=False)
    assert isinstance(encoder.white_word, nn.Identity)
    assert not [name for name, _ in encoder.named_buffers() if "white" in name]


def whitenings(encoder):
    """What an encoder has measured."""
    assert isinstance(encoder, PretrainedEncoder)
    return {name: buffer.clone() for name, buffer in encoder.named_buffers() if name.startswith("white")}


class AtTheStart:
    """Keeps what was measured before the first step."""

    @limner.hookimpl
    def limner_training_started(self, run):
        self.painting = whitenings(run.average.average.encoder)
        self.training = whitenings(run.networks.conditional_generator.encoder)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_measures_once_and_keeps_it(recipe, small_bert, tmp_path):
    """Also when it is loaded, when its training resumes, and when another training starts from it."""
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16}
    start = AtTheStart()
    model = limner.train(recipe, tmp_path / "run", quiet=True, callbacks=[start])
    kept = whitenings(model.conditional_generator.encoder)
    assert same(start.painting, kept)
    assert same(start.training, kept)
    assert not torch.equal(kept["white_word.matrix"], torch.eye(24))
    assert same(whitenings(limner.load(tmp_path / "run").conditional_generator.encoder), kept)

    with pytest.warns(UserWarning, match="The budget is 4 steps now"):
        longer = limner.resume(tmp_path / "run", ["training.steps=4"], quiet=True, callbacks=[start])
    assert same(start.training, kept)
    assert same(whitenings(longer.conditional_generator.encoder), kept)

    recipe["training"]["start_from"] = str(tmp_path / "run")
    recipe["data"]["count"] = 16  # other captions
    with pytest.warns(UserWarning, match=r"Loaded from .*: encoder"):
        limner.train(recipe, quiet=True, callbacks=[start])
    assert same(start.training, kept)


@pytest.mark.slow
def test_a_resumed_training_ends_with_the_same_weights(recipe, small_bert, tmp_path):
    recipe["encoder"] = {"name": "pretrained", "model": str(small_bert), "width": 16}
    recipe["training"]["steps"] = 4
    whole = limner.train(recipe, quiet=True)

    class Stop:
        @limner.hookimpl
        def limner_step_finished(self, run):
            run.interrupted = run.step == 2

    limner.train(recipe, tmp_path / "run", quiet=True, callbacks=[Stop()])
    rest = limner.resume(tmp_path / "run", quiet=True)
    for (name, one), other in zip(
        whole.conditional_generator.state_dict().items(), rest.conditional_generator.state_dict().values()
    ):
        assert torch.equal(one, other), name
