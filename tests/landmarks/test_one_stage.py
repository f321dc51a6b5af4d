"""The parts of GAN-INT-CLS, DF-GAN, SSA-GAN, GigaGAN and R3GAN: their equations by hand, and the published sizes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from limner.shared_rows import AllRows
from limner_landmarks.adaptive_kernels import AdaptiveConvolution
from limner_landmarks.dcgan import DCGANDiscriminator, DCGANGenerator
from limner_landmarks.deep_fusion import DeepFusion, DeepFusionBlock, DeepFusionGenerator
from limner_landmarks.fusion import ChannelAffine
from limner_landmarks.interpolated_captions import InterpolatedCaptions
from limner_landmarks.one_way import HalvingBlock, OneWayDiscriminator
from limner_landmarks.r3gan import GroupedBlock, R3GANDiscriminator, R3GANGenerator
from limner_landmarks.spatial_fusion import MaskedFusion, SpatialFusionGenerator
from torch import nn
from torch.nn.functional import interpolate


def sizes(image: int = 64, text: int = 256) -> Sizes:
    return Sizes(image=image, vocabulary=50, length=12, text=text, noise=100)


def count(*modules: nn.Module) -> int:
    return sum(weight.numel() for module in modules for weight in module.parameters())


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 0.2 * values)


def affine_by_hand(affine: nn.Module, condition: np.ndarray) -> list[np.ndarray]:
    """a(w) and b(w), [B, C, 1, 1]."""
    assert isinstance(affine, ChannelAffine)
    found = []
    for mlp in (affine.scale, affine.shift):
        first, bias, second, offset = (weight.detach().numpy() for weight in mlp.parameters())
        found.append((np.maximum(condition @ first.T + bias, 0) @ second.T + offset)[..., None, None])
    return found


# --- equations --------------------------------------------------------------------------------------------------------


def test_deep_fusion_scales_and_shifts_twice():
    torch.manual_seed(0)
    fuse, hidden, condition = DeepFusion(5, 3).double(), random(2, 3, 4, 4), random(2, 5, seed=1)
    expected = hidden.numpy()
    for affine in fuse.affines:
        scale, shift = affine_by_hand(affine, condition.numpy())
        expected = leaky(scale * expected + shift)
    np.testing.assert_allclose(fuse(hidden, condition).detach().numpy(), expected, atol=1e-12)


def test_a_deep_fusion_block_may_fuse_before_it_doubles():
    torch.manual_seed(0)
    block, hidden, condition = DeepFusionBlock(5, 3, 2).double(), random(2, 3, 4, 4), random(2, 5, seed=1)
    doubled = interpolate(hidden, scale_factor=2)
    fused = block.fuse_second(block.first(block.fuse_first(doubled, condition)), condition)
    expected = block.shortcut(doubled) + block.second(fused)
    torch.testing.assert_close(block(hidden, condition), expected, atol=1e-12, rtol=1e-12)


def test_masked_fusion_changes_the_normalized_map_where_the_mask_is_open():
    torch.manual_seed(0)
    fuse, hidden, sentence = MaskedFusion(5, 7, 3).double(), random(2, 3, 4, 4), random(2, 5, seed=1)
    mask = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    mask[:, :, 0] = 0
    scale, shift = affine_by_hand(fuse.affine, sentence.numpy())
    values = hidden.numpy()
    spread = np.sqrt(values.var((0, 2, 3), keepdims=True) + 1e-5)
    normal = (values - values.mean((0, 2, 3), keepdims=True)) / spread
    expected = (1 + mask.numpy() * scale) * normal + mask.numpy() * shift
    fused = fuse(hidden, sentence, mask).detach().numpy()
    np.testing.assert_allclose(fused, expected, atol=1e-12)
    np.testing.assert_allclose(fused[:, :, 0], normal[:, :, 0], atol=1e-12)


def test_an_adaptive_convolution_has_a_kernel_of_its_own_for_each_image():
    torch.manual_seed(0)
    convolution, hidden, style = AdaptiveConvolution(5, 3, 2, kernels=4).double(), random(2, 3, 4, 4), random(2, 5)
    with torch.no_grad():
        convolution.bias.copy_(torch.tensor([0.5, -0.5]))
    found = convolution(hidden, style)
    for row in range(2):
        shares = convolution.select(style[row]).exp()
        kernel = sum(share / shares.sum() * each for share, each in zip(shares, convolution.kernels))
        kernel = kernel * convolution.scale(style[row])[None, :, None, None]
        length = kernel.square().sum((1, 2, 3), keepdim=True).sqrt()
        gain = (2 / 1.04) ** 0.5
        expected = nn.functional.conv2d(hidden[row], gain * kernel / length, convolution.bias, padding=1)
        torch.testing.assert_close(found[row], expected, atol=1e-7, rtol=1e-7)


def test_the_one_way_discriminator_starts_with_its_shortcuts():
    torch.manual_seed(0)
    block, features = HalvingBlock(2, 3, start=0.0).double(), random(1, 2, 4, 4)
    means = features.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    torch.testing.assert_close(block(features), block.shortcut(means), atol=1e-12, rtol=1e-12)


def test_a_grouped_block_starts_as_the_identity_and_stays_small():
    torch.manual_seed(0)
    block, hidden = GroupedBlock(64, 16, 2, depth=6), torch.randn(2, 64, 4, 4)
    assert torch.equal(block(hidden), hidden)
    gain = (2 / 1.04) ** 0.5 * 6**-0.25
    expand, mix = block.get_parameter("expand.weight"), block.get_parameter("mix.weight")
    assert expand.std().item() == pytest.approx(gain / 64**0.5, rel=0.05)
    assert mix.std().item() == pytest.approx(gain / (16 * 9) ** 0.5, rel=0.05)
    assert mix.shape == (128, 16, 3, 3)


def test_the_r3gan_discriminator_is_a_product_with_the_sentence():
    torch.manual_seed(0)
    judge = R3GANDiscriminator(sizes(16, text=5), channels=[4, 6], group=2, embedding=3).double()
    features, sentence = random(2, 6, 2, 2), random(2, 5, seed=1)
    text = TextFeatures(torch.zeros(2, 1, 5), sentence, torch.ones(2, 1, dtype=torch.bool))
    basis, dense, embed = (judge.get_parameter(f"{name}.weight") for name in ("basis", "dense", "sentence"))
    image = (features * basis[:, 0]).sum((2, 3)) @ dense.T
    expected = (image * (sentence @ embed.T)).sum(1)
    assert judge.judge(features, text).match[:, 0].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_interpolated_captions_mix_one_half_of_the_batch_with_the_other(make_step, share):
    sentences, weight = random(5, 3), random(3, seed=1)
    text = TextFeatures(sentences[:, None], sentences, torch.ones(5, 1, dtype=torch.bool))
    noise = random(5, 3, seed=2)

    class Painter(nn.Module):
        """G(z, s) = z + s."""

        def forward(self, noise, text):
            return [noise + text.sentence]

    class Judge(Discriminator):
        """D(x, s) = w . (x + s)."""

        def look(self, images):
            return images[-1]

        def judge(self, features, text):
            return Judgement(((features + text.sentence) @ weight)[:, None], None, torch.zeros(2, 1, 1, 1))

    step = make_step(
        text=text,
        noise=noise,
        batch=range(5),
        rows=AllRows(),
        conditional_generator=SimpleNamespace(generator=Painter()),
        conditional_discriminator=SimpleNamespace(discriminator=Judge(sizes())),
    )
    mixed = share * sentences[:2] + (1 - share) * sentences[2:4]
    scores = ((noise[:2] + 2 * mixed) @ weight).numpy()
    found = InterpolatedCaptions(sizes(), share=share).generator(step).item()
    assert found == pytest.approx(np.log1p(np.exp(-scores)).mean(), rel=1e-10)
    assert InterpolatedCaptions(sizes()).discriminator(step) is None


# --- published sizes --------------------------------------------------------------------------------------------------


def test_df_gan_has_the_published_number_of_weights():
    """4.87 M and 3.21 M at 64 pixels, for nf = 32, a sentence of 256 and noise of 100. The released code also builds
    a shortcut of 1 x 1 in the last block, where the channels stay the same and it is never used, and counts the layers
    that join the sentence as a third network.
    """
    generator = DeepFusionGenerator(sizes(), channels=[256, 256, 128, 64, 32], noise=100)
    assert count(generator) == 4_868_867
    judge = OneWayDiscriminator(sizes(), channels=[32, 64, 128, 256, 256], stem_stride=1, head=64)
    unused = 256 * 256 + 256
    assert count(judge.stem, judge.blocks) + unused == 3_210_820
    assert count(judge.join, judge.match) == 295_936


def test_ssa_gan_has_the_weights_of_its_released_code():
    """For ngf = 32 at 256 pixels; its biases before a normalization, which have no effect, are left out here."""
    widths = [256, 256, 256, 256, 128, 64, 32]
    generator = SpatialFusionGenerator(sizes(256), channels=widths, noise=100)
    assert count(generator) + sum(widths) + 100 * len(widths) == 10_327_425


def test_r3gan_has_the_published_number_of_weights():
    """23.06 M and 23.01 M at 256 pixels, without the weights that read the sentence."""
    widths = [768, 768, 768, 768, 384, 192, 96]
    generator = R3GANGenerator(sizes(256), channels=widths, embedding=1)
    assert count(generator) - 768 - 256 == 23_057_952
    judge = R3GANDiscriminator(sizes(256), channels=widths[::-1], stem_stride=1, blocks=2, embedding=1)
    assert count(judge) - 256 == 23_009_568


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda: DCGANGenerator(sizes(32)),
        lambda: DCGANDiscriminator(sizes(16)),
        lambda: DeepFusionGenerator(sizes(24)),
        lambda: SpatialFusionGenerator(sizes(24)),
        lambda: OneWayDiscriminator(sizes(24)),
        lambda: R3GANGenerator(sizes(24)),
        lambda: R3GANDiscriminator(sizes(24)),
    ],
)
def test_an_image_size_that_does_not_fit_is_named(build):
    with pytest.raises(LimnerError, match=r"^channels: .*(use fewer|doubles it)"):
        build()


@pytest.mark.parametrize("network", [R3GANGenerator, R3GANDiscriminator])
def test_groups_that_do_not_divide_the_channels_are_named(network):
    with pytest.raises(LimnerError, match=r"^group: groups of 20 channels do not divide"):
        network(sizes(), group=20)
