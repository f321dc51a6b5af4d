"""What holds for every attention: shapes, near-identity, gradients, padding, and use in a recipe."""

import limner
import pytest
import torch
from einops import rearrange
from limner import Attention, LimnerError, Recipe, TextFeatures
from limner.recipes.build import dry_run
from limner_attention.channel import ChannelAttention
from limner_attention.multi_head import MultiHeadAttention
from limner_attention.spatial import SpatialAttention

ALL = [MultiHeadAttention, SpatialAttention, ChannelAttention]
LENGTHS = [2, 7, 4]  # words of the captions in one batch


def ragged(lengths=LENGTHS, width=None, seed=0):
    """Captions of these lengths in one batch. The values at padding are large, so only the mask keeps them out."""
    width = width or max(lengths)
    captions = [torch.randn(length, 16, generator=torch.Generator().manual_seed(seed + length)) for length in lengths]
    words = torch.full((len(lengths), width, 16), 50.0)
    for row, caption in enumerate(captions):
        words[row, : len(caption)] = caption
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    return TextFeatures(words, torch.stack([caption.mean(0) for caption in captions]), mask)


@pytest.fixture(params=ALL, ids=lambda kind: kind.__name__)
def attention(request, sizes):
    """Each attention, for maps of 8 channels, with a larger effect than at initialization."""
    torch.manual_seed(0)
    module = request.param(sizes, 8)
    with torch.no_grad():
        getattr(module, "output", module.value).weight.mul_(20)
    return module


# --- input and output -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (6, 10), (16, 16)])
def test_the_shape_of_the_map_stays(attention, size):
    features = torch.randn(3, 8, *size)
    assert attention(features, ragged()).shape == features.shape


@pytest.mark.parametrize("kind", ALL)
def test_it_starts_close_to_the_identity(sizes, kind):
    torch.manual_seed(0)
    features = torch.randn(3, 96, 8, 8)
    added = kind(sizes, 96)(features, ragged()) - features
    assert 1e-4 < added.square().mean().sqrt() < 0.1


def test_the_words_decide_what_is_added(attention):
    features, text = torch.randn(3, 8, 4, 4), ragged()
    other = attention(features, ragged(seed=100))
    assert (attention(features, text) - other).abs().amax((1, 2, 3)).min() > 1e-2


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_gradients_reach_every_parameter_at_once(sizes, kind, bfloat16):
    torch.manual_seed(0)
    module, text = kind(sizes, 8), ragged()
    text.words.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        output = module(torch.randn(3, 8, 8, 8), text)
    output.float().square().mean().backward()
    for name, weight in module.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert (weight.grad != 0).float().mean() > 0.9, name
    assert text.words.grad is not None
    assert (text.words.grad[text.mask] != 0).any(1).all(), "every word has an influence"
    assert (text.words.grad[~text.mask] == 0).all(), "padding has none"


# --- padding, and the other captions of a batch ---------------------------------------------------------------------


def test_weights_sum_to_one_without_padding(attention):
    attention.keep_weights = True
    attention(torch.randn(3, 8, 4, 4), ragged())
    weights = rearrange(attention.weights, "b m t ... -> b t m (...)")
    for row, length in enumerate(LENGTHS):
        assert (weights[row, :length] > 0).all()
        assert (weights[row, length:] == 0).all()
    sums = weights.sum(3)[ragged().mask] if isinstance(attention, SpatialAttention) else weights.sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_padding_and_other_captions_have_no_influence(attention):
    features = torch.randn(3, 8, 4, 4)
    output = attention(features, ragged())
    torch.testing.assert_close(attention(features, ragged(width=12)), output, rtol=0, atol=1e-5)
    torch.testing.assert_close(attention(features, ragged([2, 3, 9]))[:1], output[:1], rtol=0, atol=1e-5)
    for row in range(3):
        alone = attention(features[row : row + 1], ragged([LENGTHS[row]]))
        torch.testing.assert_close(alone[0], output[row], rtol=0, atol=1e-5)


# --- weights for pictures -------------------------------------------------------------------------------------------


def test_weights_are_kept_only_on_request(sizes, attention):
    features, text = torch.randn(3, 8, 6, 4), ragged()
    output = attention(features, text)
    assert attention.weights is None
    attention.keep_weights = True
    torch.testing.assert_close(attention(features, text), output)
    shapes = {MultiHeadAttention: (3, 4, 7, 6, 4), SpatialAttention: (3, 1, 7, 6, 4), ChannelAttention: (3, 1, 7, 8)}
    assert attention.weights is not None
    assert attention.weights.shape == shapes[type(attention)]
    assert not attention.weights.requires_grad


# --- in a recipe ----------------------------------------------------------------------------------------------------


RECIPES = {
    "everywhere": ("multi-head", [MultiHeadAttention, MultiHeadAttention]),
    "at one": ({"name": "multi-head", "at": [8], "heads": 2, "width": 6}, [MultiHeadAttention]),
    "several": (
        ["spatial", {"name": "channel", "at": [8], "grid": 2}, {"name": "spatial", "at": [4], "width": 5}],
        [SpatialAttention, SpatialAttention, SpatialAttention, ChannelAttention],
    ),
}


@pytest.mark.parametrize(("value", "kinds"), RECIPES.values(), ids=RECIPES)
def test_a_recipe_trains_with_one_or_several_modules(recipe, value, kinds):
    recipe["generator"]["attention"] = value
    still, trained = (
        limner.train(recipe, overrides=[f"training.generator_lr={rate}"], callbacks=[]) for rate in (1e-12, 1e-3)
    )
    modules = [
        [m for m in model.conditional_generator.modules() if isinstance(m, Attention)] for model in (still, trained)
    ]
    assert [type(module) for module in modules[1]] == kinds
    for before, after in zip(*modules):
        for (name, old), new in zip(before.named_parameters(), after.parameters()):
            assert not torch.allclose(old, new, rtol=0, atol=1e-6), f"{name} was not trained"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"name": "multi-head", "heads": 3},
            "generator: heads: 3 heads do not divide the width 32 .*; 1, 2, 4, 8, 16 would",
        ),
        ({"name": "multi-head", "heads": 0}, "generator.attention.heads: .* greater than or equal to 1, got 0"),
        ({"name": "spatial", "at": [16]}, "SpatialAttention is asked for at resolution 16, .* it has 4, 8"),
        ({"name": "chanel"}, "there is no attention 'chanel', did you mean 'channel'"),
        ({"name": "channel", "heads": 2}, "generator.attention.heads: the attention 'channel' has no option 'heads'"),
    ],
)
def test_wrong_options_are_refused(plugins, recipe, value, message):
    recipe["generator"]["attention"] = value
    with pytest.raises(LimnerError, match=message):
        dry_run(plugins, Recipe.read(plugins, recipe))
