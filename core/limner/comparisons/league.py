"""The league: recipes trained on equal budgets and seeds, judged alike, with what each of them costs."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.comparisons.league_table import League, read_league_file
from limner.comparisons.measure_entry import measure_apart
from limner.comparisons.provenance import machine
from limner.comparisons.results import require_known
from limner.comparisons.results_file import Results
from limner.comparisons.train_variants import compare, portable
from limner.comparisons.variants import text_of
from limner.errors import LimnerError, nearest, shortened
from limner.locks import claim
from limner.models.trial import try_metric_of_images, try_metrics
from limner.plugins import PluginHost, host
from limner.recipes.merging import resolve
from limner.recipes.nearest_recipe import flat
from limner.recipes.schema import Recipe
from limner.shell import shell_join

SCENES, REFERENCE = "scenes", "scenes-64"
"""The usual league, and the entry that the others of it are compared with."""
SHARED = ("image_size", "data", "metrics", "prompts", "sampling")
"""The tables and keys of a recipe in which all entries agree."""
FROM_DATA = ("image_size", "data", "metrics", "prompts", "text")
"""What `data_of` takes from a recipe."""


def league(
    entries: Sequence[str] = (),
    seeds: int = 3,
    *,
    out: str | Path,
    name: str = SCENES,
    reference: str | None = None,
    steps: int = 2400,
    data_of: str | None = None,
    overrides: Sequence[str] = (),
    quality: str | None = None,
    quiet: bool = False,
    jobs: int = 1,
    plugins: PluginHost | None = None,
) -> League:
    """Train recipes on equal budgets and seeds, judge them alike, and measure what each costs.

    It is a `limner.compare` of whole recipes: all of them are checked before anything is trained, each is trained with
    seed 0 before any with seed 1, and called again with the same `out`, it is resumed. A run that fails is reported,
    the others go on, and the next call tries it again. Costs are measured after the trainings, each recipe in a process
    of its own.

    Args:
        entries: recipes by name or file; by default those that the installed plugins name for this league.
        seeds: how many; each entry is trained with `training.seed` 0, 1, ...
        out: a folder for table.md, chart.png, painted.png, results.json, league.json, pictures and the runs.
        name: of the league.
        reference: the entry that the others are compared with; it is trained as well. By default `scenes-64` in the
            league "scenes", and the first entry in any other.
        steps: of each training.
        data_of: a recipe; all entries train on its data, with its image size, length of captions, prompts and metrics.
            A metric by which models would judge themselves is left out, with a note.
        overrides: changes to all entries, such as `["data.root=nlvr"]`.
        quality: the score by which entries are ordered; by default "trained/exact" if there is one, or else the first.
        quiet: show no progress bar.
        jobs: how many runs are trained at the same time, as in `limner.compare`.
        plugins: the plugin host; by default all that is installed.

    Raises:
        LimnerError: before any work, if a recipe or a score is wrong or unknown, if entries differ in their data, sizes
            or metrics, or if `out` holds something else, such as this league with other steps or other recipes.
    """
    plugins, folder = plugins or host(), Path(out)
    entries = list(entries) or entries_of(plugins, name)
    reference = reference or (REFERENCE if name == SCENES else entries[0])
    entries = list(dict.fromkeys([reference, *entries]))
    changes = [*(_data_of(plugins, data_of, reference, overrides) if data_of else ()), *overrides]
    check_alike(plugins, entries, changes)
    if quality and (known := try_metrics(plugins, Recipe.read(plugins, reference, changes))):
        require_known([quality], list(known))
    vary, more = {"recipe": entries}, {"overrides": changes, "quiet": quiet, "jobs": jobs, "plugins": plugins}
    found = compare(reference, vary, seeds, steps=steps, out=folder, keep_going=True, **more)
    results = found.results
    results.command = _command(results, name, folder, jobs)
    with claim(folder):
        results.write(folder)
        before = read_league_file(folder)
        made = League.of(results, folder, **before | {"reference": reference, "quality": quality or before["quality"]})
        if not results.missing and (unknown := _without_costs(results, made)):
            threads = results.machine["threads"]
            costs = {name: measure_apart(results.recipes[name], threads, plugins) for name in unknown}
            made = made.with_costs(costs, machine() | {"threads": threads})
        if results.runs:
            made.write(folder)
    return made


def entries_of(plugins: PluginHost, name: str) -> list[str]:
    """The recipes that plugins name for a league.

    Raises:
        LimnerError: if there is no such league.
    """
    leagues = {recipe: str(component.value) for recipe, component in plugins.components("league entry").items()}
    if name not in leagues.values():
        known = sorted(set(leagues.values()))
        raise LimnerError(
            f"There is no league '{name}'{nearest(name, known)}; there is {', '.join(known) or 'none'}. "
            f"Name the recipes to compare, or a league.{plugins.problems()}"
        )
    return [recipe for recipe, league_name in leagues.items() if league_name == name]


def check_alike(plugins: PluginHost, entries: Sequence[str], changes: Sequence[str]) -> None:
    """Check that all entries train on the same data, with images and batches of the same size, and the same metrics.

    Raises:
        LimnerError: for the first entry that does not, or that is no recipe.
    """
    shared = {name: _shared(plugins, name, changes) for name in entries}
    first = entries[0]
    for name in entries[1:]:
        for key in dict.fromkeys([*shared[first], *shared[name]]):
            one, other = (shared[entry].get(key) for entry in (name, first))
            if one != other:
                words = ["not given" if value is None else shortened(text_of(value), 80) for value in (one, other)]
                raise LimnerError(
                    f"The league cannot compare '{name}' with '{first}': {key} is {words[0]} in the one and {words[1]} "
                    f"in the other. Leave '{name}' out, or give both the same with --set {key}=VALUE."
                )


def _without_costs(results: Results, made: League) -> list[str]:
    """The trained entries whose costs have not been measured yet."""
    trained = {run.variant for run in results.runs if not run.problem}
    return [name for name in results.vary["recipe"] if name in trained and name not in made.costs]


def _shared(plugins: PluginHost, name: str, changes: Sequence[str]) -> dict[str, object]:
    """What an entry has in the keys that all entries share, flat."""
    table = Recipe.check(plugins, resolve(plugins, name, changes), name).table()
    size = table["training"]["batch_size"]
    return flat({key: table[key] for key in SHARED if key in table}) | {"training.batch_size": size}


def _data_of(plugins: PluginHost, name: str, reference: str, overrides: Sequence[str]) -> list[str]:
    """The changes that give any recipe the data of this one, with what depends on the data."""
    table = resolve(plugins, name)
    changes = {key: f"{key}={text_of(table[key])}" for key in FROM_DATA if key in table}
    if "metrics" in table:
        recipe = Recipe.read(plugins, reference, [*changes.values(), *overrides])
        changes["metrics"] = f"metrics={text_of(_of_images(plugins, recipe, table['metrics']))}"
    return list(changes.values())


def _of_images(plugins: PluginHost, recipe: Recipe, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics that need no more of a model than that it paints. Those that ask it to match or to caption images
    differ in the judge, and some entries cannot do it.

    Raises:
        LimnerError: if there are only others.
    """
    problems: dict[str, LimnerError] = {}
    for metric in metrics:
        try:
            try_metric_of_images(plugins, recipe, metric)
        except LimnerError as error:
            problems[metric] = error
    if problems and len(problems) == len(metrics):
        raise next(iter(problems.values()))
    for metric, problem in problems.items():
        warnings.warn(f"This league leaves out the metric '{metric}'. {problem}", stacklevel=4)
    return {metric: options for metric, options in metrics.items() if metric not in problems}


def _command(results: Results, name: str, folder: Path, jobs: int) -> str:
    """The command that makes these results, even if they are made in Python."""
    words = ["limner", "league", *results.vary["recipe"], "--reference", results.source]
    words += ["--league", name, "--seeds", str(results.seeds), "--steps", str(results.budget["steps"])]
    for change in results.overrides:
        words += ["--set", change]
    return shell_join([*words, "--jobs", str(jobs), "--out", portable(folder)])
