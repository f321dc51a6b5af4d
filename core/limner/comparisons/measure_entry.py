"""Measuring what an entry of a league costs, in a process of its own."""

import time
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from statistics import median
from typing import Any

import torch
from joblib.externals.loky import ProcessPoolExecutor

from limner.comparisons.entry_cost import EntryCost
from limner.models.model import Model
from limner.models.painting_cost import count_parameters, most_memory
from limner.plugin_checks import cause
from limner.plugins import PluginHost, host
from limner.recipes.build import parts_of
from limner.recipes.schema import Recipe
from limner.training.cost import average_step
from limner.training.run import set_up

WARM_UP, TIMED = 3, 11
"""Images that are painted before the clock starts, and images that are timed."""


def measure_entry(table: Mapping[str, Any], threads: int, plugins: PluginHost | None = None) -> EntryCost:
    """Make a few steps by a recipe, and paint a few images, in this process.

    Args:
        table: the complete recipe, with a budget in steps.
        threads: to compute on.
        plugins: the plugin host; by default all that is installed.
    """
    torch.set_num_threads(threads)
    plugins = plugins or host()
    run = set_up(plugins, Recipe.check(plugins, table, "the recipe"))
    (work, seconds), size = average_step(plugins, run), run.batches.batch_size
    weights = {name: count_parameters(part) for name, part in parts_of(run.networks).items()}
    return EntryCost(
        generator=weights["generator"],
        weights=sum(weights.values()),
        batch_size=size,
        multiply_adds=work / size,
        step_seconds=seconds,
        paint_seconds=seconds_to_paint(run.model, (run.prompts or ["a picture"])[0]),
        memory=most_memory(run.batches.device),
    )


def seconds_to_paint(model: Model, prompt: str) -> float:
    """Seconds to paint one image of a prompt: the median of several."""
    seconds = []
    for seed in range(WARM_UP + TIMED):
        start = time.perf_counter()
        model.paint_images([prompt], seed)
        seconds.append(time.perf_counter() - start)
    return median(seconds[WARM_UP:])


def measure_apart(table: Mapping[str, Any], threads: int, plugins: PluginHost) -> EntryCost | str:
    """The same in a new process, whose memory nothing else has used; or a sentence on why it cannot be measured."""
    carried = None if plugins is host() else plugins
    with ProcessPoolExecutor(1) as pool:
        try:
            return pool.submit(measure_entry, table, threads, carried).result()
        except BrokenProcessPool:
            return "its process died; is the memory used up?"
        except Exception as error:
            return cause(error)
