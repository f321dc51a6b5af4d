"""Training every variant of a recipe on the same budget, and measuring each."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from limner.comparisons.kept_runs import with_kept_runs
from limner.comparisons.painted_rows import paint_missing_rows
from limner.comparisons.parallel import run_in_parallel, threads_of
from limner.comparisons.progress import ComparisonProgress
from limner.comparisons.provenance import machine, versions
from limner.comparisons.results import Comparison
from limner.comparisons.results_file import RESULTS_FILE, Results, RunResult
from limner.comparisons.trainer import Trainer, run_group
from limner.comparisons.variants import Variant, Vary, make_variants, text_of
from limner.errors import LimnerError
from limner.files import free_folder, reading
from limner.locks import claim
from limner.models.run_files import STATE_FILE
from limner.models.trial import try_metrics
from limner.plugins import PluginHost, host
from limner.recipes.merging import merge, resolve
from limner.recipes.schema import Recipe
from limner.shell import shell_join
from limner.training.signals import as_interrupts


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
    jobs: int = 1,
    keep_going: bool = False,
    plugins: PluginHost | None = None,
) -> Comparison:
    """Train every variant of a recipe on the same budget, with several seeds, and measure each by its data's metrics.

    All variants, and whether their metrics can measure them, are checked before anything is trained. Then each is
    trained with seed 0, then each with seed 1, and so on. Variants that differ only in how images are sampled
    (`sampling.truncation`, ...) share one training and are measured separately. Called again with the same `out`, the
    comparison is resumed: finished runs are kept, and more seeds or further values add the missing ones.

    Args:
        recipe: a recipe's name, a TOML file, a dict, or a `Recipe`.
        vary: keys of the recipe and the values to compare, such as `{"encoder.name": ["mlp", "lstm"]}`; several
            keys give every combination. `{"recipe": ["scenes-64", "scenes-staged"]}` compares whole recipes.
        seeds: how many; each variant is trained with `training.seed` 0, 1, ...
        steps: the budget of each training in steps,
        seconds: or in seconds; by default the recipe's own.
        out: a folder for results.json, table.md, chart.png, pictures and the runs; by default nothing is written.
        overrides: changes to the recipe for all variants, such as `["training.batch_size=16"]`.
        quiet: show no progress bar.
        jobs: how many runs are trained at the same time, each by a process of its own with its share of the cores
            (joblib's default, or the backend that `joblib.parallel_config` sets, such as a Dask cluster).
        keep_going: a run that fails with any error is a result, as one that diverges is anyway, and the others are
            trained. Called again, the failed runs are tried again.
        plugins: the plugin host; by default all that is installed.

    Returns:
        A frame with a row for each run, which plots itself. If interrupted (Ctrl-C), it has the finished runs.

    Raises:
        LimnerError: if a variant is wrong, before any work, if `out` holds something else or cannot be written, or if
            another process adds to it.
    """
    plugins, folder = plugins or host(), None if out is None else Path(out)
    if jobs < 1:
        raise LimnerError(f"jobs: expected how many runs are trained at the same time, at least 1, got {jobs}.")
    if seeds < 1:
        raise LimnerError(f"seeds: expected how many to train each variant with, at least 1, got {seeds}.")
    if steps is not None and seconds is not None:
        raise LimnerError("Give the budget either in steps or in seconds, not in both.")
    budget = {unit: amount for unit, amount in (("steps", steps), ("seconds", seconds)) if amount is not None}
    variants, results = _plan(plugins, recipe, vary, seeds, budget, overrides)
    if jobs > 1:
        results.machine["threads"] = threads_of(jobs)
    asked = [(variant, seed) for seed in range(seeds) for variant in variants]
    with ExitStack() as stack:
        if folder:
            with reading(folder):
                if not (folder / RESULTS_FILE).exists():
                    free_folder(folder)
            stack.enter_context(claim(folder))  # another process that adds to it meanwhile would be overwritten
            keys = {(variant.label, seed) for variant, seed in asked}
            results = with_kept_runs(results, folder, keys, retry=keep_going)
        if results.missing:
            _try_metrics(plugins, variants)
        _train_missing(plugins, results, asked, folder, quiet, jobs, keep_going)
        comparison = Comparison.of(results, folder)
        if folder and len(comparison):
            comparison.illustrate(folder)
            paint_missing_rows(results, folder, plugins)
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
    name = "RECIPE" if isinstance(source, Mapping) else portable(source)

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
        machine=machine(),
        versions=versions(plugins),
        missing=len(variants) * seeds,
        runs=[],
    )


def _try_metrics(plugins: PluginHost, variants: Sequence[Variant]) -> None:
    """Try the metrics of all variants; those that differ in nothing that a metric can see are tried once."""
    seen = set()
    for variant in variants:
        table = variant.recipe.table()
        parts = {key: table.get(key) for key in ("image_size", "data", "metrics", "sampling")}
        key = json.dumps([parts, list(variant.recipe.losses)], default=str)
        if key not in seen:
            seen.add(key)
            try:
                try_metrics(plugins, variant.recipe)
            except LimnerError as error:
                raise LimnerError(f"{variant.label}: {error}") from None


def _train_missing(
    plugins: PluginHost,
    results: Results,
    asked: Sequence[tuple[Variant, int]],
    folder: Path | None,
    quiet: bool,
    jobs: int,
    keep_going: bool,
) -> None:
    """Train and measure the runs that are missing. Each is written as soon as it is finished."""
    missing = [(variant, seed) for variant, seed in asked if (variant.label, seed) not in results.finished]
    if not missing:
        return
    results.command = _command(results, folder)
    bar = ComparisonProgress(len(asked) - len(missing), len(asked), quiet)
    if jobs == 1:
        train_all = partial(run_in_turn, keep_going=keep_going)
    else:
        train_all = partial(run_in_parallel, jobs=jobs, run_group=run_group, keep_going=keep_going)
    try:
        with as_interrupts():  # so that processes which were started end, too
            _write(results, folder)
            for run in train_all(plugins, results, missing, folder, bar):
                results.runs.append(run)
                results.missing -= 1
                _write(results, folder)
                if folder and run.folder:  # it is large, and a run whose result is written needs it no more
                    (folder / run.folder / STATE_FILE).unlink(missing_ok=True)
                bar.end()
    except KeyboardInterrupt:
        bar.close()
        finished = f"Stopped with {len(asked) - results.missing} of {len(asked)} runs finished"
        resume = f"; they are kept in {folder}, and the same command resumes the comparison." if folder else "."
        warnings.warn(finished + resume, stacklevel=3)
    finally:
        bar.close()


def _write(results: Results, folder: Path | None) -> None:
    """Write the results, if there is a folder."""
    if folder:
        results.write(folder)


def run_in_turn(
    plugins: PluginHost,
    results: Results,
    missing: Sequence[tuple[Variant, int]],
    folder: Path | None,
    bar: ComparisonProgress,
    keep_going: bool,
) -> Iterator[RunResult]:
    """The missing runs, one after the other."""
    trainer = Trainer(plugins, results, folder, [bar], keep_going)
    for variant, seed in missing:
        bar.begin(f"{variant.label}, seed {seed}")
        yield trainer.run(variant, seed)


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
    return shell_join(words + (["--out", portable(folder)] if folder else []))


def portable(path: str | Path) -> str:
    """A path that reads the same on any machine: as given, or relative to the working folder if it is absolute."""
    path = Path(path)
    if path.is_absolute():
        path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else Path(path.name)
    return path.as_posix()
