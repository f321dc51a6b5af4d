"""One run of a comparison: a training, or a run that is sampled anew, and its scores."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

from limner.comparisons.results_file import Results, RunResult, free_place, is_sampling, weights_key
from limner.comparisons.variants import Variant
from limner.errors import DivergedError, LimnerError
from limner.files import replace_file
from limner.hooks import hookimpl
from limner.locks import claim
from limner.models.model import Model
from limner.models.run_files import SCORES_FILE
from limner.models.run_folder import read_run
from limner.plugin_checks import cause
from limner.plugins import PluginHost
from limner.recipes.schema import Recipe
from limner.training.callbacks import default_callbacks
from limner.training.loop import run_training, train
from limner.training.run import Run, set_up
from limner.training.state import read_state
from limner.types import Scores


class Trainer:
    """Trains and measures single runs. Runs that differ only in how images are sampled share one training."""

    def __init__(
        self,
        plugins: PluginHost,
        results: Results,
        folder: Path | None,
        callbacks: Sequence[object] = (),
        keep_going: bool = False,
    ):
        """
        Args:
            plugins: the plugin host.
            results: with the runs so far.
            folder: of the comparison.
            callbacks: of every training.
            keep_going: whether a run that fails with any error is a result; otherwise only one that diverges is.
        """
        self.plugins, self.results, self.folder, self.callbacks = plugins, results, folder, callbacks
        self.keep_going = keep_going
        self.models: dict[str, Model] = {}  # by what their weights depend on

    def run(self, variant: Variant, seed: int, place: str | None = None) -> RunResult:
        """The run of a variant and a seed: trained, or sampled anew from a run with the same weights.

        `place`: its folder within that of the comparison; by default one that no run has yet.
        """
        key = weights_key(variant.settings, seed)
        for run in self.results.runs:
            if weights_key(run.settings, run.seed) == key:
                return self._sample(variant, run, self.models.get(key))
        return self._train(variant, seed, key, place or free_place(variant.label, seed, self.results.runs))

    def _train(self, variant: Variant, seed: int, key: str, place: str) -> RunResult:
        folder = self.folder / place if self.folder else None
        project = self.folder.resolve().name if self.folder else Path(self.results.source).stem
        kept, scores, problem = _KeptRun(project, f"{variant.label}, seed {seed}"), {}, None
        callbacks = [kept, *self.callbacks, *default_callbacks(folder, quiet=True)]
        try:
            recipe = Recipe.read(self.plugins, variant.recipe.table(), [f"training.seed={seed}"])
            if folder:
                model = train_the_rest(recipe, folder, callbacks, self.plugins)  # of a run that was stopped
            else:
                model = train(recipe, callbacks=callbacks, plugins=self.plugins)
            if kept.run and kept.run.interrupted:
                raise KeyboardInterrupt
            report = model.evaluate()
            scores = report.scores
            if folder:
                replace_file(folder / SCORES_FILE, report.to_json().encode())
            if any(map(is_sampling, variant.settings)):
                self.models[key] = model
                model.trackers = []  # they have the scores of this variant
        except Exception as error:
            if not (self.keep_going or isinstance(error, DivergedError)):  # diverging is a result, too
                raise
            problem = str(error) if isinstance(error, LimnerError) else f"{cause(error)}."
            problem = problem.replace(str(folder), place) if folder else problem
        if kept.run is None:
            return RunResult.failed(variant.label, variant.settings, seed, problem or "")
        return _result(variant, seed, kept.run, scores, place if folder else None, problem)

    def _sample(self, variant: Variant, trained: RunResult, model: Model | None) -> RunResult:
        scores = {}
        if trained.problem is None:
            model = model or Model.load(cast(Path, self.folder) / cast(str, trained.folder), self.plugins)
            model.recipe = model.recipe.model_copy(update={"sampling": variant.recipe.sampling})
            scores = model.evaluate().scores
        return replace(trained, variant=variant.label, settings=variant.settings, scores=scores)


def train_the_rest(recipe: Recipe, folder: Path, callbacks: Sequence[object], plugins: PluginHost) -> Model:
    """Train by a recipe into a folder. If that holds a part of just this training, or all of it, train only the rest.

    Anything else in the folder is removed.

    Raises:
        LimnerError: if the recipe or the data are wrong, or another process uses the folder.
        DivergedError: if a loss or a weight is no longer finite.
    """
    with ExitStack() as stack:
        if folder.is_dir():
            stack.enter_context(claim(folder))
        try:
            saved, state = read_run(folder, plugins), read_state(folder)
        except LimnerError:  # there is none, or it is damaged
            saved, state = None, {}
        if saved and saved.recipe.table() == recipe.table():
            return run_training(plugins, set_up(plugins, recipe, folder, saved), callbacks, True, state)
    if folder.exists():
        shutil.rmtree(folder)
    return train(recipe, folder, quiet=True, callbacks=callbacks, plugins=plugins)


def _result(variant: Variant, seed: int, run: Run, scores: Scores, place: str | None, problem: str | None) -> RunResult:
    return RunResult(
        variant=variant.label,
        settings=variant.settings,
        seed=seed,
        steps=run.step,
        seconds=round(run.seconds, 3),
        images_per_second=round(run.images / run.seconds, 1) if run.seconds else 0.0,
        precision=run.precision,
        scores=scores,
        folder=place,
        problem=problem,
    )


class _KeptRun:
    """Keeps the `Run` of a training, which has its steps and seconds even if training fails.

    Trackers get the name that the run has in the comparison.
    """

    run: Run | None = None  # until training starts

    def __init__(self, project: str, name: str):
        self.project, self.name = project, name

    @hookimpl(tryfirst=True)
    def limner_training_started(self, run: Run) -> None:
        self.run = run
        run.project, run.name = self.project, self.name


def run_group(
    group: Sequence[tuple[Variant, int]],
    place: str,
    results: Results,
    folder: Path | None,
    plugins: PluginHost,
    keep_going: bool = False,
) -> list[RunResult]:
    """Train and measure runs that share their weights; `place`: the folder of their training."""
    trainer, before = Trainer(plugins, results, folder, keep_going=keep_going), len(results.runs)
    for variant, seed in group:
        results.runs.append(trainer.run(variant, seed, place))
    return results.runs[before:]
