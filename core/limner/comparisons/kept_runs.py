"""Resuming a comparison: the runs that its folder holds already, if they belong to the same comparison."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from limner.comparisons.results_file import RESULTS_FILE, Results, read_results
from limner.comparisons.variants import text_of
from limner.errors import LimnerError
from limner.files import free_folder
from limner.recipes.merging import spelled_out


def with_kept_runs(results: Results, folder: Path, asked: Set[tuple[str, int]], retry: bool = False) -> Results:
    """The results with the runs that the folder holds already.

    Args:
        results: of the comparison that is asked for, without runs.
        folder: of the comparison; it may hold other variants and seeds of it.
        asked: variant and seed of each run that is asked for.
        retry: forget those of them that failed, and the recipes that no other run has, since these may be corrected.

    Raises:
        LimnerError: if the folder holds anything else.
    """
    if not (folder / RESULTS_FILE).exists():
        free_folder(folder)
        return results
    kept = read_results(folder)
    if retry:
        _forget_failed(kept, asked)
    missing = asked - kept.finished
    shared = sorted(kept.recipes.keys() & results.recipes.keys())
    resumes = bool(missing and kept.runs)
    asked_for = Results.from_json(json.loads(json.dumps(results.to_json())))  # tuples become lists, as in the file
    both = kept.versions.get("plugins", {}).keys() & results.versions["plugins"].keys()
    one, other = (_identity(part, shared, both, resumes) for part in (kept, asked_for))
    if difference := _difference(one, other):
        raise LimnerError(f"{folder} holds another comparison: {difference}; name another folder.")
    if not missing:
        return replace(kept, missing=0)
    machines = _with_machine(kept, asked_for.machine, {seed for _, seed in missing}, folder) if resumes else {}
    vary = {
        key: _distinct([*(run.settings[key] for run in kept.runs), *values]) for key, values in results.vary.items()
    }
    seeds = max([results.seeds, *(run.seed + 1 for run in kept.runs)])
    recipes = kept.recipes | results.recipes
    return replace(results, vary=vary, recipes=recipes, seeds=seeds, missing=len(missing), runs=kept.runs, **machines)


def _with_machine(kept: Results, here: dict[str, Any], seeds: Set[int], folder: Path) -> dict[str, Any]:
    """The machines of the results, if this one trains what is missing of these seeds.

    Raises:
        LimnerError: if another machine has trained a part of them. Its runs could not be compared with those from here.
    """
    begun = {run.seed for run in kept.runs}
    for seed in sorted(seeds & begun):
        if difference := _difference(kept.machine_of(seed), here, "machine"):
            raise LimnerError(
                f"{folder} holds runs with seed {seed} from another machine: {difference}. All runs of a seed come "
                "from one machine; go on there, ask for more seeds, or name another folder."
            )
    others = {seed: about for seed, about in kept.other_machines.items() if int(seed) in begun}
    new = {str(seed): here for seed in sorted(seeds - begun) if here != kept.machine}
    return {"machine": kept.machine, "other_machines": others | new}


def _forget_failed(kept: Results, asked: Set[tuple[str, int]]) -> None:
    """Remove the failed runs that are asked for, and recipes of which no run is left."""
    failed = [run for run in kept.runs if run.problem and run.key in asked]
    kept.runs = [run for run in kept.runs if run not in failed]
    left = {str(run.settings.get("recipe")) for run in kept.runs}
    gone = {str(run.settings.get("recipe")) for run in failed} - left
    kept.recipes = {name: table for name, table in kept.recipes.items() if name not in gone}


def _identity(results: Results, shared: Sequence[str], plugins: Set[str], resumes: bool) -> dict[str, Any]:
    """What must be equal in two parts of one comparison, which share these recipes and these plugins.

    Versions only matter if training resumes.
    """
    of_plugins = results.versions.get("plugins", {})
    versions = results.versions | {"plugins": {name: of_plugins[name] for name in sorted(plugins)}}
    return {
        "recipe": spelled_out(results.recipe),  # keys of older recipes get their new names
        "recipes": {name: spelled_out(results.recipes[name]) for name in shared},
        "varied": " and ".join(results.vary),
        **({"versions": versions} if resumes else {}),
    }


def _difference(kept: Any, asked: Any, place: str = "") -> str | None:
    """The first place where two tables differ, in words."""
    if isinstance(kept, Mapping) and isinstance(asked, Mapping):
        both = ((key, kept.get(key), asked.get(key)) for key in dict.fromkeys([*kept, *asked]))
        found = (_difference(one, other, f"{place}.{key}" if place else key) for key, one, other in both)
        return next((difference for difference in found if difference), None)
    words = ["not given" if value is None else text_of(value) for value in (kept, asked)]
    return None if kept == asked else f"{place} is {words[0]} there and {words[1]} here"


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value not in values[:place]]
