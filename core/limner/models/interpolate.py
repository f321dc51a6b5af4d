"""Between two images: the noise on an arc from one to the other, the text features on a straight line."""

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.models.sampling import draw_noise, evaluating, truncate
from limner.types import TextFeatures

if TYPE_CHECKING:
    from limner.models.model import Model


def slerp(start: Float[Tensor, " Z"], end: Float[Tensor, " Z"], at: Float[Tensor, " S"]) -> Float[Tensor, "S Z"]:
    """Spherical linear interpolation of two noises (Shoemake 1985; White 2016 for generative models).

        z(t) = (sin((1 - t) w) a + sin(t w) b) / sin(w)

    w is the angle between the noises a and b. In many dimensions, all noise from N(0, I) has nearly the same length.
    The points of this arc have it too. The middle of a straight line would be too short, and unlike any noise of the
    training.
    """
    angle = torch.arccos(torch.cosine_similarity(start, end, dim=0).clamp(-1, 1))
    at = rearrange(at, "s -> s 1")
    if angle.sin() < 1e-3:  # the arc is a point, or not unique
        return torch.lerp(start, end, at)
    return (((1 - at) * angle).sin() * start + (at * angle).sin() * end) / angle.sin()


def blend(text: TextFeatures, at: Float[Tensor, " S"]) -> TextFeatures:
    """Text features on the straight line from the first caption, at 0, to the second, at 1.

    Between the two, each place of the caption that holds a word in either one counts as a word.
    """
    words = torch.lerp(text.words[0], text.words[1], rearrange(at, "s -> s 1 1"))
    sentence = torch.lerp(text.sentence[0], text.sentence[1], rearrange(at, "s -> s 1"))
    share = rearrange(at, "s -> s 1")
    return TextFeatures(words, sentence, (text.mask[0] & (share < 1)) | (text.mask[1] & (share > 0)))


@torch.no_grad()
def interpolate(
    model: "Model",
    prompts: tuple[str, str],
    seeds: tuple[int, int],
    steps: int = 8,
    truncation: float | None = None,
    draws: tuple[int, int] = (0, 0),
) -> Float[Tensor, "{steps} 3 H W"]:
    """Images in [-1, 1] on the way from one prompt and noise to another; both ends are what `sample` makes of them.

    Args:
        model: paints them.
        prompts: the first and the last.
        seeds: of the first and the last noise.
        steps: how many images, with both ends.
        truncation: keep all noise within ± this number.
        draws: which draw of its seed each noise is.

    Raises:
        LimnerError: for a prompt that cannot be painted, or fewer than two steps.
    """
    if steps < 2:
        raise LimnerError(f"steps: expected how many images, at least 2 for the two ends, got {steps}.")
    for prompt in prompts:
        model.unknown_words(prompt)
    generator = model.conditional_generator
    device = next(generator.parameters()).device
    start, end = (draw_noise(generator.generator.noise_width, [draw], seed)[0] for draw, seed in zip(draws, seeds))
    at = torch.linspace(0, 1, steps)
    noise = slerp(start, end, at)
    noise = noise if truncation is None else truncate(noise, truncation)
    with evaluating(generator):
        text = blend(generator.encoder(model.tokenizer(prompts).to(device)), at.to(device))
        images = generator.generator(noise.to(device), text)[-1]
    return images.float().clamp(-1, 1).cpu()
