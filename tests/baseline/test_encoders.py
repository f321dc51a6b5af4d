"""What holds for every text encoder: padding has no influence, the order of the words has."""

import pytest
import torch
from limner import LimnerError, Tokens
from limner_baseline.encoders import LSTMEncoder, MLPEncoder, TransformerEncoder

CAPTION = [2, 17, 9, 31, 3]
OTHERS = [[2, 44, 3], [2, 5, 6, 7, 8, 9, 10, 11, 12, 3]]


@pytest.fixture(params=[MLPEncoder, LSTMEncoder, TransformerEncoder], ids=lambda encoder: encoder.__name__)
def encoder(request, sizes):
    """Each of the three encoders, untrained."""
    torch.manual_seed(0)
    return request.param(sizes, width=16)


def tokens(captions, length=0, padding=0):
    """Captions as tokens, padded with the id `padding` to the longest caption or to `length`."""
    length = max(length, *map(len, captions))
    ids = torch.tensor([[*caption, *[padding] * (length - len(caption))] for caption in captions])
    mask = torch.tensor([[place < len(caption) for place in range(length)] for caption in captions])
    return Tokens(ids, mask)


def test_shapes(encoder):
    text = encoder(tokens([CAPTION, *OTHERS]))
    assert encoder.width == 16
    assert text.words.shape == (3, 10, 16)
    assert text.sentence.shape == (3, 16)
    assert text.mask.sum(1).tolist() == [5, 3, 10]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "padded",
    [
        pytest.param(lambda: tokens([CAPTION], length=12), id="more padding"),
        pytest.param(lambda: tokens([CAPTION], length=12, padding=7), id="other ids at padding"),
        pytest.param(lambda: tokens([CAPTION, *OTHERS]), id="other captions in the batch"),
        pytest.param(lambda: tokens([CAPTION, *OTHERS], length=12, padding=7), id="all at once"),
    ],
)
@torch.no_grad()
def test_padding_has_no_influence(encoder, padded, training):
    encoder.train(training)
    alone, among = encoder(tokens([CAPTION])), encoder(padded())
    torch.testing.assert_close(among.sentence[0], alone.sentence[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(among.words[0, :5], alone.words[0], rtol=0, atol=1e-5)


def test_words_at_padding_are_zero(encoder):
    text = encoder(tokens([CAPTION, *OTHERS], length=12, padding=7))
    assert text.words[~text.mask].abs().max() == 0
    assert text.words[text.mask].abs().amax(1).min() > 0


def test_the_order_of_the_words_matters(encoder):
    circle_square = encoder(tokens([[2, 17, 9, 31, 3]])).sentence
    square_circle = encoder(tokens([[2, 31, 9, 17, 3]])).sentence
    assert (circle_square - square_circle).abs().max() > 1e-3 * circle_square.abs().max()


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        (LSTMEncoder, {"width": 15}, "width: expected an even number"),
        (TransformerEncoder, {"width": 16, "heads": 3}, "heads: 3 heads do not divide the width 16"),
    ],
)
def test_a_width_that_does_not_fit_is_refused(sizes, encoder, options, message):
    with pytest.raises(LimnerError, match=message):
        encoder(sizes, **options)
