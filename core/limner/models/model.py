"""A trained model: it paints prompts, scores and captions images, and is saved in a run folder."""

from collections.abc import Sequence
from contextlib import ExitStack
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
from limner.meta import without_memory
from limner.models.animation import Animation, film_animation
from limner.models.explain import Explanation, record_attention
from limner.models.hub import download, hub_model, is_on_hub
from limner.models.onnx_export import Exported, export_model
from limner.models.painter import TrainedPainter, check_text
from limner.models.pictures import Pictures, film_strip
from limner.models.report import Report
from limner.models.run_folder import (
    ENCODER_FOLDER,
    LEFT_OUT,
    SavedRun,
    check_shapes,
    read_run,
    read_weights,
    write_run,
)
from limner.models.run_summary import run_path
from limner.models.sampling import draw_noise, evaluating, truncate
from limner.models.scoring import caption_images, open_images, score_images
from limner.plugins import PluginHost, host
from limner.recipes.build import build_networks
from limner.recipes.schema import Recipe, Sampling
from limner.step import ConditionalDiscriminator, ConditionalGenerator


class Model(TrainedPainter, nn.Module):
    """A text-to-image model with everything it needs to paint, to score images, and to be measured.

    `limner.train` makes one, and `limner.load` reads one from its run folder. A model that was kept for painting only
    has no losses, and perhaps no discriminator (None). Nor has one whose generator was trained alone.
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
        self.report: Report | None = None  # the scores of the last evaluation as the recipe says
        self.source = ""  # where it was loaded from: a run folder, or hf://NAME/REPOSITORY@COMMIT
        self.trackers: list[object] = []  # those that recorded its training, for the scores

    # --- painting --------------------------------------------------------------------------------------------------

    @property
    def models(self) -> Sequence["Model"]:
        return [self]

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

    def film_animation(self, frames: int = 12) -> Animation:
        """The preview prompts during training, one picture after the other."""
        return film_animation(self.film, frames)

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

    def evaluate(
        self, size: int | None = None, sampling: Sampling | None = None, metrics: Sequence[str] | None = None
    ) -> Report:
        report = super().evaluate(size, sampling, metrics)
        if size is None and sampling is None:
            self.report = report
            with ExitStack() as stack:
                for tracker in self.trackers:
                    stack.enter_context(self.plugins.registered(tracker))
                self.plugins.call("limner_model_evaluated", model=self, report=report)
        return report

    # --- the run folder --------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write recipe, tokenizer, weights and history into `folder`. Each file is whole, or as it was before."""
        encoder, described = self.conditional_generator.encoder, None
        missing = {"discriminator": self.conditional_discriminator is None, "losses": len(self.losses) == 0}
        left_out = [name for name, is_missing in missing.items() if is_missing and getattr(self.recipe, name)]
        if left_out:
            described = {LEFT_OUT: " ".join(left_out)}
        write_run(Path(folder), self.recipe, self.tokenizer, encoder, self.state_dict(), self.history, described)

    def export(self, file: str | Path) -> Exported:
        """Write encoder and generator as an ONNX file, with the tokenizer and a description beside it.

        ONNX Runtime, which also runs in browsers, then paints without Python; the images are compared with those of
        this model. `limner.models.onnx_export` describes the inputs and outputs.

        Raises:
            LimnerError: if a part of the model cannot be exported, or a file cannot be written.
        """
        return export_model(self, Path(file))

    @classmethod
    def load(cls, folder: str | Path, plugins: PluginHost | None = None) -> "Model":
        """Read a model from a run folder, by the name of one that a plugin brings, or from the hub.

        Raises:
            LimnerError: if it is not a run folder, is only half written, or a file in it is damaged; if the hub has no
                such model, refuses it, or cannot be reached; if the model needs a plugin that is not installed.
        """
        plugins = plugins or host()
        folder, source = run_folder(folder, plugins)
        with reading(folder):
            saved = read_run(folder, plugins)
        with without_memory():  # a model that the weights do not fit takes no memory
            check_shapes(folder, cls._built(plugins, saved).state_dict())
        model = cls._built(plugins, saved)
        model.load_state_dict(read_weights(folder))
        model.history, model.source = saved.history, source
        model.report = Report(saved.scores) if saved.scores else None
        return model.eval()

    @property
    def steps(self) -> int:
        """The steps that it was trained, as far as its history says."""
        return int(self.history[-1]["step"]) if self.history else 0

    def push_to_hub(
        self, name: str, *, private: bool = False, license: str = "apache-2.0", report: Report | None = None
    ) -> str:
        """Publish the model on the hub of Hugging Face, with a model card that is made from it.

        The recipe is published without trackers, and without the folders of this machine.

        Args:
            name: of the repository, such as "ann/limner-red-circles"; it is made if there is none.
            private: whether a new repository is private.
            license: under which you publish it, as an identifier of the hub.
            report: the figures of the card; by default those of the last evaluation, if there was one.

        Returns:
            Where it is, with its commit: "hf://NAME/REPOSITORY@COMMIT". `limner.load` reads it from there.

        Raises:
            LimnerError: if the name is none of a repository, or if the hub refuses or cannot be reached.
        """
        from limner.models.publish import publish

        return str(publish(self, name, private, license, report))

    @classmethod
    def _built(cls, plugins: PluginHost, saved: SavedRun) -> "Model":
        """The model of a run, with fresh weights."""
        networks = build_networks(saved.recipe, saved.tokenizer.vocabulary, saved.folder / ENCODER_FOLDER)
        generator = deepcopy(networks.conditional_generator)  # with a copy of the encoder: the one that is averaged
        discriminator, losses = networks.conditional_discriminator, networks.losses
        if "losses" in saved.left_out:
            losses = nn.ModuleDict()
        if "discriminator" in saved.left_out:
            discriminator, losses = None, nn.ModuleDict()
        return cls(plugins, saved.recipe, saved.tokenizer, generator, discriminator, losses)

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{kind}: <b>{escape(part.name)}</b></li>" for kind, _, part in self.recipe.parts())
        source = f", from {escape(self.source)}" if self.source else ""
        return f"<b>Limner model</b>, {self.steps} steps, {self.recipe.image_size} px{source}<ul>{rows}</ul>"


def run_folder(run: str | Path, plugins: PluginHost) -> tuple[Path, str]:
    """The folder of a run, and where it is from: a folder, a trained model that a plugin brings, or one on the hub."""
    if is_on_hub(run):
        folder, model = download(hub_model(run))
        return folder, str(model)
    folder = run_path(Path(run), plugins)
    return folder, str(folder)


def load(folder: str | Path) -> Model:
    """The model in a run folder, a trained model by name, such as "quickstart", or "hf://NAME/REPOSITORY" on the hub.

    It is ready to paint. "hf://NAME/REPOSITORY@REVISION" names a branch, a tag or a commit.
    """
    return Model.load(folder)
