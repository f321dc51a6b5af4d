"""A trained model reads images: how well they fit a caption, and which caption it gives them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limner.data.batches import to_float
from limner.data.images import decode_images
from limner.errors import LimnerError
from limner.interfaces import Loss
from limner.recipes.scorers import can_caption, losses_that, pick_scorer
from limner.step import Step
from limner.types import Batch

if TYPE_CHECKING:
    from limner.models.model import Model

ROWS = 128  # images in a batch


@torch.no_grad()
def score_images(
    model: "Model", images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None
) -> Float[Tensor, " N"]:
    """How well image i fits caption i, by the loss of that name or sort; by default the first that can score."""
    loss = pick_scorer(model.plugins, _losses(model), by)
    steps = _steps(model, images, captions)
    return torch.cat([cast(Tensor, loss.score(step)).float().cpu() for step in steps])


@torch.no_grad()
def caption_images(model: "Model", images: Float[Tensor, "N 3 H W"]) -> list[str]:
    """A caption for each image, by the model's captioner."""
    able = [loss for loss in _losses(model).values() if can_caption(type(loss))]
    if not able:
        names = losses_that(model.plugins, can_caption)
        raise LimnerError(f"This model has no captioner; train one that has, with the loss {names}.")
    inner = model.tokenizer.inner
    end = inner.sep_token_id if inner.sep_token_id is not None else inner.eos_token_id
    captions = []
    for step in _steps(model, images, [""] * len(images)):
        for ids in cast(Tensor, able[0].read(step)).tolist():
            caption = ids[: ids.index(end)] if end in ids else ids
            captions.append(cast(str, inner.decode(caption, skip_special_tokens=True)))
    return captions


def open_images(paths: Sequence[str | Path], size: int) -> Float[Tensor, "N 3 {size} {size}"]:
    """Image files in the form of the training data: upright, RGB on white, the square in the middle, values in [-1, 1].

    Raises:
        LimnerError: for a file that is missing or is not an image.
    """
    images = decode_images([Path(path) for path in paths], size)
    for path, image in zip(paths, images):
        if isinstance(image, str):
            raise LimnerError(f"{path} cannot be read as an image: {image}.")
    return to_float(torch.from_numpy(np.stack(images)))


def _losses(model: "Model") -> dict[str, Loss]:
    return cast(dict[str, Loss], dict(model.losses.items()))


def _steps(model: "Model", images: Float[Tensor, "N 3 H W"], captions: Sequence[str]) -> Iterator[Step]:
    """Steps whose real images are these, with their captions. Each is made when it is needed and freed after."""
    size = model.recipe.image_size
    if tuple(images.shape[2:]) != (size, size):
        raise LimnerError(f"images: expected {size} x {size} pixels, got {images.shape[3]} x {images.shape[2]}.")
    if len(images) != len(captions):
        raise LimnerError(f"captions: expected one for each of {len(images)} images, got {len(captions)}.")
    return (
        _step(model, images[rows], [captions[int(row)] for row in rows])
        for rows in torch.arange(len(images)).split(ROWS)
    )


def _step(model: "Model", images: Float[Tensor, "N 3 H W"], captions: Sequence[str]) -> Step:
    device = next(model.parameters()).device
    none = torch.zeros(len(images), len(images), dtype=torch.bool, device=device)
    batch = Batch(
        images=images.to(device),
        tokens=model.tokenizer(captions).to(device),
        mismatched=torch.zeros(len(images), dtype=torch.long, device=device),
        has_mismatch=none[0],
        confusable=none,
    )
    noise = torch.zeros(len(images), model.conditional_generator.generator.noise_width, device=device)
    return Step(model.conditional_generator, model.conditional_discriminator, batch, noise)
