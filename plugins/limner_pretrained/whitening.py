"""Vectors in which no direction outweighs the others."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

RIDGE = 1e-3  # of the mean variance, added to that of every direction; what hardly varies is not blown up


class Whitening(nn.Module):
    """Gives vectors the mean 0 and the covariance I (Su et al. 2021, "Whitening sentence representations").

        white(x) = C^(-1/2) (x - m)

    m and C are the mean and the covariance of measured vectors. Language models need it: their outputs differ mostly
    in a few directions, and what tells two captions apart often lies in others. C gets a small ridge, because there may
    be fewer vectors than directions. Before `fit`, m = 0 and C = I. m and C^(-1/2) are saved with the weights.
    """

    def __init__(self, width: int):
        """`width`: H, of the vectors."""
        super().__init__()
        self.mean: Tensor
        self.matrix: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("matrix", torch.eye(width))

    @torch.no_grad()
    def fit(self, vectors: Float[Tensor, "N H"]) -> None:
        """Measure the mean and the covariance of vectors, in float64."""
        exact = vectors.cpu().double()  # Apple's GPUs have no float64
        mean = exact.mean(0)
        covariance = (exact - mean).T @ (exact - mean) / len(exact)
        variances, directions = torch.linalg.eigh(covariance)
        ridge = RIDGE * variances.clamp(min=0).mean()
        if ridge > 0:  # else all vectors are equal, and only the mean can be removed
            self.matrix.copy_((directions * (variances.clamp(min=0) + ridge).rsqrt()) @ directions.T)
        self.mean.copy_(mean)

    def forward(self, vectors: Float[Tensor, "*N H"]) -> Float[Tensor, "*N H"]:
        """The same vectors, whitened; in float32, because it takes differences of large numbers."""
        with torch.autocast(vectors.device.type, enabled=False):
            return (vectors.float() - self.mean) @ self.matrix
