"""The vision part of a CLIP: opened by name or folder, frozen, and what its layers say of an image."""

from typing import Any, cast

import torch
from jaxtyping import Float
from limner import LimnerError
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import CLIPVisionModel
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from limner_pretrained.opening import find_model, from_configuration, quietly, read_configuration, with_weights


class FrozenVision:
    """A frozen vision transformer of CLIP (Radford et al. 2021).

    It is not a submodule: its weights are not trained, averaged, checked or saved, and all copies share it.
    """

    def __init__(self, model: CLIPVisionModel):
        self.model = model.requires_grad_(False).eval()
        config: Any = model.config
        self.width: int = config.hidden_size
        """D, of what a layer says of a patch."""
        self.layers: int = config.num_hidden_layers
        self.size: int = config.image_size
        """Height and width of the images that it reads."""
        self.places: int = config.image_size // config.patch_size
        """Patches along each side of an image."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenVision":
        return self

    def __call__(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B T D"], ...]:
        """What goes into the first layer and what comes out of each, for the class token and each patch."""
        if self.model.device != images.device:
            nn.Module.to(self.model, images.device)  # the types of transformers' own are wrong
        found = self.model(pixel_values=as_clip_reads(images, self.size), output_hidden_states=True)
        return found.hidden_states


def as_clip_reads(images: Float[Tensor, "B 3 H W"], size: int) -> Float[Tensor, "B 3 {size} {size}"]:
    """Images in [-1, 1], resized (bicubic) and normalized as CLIP expects."""
    resized = interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False)
    mean, deviation = (images.new_tensor(values)[:, None, None] for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return (resized.clamp(-1, 1).add(1).div(2) - mean) / deviation


def open_vision(name: str) -> CLIPVisionModel:
    """The vision part of a CLIP, by folder or hub name. On the meta device, only its configuration is read.

    Raises:
        LimnerError: if it cannot be found or read, or is no CLIP with a vision part.
    """
    source, local = find_model(name)
    with quietly(downloading=not local):
        config = read_configuration(source, local)
        config = getattr(config, "vision_config", config)
        if config.model_type != "clip_vision_model":
            raise LimnerError(
                f"model: '{source}' is a model of type '{config.model_type}'; a CLIP with its vision part is expected, "
                "such as openai/clip-vit-base-patch32."
            )
        if torch.empty(0).is_meta:
            return cast(CLIPVisionModel, from_configuration(CLIPVisionModel, config, source))
        model = cast(CLIPVisionModel, with_weights(CLIPVisionModel, config, source, local))
        model.set_attn_implementation("eager")  # the fused one has no second derivative, which a penalty needs
        return model
