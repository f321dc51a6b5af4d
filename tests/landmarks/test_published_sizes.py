"""The landmark architectures with the published options have the published numbers of parameters."""

import pytest
import torch
from limner import Sizes, Slot
from limner_hierarchy.generator import StagedGenerator
from limner_landmarks.stacked import StackInitialStage
from limner_landmarks.stacked_discriminator import StackedDiscriminator
from limner_landmarks.words import WordRefinementStage


def millions(network: torch.nn.Module) -> float:
    return round(sum(weight.numel() for weight in network.parameters()) / 1e6, 2)


def sizes_of(text: int, noise: int = 0) -> Sizes:
    return Sizes(image=64, vocabulary=50, length=12, text=text, noise=noise, resolutions=(64,))


def test_stackgan_stage_one():
    """Their COCO configuration: 192 x 8 channels at 4 x 4, sentences of 1,024 numbers, 100 of noise, 128 sampled."""
    with torch.device("meta"):
        stage = StackInitialStage(sizes_of(1024, 228), None, size=64, channels=96, augmentation=128, gated=False)
        discriminator = StackedDiscriminator(sizes_of(128), channels=96)  # it reads the mean, 128 numbers
    assert millions(stage) == 20.02
    assert millions(discriminator) == 12.41


@pytest.mark.parametrize(("channels", "blocks", "expected"), [(48, 3, 13.81)])
def test_attngan(channels, blocks, expected):
    """Their COCO configuration: 64, 128 and 256 pixels, words of 256 numbers, 100 of noise, 100 sampled."""
    later = (WordRefinementStage, None, {"channels": channels, "blocks": blocks})
    first = (StackInitialStage, None, {"size": 64, "channels": channels, "augmentation": 100})
    sizes = Sizes(image=256, vocabulary=50, length=12, text=256)
    with torch.device("meta"):
        generator = StagedGenerator(sizes, stages=Slot([first, later, later]), noise=200)
    assert millions(generator) == expected
