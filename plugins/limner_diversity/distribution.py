"""Whether painted images, all together, are distributed as real ones are."""

import warnings
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from limner import Dataset, LimnerError, Metric, Scores
from limner.data.batches import to_bytes, to_float
from limner.interfaces import Painter
from pydantic import Field
from torch import Tensor

from .features import extractor, features_of, seeded


class Distribution(Metric):
    """FID, KID, precision, recall, density and coverage of images painted for the captions of real ones.

    500 real images of the data (option `images`), evenly spread, and one painted for the first caption of each. FID
    (Heusel et al. 2017) and KID (Binkowski et al. 2018; 20 subsets of half of the images) are torchmetrics'; the lower,
    the better. Their features are by default those of a fixed random network (option `features`), so hold them against
    each other and not against figures of papers; FID also falls as the number of images grows. The others are
    shares of images, by k nearest neighbours (`neighbours`), from 0 to 1, density up to a little above:

        precision   painted ones that lie within a real one's neighbourhood (Kynkäänniemi et al. 2019)
        recall      real ones that lie within a painted one's
        density     in how many real neighbourhoods a painted one lies, over k (Naeem et al. 2020)
        coverage    real ones in whose neighbourhood a painted one lies

    A neighbourhood reaches from an image to the k-th nearest of its own kind. A model that paints few pictures over and
    over can have precision, but no recall and no coverage.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        images: Annotated[int, Field(ge=10)] = 500,
        neighbours: Annotated[int, Field(ge=1)] = 5,
        features: str = "random",
        seed: int = 0,
    ):
        """
        Args:
            dataset: whose images and captions are held against the painted ones.
            images: how many real and how many painted ones; fewer where the data has fewer.
            neighbours: k.
            features: "random", or "inception" where its weights are on this machine.
            seed: of the noise, and of KID's subsets.
        """
        super().__init__(dataset)
        self.images, self.neighbours, self.features, self.seed = images, neighbours, features, seed
        self.about = f"{images} real and painted images, {neighbours} neighbours, {features} features, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: where the data has too few captioned images.
        """
        data = self.dataset.load()
        captioned = [row for row, of_image in enumerate(data.annotations) if of_image and of_image[0]["caption"]]
        count = min(self.images, len(captioned))
        if count <= self.neighbours:
            raise LimnerError(f"distribution: {count} captioned images are too few for {self.neighbours} neighbours.")
        rows = [captioned[place * len(captioned) // count] for place in range(count)]
        real = to_float(data.pixels[rows])
        painted = painter.paint_images([data.annotations[row][0]["caption"] for row in rows], self.seed)
        return self.compare(real, painted)

    def compare(self, real: Float[Tensor, "N 3 H W"], painted: Float[Tensor, "N 3 H W"]) -> Scores:
        """All six numbers."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchmetrics tells of the memory that it takes
            from torchmetrics.image.fid import FrechetInceptionDistance
            from torchmetrics.image.kid import KernelInceptionDistance

            network = extractor(self.features)
            frechet = FrechetInceptionDistance(network)
            kernel = KernelInceptionDistance(network, subsets=20, subset_size=len(real) // 2)
        for images, are_real in ((real, True), (painted, False)):
            for some in to_bytes(images).split(100):
                frechet.update(some, real=are_real)
                kernel.update(some, real=are_real)
        with seeded(self.seed):
            distances = {"FID": frechet.compute().item(), "KID": kernel.compute()[0].item()}
        return distances | neighbourhoods(features_of(real, network), features_of(painted, network), self.neighbours)


def neighbourhoods(real: Float[Tensor, "N F"], painted: Float[Tensor, "M F"], k: int) -> Scores:
    """Precision, recall, density and coverage of features."""
    real, painted = real.double(), painted.double()
    across = torch.cdist(real, painted)
    within_real = across <= reach(real, k)[:, None]
    within_painted: Bool[Tensor, "N M"] = across <= reach(painted, k)[None]
    return {
        "precision": within_real.any(0).double().mean().item(),
        "recall": within_painted.any(1).double().mean().item(),
        "density": within_real.sum(0).double().mean().item() / k,
        "coverage": within_real.any(1).double().mean().item(),
    }


def reach(features: Float[Tensor, "N F"], k: int) -> Float[Tensor, " N"]:
    """How far it is from each row to the k-th nearest of the others."""
    return torch.cdist(features, features).kthvalue(k + 1, dim=1).values
