"""How much the images of one prompt differ, beside how much real ones do."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Dataset, LimnerError, Metric, Scores
from limner.data.batches import to_float
from limner.interfaces import Painter
from limner.models.painter import RealImages
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize, pdist

from .features import extractor, features_of


class PromptDiversity(Metric):
    """Distances among the images of one prompt, and how many different ones there seem to be.

    For each of 20 prompts (option `prompts`: the first captions of the data, all different) 16 images (`images`):

        pixel distance    mean over all pairs of the root mean square difference of their pixels; black to white is 2
        feature distance  mean over all pairs of |f_i - f_j|, in units of the mean over pairs of the data's real images
        Vendi score       exp(-sum_k l_k log l_k), l the eigenvalues of K / n, K_ij = cos(f_i, f_j)

    f are features (option `features`), less the mean of those of 200 real images. The Vendi score (Friedman and Dieng
    2023) is an effective number of different images, from 1 to 16. Each is averaged over the prompts, in the columns
    "painted" and, where the data can show several images of one prompt, "real".
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
            dataset: whose captions are painted.
            prompts: how many.
            images: of each prompt.
            features: "random", or "inception" where its weights are on this machine.
            seed: of the noise and of the real images.
        """
        super().__init__(dataset)
        self.prompts, self.images, self.features, self.seed = prompts, images, features, seed
        self.about = f"{prompts} prompts, {images} images each, {features} features, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: where the data has too few captions.
        """
        texts = some_captions(self.dataset, self.prompts, "prompt-diversity")
        network = extractor(self.features)
        reference = features_of(to_float(self.dataset.load().pixels[:200]), network).double()
        columns = {"painted": painter, "real": RealImages(self.dataset)}
        scores: Scores = {}
        for name, source in columns.items():
            if name == "real" and type(self.dataset).real_images is Dataset.real_images:
                continue
            repeated = [text for text in texts for _ in range(self.images)]
            images = source.paint_images(repeated, self.seed)
            seen = features_of(images, network)
            scores |= {f"{name}/{key}": value for key, value in self.spread(images, seen, reference).items()}
        return scores

    def spread(
        self, images: Float[Tensor, "N 3 H W"], features: Float[Tensor, "N F"], real: Float[Tensor, "M F"]
    ) -> Scores:
        """The three numbers of images that stand in groups, a prompt each; `real`: features of the data's images."""
        groups = rearrange(images, "(p n) c h w -> p n (c h w)", n=self.images).double()
        centered = rearrange(features.double() - real.mean(0), "(p n) f -> p n f", n=self.images)
        return {
            "pixel distance": torch.stack([pdist(g).mean() / g.shape[1] ** 0.5 for g in groups]).mean().item(),
            "feature distance": (torch.stack([pdist(g).mean() for g in centered]).mean() / pdist(real).mean()).item(),
            "Vendi score": sum(vendi_score(g) for g in centered) / len(centered),
        }


def vendi_score(features: Float[Tensor, "N F"]) -> float:
    """The effective number of different rows, from 1 to N (Friedman and Dieng 2023, equation 1), by their cosines."""
    unit = normalize(features.double(), dim=1)
    shares = torch.linalg.eigvalsh(unit @ unit.T / len(unit)).clamp(min=0)
    return torch.special.entr(shares).sum().exp().item()


def some_captions(dataset: Dataset, count: int, metric: str) -> list[str]:
    """The first so many different captions of the data, one of each image.

    Raises:
        LimnerError: where it has too few.
    """
    first = (of_image[0]["caption"] for of_image in dataset.load().annotations if of_image)
    captions = list(dict.fromkeys(caption for caption in first if caption))[:count]
    if len(captions) < count:
        raise LimnerError(f"{metric}: the data has {len(captions)} different captions, and {count} are needed.")
    return captions
