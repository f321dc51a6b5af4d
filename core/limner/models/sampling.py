"""Sampling: the noise of an image, noise closer to its mean, and the most different of several images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """While this context lasts, a network is in evaluation mode."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def draw_noise(width: int, draws: Sequence[int], seed: int) -> Float[Tensor, "N {width}"]:
    """z ~ N(0, I): row i is draw number `draws[i]` of the seed, so equal numbers give equal noise."""
    source = torch.Generator().manual_seed(seed)
    noise = torch.stack([torch.randn(width, generator=source) for _ in range(max(draws, default=-1) + 1)])
    return noise[list(draws)]


def truncate(noise: Float[Tensor, "*any"], threshold: float) -> Float[Tensor, "*any"]:
    """Noise from N(0, 1) truncated to ±t (the truncation trick, Brock et al. 2019, BigGAN).

        z' = Phi^-1(Phi(-t) + (Phi(t) - Phi(-t)) Phi(z))

    Phi is the distribution function of N(0, 1). BigGAN draws each number again until it falls within ±t. Here each
    number keeps its rank instead, so that the same seed gives the same image, moved towards the mean. A smaller t moves
    it further.
    """
    within = torch.special.ndtr(torch.tensor([-threshold, threshold], dtype=torch.float64))
    ranks = within[0] + (within[1] - within[0]) * torch.special.ndtr(noise.double())
    return torch.special.ndtri(ranks).clamp(-threshold, threshold).to(noise.dtype)


def most_different(images: Float[Tensor, "N C H W"], count: int) -> Int[Tensor, " {count}"]:
    """The rows of the images that differ most from each other (greedy, Gonzalez 1985).

    First the two that differ most, then always the image that is farthest from its nearest chosen one. The distance is
    the root mean square of the differences between pixels.
    """
    flat = rearrange(images, "n c h w -> n (c h w)").double()
    apart = torch.cdist(flat, flat)
    chosen = list(divmod(int(apart.argmax()), len(flat)))[:count]
    while len(chosen) < count:
        chosen.append(int(apart[chosen].amin(0).index_fill(0, torch.tensor(chosen), -1).argmax()))
    return torch.tensor(chosen)
