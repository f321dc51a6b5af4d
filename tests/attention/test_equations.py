"""Each attention against its equation: multi-head against torch's own, spatial and channel against loops."""

import numpy as np
import pytest
import torch
from einops import rearrange
from limner import TextFeatures
from limner_attention import multi_head
from limner_attention.channel import ChannelAttention
from limner_attention.multi_head import MultiHeadAttention
from limner_attention.spatial import SpatialAttention
from torch.nn.functional import group_norm, scaled_dot_product_attention

ROWS, WORDS, CHANNELS, SIZE = 2, 5, 8, 8


@pytest.fixture
def features():
    """A map of 8 x 8 positions."""
    return torch.randn(ROWS, CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def text():
    """Two captions, one of three words and one of five."""
    words = torch.randn(ROWS, WORDS, 16, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    return TextFeatures(words, words.mean(1), mask)


def array(tensor):
    return tensor.detach().double().numpy()


def softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


# --- multi-head -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_multi_head_attention_equals_that_of_torch(sizes, features, text, heads):
    torch.manual_seed(0)
    module = MultiHeadAttention(sizes, CHANNELS, heads=heads, width=12)
    positions = rearrange(group_norm(features, 1), "b c h w -> b (h w) c")
    queries, keys, values = (
        rearrange(rows, "b n (i d) -> b i n d", i=heads)
        for rows in (positions @ module.query.weight[:, :, 0, 0].T, module.key(text.words), module.value(text.words))
    )
    mask = rearrange(text.mask, "b t -> b 1 1 t")
    joined = rearrange(scaled_dot_product_attention(queries, keys, values, mask), "b i n d -> b n (i d)")
    added = rearrange(joined @ module.output.weight[:, :, 0, 0].T, "b (h w) c -> b c h w", h=SIZE)
    torch.testing.assert_close(module(features, text), features + added, rtol=0, atol=1e-6)


def test_fused_attention_is_the_same_but_keeps_no_weights(sizes, features, text, monkeypatch):
    torch.manual_seed(0)
    module = MultiHeadAttention(sizes, CHANNELS)
    written_out = module(features, text)
    calls = []
    monkeypatch.setattr(multi_head, "fused_is_fast", lambda device: True)
    monkeypatch.setattr(
        multi_head,
        "scaled_dot_product_attention",
        lambda *arguments: calls.append(1) or scaled_dot_product_attention(*arguments),
    )
    torch.testing.assert_close(module(features, text), written_out, rtol=0, atol=1e-6)
    module.keep_weights = True
    module(features, text)
    assert len(calls) == 1
    assert module.weights is not None


# --- spatial --------------------------------------------------------------------------------------------------------


def test_spatial_attention_equals_its_equation(sizes, features, text):
    torch.manual_seed(0)
    module = SpatialAttention(sizes, CHANNELS, width=3)
    query, key, value = array(module.query.weight)[:, :, 0, 0], array(module.key.weight), array(module.value.weight)
    expected = array(features).copy()
    for b in range(ROWS):
        map_ = array(features[b])
        normal = (map_ - map_.mean()) / np.sqrt(map_.var() + 1e-5)
        for t in range(int(text.mask[b].sum())):
            word = array(text.words[b, t])
            scores = [key @ word @ (query @ normal[:, y, x]) / np.sqrt(3) for y in range(SIZE) for x in range(SIZE)]
            where = softmax(np.array(scores)).reshape(SIZE, SIZE)
            expected[b] += SIZE * SIZE * where * (value @ word)[:, None, None]
    np.testing.assert_allclose(array(module(features, text)), expected, atol=1e-5)


# --- channel --------------------------------------------------------------------------------------------------------


def test_channel_attention_reads_weights_under_their_old_name(sizes):
    module = ChannelAttention(sizes, CHANNELS)
    old = {name.replace("project.", "draw."): torch.randn_like(value) for name, value in module.state_dict().items()}
    module.load_state_dict(old)
    assert torch.equal(module.project.weight, old["draw.weight"])


def test_channel_attention_equals_its_equation(sizes, features, text):
    torch.manual_seed(0)
    module = ChannelAttention(sizes, CHANNELS, grid=2)
    project, value = array(module.project.weight), array(module.value.weight)
    expected = array(features).copy()
    for b in range(ROWS):
        words = array(text.words[b, : int(text.mask[b].sum())])
        for k in range(CHANNELS):
            quarters = array(features[b, k]).reshape(2, SIZE // 2, 2, SIZE // 2).mean((1, 3)).ravel()
            normal = quarters / np.sqrt((quarters**2).mean())
            weights = softmax(np.array([normal @ (project @ word) / 2 for word in words]))
            expected[b, k] *= 1 + sum(weight * (value @ word)[k] for weight, word in zip(weights, words))
    np.testing.assert_allclose(array(module(features, text)), expected, atol=1e-5)
