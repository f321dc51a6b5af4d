"""Training every variant of a recipe on the same budget, one after the other, and measuring each."""

import json
import re
import shlex
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState

from limner.comparisons.kept_runs import with_kept_runs
from limner.comparisons.progress import ComparisonProgress
from limner.comparisons.provenance import machine, versions
from limner.comparisons.results import Comparison
from limner.comparisons.results_file import Results, RunResult
from limner.comparisons.variants import Variant, Vary, make_variants, text_of
from limner.errors import DivergedError, LimnerError
from limner.hooks import hookimpl
from limner.models.model import Model
from limner.plugins import PluginHost, host
from limner.recipes.merging import merge, resolve
from limner.recipes.schema import Recipe
from limner.training.callbacks import default_callbacks
from limner.training.loop import train
from limner.training.precision import precision_of
from limner.training.run import Run
from limner.types import Scores


def compare(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    vary: Vary,
    seeds: int = 3,
    *,
    steps: int | None = None,
    seconds: int | float | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    quiet: bool = False,
    plugins: PluginHost | None = None,
) -> Comparison:
    """Train every variant of a recipe on the same budget, with several seeds, and measure each by its data's metrics.

    All variants are checked before anything is trained. Then each is trained with seed 0, then each with seed 1, and
    so on. Variants that differ only in how images are sampled (`sampling.truncation`, ...) share one training and are
    measured separately. Called again with the same `out`, the comparison is resumed: finished runs are kept, and more
    seeds or further values add the missing ones.

    Args:
        recipe: a recipe's name, a TOML file, a dict, or a `Recipe`.
        vary: keys of the recipe and the values to compare, such as `{"encoder.name": ["mlp", "lstm"]}`; several
            keys give every combination. `{"recipe": ["scenes-64", "scenes-staged"]}` compares whole recipes.
        seeds: how many; each variant is trained with `training.seed` 0, 1, ...
        steps: the budget of each training in steps,
        seconds: or in seconds; by default the recipe's own.
        out: a folder for results.json, table.md, chart.png and the runs; by default nothing is written.
        overrides: changes to the recipe for all variants, such as `["training.batch_size=16"]`.
        quiet: show no progress bar.
        plugins: the plugin host; by default all that is installed.

    Returns:
        A frame with a row for each run, which plots itself. If interrupted (Ctrl-C), it has the finished runs.

    Raises:
        LimnerError: if a variant is wrong, before any work, or if `out` holds something else.
    """
    plugins, folder = plugins or host(), None if out is None else Path(out)
    if seeds < 1:
        raise LimnerError(f"seeds: expected how many to train each variant with, at least 1, got {seeds}.")
    if steps is not None and seconds is not None:
        raise LimnerError("Give the budget either in steps or in seconds, not in both.")
    budget = {unit: amount for unit, amount in (("steps", steps), ("seconds", seconds)) if amount is not None}
    variants, results = _plan(plugins, recipe, vary, seeds, budget, overrides)
    asked = [(variant, seed) for seed in range(seeds) for variant in variants]
    if folder:
        results = with_kept_runs(results, folder, {(variant.label, seed) for variant, seed in asked})
    _train_missing(plugins, results, asked, folder, quiet)
    comparison = Comparison.of(results)
    if folder and len(comparison):
        comparison.illustrate(folder)
    return comparison


def _plan(
    plugins: PluginHost,
    recipe: str | Path | Mapping[str, Any] | Recipe,
    vary: Vary,
    seeds: int,
    budget: Mapping[str, int | float],
    overrides: Sequence[str],
) -> tuple[list[Variant], Results]:
    """The variants, all of them checked, and the results without any run."""
    source = recipe.table() if isinstance(recipe, Recipe) else recipe
    name = "RECIPE" if isinstance(source, Mapping) else _portable(source)

    def table_of(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
        table = resolve(plugins, source, overrides)
        return merge(table, {"training": budget}) if budget else table

    base = table_of(source)
    variants = make_variants(plugins, base, vary, "the recipe" if name == "RECIPE" else name, table_of)
    training = variants[0].recipe.training
    return variants, Results(
        command="",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        source=name,
        overrides=list(overrides),
        vary={key: list(values) for key, values in vary.items()},
        seeds=seeds,
        budget={"steps": training.steps} if training.steps else {"seconds": cast(float, training.seconds)},
        recipe=base,
        recipes={str(value): table_of(value) for value in vary.get("recipe", ())},
        machine=machine(cast(torch.device, PartialState().device)),
        versions=versions(plugins),
        missing=len(variants) * seeds,
        runs=[],
    )


def _train_missing(
    plugins: PluginHost, results: Results, asked: Sequence[tuple[Variant, int]], folder: Path | None, quiet: bool
) -> None:
    """Train and measure the runs that are missing. Each is written as soon as it is finished."""
    missing = [(variant, seed) for variant, seed in asked if (variant.label, seed) not in results.finished]
    if not missing:
        return
    results.command = _command(results, folder)
    bar = ComparisonProgress(len(asked) - len(missing), len(asked), quiet)
    trainer = _Trainer(plugins, results, folder, bar)
    try:
        trainer.write()
        for variant, seed in missing:
            bar.begin(f"{variant.label}, seed {seed}")
            results.runs.append(trainer.run(variant, seed))
            results.missing -= 1
            trainer.write()
            bar.end()
    except KeyboardInterrupt:
        bar.close()
        finished = f"Stopped with {len(asked) - results.missing} of {len(asked)} runs finished"
        resume = f"; they are kept in {folder}, and the same command resumes the comparison." if folder else "."
        warnings.warn(finished + resume, stacklevel=3)
    finally:
        bar.close()


class _Trainer:
    """Trains and measures single runs. Runs that differ only in how images are sampled share one training."""

    def __init__(self, plugins: PluginHost, results: Results, folder: Path | None, bar: ComparisonProgress):
        self.plugins, self.results, self.folder, self.bar = plugins, results, folder, bar
        self.models: dict[str, Model] = {}  # by what their weights depend on

    def write(self) -> None:
        """Write the results, if there is a folder."""
        if self.folder:
            self.results.write(self.folder)

    def run(self, variant: Variant, seed: int) -> RunResult:
        """The run of a variant and a seed: trained, or sampled anew from a run with the same weights."""
        key = _weights_key(variant.settings, seed)
        for run in self.results.runs:
            if _weights_key(run.settings, run.seed) == key:
                return self._sample(variant, run, self.models.get(key))
        return self._train(variant, seed, key)

    def _train(self, variant: Variant, seed: int, key: str) -> RunResult:
        place = _free_place(variant.label, seed, self.results.runs)
        folder = self.folder / place if self.folder else None
        if folder and folder.exists():
            shutil.rmtree(folder)  # of a run that was stopped before it had a result
        kept, scores, problem = _KeptRun(), {}, None
        callbacks = [kept, self.bar, *default_callbacks(folder, quiet=True)]
        try:
            model = train(variant.recipe, folder, [f"training.seed={seed}"], callbacks=callbacks, plugins=self.plugins)
            if kept.run.interrupted:
                raise KeyboardInterrupt
            report = model.evaluate()
            scores = report.scores
            if folder:
                (folder / "scores.json").write_text(report.to_json())
            if any(map(_is_sampling, variant.settings)):
                self.models[key] = model
        except DivergedError as error:  # is a result, too
            problem = str(error).replace(str(folder), place) if folder else str(error)
        return _result(variant, seed, kept.run, scores, place if folder else None, problem)

    def _sample(self, variant: Variant, trained: RunResult, model: Model | None) -> RunResult:
        scores = {}
        if trained.problem is None:
            model = model or Model.load(cast(Path, self.folder) / cast(str, trained.folder), self.plugins)
            model.recipe = model.recipe.model_copy(update={"sampling": variant.recipe.sampling})
            scores = model.evaluate().scores
        return replace(trained, variant=variant.label, settings=variant.settings, scores=scores)


def _result(variant: Variant, seed: int, run: Run, scores: Scores, place: str | None, problem: str | None) -> RunResult:
    return RunResult(
        variant=variant.label,
        settings=variant.settings,
        seed=seed,
        steps=run.step,
        seconds=round(run.seconds, 3),
        images_per_second=round(run.images / run.seconds, 1) if run.seconds else 0.0,
        precision=precision_of(run.recipe.training, run.batches.device),
        scores=scores,
        folder=place,
        problem=problem,
    )


class _KeptRun:
    """Keeps the `Run` of a training, which has its steps and seconds even if training diverges."""

    run: Run

    @hookimpl
    def limner_training_started(self, run: Run) -> None:
        self.run = run


def _is_sampling(key: str) -> bool:
    """Whether a key of the recipe says how images are sampled, so that no training depends on it."""
    return key.split(".")[0] == "sampling"


def _weights_key(settings: Mapping[str, Any], seed: int) -> str:
    """What the weights of a run depend on: its seed, and its settings apart from those of sampling."""
    return json.dumps([{key: value for key, value in settings.items() if not _is_sampling(key)}, seed])


def _free_place(label: str, seed: int, runs: Sequence[RunResult]) -> str:
    """The folder of a run within that of the comparison: a name that every file system allows and no run has."""
    name = re.sub(r"[^\w.+-]+", "-", label.lower()).strip("-.")[:60] or "variant"
    places = chain([f"runs/{name}-{seed}"], (f"runs/{name}-{number}-{seed}" for number in count(2)))
    taken = {run.folder for run in runs}
    return next(place for place in places if place not in taken)


def _command(results: Results, folder: Path | None) -> str:
    """The command that makes these results, even if they are made in Python."""
    words = ["limner", "compare", results.source]
    for change in results.overrides:
        words += ["--set", change]
    for key, values in results.vary.items():
        words += ["--vary", f"{key}={','.join(map(text_of, values))}"]
    words += ["--seeds", str(results.seeds)]
    for unit, amount in results.budget.items():
        words += [f"--{unit}", f"{amount:.10g}"]
    return shlex.join(words + (["--out", _portable(folder)] if folder else []))


def _portable(path: str | Path) -> str:
    """A path that reads the same on any machine: as given, or relative to the working folder if it is absolute."""
    path = Path(path)
    if path.is_absolute():
        path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else Path(path.name)
    return path.as_posix()
