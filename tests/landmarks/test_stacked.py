"""The stages and the discriminators of the StackGAN family against their formulas in float64."""

import numpy as np
import pytest
import torch
from limner import LimnerError, Sizes, Slot, TextFeatures
from limner.layers import ConditioningAugmentation
from limner_hierarchy.generator import StagedGenerator
from limner_landmarks.blocks import GatedAugmentation, Residual, RowNorm, SampledSentence
from limner_landmarks.memory import DynamicMemory
from limner_landmarks.stacked import StackInitialStage, StackRefinementStage, StackSecondStage
from limner_landmarks.stacked_discriminator import StackedDiscriminator
from limner_landmarks.words import SentenceContext, WordContext, WordRefinementStage

SIZES = Sizes(image=32, vocabulary=50, length=12, text=16, noise=8, resolutions=(8, 16, 32))
INITIAL = (StackInitialStage, None, {"size": 8, "channels": 4})
LATER = {
    "stack-second": (StackSecondStage, None, {"channels": 4, "blocks": 1}),
    "stack-refinement": (StackRefinementStage, None, {"channels": 4}),
    "AttnGAN": (WordRefinementStage, None, {"channels": 4}),
    "MirrorGAN": (WordRefinementStage, None, {"channels": 4, "reads": "words and sentence"}),
    "DM-GAN": (WordRefinementStage, None, {"channels": 4, "reads": "memory"}),
}


@pytest.fixture(autouse=True)
def seeded():
    """The same weights in each test."""
    torch.manual_seed(0)


@pytest.fixture
def text():
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    return TextFeatures(torch.randn(2, 5, 16).double(), torch.randn(2, 16).double(), mask)


def weights_of(module):
    return {name: value.detach().numpy() for name, value in module.double().named_parameters()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# --- parts ------------------------------------------------------------------------------------------------------------


def test_each_position_finds_the_words_it_resembles(text):
    attend = WordContext(SIZES, 4).double()
    projection = weights_of(attend)["word.weight"]
    features = torch.randn(2, 4, 3, 3).double()
    found = attend(features, text).detach().numpy()
    for row, length in enumerate((5, 2)):
        words = text.words[row, :length].numpy() @ projection.T
        for y, x in np.ndindex(3, 3):
            powers = np.exp(words @ features[row, :, y, x].numpy())
            np.testing.assert_allclose(found[row, :, y, x], powers @ words / powers.sum(), rtol=1e-5)


def test_each_position_takes_channels_of_the_sentence(text):
    context = SentenceContext(SIZES, 4).double()
    weights = weights_of(context)
    features = torch.randn(2, 4, 3, 3).double()
    found = context(features, text).detach().numpy()
    for row in range(2):
        sentence = weights["sentence.weight"] @ text.sentence[row].numpy() + weights["sentence.bias"]
        for y, x in np.ndindex(3, 3):
            powers = np.exp(features[row, :, y, x].numpy() * sentence)
            np.testing.assert_allclose(found[row, :, y, x], sentence * powers / powers.sum(), rtol=1e-5)


def test_the_memory_is_written_read_and_answers(text):
    memory = DynamicMemory(SIZES, 4).double()
    weights = weights_of(memory)

    def dense(name, values):
        return values @ weights[f"{name}.weight"].reshape(-1, values.shape[-1]).T + weights[f"{name}.bias"]

    def relu(values):
        return np.maximum(values, 0)

    features = torch.randn(2, 4, 3, 3).double()
    found = memory(features, text).detach().numpy()
    for row, length in enumerate((5, 2)):
        words, image = text.words[row, :length].numpy(), features[row].mean((1, 2)).numpy()
        gate = sigmoid(dense("word_gate", words) + dense("image_gate", image))
        entries = gate * relu(dense("word", words)) + (1 - gate) * relu(dense("image", image))
        keys, values = relu(dense("key", entries)), relu(dense("value", entries))
        for y, x in np.ndindex(3, 3):
            hidden = features[row, :, y, x].numpy()
            powers = np.exp(keys @ hidden)
            read = powers @ values / powers.sum()
            response = sigmoid(dense("response", np.concatenate([read, hidden])))
            np.testing.assert_allclose(found[row, :, y, x], response * read + (1 - response) * hidden, rtol=1e-5)


@pytest.mark.parametrize("gated", [False, True])
def test_the_sentence_is_sampled_with_the_last_numbers_of_the_noise(text, gated):
    sampled, noise = SampledSentence(SIZES, 3, gated).double(), torch.randn(2, 8).double()
    assert type(sampled.augment) is (GatedAugmentation if gated else ConditioningAugmentation)
    weights = weights_of(sampled.augment)

    def dense(name, sentence):
        name = f"{name}.0" if gated else name
        value = weights[f"{name}.weight"] @ sentence + weights[f"{name}.bias"]
        return value[:3] * sigmoid(value[3:]) if gated else value

    for row in range(2):
        mean, log_variance = (dense(name, text.sentence[row].numpy()) for name in ("mean", "log_variance"))
        expected = mean + np.exp(log_variance / 2) * noise[row, 5:].numpy()
        np.testing.assert_allclose(sampled(text, noise)[row].detach().numpy(), expected, rtol=1e-6)


def test_the_noise_must_be_wider_than_the_sampled_sentence():
    with pytest.raises(LimnerError, match=r"8 numbers of the noise sample the sentence, and generator\.noise has 8"):
        SampledSentence(SIZES, 8, True)


@pytest.mark.parametrize("gated", [False, True])
def test_a_residual_block_starts_from_its_input(gated):
    block = Residual(4, gated)
    torch.nn.init.zeros_(block.layers[-1].get_parameter("weight"))
    hidden = torch.randn(3, 4, 5, 5)
    assert torch.equal(block(hidden), hidden if gated else hidden.relu())


def test_one_row_is_normalized_with_running_statistics():
    norm = RowNorm(4)
    norm.get_buffer("running_mean").fill_(2)
    assert torch.allclose(norm(torch.full((1, 4), 3.0)), torch.ones(1, 4), atol=1e-4)
    rows = norm(torch.randn(16, 4) + 5)
    assert torch.allclose(rows.mean(0), torch.zeros(4), atol=1e-5)


# --- stages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", LATER.values(), ids=LATER)
def test_images_in_stages(stage, text):
    generator = StagedGenerator(SIZES, stages=Slot([INITIAL, stage, stage]), noise=8)
    single = TextFeatures(text.words.float(), text.sentence.float(), text.mask)
    images = generator(torch.randn(2, 8), single)
    assert [image.shape for image in images] == [(2, 3, size, size) for size in (8, 16, 32)]


def test_images_can_be_larger_than_their_maps():
    first = StackInitialStage(SIZES, None, size=16, channels=4, enlarge=2)
    later = WordRefinementStage(SIZES, first, channels=4)
    assert (first.size, first.map_size, later.size, later.map_size) == (16, 8, 32, 16)
    assert first.pixels(torch.randn(2, 4, 8, 8)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("stage", LATER.values(), ids=LATER)
def test_a_later_stage_is_not_the_first(stage):
    with pytest.raises(LimnerError, match="cannot be the first"):
        StagedGenerator(SIZES, stages=Slot([stage]), noise=8)


@pytest.mark.parametrize("size", [6, 12, 30])
def test_sizes_that_doubling_does_not_reach(size):
    with pytest.raises(LimnerError, match=f"expected 4 pixels, doubled any number of times, got {size}"):
        StackInitialStage(SIZES, None, size=size)


def test_an_image_that_cannot_be_halved():
    first = StackInitialStage(SIZES, None, size=4)
    with pytest.raises(LimnerError, match="4 pixels cannot be halved 3 times"):
        StackSecondStage(SIZES, first, halvings=3)


# --- the discriminators -----------------------------------------------------------------------------------------------


def images_of(sizes):
    return [torch.randn(2, 3, size, size).double() for size in sizes]


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_score_equals_its_formula(text, kernel):
    discriminator = StackedDiscriminator(SIZES.knowing(resolutions=(8,)), channels=2, kernel=kernel).double()
    features = discriminator.look(images_of([8]))
    weights = weights_of(discriminator.heads[0])
    sentence = text.sentence.numpy()[:, :, None, None] * np.ones((1, 1, 4, 4))
    edge = kernel // 2
    joined = np.pad(
        np.concatenate([features.detach().numpy(), sentence], 1), [(0, 0), (0, 0), (edge, edge), (edge, edge)]
    )
    convolved = np.zeros((2, 16, 4, 4))
    for y, x in np.ndindex(4, 4):
        window = joined[:, :, y : y + kernel, x : x + kernel]
        convolved[:, :, y, x] = np.einsum("bcij,ocij->bo", window, weights["join.0.weight"])
    mean, variance = convolved.mean((0, 2, 3), keepdims=True), convolved.var((0, 2, 3), keepdims=True)
    normal = (convolved - mean) / np.sqrt(variance + 1e-5)
    leaky = np.where(normal > 0, normal, 0.2 * normal)
    expected = np.einsum("bcij,cij->b", leaky, weights["match.weight"][0]) + weights["match.bias"]
    match = discriminator.judge(features, text).match
    np.testing.assert_allclose(match[:, 0].detach().numpy(), expected, rtol=1e-4)


def test_every_stage_is_judged(text):
    discriminator = StackedDiscriminator(SIZES, channels=2, realism=True).double()
    images = images_of([8, 16, 32])
    judged = discriminator(images, text)
    assert judged.match.shape == judged.realism.shape == (2, 3)
    images[1] = images[1] + 1
    differs = (discriminator(images, text).match != judged.match).any(0)
    assert differs.tolist() == [False, True, False]


@pytest.mark.parametrize("joined", [1, 2, 3])
def test_only_the_newest_stage_is_judged_if_asked_for(text, joined):
    discriminator = StackedDiscriminator(SIZES, channels=2, newest=True).double()
    images = images_of([8, 16, 32])[:joined]
    judged = discriminator(images, text)
    assert judged.match.shape == (2, 1)
    gradients = torch.autograd.grad(judged.match.sum(), list(discriminator.parameters()), allow_unused=True)
    used = {
        name.split(".")[1] for (name, _), found in zip(discriminator.named_parameters(), gradients) if found is not None
    }
    assert used == {str(joined - 1)}


def test_stages_that_have_not_joined_are_not_judged(text):
    discriminator = StackedDiscriminator(SIZES, channels=2).double()
    assert discriminator(images_of([8, 16]), text).match.shape == (2, 2)


def test_sizes_that_it_cannot_judge():
    with pytest.raises(LimnerError, match="judges images of 8, 16, 32 or 64 pixels, got 128"):
        StackedDiscriminator(SIZES.knowing(resolutions=(64, 128)))
