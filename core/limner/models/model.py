"""A trained model: it paints what a prompt says, and lives in a run folder."""

import json
import shutil
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import tomli_w
import torch
from jaxtyping import Float
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from limner.data.tokenizer import WORDS_FILE, Tokenizer
from limner.errors import LimnerError
from limner.files import replace_file
from limner.models.explain import Explanation, record_attention
from limner.models.painter import TrainedPainter
from limner.models.pictures import Pictures, film_strip
from limner.models.sampling import truncate
from limner.models.scoring import describe, open_images, score
from limner.plugins import PluginHost, host
from limner.recipes.build import build_networks, pretrained_model
from limner.recipes.schema import Recipe
from limner.step import ConditionalDiscriminator, ConditionalGenerator

RECIPE_FILE, WEIGHTS_FILE, HISTORY_FILE, TOKENIZER_FOLDER, ENCODER_FOLDER = (
    "recipe.toml",
    "weights.safetensors",
    "history.json",
    "tokenizer",
    "encoder",
)


class Model(TrainedPainter, nn.Module):
    """A text-to-image model with everything that it needs to paint, to judge, and to be measured.

    `limner.train` makes one and `limner.load` reads one back from its folder.
    """

    def __init__(
        self,
        plugins: PluginHost,
        recipe: Recipe,
        tokenizer: Tokenizer,
        painting: ConditionalGenerator,
        judging: ConditionalDiscriminator,
        losses: nn.ModuleDict,
    ):
        super().__init__()
        self.plugins, self.recipe, self.tokenizer = plugins, recipe, tokenizer
        self.conditional_generator, self.conditional_discriminator, self.losses = painting, judging, losses
        self.history: list[dict[str, float]] = []
        self.film: list[tuple[str, Pictures]] = []

    # --- painting --------------------------------------------------------------------------------------------------

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(self.conditional_generator.generator.resolutions)

    def unknown_words(self, prompt: str) -> list[str]:
        return self.tokenizer.check(prompt)

    def paint_stages(self, prompt: str, seed: int = 0) -> Pictures:
        """The image of every stage of the generator for one prompt, lowest resolution first, side by side."""
        stages = [self.paint(prompt, seed=seed, size=size)[0] for size in self.resolutions]
        shown = [image.resize(stages[-1].size, Image.Resampling.NEAREST) for image in stages]
        return Pictures(shown, [f"{image.width} px: {prompt}" for image in stages], columns=len(stages))

    @torch.no_grad()
    def sample(
        self, prompts: Sequence[str], seed: int, size: int | None = None, truncation: float | None = None
    ) -> Float[Tensor, "N 3 H W"]:
        stage = -1 if size is None else self.resolutions.index(self.checked_size(size))
        device = next(self.conditional_generator.parameters()).device
        source = torch.Generator().manual_seed(seed)
        width = self.conditional_generator.generator.noise_width
        noise = torch.stack([torch.randn(width, generator=source) for _ in prompts])
        noise = (noise if truncation is None else truncate(noise, truncation)).to(device)
        training = self.conditional_generator.training
        self.conditional_generator.eval()
        painted = []
        for rows in torch.arange(len(prompts)).split(64):
            tokens = self.tokenizer([prompts[int(row)] for row in rows]).to(device)
            painted.append(
                self.conditional_generator.generator(noise[rows], self.conditional_generator.encoder(tokens))[stage]
            )
        self.conditional_generator.train(training)
        return torch.cat(painted).float().clamp(-1, 1).cpu()

    def explain(self, prompt: str, seed: int = 0) -> Explanation:
        """Paint a prompt and show, for each of its words, where every attention module of the generator looked.

        It shows itself in a notebook. The image is the one that `paint` makes of the prompt and the seed.

        Raises:
            LimnerError: for a prompt that `paint` refuses, or when the generator has no attention.
        """
        with record_attention(self.conditional_generator.generator) as maps:
            image = self.paint(prompt, seed=seed)[0]
        if not maps:
            raise LimnerError(
                "This model has no attention that could be shown; train one that has, such as with "
                "--set 'generator.attention=\"multi-head\"'."
            )
        return Explanation(prompt, image, self.tokenizer.pieces(prompt), maps)

    def film_strip(self, frames: int = 8) -> Pictures:
        """How the preview prompts came to be: a row per prompt, time from left to right."""
        return film_strip(self.film, frames)

    # --- reading ---------------------------------------------------------------------------------------------------

    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        return score(self, images, captions, by)

    def caption(self, images: Float[Tensor, "N 3 H W"] | str | Path | Sequence[str | Path]) -> list[str]:
        """What the model's captioner reads in images: a tensor in [-1, 1], or image files, also one's own.

        Raises:
            LimnerError: for a model without a captioner, or a file that is no image.
        """
        if not isinstance(images, Tensor):
            paths = [images] if isinstance(images, str | Path) else images
            images = open_images(paths, self.recipe.image_size)
        return describe(self, images)

    # --- living in a folder ----------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write recipe, tokenizer, weights and history into `folder`; each file is whole or as it was before."""
        folder = Path(folder)
        (folder / TOKENIZER_FOLDER).mkdir(parents=True, exist_ok=True)
        if not (folder / TOKENIZER_FOLDER / WORDS_FILE).exists():
            self.tokenizer.save(folder / TOKENIZER_FOLDER)
        if self.conditional_generator.encoder.pretrained and not (folder / ENCODER_FOLDER).exists():
            whole = folder / f"{ENCODER_FOLDER}.partial"
            shutil.rmtree(whole, ignore_errors=True)
            self.conditional_generator.encoder.save_pretrained(whole)
            whole.rename(folder / ENCODER_FOLDER)
        replace_file(folder / RECIPE_FILE, tomli_w.dumps(self.recipe.table()).encode())
        replace_file(folder / HISTORY_FILE, json.dumps(self.history).encode())
        weights = {name: value.contiguous() for name, value in self.state_dict().items()}
        partial = folder / f"{WEIGHTS_FILE}.partial"
        save_file(weights, partial)
        partial.replace(folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: str | Path, plugins: PluginHost | None = None) -> "Model":
        """Read a model back from the folder of a run.

        Raises:
            LimnerError: when the folder is none of a run, is only half written, or a file of it is damaged.
        """
        folder, plugins = Path(folder), plugins or host()
        if not folder.is_dir():
            raise LimnerError(f"There is no run folder {folder}; 'limner train RECIPE --out {folder}' makes one.")
        if not (folder / RECIPE_FILE).is_file():
            raise LimnerError(f"{folder} is not a run folder: it has no {RECIPE_FILE}.")
        recipe = Recipe.read(plugins, folder / RECIPE_FILE)
        kept = [WEIGHTS_FILE, f"{TOKENIZER_FOLDER}/{WORDS_FILE}"]
        for file in [*kept, ENCODER_FOLDER] if pretrained_model(plugins, recipe) else kept:
            if not (folder / file).exists():
                raise LimnerError(
                    f"{folder} is only half written: it has no {file}; its training ended before the first weights "
                    "were saved, so train again into another folder."
                )
        try:
            tokenizer = Tokenizer.load(folder / TOKENIZER_FOLDER)
        except Exception as error:  # transformers and tokenizers raise many kinds
            cause = " ".join(str(error).split())[:300]
            raise LimnerError(f"The tokenizer in {folder / TOKENIZER_FOLDER} is damaged: {cause}.") from None
        networks = build_networks(plugins, recipe, tokenizer.vocabulary, folder / ENCODER_FOLDER)
        painting = deepcopy(
            networks.conditional_generator
        )  # its encoder is the averaged one, the judging half has its own
        model = cls(plugins, recipe, tokenizer, painting, networks.conditional_discriminator, networks.losses)
        try:
            model.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except (SafetensorError, OSError) as error:
            raise LimnerError(f"{folder / WEIGHTS_FILE} is damaged: {error}.") from None
        except RuntimeError as error:
            raise LimnerError(
                f"{folder / WEIGHTS_FILE} does not fit the recipe beside it: {' '.join(str(error).split())[:300]}."
            ) from None
        if (folder / HISTORY_FILE).is_file():
            try:
                model.history = json.loads((folder / HISTORY_FILE).read_text())
            except ValueError as error:
                raise LimnerError(f"{folder / HISTORY_FILE} is damaged: {error}.") from None
        return model.eval()

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{kind}: <b>{part.name}</b></li>" for kind, _, part in self.recipe.parts())
        steps = int(self.history[-1]["step"]) if self.history else 0
        return f"<b>Limner model</b>, {steps} steps, {self.recipe.image_size} px<ul>{rows}</ul>"


def load(folder: str | Path) -> Model:
    """The model in a run folder, ready to paint."""
    return Model.load(folder)
