"""The convolutional generator and discriminator: shapes, what they depend on, old weights, the slot for attention."""

import pickle
from copy import deepcopy

import limner
import pytest
import torch
from limner import Attention, LimnerError, Sizes, Slot, TextFeatures
from limner.layers import ModulatedBlock, PalettePixels, ResidualBlock, TextHead, rename_weights
from limner.plugins import PluginHost
from limner.recipes.options import fill_slot, resolve_component
from limner.testing import check_discriminator
from limner_baseline.discriminator import ConvolutionalDiscriminator
from limner_baseline.generator import ConvolutionalGenerator
from torch.nn.functional import leaky_relu, pixel_shuffle, relu


class Tint(Attention):
    """Adds a projection of the first word to each map, and records the resolutions at which it is used."""

    def __init__(self, sizes, channels, *, strength: float = 1.0):
        super().__init__(sizes, channels)
        self.word = torch.nn.Linear(sizes.text, channels)
        self.strength, self.seen = strength, []

    def forward(self, features, text):
        self.seen.append(features.shape[-1])
        return features + self.strength * self.word(text.words[:, 0])[..., None, None]


def sizes_of(image):
    return Sizes(image=image, vocabulary=50, length=12, text=16, noise=8)


def text_of(rows, seed=0):
    random = torch.Generator().manual_seed(seed)
    words = torch.randn(rows, 5, 16, generator=random)
    return TextFeatures(words, words.mean(1), torch.ones(rows, 5, dtype=torch.bool))


@pytest.fixture(autouse=True)
def seeded():
    """The same weights in each test."""
    torch.manual_seed(0)


# --- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"residual": True}, {"palette": 3}, {"blocks": [4]}], ids=str)
@pytest.mark.parametrize("channels", [[8], [8, 4], [8, 6, 4]], ids=len)
@pytest.mark.parametrize("image", [16, 32, 64])
def test_the_generator_paints_at_every_size(image, channels, options):
    generator = ConvolutionalGenerator(sizes_of(image), channels=channels, noise=8, **options)
    images = generator(torch.randn(2, 8), text_of(2))
    assert [painted.shape for painted in images] == [(2, 3, image, image)]
    assert generator.resolutions == (image,)
    assert images[0].abs().max() <= 1


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@pytest.mark.parametrize("image", [16, 32, 64])
def test_the_discriminator_looks_at_every_size(image, stem_stride):
    discriminator = ConvolutionalDiscriminator(sizes_of(image), channels=[4, 6, 8], stem_stride=stem_stride, head=5)
    features = discriminator.look([torch.randn(2, 3, image, image)])
    size = image // stem_stride // 2
    assert features.shape == (2, 8, size, size)
    assert (discriminator.feature_channels, discriminator.feature_size) == (8, size)
    judgement = discriminator.judge(features, text_of(2))
    assert judgement.match.shape == (2, 1)
    assert judgement.realism is None


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        (
            ConvolutionalGenerator,
            {"channels": [8, 8, 8]},
            "channels: 3 levels make a map of 16 pixels, and the image size 24 is not a multiple",
        ),
        (
            ConvolutionalGenerator,
            {"channels": [8, 8], "blocks": [4, 12]},
            "blocks: this generator has no map of 12 pixels; it has 4, 8.",
        ),
        (ConvolutionalDiscriminator, {"channels": [8, 8], "stem_stride": 5}, "channels: .* shrink 24 pixels too far"),
        (ConvolutionalDiscriminator, {"channels": [8, 8, 8], "residual": [12, 8]}, "residual: .* no map of 8 .* 12, 6"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(part, options, message):
    with pytest.raises(LimnerError, match=message):
        part(sizes_of(24), **options)


def test_palette_pixels_are_mixtures_of_its_colors():
    pixels = PalettePixels(6, 8, 2, colors=3)
    torch.nn.init.zeros_(pixels.change.weight)
    hidden, condition = torch.randn(4, 8, 5, 5), torch.randn(4, 6)
    painted = pixels(hidden, condition)
    masks = pixel_shuffle(pixels.masks(hidden), 2).softmax(1)  # [4, 3, 10, 10]
    colors = (pixels.palette(condition)[..., None, None] + pixels.change(torch.zeros(1, 8, 1, 1))).tanh()
    expected = torch.zeros_like(painted)
    for color in range(3):
        expected += masks[:, color : color + 1] * colors[:, 3 * color : 3 * color + 3]
    torch.testing.assert_close(painted, expected)
    gradients = torch.autograd.grad(painted.square().sum(), list(pixels.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_a_residual_block_stands_at_its_resolution():
    discriminator = ConvolutionalDiscriminator(sizes_of(32), channels=[4, 6, 8, 8], head=5, residual=[8])
    (block,) = (part for part in discriminator.modules() if isinstance(part, ResidualBlock))
    calls = []
    block.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    discriminator.look([torch.randn(2, 3, 32, 32)])
    ((features, output),) = calls
    assert features.shape == output.shape == (2, 6, 8, 8)
    torch.testing.assert_close(output, leaky_relu(features + block.convolution(features), 0.2))


@pytest.mark.parametrize(("stem_stride", "residual"), [(1, [32]), (1, [32, 8]), (2, [16]), (2, [16, 8])])
def test_every_requested_residual_block_is_there_once(stem_stride, residual):
    options = {"channels": [4, 6, 8, 8], "stem_stride": stem_stride, "residual": residual}
    discriminator = ConvolutionalDiscriminator(sizes_of(32), **options)
    assert sum(isinstance(part, ResidualBlock) for part in discriminator.modules()) == len(residual)


def test_blocks_of_the_generator_stand_at_their_resolutions():
    generator = ConvolutionalGenerator(sizes_of(32), channels=[8, 6, 4], noise=8, blocks=[8, 16, 8])
    seen = []
    for part in generator.modules():
        if isinstance(part, ModulatedBlock):
            part.register_forward_hook(lambda block, inputs, output: seen.append((block, *inputs, output)))
    (image,) = generator(torch.randn(2, 8), text_of(2))
    assert [list(output.shape) for *_, output in seen] == [[2, 6, 8, 8], [2, 6, 8, 8], [2, 4, 16, 16]]
    assert seen[0][0] is not seen[1][0]
    for block, hidden, condition, output in seen:
        scale, shift = block.modulate.affine(condition)[..., None, None].chunk(2, 1)
        normal = hidden / (hidden.square().mean(1, keepdim=True) + 1e-6).sqrt()
        expected = hidden + block.convolution(leaky_relu((1 + scale) * normal + shift, 0.2))
        torch.testing.assert_close(output, expected)
    gradients = torch.autograd.grad(image.square().sum(), list(generator.blocks.parameters()))
    assert len(gradients) == 12
    assert all(gradient.abs().max() > 0 for gradient in gradients)


# --- scores of regions ----------------------------------------------------------------------------------------------


def test_the_scores_are_those_of_the_formula():
    head = TextHead(16, 6, size=3, width=5, regions=True).double()
    features, text = torch.randn(2, 6, 3, 3).double(), torch.randn(2, 16).double()
    scores = head(features, TextFeatures(text[:, None], text, torch.ones(2, 1, dtype=torch.bool)))
    assert scores.shape == (2, 18)
    scale, shift = head.affine(text).chunk(2, 1)
    weights = head.state_dict()
    for row in range(2):
        whole = weights["match.bias"].clone()
        for place in range(9):
            y, x = divmod(place, 3)
            projected = weights["project.weight"][:, :, 0, 0] @ features[row, :, y, x] + weights["project.bias"]
            joined = leaky_relu((1 + scale[row]) * projected + shift[row], 0.2)
            region = weights["region.weight"].flatten() @ joined + weights["region.bias"]
            assert scores[row, place].item() == pytest.approx(region.item())
            whole += weights["match.weight"].view(5, 3, 3)[:, y, x] @ joined.detach()
        assert scores[row, 9:].tolist() == pytest.approx([whole.item()] * 9)


def test_all_regions_together_count_as_much_as_the_whole():
    discriminator = ConvolutionalDiscriminator(sizes_of(32), channels=[4, 6, 8], head=5, regions=True)
    match = discriminator([torch.randn(2, 3, 32, 32)], text_of(2)).match
    assert match.shape == (2, 2 * 8 * 8)
    regions, whole = match[:, :64], match[:, 64]
    for function in (lambda score: score, lambda score: relu(1 - score)):  # as a penalty and a hinge loss do
        expected = (function(regions).mean() + function(whole).mean()) / 2
        torch.testing.assert_close(function(match).mean(), expected)


def test_a_region_has_a_score_of_its_own():
    discriminator = ConvolutionalDiscriminator(sizes_of(32), channels=[4, 6, 8], head=5, regions=True)
    features = torch.randn(1, 8, 8, 8)
    changed = features.clone()
    changed[:, :, 2, 3] += 1
    before, after = (discriminator.judge(some, text_of(1)).match[0] for some in (features, changed))
    assert (before != after).nonzero().flatten().tolist() == [2 * 8 + 3, *range(64, 128)]


def test_regions_add_no_weights_unless_asked_for():
    plain, regional = (
        (torch.manual_seed(0), ConvolutionalDiscriminator(sizes_of(16), channels=[4, 6], head=5, regions=regions))[1]
        for regions in (False, True)
    )
    added = regional.state_dict().keys() - plain.state_dict().keys()
    assert added == {"head.region.weight", "head.region.bias"}
    assert all(torch.equal(value, regional.state_dict()[name]) for name, value in plain.state_dict().items())
    images, text = [torch.randn(2, 3, 16, 16)], text_of(2)
    assert torch.equal(plain(images, text).match[:, 0], regional(images, text).match[:, -1])


def test_a_discriminator_of_regions_keeps_its_promises():
    check_discriminator(ConvolutionalDiscriminator, channels=[8, 8, 8], head=8, regions=True)


@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_a_recipe_trains_with_scores_of_regions(recipe, tmp_path, loss):
    recipe["discriminator"] |= {"regions": True, "realism": True}
    penalties = {"r1": {"condition": "both", "weight": 0.1}, "matching-aware-penalty": {"weight": 0.1}}
    recipe["losses"] = {loss: {"condition": "both"}, **penalties}
    models = limner.train(recipe, tmp_path / "run", quiet=True), limner.load(tmp_path / "run")
    trained, loaded = (part.discriminator for model in models if (part := model.conditional_discriminator))
    images, text = [torch.randn(2, 3, 16, 16)], text_of(2)
    assert torch.equal(loaded(images, text).match, trained(images, text).match)


# --- old weights ----------------------------------------------------------------------------------------------------


def test_the_discriminator_reads_weights_under_their_old_names():
    part = ConvolutionalDiscriminator(sizes_of(32), channels=[4, 6, 8], head=5, residual=[8], realism=True)
    old_names = {"head.project.": "to_head.", "head.affine.": "affine.", "head.match.": "match."}
    old = {}
    for name, value in part.state_dict().items():
        new = next((prefix for prefix in old_names if name.startswith(prefix)), "")
        old[old_names.get(new, "") + name.removeprefix(new)] = torch.randn_like(value)
    assert {name.split(".")[0] for name in old} == {"trunk", "to_head", "affine", "match", "realism"}
    deepcopy(part).load_state_dict(dict(old))
    part.load_state_dict(dict(old))
    assert torch.equal(part.head.project.weight, old["to_head.weight"])
    assert torch.equal(part.head.match.bias, old["match.bias"])
    part.load_state_dict(part.state_dict())


def test_a_renamed_part_within_a_model_and_a_renamed_parameter_are_read():
    inner = torch.nn.Linear(2, 3)
    rename_weights(inner, "old", "weight")
    outer = torch.nn.ModuleDict({"a": torch.nn.Sequential(inner)})
    saved = {"a.0.old": torch.randn(3, 2), "a.0.bias": torch.randn(3)}
    outer.load_state_dict(dict(saved))
    assert torch.equal(inner.weight, saved["a.0.old"])
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "a.0.older"'):
        outer.load_state_dict({"a.0.older": saved["a.0.old"], **saved})
    assert pickle.loads(pickle.dumps(outer)).load_state_dict(dict(saved))


# --- what they depend on --------------------------------------------------------------------------------------------


@torch.no_grad()
def test_caption_and_noise_both_change_the_image():
    generator = ConvolutionalGenerator(sizes_of(16), channels=[16, 8], noise=8)
    noise, text = torch.randn(2, 8), text_of(2)
    (images,) = generator(noise, text)
    (other_text,) = generator(noise, text_of(2, seed=1))
    (other_noise,) = generator(torch.randn(2, 8), text)
    assert (images - other_text).abs().mean() > 0.02
    assert (images - other_noise).abs().mean() > 0.02
    (alone,) = generator(noise[1:], text[1:])
    torch.testing.assert_close(alone[0], images[1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_caption_changes_the_match_and_not_the_realism():
    discriminator = ConvolutionalDiscriminator(sizes_of(16), channels=[8, 8], head=8, realism=True)
    features = discriminator.look([torch.randn(2, 3, 16, 16)])
    true, mismatched = discriminator.judge(features, text_of(2)), discriminator.judge(features, text_of(2, seed=1))
    assert (true.match - mismatched.match).abs().min() > 1e-3
    assert true.realism is not None
    assert mismatched.realism is not None
    assert torch.equal(true.realism, mismatched.realism)
    other = discriminator.judge(discriminator.look([torch.randn(2, 3, 16, 16)]), text_of(2))
    assert (true.match - other.match).abs().min() > 1e-3
    assert other.realism is not None
    assert (true.realism - other.realism).abs().min() > 1e-3


# --- the slot for attention -----------------------------------------------------------------------------------------


@pytest.fixture
def plugins(plugins: PluginHost):
    """A plugin host with the attention above."""
    from limner import hookimpl

    class Plugin:
        @hookimpl
        def limner_attentions(self):
            return {"tint": Tint}

    plugins.register(Plugin())
    return plugins


SLOTS = {
    "everywhere": ("tint", [4, 8, 16]),
    "at one": ({"name": "tint", "at": [8]}, [8]),
    "at two": ({"name": "tint", "at": [4, 16], "strength": 2.0}, [4, 16]),
    "twice": (["tint", {"name": "tint", "at": [16]}], [4, 8, 16, 16]),
    "nowhere": ("none", []),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("value", "resolutions"), SLOTS.values(), ids=SLOTS)
def test_attention_is_used_where_the_recipe_puts_it(plugins, value, resolutions):
    options = {"attention": value, "channels": [8, 6, 4]}
    resolved = resolve_component(plugins, "generator", "convolutional", options, "generator")
    generator = resolved.build(sizes_of(32))
    generator(torch.randn(2, 32), text_of(2))
    assert [size for part in generator.modules() if isinstance(part, Tint) for size in part.seen] == resolutions
    assert bool(resolved.options["attention"]) == bool(resolutions)


def test_options_reach_the_attention(plugins):
    slot = fill_slot(plugins, "attention", {"name": "tint", "at": [4], "strength": 2.0}, "generator.attention")
    assert [part.strength for part in slot.build(sizes_of(32), 8, 4)] == [2.0]


def test_attention_changes_the_image():
    noise, text = torch.randn(2, 8), text_of(2)
    plain, tinted = (
        (torch.manual_seed(0), ConvolutionalGenerator(sizes_of(16), channels=[8, 8], noise=8, attention=slot))[1]
        for slot in (Slot(), Slot([(Tint, [8], {"strength": 5.0})]))
    )
    tinted.load_state_dict(plain.state_dict(), strict=False)
    assert (plain(noise, text)[0] - tinted(noise, text)[0]).abs().mean() > 1e-3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "tint", "at": [32]}, "Tint is asked for at resolution 32, .* it has 4, 8, 16"),
        ({"name": "tint", "at": [8, 12]}, "Tint is asked for at resolution 12"),
        ({"name": "tint", "at": 8}, r"generator.attention.at: expected a list of resolutions such as \[8, 16\], got 8"),
        ({"name": "tint", "at": ["8"]}, r"generator.attention.at: expected a list of resolutions"),
        ({"name": "tint", "strenth": 2.0}, "no option 'strenth', did you mean 'strength'"),
        ({"name": "tent"}, "there is no attention 'tent', did you mean 'tint'"),
        ({"at": [8]}, r'expected "name" or'),
    ],
)
def test_wrong_attention_is_refused(plugins, value, message):
    with pytest.raises(LimnerError, match=message):
        resolve_component(plugins, "generator", "convolutional", {"attention": value}, "generator").build(sizes_of(32))
