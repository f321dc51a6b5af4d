"""What a training costs on this machine: a few of its steps are made and measured, and nothing is kept."""

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from math import ceil, lcm
from statistics import mean
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry

from limner.models.painting_cost import count_parameters, describe_device, most_memory
from limner.plugins import PluginHost
from limner.recipes.build import dry_run, parts_of
from limner.recipes.schema import Recipe
from limner.training.capture import CapturedStep
from limner.training.loop import compute_step, players_of
from limner.training.run import Run, set_up
from limner.training.threads import PlayerThreads

MOMENTS = 10
"""The moments of a training at which its work is counted."""
WARM_UP, TIMED = 3, 5
"""Steps before the clock starts, and steps that are timed. On a GPU, eight times as many, because they are captured."""


@dataclass(frozen=True)
class Cost:
    """What a training costs.

    Attributes:
        images, captions: how many the data has.
        parameters: of each part.
        multiply_adds: of one step, for one image of the batch: forward, backward, and the update of the weights.
        memory: the most that this process has used so far, in bytes; None where the system does not tell.
        seconds_per_step: on this machine, while nothing else runs.
        steps: of the whole training.
        seconds: of the whole training.
        images_per_second: real images that training reads.
        device: where it trains.
    """

    images: int
    captions: int
    parameters: dict[str, int]
    multiply_adds: int
    memory: int | None
    seconds_per_step: float
    steps: int
    seconds: float
    images_per_second: float
    device: str


class WorkCounter(TorchDispatchMode):
    """Counts the floating-point operations of what runs in its context, also of the gradients of gradients.

    It counts as torch's `FlopCounterMode` does, which cannot follow gradients of gradients to the modules. Only the
    gradient of a convolution in groups is counted otherwise, because torch counts that of its weights once per group.
    """

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.aten.convolution_backward:
            gradient, images, weights, transposed, wanted = args[0], args[1], args[2], args[7], args[10]
            each = conv_flop_count(images.shape, weights.shape, gradient.shape, transposed)
            self.operations += each * sum(wanted[:2])  # of the images and of the weights, as much as the forward pass
        elif count := flop_registry.get(func.overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=out)
        return out


def measure_cost(plugins: PluginHost, recipe: Recipe) -> Cost:
    """Read the data, build the networks, and make a few steps.

    Raises:
        LimnerError: if the recipe or the data are wrong, as `train` would.
    """
    dry_run(plugins, recipe)
    run = set_up(plugins, recipe)
    settings, size = recipe.training, run.batches.batch_size
    work = count_work(run)
    each = time_steps(run)
    steps = settings.steps or max(1, round((settings.seconds or 0) / each))
    return Cost(
        images=run.batches.images,
        captions=run.batches.captions,
        parameters={name: count_parameters(part) for name, part in parts_of(run.networks).items()},
        multiply_adds=work // size,
        memory=most_memory(run.batches.device),
        seconds_per_step=each,
        steps=steps,
        seconds=steps * each,
        images_per_second=size / each,
        device=describe_device(run.batches.device),
    )


def count_work(run: Run, step: int = 1) -> int:
    """The multiply-adds of the step with this number. In step 1, no lazy loss is due."""
    run.step = step
    with WorkCounter() as counter:  # it sees one thread
        alone = PlayerThreads(torch.device("meta"))
        compute_step(run, players_of(run), alone, next(iter(run.batches)), run.draw_noise(run.batches.batch_size))
    return counter.operations // 2


def average_step(plugins: PluginHost, run: Run) -> tuple[float, float]:
    """The multiply-adds and the seconds of a step, averaged over the whole training, which has a budget in steps.

    Lazy losses count as often as they are due. If the work changes, because a generator grows, it is measured at ten
    moments of the training, each time with the stages that it has by then. The seconds are those of this machine, while
    nothing else runs.
    """
    trained = [weight for weight in run.networks.parameters() if weight.requires_grad]

    def go_to(moment: int) -> None:
        for weight in trained:
            weight.requires_grad_(True)  # a later moment may have frozen it
        for step in (0, round((moment + 0.5) / MOMENTS * (run.recipe.training.steps or 1))):
            run.step = step
            plugins.call("limner_training_started", run=run)

    def work_at(moment: int) -> float:
        go_to(moment)
        return _work_of_a_cycle(run)

    def seconds_at(moment: int) -> float:
        go_to(moment)
        cycle = len(_due_losses(run))
        return time_steps(run, cycle * ceil(TIMED / cycle))

    work = {moment: work_at(moment) for moment in (0, MOMENTS - 1)}
    if len(set(work.values())) > 1:
        work |= {moment: work_at(moment) for moment in range(1, MOMENTS - 1)}
    return mean(work.values()), mean(map(seconds_at, work))


def _work_of_a_cycle(run: Run) -> float:
    """The multiply-adds per step, averaged over the steps until all lazy losses are due again."""
    due = _due_losses(run)
    return sum(count_work(run, due.index(which)) * often for which, often in Counter(due).items()) / len(due)


def _due_losses(run: Run) -> list[tuple[bool, ...]]:
    """Which losses are due in each step, until all lazy ones are due again."""
    losses, parts = run.networks.named_losses(), run.recipe.losses
    every = [loss.every for name, loss in losses.items() if parts[name].weight]
    return [tuple(step % one == 0 for one in every) for step in range(lcm(*every))]


def time_steps(run: Run, timed: int = TIMED) -> float:
    """Seconds per step; on a GPU, eight times as many steps are timed."""
    device, batches = run.batches.device, iter(run.batches)
    players = players_of(run)
    factor, start = 8 if device.type == "cuda" else 1, 0.0
    with PlayerThreads(device, len(players)) as threads:
        compute = partial(compute_step, run, players, threads)
        make_step = CapturedStep(run, compute, [player.optimizer for player in players.values()])
        for number in range((WARM_UP + timed) * factor):
            if number == WARM_UP * factor:
                _wait(device)
                start = time.perf_counter()
            make_step(next(batches), run.draw_noise(run.batches.batch_size))
            run.step += 1
        _wait(device)
    return (time.perf_counter() - start) / (timed * factor)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
