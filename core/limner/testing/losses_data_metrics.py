"""The contracts of losses, data sets and metrics, and of a plugin as a whole."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from limner.interfaces import Dataset, Loss, Metric, Painter
from limner.kinds import COMPONENTS
from limner.models.model import Model
from limner.plugins import PluginHost
from limner.recipes.build import build_dataset
from limner.recipes.options import option_model
from limner.recipes.schema import Recipe
from limner.step import Step
from limner.testing.checks import Missed, check_words, need, normal, perturb, promise, without_gradient
from limner.testing.tiny import ColoredSquares, bringing, tiny_host, tiny_recipe
from limner.training.loop import Run, new_step, set_up, train
from limner.types import Batch

SIDES = ("discriminator", "generator")


def check_loss(
    component: type[Loss], *, host: PluginHost | None = None, recipe: Mapping[str, Any] | None = None, **options: Any
) -> None:
    """Hold a loss to its interface, in a game of tiny parts.

    Args:
        component: the class.
        host: the plugins of that game; by default those of `tiny_host`.
        recipe: of that game, where the loss needs something of it; by default `tiny_recipe()`.
        options: those to build it with.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    check_words(component, [side for side in SIDES if side in vars(component)], options)
    plugins = host or tiny_host()
    table = {**(recipe or tiny_recipe()), "losses": {"checked": options}}
    plugins.register(bringing({"loss": {"checked": component}}))

    def begin(seed: int = 0) -> tuple[Run, Batch, Tensor]:
        run = set_up(plugins, Recipe.read(plugins, table, [f"training.seed={seed}"]))
        batch = next(iter(run.batches))
        return run, batch, normal(len(batch), run.networks.sizes.noise, seed=5)

    with promise(component, "it can be part of a game"):
        run, batch, noise = begin()
        own = run.networks.losses["checked"]
        assert isinstance(own, Loss)
    with promise(component, "it says what a player wants, scores images, or reads them"):
        sides = [side for side in (*SIDES, "score", "read") if getattr(component, side) is not getattr(Loss, side)]
        need(bool(sides), "it does none of these.")
        need(isinstance(own.every, int) and own.every >= 1, f"`every` is {own.every!r}, not a number of steps.")
    with promise(component, "each side is one finite number, or None"):
        step = new_step(run, batch, noise)
        wishes = _wishes(own, step)
    with promise(component, "the same step costs the same, whichever side is asked first or both at once"):
        _need_alike(own, new_step(run, batch, noise), wishes, at_once=False)
        _need_alike(own, new_step(run, batch, noise), wishes, at_once=True)
    with promise(component, "it moves nothing by itself"):
        need(all(weight.grad is None for weight in run.networks.parameters()), "gradients lie about afterwards.")
    with promise(component, "what a player wants depends on what that player can change"):
        perturbed = replace(run, networks=cast(Any, perturb(run.networks)))
        step, moved = new_step(perturbed, batch, noise), cast(Loss, perturbed.networks.losses["checked"])
        judged, painted = moved.discriminator(step), moved.generator(step)
        generator, weights = perturbed.networks.conditional_generator.generator, list(moved.parameters())
        if painted is not None:
            need(
                len(without_gradient(generator, painted)) < len(list(generator.parameters())),
                "the generator is not reached.",
            )
        if judged is not None:
            judging = perturbed.networks.conditional_discriminator
            reached = len(without_gradient(judging, judged)) < len(list(judging.parameters()))
            need(reached or bool(weights), "the discriminator is not reached, nor has the loss weights of its own.")
        if weights:
            if judged is None:
                raise Missed("it has weights, but no side for the discriminator, with which they would learn.")
            left = without_gradient(moved, judged)
            need(not left, f"its own weights {', '.join(left[:3])} get no gradient from the discriminator's side.")
    with promise(component, "a batch in which every caption is true of every image is no obstacle"):
        none = torch.zeros_like(batch.has_mismatch)
        step = new_step(run, replace(batch, has_mismatch=none, confusable=~torch.eye(len(batch)).bool()), noise)
        _wishes(own, step)
    with promise(component, "it computes in bfloat16 under autocast"), torch.autocast("cpu", torch.bfloat16):
        step = new_step(run, batch, noise)
        _wishes(own, step)
    others = {"tiny": {}} if "tiny" in plugins.components("loss") else {}  # it may have no wish for the generator
    _check_training(component, plugins, table | {"losses": others | {"checked": options}})


def _wishes(loss: Loss, step: Step) -> dict[str, Tensor | None]:
    """What both sides of a loss want: each one finite number, or None."""
    wishes = {side: getattr(loss, side)(step) for side in SIDES}
    for side, wish in wishes.items():
        need(wish is None or (isinstance(wish, Tensor) and wish.shape == ()), f"{side}: it is {wish!r:.60}.")
        need(wish is None or bool(wish.isfinite()), f"{side}: it is {wish!r:.60}.")
    return wishes


def _need_alike(loss: Loss, step: Step, wishes: Mapping[str, Tensor | None], at_once: bool) -> None:
    """Ask both sides of a loss again, the other way round or in two threads, and compare."""
    if at_once:
        _ = step.text
        with ThreadPoolExecutor(2) as pool:
            asked = {side: pool.submit(getattr(loss, side), step) for side in SIDES}
            again = {side: future.result() for side, future in asked.items()}
    else:
        again = {side: getattr(loss, side)(step) for side in reversed(SIDES)}
    for side, wish in wishes.items():
        now = again[side]
        need((wish is None) == (now is None), f"{side}: once it was None and once it was not.")
        if wish is not None and now is not None:
            before, after = float(wish.detach()), float(now.detach())
            need(math.isclose(before, after, rel_tol=1e-4, abs_tol=1e-6), f"{side}: it was {before}, now {after}.")


def _check_training(component: type, plugins: PluginHost, table: Mapping[str, Any]) -> None:
    """Two steps by recipe; saved, loaded and trained again, the same pictures come out."""
    with promise(component, "a recipe trains with it, and the run can be loaded"), tempfile.TemporaryDirectory() as at:
        model = train(table, Path(at) / "run", plugins=plugins, callbacks=[])
        finite = all(bool(value.isfinite().all()) for value in model.state_dict().values())
        need(finite, "after two steps there are weights that are not finite.")
        captions = [a["caption"] for of in build_dataset(plugins, model.recipe).load().annotations for a in of]
        loaded = Model.load(Path(at) / "run", plugins)
        same = torch.equal(loaded.paint_images(captions[:2]), model.paint_images(captions[:2]))
        need(same, "the loaded run paints other pictures.")
    with promise(component, "trained twice from one seed, the weights are the same"):
        again = train(table, plugins=plugins, callbacks=[])
        for name, weight in model.state_dict().items():
            need(torch.allclose(weight, again.state_dict()[name], atol=1e-6), f"'{name}' differs.")


def check_dataset(component: type[Dataset], *, host: PluginHost | None = None, **options: Any) -> None:
    """Hold a data set to its interface; `options`: those to build it with, such as its folder.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    check_words(component, [], options)
    for size in (16, 32):
        with promise(component, f"it loads captioned images of the size that is asked for, {size}"):
            dataset = component(size, **options)
            data = dataset.load()
            need(len(data) > 0, "there are none.")
            need(data.pixels.dtype == torch.uint8, f"the pixels are {data.pixels.dtype}, not uint8.")
            need(tuple(data.pixels.shape) == (len(data), 3, size, size), f"the pixels are {tuple(data.pixels.shape)}.")
    with promise(component, "each image has an id of its own in the COCO table, and captions that say something"):
        need(len(set(data.image_ids)) == len(data.image_ids), "two images share an id.")
        for number, annotations in zip(data.image_ids, data.annotations):
            need(number in data.coco.imgs, f"image {number} is not in the table.")
            need(bool(annotations), f"image {number} has no caption.")
            need(all(str(a["caption"]).strip() for a in annotations), f"image {number} has an empty caption.")
    with promise(component, "loaded again, it is the same"):
        again = component(size, **options).load()
        need(torch.equal(again.pixels, data.pixels), "the pixels differ.")
        need(again.annotations == data.annotations, "the captions differ.")
    with promise(component, "its preview prompts are texts"):
        prompts = dataset.preview_prompts()
        need(bool(prompts) and all(isinstance(prompt, str) for prompt in prompts), f"they are {prompts!r:.80}.")
    plugins = host or tiny_host()
    plugins.register(bringing({"dataset": {"checked": component}}))
    _check_training(component, plugins, tiny_recipe(data={"name": "checked", **options}))


def check_metric(
    component: type[Metric], dataset: Dataset | None = None, painter: Painter | None = None, **options: Any
) -> None:
    """Hold a metric to its interface.

    Args:
        component: the class.
        dataset: real images; by default plain colored squares.
        painter: whatever it measures; by default one who paints noise. Some metrics need a trained model.
        options: those to build it with.

    Raises:
        BrokenPromise: for the first promise that it does not keep.
    """
    check_words(component, ["measure"], options)
    shown = dataset or ColoredSquares(16)

    class Noise:
        """Paints noise: every prompt gets its own."""

        def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
            return normal(len(prompts), 3, shown.image_size, shown.image_size, seed=seed).tanh()

    measured = painter or Noise()
    with promise(component, "it says names and finite numbers of whatever paints"):
        metric = component(shown, **options)
        found = metric.measure(measured)
        need(isinstance(found, dict) and bool(found), f"it says {found!r:.60}.")
        for name, value in found.items():
            need(
                isinstance(name, str) and isinstance(value, float), f"{name!r} is {type(value).__name__}, not a float."
            )
            need(math.isfinite(value), f"'{name}' is {value}.")
    with promise(component, "measured again, the numbers are the same, and nobody else's chance is disturbed"):
        torch.manual_seed(1)
        expected = torch.randn(3)
        torch.manual_seed(1)
        again = component(shown, **options).measure(measured)
        need(again == found, f"they were {found!r:.80} and are {again!r:.80}.")
        need(torch.equal(torch.randn(3), expected), "it draws from torch's own source; give it a generator of its own.")


def check_plugin(module: object) -> None:
    """Hold a plugin module to what the host asks of it: healthy, and every component that it names can be loaded.

    Raises:
        AssertionError: where it is broken, or names something that is no component.
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
