"""What a training costs on this machine: a few of its steps are made and measured, and nothing is kept."""

import time
from dataclasses import dataclass
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from limner.models.painting_cost import count_parameters, describe_device, most_memory
from limner.plugins import PluginHost
from limner.recipes.build import dry_run, parts_of
from limner.recipes.schema import Recipe
from limner.training.capture import CapturedStep
from limner.training.loop import compute_step, players_of
from limner.training.run import Run, set_up
from limner.training.threads import PlayerThreads

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


def count_work(run: Run) -> int:
    """The multiply-adds of a step in which no lazy loss is due."""
    run.step = 1
    with FlopCounterMode(display=False) as counter:  # it sees one thread
        alone = PlayerThreads(torch.device("meta"))
        compute_step(run, *players_of(run), alone, next(iter(run.batches)), run.draw_noise(run.batches.batch_size))
    return counter.get_total_flops() // 2


def time_steps(run: Run) -> float:
    """Seconds per step."""
    device, batches = run.batches.device, iter(run.batches)
    players = players_of(run)
    factor, start = 8 if device.type == "cuda" else 1, 0.0
    with PlayerThreads(device) as threads:
        compute = partial(compute_step, run, *players, threads)
        make_step = CapturedStep(run, compute, [player.optimizer for player in players])
        for number in range((WARM_UP + TIMED) * factor):
            if number == WARM_UP * factor:
                _wait(device)
                start = time.perf_counter()
            make_step(next(batches), run.draw_noise(run.batches.batch_size))
            run.step += 1
        _wait(device)
    return (time.perf_counter() - start) / (TIMED * factor)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
