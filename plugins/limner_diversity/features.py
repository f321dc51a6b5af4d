"""Feature vectors by which images are compared, from a network that no model was trained with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from limner import LimnerError, to_bytes
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

INCEPTION = "weights-inception-2015-12-05-6726825d.pth"  # torch-fidelity's file of the weights of FID's network


class RandomFeatures(nn.Module):
    """Strided convolutions with fixed random weights: 256 features per image.

    Four 4 x 4 convolutions with stride 2 (3 -> 16 -> 32 -> 64 -> 64 channels, leaky ReLU), averaged over a 2 x 2 grid.
    Random features can tell distributions apart without the bias of a trained network, and need no download (Naeem et
    al. 2020, section 5, on data unlike ImageNet). Images of any other size are resized to 32 pixels.
    """

    num_features = 256

    def __init__(self, seed: int = 0):
        super().__init__()
        source = torch.Generator().manual_seed(seed)
        self.kernels = nn.ParameterList()
        for before, after in ((3, 16), (16, 32), (32, 64), (64, 64)):
            kernel = torch.randn(after, before, 4, 4, generator=source) * (2 / (16 * before)) ** 0.5
            self.kernels.append(nn.Parameter(kernel, requires_grad=False))

    def forward(self, images: UInt8[Tensor, "N 3 H W"]) -> Float[Tensor, "N 256"]:
        """The features of images with values 0..255."""
        hidden = images.float() / 127.5 - 1
        if hidden.shape[-1] != 32:
            hidden = interpolate(hidden, (32, 32), mode="bilinear", antialias=True, align_corners=False)
        for kernel in self.kernels:
            hidden = nn.functional.leaky_relu(nn.functional.conv2d(hidden, kernel, stride=2, padding=1), 0.2)
        return rearrange(adaptive_avg_pool2d(hidden, 2), "n c h w -> n (c h w)")


def extractor(name: str) -> nn.Module:
    """A feature network by name: "random", or "inception", whose weights must be on this machine.

    Raises:
        LimnerError: for any other name, or if Inception's weights or the package torch-fidelity are missing.
    """
    if name == "random":
        return RandomFeatures()
    if name != "inception":
        raise LimnerError(f"features: expected 'random' or 'inception', got '{name}'.")
    weights = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3  # needs the package torch-fidelity

        if not weights.is_file():
            raise LimnerError(
                f"features: Inception's weights are not on this machine; put {INCEPTION} into {weights.parent}."
            )
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))
    except ModuleNotFoundError:
        raise LimnerError(
            "features: 'inception' needs the package torch-fidelity; install it, or use features = 'random'."
        ) from None


@torch.no_grad()
def features_of(images: Float[Tensor, "N 3 H W"], network: nn.Module) -> Float[Tensor, "N F"]:
    """The features of images in [-1, 1], computed 100 at a time."""
    return torch.cat([network(to_bytes(chunk)).float() for chunk in images.split(100)])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which torch's global random numbers come from the seed; its state is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
