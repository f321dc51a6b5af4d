"""The contracts of losses, data sets and metrics, and of a whole plugin."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limner.interfaces import Dataset, Loss, Metric
from limner.kinds import COMPONENTS
from limner.models.model import Model
from limner.plugins import PluginHost
from limner.recipes.build import build_dataset
from limner.recipes.options import option_model
from limner.recipes.schema import Recipe
from limner.step import Step
from limner.testing.checks import Violation, check_description, normal, perturb, promise, require, without_gradient
from limner.testing.tiny import ColoredSquares, make_plugin, tiny_host, tiny_recipe
from limner.training.loop import train
from limner.training.run import Run, new_step, set_up
from limner.types import Batch, CaptionedImages, ImageStream, Painter, StreamedImage

SIDES = ("discriminator", "generator")
Terms = dict[str, Tensor | None]
"""What each side of a loss returns."""

# --- losses ------------------------------------------------------------------------------------------------------


def check_loss(
    component: type[Loss], *, host: PluginHost | None = None, recipe: Mapping[str, Any] | None = None, **options: Any
) -> None:
    """Check that a loss keeps the promises of its interface, in the training of a tiny model.

    Args:
        component: the class.
        host: the plugins of that training; by default those of `tiny_host`. The host is left as it was.
        recipe: of that training, if the loss needs a particular one; by default `tiny_recipe()`.
        options: for its constructor.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    check_description(component, [side for side in SIDES if side in vars(component)], options)
    plugins = host or tiny_host()
    table = {**(recipe or tiny_recipe()), "losses": {"checked": options}}
    with plugins.registered(make_plugin({"loss": {"checked": component}})):
        with promise(component, "it can be built and trained with"):
            run = set_up(plugins, Recipe.read(plugins, table))
            batch = next(iter(run.batches))
            noise = normal(len(batch), run.networks.sizes.noise, seed=5)
            loss = run.networks.named_losses()["checked"]
        _check_terms(component, loss, run, batch, noise)
        _check_loss_gradients(component, run, batch, noise)
        _check_odd_steps(component, loss, run, batch, noise)
        # the checked loss may have no term for the generator, so the tiny one stands beside it
        others = {"tiny": {}} if "tiny" in plugins.components("loss") else {}
        _check_training(component, plugins, table | {"losses": others | {"checked": options}})


def _check_terms(component: type, loss: Loss, run: Run, batch: Batch, noise: Tensor) -> None:
    with promise(component, "it adds a term for a player, scores images, or captions them"):
        methods = [name for name in (*SIDES, "score", "read") if getattr(component, name) is not getattr(Loss, name)]
        require(bool(methods), "it does none of these.")
        require(isinstance(loss.every, int) and loss.every >= 1, f"`every` is {loss.every!r}, not a number of steps.")
    with promise(component, "each term is one finite number, or None"):
        terms = _terms(loss, new_step(run, batch, noise))
    with promise(component, "the same step gives the same terms, in any order and in two threads"):
        step = new_step(run, batch, noise)
        _require_equal({side: getattr(loss, side)(step) for side in reversed(SIDES)}, terms)
        step = new_step(run, batch, noise)
        _ = step.text  # computed before the threads start, as in training
        with ThreadPoolExecutor(2) as pool:
            futures = {side: pool.submit(getattr(loss, side), step) for side in SIDES}
            _require_equal({side: future.result() for side, future in futures.items()}, terms)
    with promise(component, "it leaves gradients and optimizer steps to the training loop"):
        require(all(weight.grad is None for weight in run.networks.parameters()), "it leaves gradients behind.")


def _check_loss_gradients(component: type, run: Run, batch: Batch, noise: Tensor) -> None:
    with promise(component, "the term of a player depends on that player's weights"):
        networks = perturb(run.networks)
        loss, step = networks.named_losses()["checked"], new_step(replace(run, networks=networks), batch, noise)
        judged, generated = loss.discriminator(step), loss.generator(step)
        generator, discriminator = networks.conditional_generator.generator, networks.conditional_discriminator
        if generated is not None:
            require(_reaches(generator, generated), "no gradient reaches the generator.")
        own = list(loss.parameters())
        if judged is not None:
            reached = bool(own) or (discriminator is not None and _reaches(discriminator, judged))
            require(reached, "no gradient reaches the discriminator, and the loss has no weights of its own.")
        if own:
            if judged is None:
                raise Violation("it has weights, but no term for the discriminator with which to train them.")
            missing = without_gradient(loss, judged)
            require(not missing, f"its own weights {', '.join(missing[:3])} get no gradient from `discriminator`.")


def _reaches(network: torch.nn.Module, value: Tensor) -> bool:
    """Whether a gradient of `value` reaches any weight of a network."""
    return len(without_gradient(network, value)) < len(list(network.parameters()))


def _check_odd_steps(component: type, loss: Loss, run: Run, batch: Batch, noise: Tensor) -> None:
    with promise(component, "it also works for a batch in which every caption is true of every image"):
        no_mismatch, confusable = torch.zeros_like(batch.has_mismatch), ~torch.eye(len(batch)).bool()
        _terms(loss, new_step(run, replace(batch, has_mismatch=no_mismatch, confusable=confusable), noise))
    with promise(component, "it computes in bfloat16 under autocast"), torch.autocast("cpu", torch.bfloat16):
        _terms(loss, new_step(run, batch, noise))


def _terms(loss: Loss, step: Step) -> Terms:
    """The terms of both sides, each checked to be one finite number or None."""
    terms = {side: getattr(loss, side)(step) for side in SIDES}
    for side, term in terms.items():
        require(term is None or (isinstance(term, Tensor) and term.shape == ()), f"{side}: it is {term!r:.60}.")
        require(term is None or bool(term.isfinite()), f"{side}: it is {term!r:.60}.")
    return terms


def _require_equal(again: Terms, before: Terms) -> None:
    for side, term in before.items():
        now = again[side]
        require((term is None) == (now is None), f"{side}: once it was None and once it was not.")
        if term is not None and now is not None:
            was, is_now = float(term.detach()), float(now.detach())
            require(math.isclose(was, is_now, rel_tol=1e-4, abs_tol=1e-6), f"{side}: it was {was}, now {is_now}.")


def _check_training(component: type, plugins: PluginHost, table: Mapping[str, Any]) -> None:
    """Two steps by a recipe. Loaded, or trained again, the model is the same."""
    with promise(component, "a recipe trains with it, and the run can be loaded"), tempfile.TemporaryDirectory() as at:
        model = train(table, Path(at) / "run", plugins=plugins, callbacks=[])
        finite = all(bool(value.isfinite().all()) for value in model.state_dict().values())
        require(finite, "after two steps there are weights that are not finite.")
        prompts = [a["caption"] for of in build_dataset(model.recipe).load().annotations for a in of][:2]
        loaded = Model.load(Path(at) / "run", plugins)
        same = torch.equal(loaded.paint_images(prompts), model.paint_images(prompts))
        require(same, "the loaded model paints other images.")
    with promise(component, "trained twice from one seed, the weights are the same"):
        again = train(table, plugins=plugins, callbacks=[])
        for name, weight in model.state_dict().items():
            require(torch.allclose(weight, again.state_dict()[name], atol=1e-6), f"'{name}' differs.")


# --- data sets ---------------------------------------------------------------------------------------------------


def check_dataset(component: type[Dataset], *, host: PluginHost | None = None, **options: Any) -> None:
    """Check that a data set keeps the promises of its interface.

    Args:
        component: the class.
        host: the plugins of a training with it; by default those of `tiny_host`. The host is left as it was.
        options: for its constructor, such as its folder.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    check_description(component, [], options)
    for size in (16, 32):
        with promise(component, f"it loads captioned images of the size that is asked for, {size}"):
            dataset = component(size, **options)
            data = dataset.load()
            _require_images(data, size)
    with promise(component, "each image has an id of its own in the COCO table, and captions that are not empty"):
        require(len(set(data.image_ids)) == len(data.image_ids), "two images share an id.")
        for number, annotations in zip(data.image_ids, data.annotations):
            require(number in data.coco.imgs, f"image {number} is not in the table.")
            require(bool(annotations), f"image {number} has no caption.")
            require(all(str(a["caption"]).strip() for a in annotations), f"image {number} has an empty caption.")
    with promise(component, "loaded again, it is the same"):
        again = component(size, **options).load()
        require(torch.equal(again.pixels, data.pixels), "the pixels differ.")
        require(again.annotations == data.annotations, "the captions differ.")
    _check_stream(component, size, options)
    with promise(component, "its preview prompts are texts"):
        prompts = dataset.preview_prompts()
        require(bool(prompts) and all(isinstance(prompt, str) for prompt in prompts), f"they are {prompts!r:.80}.")
    plugins = host or tiny_host()
    with plugins.registered(make_plugin({"dataset": {"checked": component}})):
        _check_training(component, plugins, tiny_recipe(data={"name": "checked", **options}))


def _check_stream(component: type[Dataset], size: int, options: Mapping[str, Any]) -> None:
    """Each image once in an epoch, in an order that the seed decides and that can be joined in its middle."""
    stream = component(size, **options).stream()
    if stream is None:
        return
    with promise(component, "its stream has every image once in an epoch, of the size that is asked for"):
        epoch = _epoch(stream)
        require(len(epoch) == stream.images, f"an epoch has {len(epoch)} images and `images` is {stream.images}.")
        read = [image for image in epoch if image is not None]
        require(len({image.number for image in read}) == len(read), "two images have the same number.")
        require(bool(read) and all(tuple(i.pixels.shape) == (3, size, size) for i in read), "the pixels differ.")
        texts = {a["caption"] for image in read for a in image.annotations}
        require(all(image.annotations for image in read), "an image has no caption.")
        require(texts <= set(stream.captions), "`captions` does not have all captions.")
    with promise(component, "its stream has one order for one seed, and an epoch can start in its middle"):
        again = component(size, **options).stream()
        require(again is not None and again.fingerprint == stream.fingerprint, "the fingerprint differs.")
        assert again is not None
        for start in (0, len(epoch) // 2):
            require(_numbers(_epoch(again, start)) == _numbers(epoch[start:]), f"after {start} images it differs.")


def _epoch(stream: ImageStream, start: int = 0) -> list[StreamedImage | None]:
    return list(stream.epoch(torch.Generator().manual_seed(7), start))


def _numbers(images: Sequence[StreamedImage | None]) -> list[int | None]:
    return [image and image.number for image in images]


def _require_images(data: CaptionedImages, size: int) -> None:
    require(len(data) > 0, "there are none.")
    require(data.pixels.dtype == torch.uint8, f"the pixels are {data.pixels.dtype}, not uint8.")
    require(tuple(data.pixels.shape) == (len(data), 3, size, size), f"the pixels are {tuple(data.pixels.shape)}.")


# --- metrics and plugins -----------------------------------------------------------------------------------------


def check_metric(
    component: type[Metric], dataset: Dataset | None = None, painter: Painter | None = None, **options: Any
) -> None:
    """Check that a metric keeps the promises of its interface.

    Args:
        component: the class.
        dataset: real images; by default plain colored squares.
        painter: what it measures; by default images of noise. Some metrics need a trained model.
        options: for its constructor.

    Raises:
        BrokenPromise: for the first promise that it breaks.
    """
    check_description(component, ["measure"], options)
    data = dataset or ColoredSquares(16)

    class Noise:
        """Paints noise, different for each prompt."""

        def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
            return normal(len(prompts), 3, data.image_size, data.image_size, seed=seed).tanh()

    measured = painter or Noise()
    with promise(component, "it returns finite numbers by name, whatever paints"):
        scores = component(data, **options).measure(measured)
        require(isinstance(scores, dict) and bool(scores), f"it returns {scores!r:.60}.")
        for name, value in scores.items():
            number = isinstance(name, str) and isinstance(value, float)
            require(number, f"{name!r} is {type(value).__name__}, not a float.")
            require(math.isfinite(value), f"'{name}' is {value}.")
    with promise(component, "measured again, the numbers are the same, and torch's random state is not disturbed"):
        torch.manual_seed(1)
        expected = torch.randn(3)
        torch.manual_seed(1)
        again = component(data, **options).measure(measured)
        require(again == scores, f"they were {scores!r:.80} and are {again!r:.80}.")
        undisturbed = torch.equal(torch.randn(3), expected)
        require(undisturbed, "it draws from torch's global generator; give it a generator of its own.")
    with promise(component, "it judges single images of its own prompts, and names what they show in words"):
        metric = component(data, **options)
        prompts = metric.example_prompts(2)
        require(len(prompts) <= 2 and all(isinstance(text, str) for text in prompts), f"the prompts are {prompts!r}.")
        for image, text in zip(measured.paint_images(prompts) if prompts else (), prompts):
            require(metric.verdict(image, text) is not None, f"it has no verdict for its own prompt {text!r}.")
            told = metric.asked_and_shown(image, text)
            whole = all(len(one) == 3 and all(isinstance(word, str) for word in one) for one in told)
            require(whole, f"it should name attribute, asked and shown, not {told!r:.60}.")


def check_plugin(module: object) -> None:
    """Check that a plugin module is healthy, and that all of its components can be loaded.

    Raises:
        AssertionError: if it is broken.
        LimnerError: if a component cannot be imported, or does not extend its interface.
    """
    host = PluginHost(discover=False)
    plugin = host.register(module)
    if plugin.problem:
        raise AssertionError(f"{plugin}: {plugin.problem}")
    for kind in COMPONENTS:
        for name in host.components(kind):
            option_model(host.load(kind, name))
    for name in host.components("recipe"):
        if not host.recipe_path(name).is_file():
            raise AssertionError(f"The recipe '{name}' has no file {host.recipe_path(name)}.")
    for name in host.components("model"):
        host.model_path(name)
