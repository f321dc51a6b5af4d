"""Which of many possible pictures are painted: noise nearer to its mean, and the best or most different of several."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor


def truncate(noise: Float[Tensor, "*any"], threshold: float) -> Float[Tensor, "*any"]:
    """Noise from the middle of its distribution, N(0, 1) within ±t (the truncation trick, Brock et al. 2019, BigGAN).

        z' = Phi^-1(Phi(-t) + (Phi(t) - Phi(-t)) Phi(z))

    Phi is the distribution function of N(0, 1). Where BigGAN draws again until a number falls within, here each number
    keeps its rank: the same seed gives the same picture, moved towards the mean one. The smaller t, the more so.
    """
    within = torch.special.ndtr(torch.tensor([-threshold, threshold], dtype=torch.float64))
    ranks = within[0] + (within[1] - within[0]) * torch.special.ndtr(noise.double())
    return torch.special.ndtri(ranks).clamp(-threshold, threshold).to(noise.dtype)


def most_different(images: Float[Tensor, "N C H W"], count: int) -> Int[Tensor, " {count}"]:
    """Which of the images lie farthest apart: at first the two that differ most, then whichever is farthest from its
    nearest among those (greedy, Gonzalez 1985). The distance is the root mean square of the pixels' differences.
    """
    flat = rearrange(images, "n c h w -> n (c h w)").double()
    apart = torch.cdist(flat, flat)
    chosen = list(divmod(int(apart.argmax()), len(flat)))[:count]
    while len(chosen) < count:
        chosen.append(int(apart[chosen].amin(0).index_fill(0, torch.tensor(chosen), -1).argmax()))
    return torch.tensor(chosen)
