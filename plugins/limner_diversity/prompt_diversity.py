"""How much the images of one prompt differ, compared with real ones."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Dataset, LimnerError, Metric, Painter, RealImages, Scores, to_float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize, pdist

from .features import extractor, features_of


class PromptDiversity(Metric):
    """Distances between the images of one prompt, and the effective number of different ones.

    It takes 16 images (option `images`) of each of 20 prompts (`prompts`: the first different captions of the data):

        pixel distance    mean over all pairs of the root mean square difference of their pixels; black to white is 2
        feature distance  mean over all pairs of |f_i - f_j|, in units of the mean over pairs of the data's real images
        Vendi score       exp(-sum_k l_k log l_k), l the eigenvalues of K / n, K_ij = cos(f_i, f_j)

    f are features (option `features`), minus the mean of those of 200 real images. The Vendi score (Friedman and Dieng
    2023) is the effective number of different images, from 1 to 16. Each number is averaged over the prompts. The
    column "painted" is for generated images. There is a column "real" if the data has several images of one prompt.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        prompts: Annotated[int, Field(ge=2)] = 20,
        images: Annotated[int, Field(ge=2)] = 16,
        features: str = "random",
        seed: int = 0,
    ):
        """
        Args:
            dataset: the data set whose captions are the prompts.
            prompts: how many prompts.
            images: how many images of each prompt.
            features: "random", or "inception" if its weights are on this machine.
            seed: of the noise and of the real images.
        """
        super().__init__(dataset)
        self.prompts, self.images, self.features, self.seed = prompts, images, features, seed
        self.about = f"{prompts} prompts, {images} images each, {features} features, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: if the data has too few captions.
        """
        texts = first_captions(self.dataset, self.prompts, "prompt-diversity")
        network = extractor(self.features)
        reference = features_of(to_float(self.dataset.load().pixels[:200]), network).double()
        columns = {"painted": painter, "real": RealImages(self.dataset)}
        scores: Scores = {}
        for name, source in columns.items():
            if name == "real" and type(self.dataset).real_images is Dataset.real_images:
                continue
            repeated = [text for text in texts for _ in range(self.images)]
            images = source.paint_images(repeated, self.seed)
            features = features_of(images, network)
            scores |= {f"{name}/{key}": value for key, value in self.spread(images, features, reference).items()}
        return scores

    def spread(
        self, images: Float[Tensor, "N 3 H W"], features: Float[Tensor, "N F"], real: Float[Tensor, "M F"]
    ) -> Scores:
        """The three numbers. Images of the same prompt follow each other; `real`: features of the data's images."""
        groups = rearrange(images, "(p n) c h w -> p n (c h w)", n=self.images).double()
        centered = rearrange(features.double() - real.mean(0), "(p n) f -> p n f", n=self.images)
        return {
            "pixel distance": torch.stack([pdist(g).mean() / g.shape[1] ** 0.5 for g in groups]).mean().item(),
            "feature distance": (torch.stack([pdist(g).mean() for g in centered]).mean() / pdist(real).mean()).item(),
            "Vendi score": sum(vendi_score(g) for g in centered) / len(centered),
        }


def vendi_score(features: Float[Tensor, "N F"]) -> float:
    """The effective number of different rows, from 1 to N, by their cosines (Friedman and Dieng 2023, equation 1)."""
    unit = normalize(features.double(), dim=1)
    shares = torch.linalg.eigvalsh(unit @ unit.T / len(unit)).clamp(min=0)
    return torch.special.entr(shares).sum().exp().item()


def first_captions(dataset: Dataset, count: int, metric: str) -> list[str]:
    """The first `count` different captions of the data, at most one per image.

    Raises:
        LimnerError: if the data has fewer.
    """
    first = (of_image[0]["caption"] for of_image in dataset.load().annotations if of_image)
    captions = list(dict.fromkeys(caption for caption in first if caption))[:count]
    if len(captions) < count:
        raise LimnerError(f"{metric}: the data has {len(captions)} different captions, and {count} are needed.")
    return captions
