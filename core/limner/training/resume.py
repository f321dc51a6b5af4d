"""Resuming a training that was stopped or killed, or training a finished one further."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.files import reading
from limner.locks import claim
from limner.models.model import Model
from limner.models.run_folder import read_run
from limner.plugins import PluginHost, host
from limner.recipes.schema import Recipe
from limner.training.loop import run_training
from limner.training.processes import join_processes, on_main_process
from limner.training.run import Run, set_up
from limner.training.state import read_state

MAY_CHANGE = {
    "training": ("steps", "seconds", "preview_every", "checkpoint_every", "snapshots", "trackers"),
    "": ("title", "prompts", "metrics", "sampling"),
}
"""The keys of a recipe that may be changed when a run is resumed, by table."""


def resume(
    folder: str | Path,
    overrides: Sequence[str] = (),
    *,
    quiet: bool = False,
    callbacks: Sequence[object] | None = None,
    plugins: PluginHost | None = None,
) -> Model:
    """Continue the training of a run folder from where it was last saved.

    With the same versions, threads and machine, the weights are in the end those of a training that was never stopped,
    bit for bit.

    Args:
        folder: the run folder.
        overrides: changes to the recipe. A larger budget, such as `["training.steps=5000"]`, trains a finished run
            further; what depends on progress, such as the decay of the learning rates, follows the new budget.
        quiet: show no progress bar and no live pictures.
        callbacks: as in `limner.train`.
        plugins: the plugin host; by default everything that is installed.

    Returns:
        The trained model, as `limner.train` returns it.

    Raises:
        LimnerError: if the folder has no run or no state, or these are damaged; if another process uses it; if its
            training is finished; if something else in the recipe is changed; or if another process that trains the
            same model ends.
        DivergedError: if a loss or a weight is no longer finite.
    """
    folder, plugins = Path(folder), plugins or host()
    join_processes()
    with ExitStack() as stack:
        if folder.is_dir():
            on_main_process(lambda: stack.enter_context(claim(folder)))
        with reading(folder):
            saved = read_run(folder, plugins)
            state = read_state(folder)
        recipe = Recipe.read(plugins, saved.recipe.table(), overrides)
        if changed := sorted(changed_keys(saved.recipe.table(), recipe.table())):
            allowed = [f"{table}.{key}".lstrip(".") for table, keys in MAY_CHANGE.items() for key in keys]
            raise LimnerError(
                f"{', '.join(changed)} cannot be changed when a run is resumed, only {', '.join(allowed)}; "
                "train a new run instead."
            )
        run = set_up(plugins, recipe, folder, saved)
        check_budget(run, state)
        return run_training(plugins, run, callbacks, quiet, state)


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any], table: str = "") -> Iterator[str]:
    """The keys, such as "training.seed", that two recipes do not share, apart from those that may change."""
    for key in before.keys() | now.keys():
        one, other, name = before.get(key), now.get(key), f"{table}.{key}".lstrip(".")
        if one == other or key in MAY_CHANGE.get(table, ()):
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            yield from changed_keys(one, other, name)
        else:
            yield name


def check_budget(run: Run, state: Mapping[str, Any]) -> None:
    """Warn if the budget is another one than that of the state.

    Raises:
        LimnerError: if it is used up.
    """
    training = run.recipe.training
    used = state["step"] if training.steps else state["seconds"]
    if used >= (training.steps or training.seconds or 0):
        key = "steps" if training.steps else "seconds"
        raise LimnerError(
            f"{run.folder} has used its budget of {run.budget}; a larger one, such as --set "
            f"training.{key}={2 * used:.0f}, trains it further."
        )
    if state["budget"] != run.budget:
        warnings.warn(
            f"The budget is {run.budget} now, and was {state['budget']}: what depends on progress, such as the decay "
            "of the learning rates, follows the new one.",
            stacklevel=3,
        )
