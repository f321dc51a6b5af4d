"""CLIPScore: how similar CLIP finds an image and the caption that it was painted for."""

from collections.abc import Sequence
from typing import Annotated, Any, cast

import torch
from jaxtyping import Float
from limner import Dataset, LimnerError, Metric, Painter, Scores, to_float
from pydantic import Field
from torch import Tensor
from transformers import AutoTokenizer, CLIPModel

from limner_pretrained.opening import find_model, first_line, quietly, read_configuration, with_weights
from limner_pretrained.vision import as_clip_reads

ROWS = 32  # images per forward pass


class ClipScore(Metric):
    """CLIPScore (Hessel et al. 2021, equation 1): 2.5 max(cos(E_image, E_text), 0), averaged over images.

    E are the embeddings of a CLIP model (Radford et al. 2021; option `model`). 200 captions of the data (option
    `images`), evenly spread, are painted once each. Captions get the prefix "A photo depicts", as in the paper. Images
    are resized to CLIP's size (bicubic) and normalized as CLIP expects. Scores lie between 0 and 2.5; those of
    different CLIP models cannot be compared. The columns "painted" and "real" are for painted images and for the
    captions' own real ones:

        CLIPScore              each image with its own caption
        of another caption     each image with the caption of another: what a model that ignores its caption gets

    CLIP was trained with photographs. It counts badly and often overlooks which object has which color, so compare
    both rows before you trust the first.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        model: str | None = None,
        images: Annotated[int, Field(ge=2)] = 200,
        prefix: str = "A photo depicts",
        seed: int = 0,
    ):
        """
        Args:
            dataset: the data set whose captions are painted.
            model: a CLIP model with both of its parts: a folder, or a name on the Hugging Face hub, such as
                "openai/clip-vit-base-patch32".
            images: how many captions; fewer if the data has fewer captioned images.
            prefix: put before each caption; many implementations leave it out.
            seed: of the noise.

        Raises:
            LimnerError: if no model is named.
        """
        super().__init__(dataset)
        if model is None:
            raise LimnerError(
                "no CLIP model is named; name a folder or a model of the hub, for example with "
                "--set metrics.clip-score.model=FOLDER."
            )
        self.model, self.images, self.prefix, self.seed = model, images, prefix, seed
        self.about = f"{images} images, CLIP from {model}, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: if the model cannot be opened or is no CLIP, or the data has too few captions.
        """
        clip, tokenizer = open_clip(self.model)
        data = self.dataset.load()
        captioned = [row for row, of_image in enumerate(data.annotations) if of_image and of_image[0]["caption"]]
        count = min(self.images, len(captioned))
        if count < 2:
            raise LimnerError(f"clip-score: the data has {count} captioned images, and 2 are needed.")
        rows = [captioned[place * len(captioned) // count] for place in range(count)]
        captions = [data.annotations[row][0]["caption"] for row in rows]
        columns = {"painted": painter.paint_images(captions, self.seed), "real": to_float(data.pixels[rows])}
        scores: Scores = {}
        for name, images in columns.items():
            for key, texts in {"CLIPScore": captions, "of another caption": captions[1:] + captions[:1]}.items():
                prefixed = [f"{self.prefix} {text}".strip() for text in texts]
                scores[f"{name}/{key}"] = clip_scores(clip, tokenizer, images, prefixed).mean().item()
        return scores


@torch.no_grad()
def clip_scores(
    clip: CLIPModel, tokenizer: Any, images: Float[Tensor, "N 3 H W"], texts: Sequence[str]
) -> Float[Tensor, " N"]:
    """CLIPScore of image i, in [-1, 1], with text i."""
    vision: Any = clip.config.vision_config
    text: Any = clip.config.text_config
    scores = []
    for rows in torch.arange(len(images)).split(ROWS):
        chosen = [texts[int(row)] for row in rows]
        tokens = tokenizer(
            chosen, padding=True, truncation=True, max_length=text.max_position_embeddings, return_tensors="pt"
        )
        found = clip(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=as_clip_reads(images[rows], vision.image_size),
        )  # its embeddings have length 1
        scores.append(2.5 * (found.image_embeds * found.text_embeds).sum(1).clamp(min=0))
    return torch.cat(scores)


def open_clip(name: str) -> tuple[CLIPModel, Any]:
    """A CLIP model with its tokenizer, by folder or hub name.

    Raises:
        LimnerError: if it cannot be found or read, or is no CLIP with both of its parts.
    """
    source, local = find_model(name)
    with quietly(downloading=not local):
        config = read_configuration(source, local)
        if config.model_type != "clip":
            raise LimnerError(
                f"model: '{source}' is a model of type '{config.model_type}'; CLIPScore needs a CLIP with its text and "
                "its vision part, such as openai/clip-vit-base-patch32."
            )
        model = with_weights(CLIPModel, config, source, local)
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=local)
        except Exception as error:  # files may hold anything
            raise LimnerError(f"model: '{source}' has no tokenizer that can be read: {first_line(error)}") from None
    return cast(CLIPModel, model.eval()), tokenizer
