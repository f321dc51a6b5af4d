"""Whether the distribution of generated images is that of the real ones."""

import warnings
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from limner import Dataset, LimnerError, Metric, Painter, Scores, to_bytes, to_float
from pydantic import Field
from torch import Tensor, nn

from .features import extractor, features_of, seeded


class Distribution(Metric):
    """FID, KID, precision, recall, density and coverage of images generated for the captions of real ones.

    It compares 500 real images of the data (option `images`), evenly spread, with one image generated for the first
    caption of each. FID (Heusel et al. 2017) and KID (Binkowski et al. 2018; 20 subsets of half of the images) come
    from torchmetrics; lower is better. By default their features are those of a fixed random network (option
    `features`), so do not compare them with figures from papers. FID also falls as the number of images grows: "FID of
    real images" is that of the same real images and as many others, or of their two halves if the data has too few. A
    perfect generator reaches it, and not 0. The others are shares of images, by k nearest neighbors (`neighbors`), from
    0 to 1; density can be slightly above 1:

        precision   generated images that lie in the neighborhood of a real one (Kynkäänniemi et al. 2019)
        recall      real images that lie in the neighborhood of a generated one
        density     in how many real neighborhoods a generated image lies, divided by k (Naeem et al. 2020)
        coverage    real images with a generated one in their neighborhood

    The neighborhood of an image reaches to the k-th nearest image of its own kind. A model that repeats a few images
    can have high precision, but not high recall or coverage.
    """

    renamed_options: ClassVar[dict[str, str]] = {"neighbours": "neighbors"}
    """The old name of an option, which recipes may still use, and the new one."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        images: Annotated[int, Field(ge=10)] = 500,
        neighbors: Annotated[int, Field(ge=1)] = 5,
        features: str = "random",
        seed: int = 0,
    ):
        """
        Args:
            dataset: the data set that the generated images are compared with.
            images: how many real images, and how many generated ones; fewer if the data has fewer.
            neighbors: k, the number of neighbors.
            features: "random", or "inception" if its weights are on this machine.
            seed: of the noise, and of KID's subsets.
        """
        super().__init__(dataset)
        self.images, self.neighbors, self.features, self.seed = images, neighbors, features, seed
        self.about = f"{images} real and generated images, {neighbors} neighbors, {features} features, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: if the data has too few captioned images.
        """
        data = self.dataset.load()
        captioned = [row for row, of_image in enumerate(data.annotations) if of_image and of_image[0]["caption"]]
        count = min(self.images, len(captioned))
        if count <= self.neighbors:
            raise LimnerError(f"distribution: {count} captioned images are too few for {self.neighbors} neighbors.")
        rows = [captioned[place * len(captioned) // count] for place in range(count)]
        real = to_float(data.pixels[rows])
        generated = painter.paint_images([data.annotations[row][0]["caption"] for row in rows], self.seed)
        others = sorted({*captioned} - {*rows})
        if len(others) >= count:
            floor = real, to_float(data.pixels[[others[place * len(others) // count] for place in range(count)]])
        else:
            floor = real[::2], real[1::2]
        return self.compare(real, generated) | {
            "FID of real images": frechet_distance(*floor, extractor(self.features))
        }

    def compare(self, real: Float[Tensor, "N 3 H W"], generated: Float[Tensor, "N 3 H W"]) -> Scores:
        """All six numbers, for images in [-1, 1]."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchmetrics warns about its use of memory
            from torchmetrics.image.kid import KernelInceptionDistance

            network = extractor(self.features)
            kernel = KernelInceptionDistance(network, subsets=20, subset_size=len(real) // 2)
        for images, are_real in ((real, True), (generated, False)):
            for chunk in to_bytes(images).split(100):
                kernel.update(chunk, real=are_real)
        with seeded(self.seed):
            distances = {"FID": frechet_distance(real, generated, network), "KID": kernel.compute()[0].item()}
        return distances | neighborhoods(features_of(real, network), features_of(generated, network), self.neighbors)


def frechet_distance(one: Float[Tensor, "N 3 H W"], other: Float[Tensor, "M 3 H W"], network: nn.Module) -> float:
    """FID of two sets of images in [-1, 1], by the features of a network (Heusel et al. 2017, equation 6)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics warns about its use of memory
        from torchmetrics.image.fid import FrechetInceptionDistance

        frechet = FrechetInceptionDistance(network)
    for images, is_first in ((one, True), (other, False)):
        for chunk in to_bytes(images).split(100):
            frechet.update(chunk, real=is_first)
    return frechet.compute().item()


def neighborhoods(real: Float[Tensor, "N F"], generated: Float[Tensor, "M F"], k: int) -> Scores:
    """Precision, recall, density and coverage, from features."""
    real, generated = real.double(), generated.double()
    distances = torch.cdist(real, generated)
    within_real = distances <= radius(real, k)[:, None]
    within_generated: Bool[Tensor, "N M"] = distances <= radius(generated, k)[None]
    return {
        "precision": within_real.any(0).double().mean().item(),
        "recall": within_generated.any(1).double().mean().item(),
        "density": within_real.sum(0).double().mean().item() / k,
        "coverage": within_real.any(1).double().mean().item(),
    }


def radius(features: Float[Tensor, "N F"], k: int) -> Float[Tensor, " N"]:
    """The distance from each row to the k-th nearest of the others."""
    return torch.cdist(features, features).kthvalue(k + 1, dim=1).values
