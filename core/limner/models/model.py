"""A trained model: it paints prompts, scores and captions images, and is saved in a run folder."""

from collections.abc import Sequence
from copy import deepcopy
from html import escape
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from limner.data.tokenizer import Tokenizer
from limner.errors import LimnerError
from limner.files import reading
from limner.models.explain import Explanation, record_attention
from limner.models.painter import TrainedPainter, check_text
from limner.models.pictures import Pictures, film_strip
from limner.models.run_folder import (
    ENCODER_FOLDER,
    PAINTING_ONLY,
    SavedRun,
    check_shapes,
    read_run,
    read_weights,
    write_run,
)
from limner.models.sampling import draw_noise, evaluating, truncate
from limner.models.scoring import caption_images, open_images, score_images
from limner.plugins import PluginHost, host
from limner.recipes.build import build_networks
from limner.recipes.schema import Recipe
from limner.step import ConditionalDiscriminator, ConditionalGenerator


class Model(TrainedPainter, nn.Module):
    """A text-to-image model with everything it needs to paint, to score images, and to be measured.

    `limner.train` makes one, and `limner.load` reads one from its run folder. A model that was kept for painting only
    has no discriminator (None) and no losses.
    """

    def __init__(
        self,
        plugins: PluginHost,
        recipe: Recipe,
        tokenizer: Tokenizer,
        conditional_generator: ConditionalGenerator,
        conditional_discriminator: ConditionalDiscriminator | None,
        losses: nn.ModuleDict,
    ):
        super().__init__()
        self.plugins, self.recipe, self.tokenizer = plugins, recipe, tokenizer
        self.conditional_generator, self.conditional_discriminator = conditional_generator, conditional_discriminator
        self.losses = losses
        self.history: list[dict[str, int | float]] = []
        self.film: list[tuple[str, Pictures]] = []

    # --- painting --------------------------------------------------------------------------------------------------

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(self.conditional_generator.generator.resolutions)

    def unknown_words(self, prompt: str) -> list[str]:
        return self.tokenizer.check(prompt)

    def paint_stages(self, prompt: str, seed: int = 0) -> Pictures:
        """The image of every stage of the generator for one prompt, side by side, lowest resolution first."""
        stages = [self.paint(prompt, seed=seed, size=size)[0] for size in self.resolutions]
        shown = [image.resize(stages[-1].size, Image.Resampling.NEAREST) for image in stages]
        return Pictures(shown, [f"{image.width} px: {prompt}" for image in stages], columns=len(stages))

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[str],
        seed: int,
        size: int | None = None,
        truncation: float | None = None,
        draws: Sequence[int] | None = None,
    ) -> Float[Tensor, "N 3 H W"]:
        stage = -1 if size is None else self.resolutions.index(self.checked_size(size))
        encoder, generator = self.conditional_generator.encoder, self.conditional_generator.generator
        device = next(self.conditional_generator.parameters()).device
        noise = draw_noise(generator.noise_width, range(len(prompts)) if draws is None else draws, seed)
        noise = (noise if truncation is None else truncate(noise, truncation)).to(device)
        images = []
        with evaluating(self.conditional_generator):
            for rows in torch.arange(len(prompts)).split(64):
                tokens = self.tokenizer([prompts[int(row)] for row in rows]).to(device)
                images.append(generator(noise[rows], encoder(tokens))[stage])
        return torch.cat(images).float().clamp(-1, 1).cpu()

    def explain(self, prompt: str, seed: int = 0) -> Explanation:
        """Paint a prompt and show, for each of its words, where every attention module of the generator attends.

        The result shows itself in a notebook. The image is the one that `paint` makes of the prompt and the seed.

        Raises:
            LimnerError: for a prompt that `paint` refuses, or a generator without attention.
        """
        with record_attention(self.conditional_generator.generator) as maps:
            image = self.paint(prompt, seed=seed)[0]
        if not maps:
            known = list(self.plugins.components("attention")) or ["NAME"]
            raise LimnerError(
                "This model has no attention that could be shown; train one that has, for example with "
                f"--set 'generator.attention=\"{known[0]}\"'. Installed: {', '.join(known)}."
            )
        return Explanation(prompt, image, self.tokenizer.pieces(prompt), maps)

    def film_strip(self, frames: int = 8) -> Pictures:
        """The preview prompts during training: a row per prompt, time from left to right."""
        return film_strip(self.film, frames)

    # --- scoring and captioning ------------------------------------------------------------------------------------

    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        for text in captions:
            check_text(text)
        return score_images(self, images, captions, by)

    def caption(self, images: Float[Tensor, "N 3 H W"] | str | Path | Sequence[str | Path]) -> list[str]:
        """The captions that the model's captioner gives images: a tensor in [-1, 1], or image files of any size.

        Raises:
            LimnerError: for a model without a captioner, or a file that is not an image.
        """
        if not isinstance(images, Tensor):
            paths = [images] if isinstance(images, str | Path) else images
            images = open_images(paths, self.recipe.image_size)
        return caption_images(self, images)

    # --- the run folder --------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write recipe, tokenizer, weights and history into `folder`. Each file is whole, or as it was before."""
        encoder, described = self.conditional_generator.encoder, None
        if self.conditional_discriminator is None:
            described = PAINTING_ONLY
        write_run(Path(folder), self.recipe, self.tokenizer, encoder, self.state_dict(), self.history, described)

    @classmethod
    def load(cls, folder: str | Path, plugins: PluginHost | None = None) -> "Model":
        """Read a model from a run folder, or by the name of one that a plugin brings.

        Raises:
            LimnerError: if it is not a run folder, is only half written, or a file in it is damaged.
        """
        plugins = plugins or host()
        folder = run_folder(folder, plugins)
        with reading(folder):
            saved = read_run(folder, plugins)
        with torch.device("meta"):  # a model that the weights do not fit takes no memory
            check_shapes(folder, cls._built(plugins, saved).state_dict())
        model = cls._built(plugins, saved)
        model.load_state_dict(read_weights(folder))
        model.history = saved.history
        return model.eval()

    @classmethod
    def _built(cls, plugins: PluginHost, saved: SavedRun) -> "Model":
        """The model of a run, with fresh weights."""
        networks = build_networks(saved.recipe, saved.tokenizer.vocabulary, saved.folder / ENCODER_FOLDER)
        generator = deepcopy(networks.conditional_generator)  # with a copy of the encoder: the one that is averaged
        discriminator, losses = networks.conditional_discriminator, networks.losses
        if saved.paints_only:
            discriminator, losses = None, nn.ModuleDict()
        return cls(plugins, saved.recipe, saved.tokenizer, generator, discriminator, losses)

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{kind}: <b>{escape(part.name)}</b></li>" for kind, _, part in self.recipe.parts())
        steps = int(self.history[-1]["step"]) if self.history else 0
        return f"<b>Limner model</b>, {steps} steps, {self.recipe.image_size} px<ul>{rows}</ul>"


def run_folder(run: str | Path, plugins: PluginHost) -> Path:
    """The folder of a run: that of this name, or else that of a trained model that a plugin brings."""
    if str(run) in plugins.components("model") and not Path(run).exists():
        return plugins.model_path(str(run))
    return Path(run)


def load(folder: str | Path) -> Model:
    """The model in a run folder, or a trained model by name, such as "quickstart"; ready to paint."""
    return Model.load(folder)
