"""Comparing variants of a recipe: each is trained on the same budget, one after the other, and measured alike."""

import json
import re
import shlex
import shutil
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState

from limner.comparisons.progress import WholeBar
from limner.comparisons.provenance import machine, versions
from limner.comparisons.results import RESULTS_FILE, Comparison, read_results
from limner.comparisons.variants import Variant, Vary, make_variants, text_of
from limner.errors import DivergedError, LimnerError
from limner.files import free_folder, replace_file
from limner.models.model import Model
from limner.plugins import PluginHost, host
from limner.recipes.merging import merge, resolve
from limner.recipes.schema import Recipe
from limner.training.callbacks import default_callbacks
from limner.training.loop import precision_of, train


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
    """Train every variant of a recipe on one equal budget, with several seeds, and measure each by its data's metrics.

    Variants that differ only in how images are sampled (`sampling.truncation`, ...) are trained once and measured each.

    All variants are checked before anything is trained. Then each is trained with the seed 0, then each with 1, and so
    on. Called again with the same `out`, it keeps what is finished and goes on with the rest; more seeds or
    further values add the runs that are missing.

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
        A frame with a row for each run, which plots itself. Interrupted (Ctrl-C), it has those that were finished.

    Raises:
        LimnerError: where a variant is wrong, before any work; or when `out` holds something else.
    """
    plugins = plugins or host()
    if seeds < 1:
        raise LimnerError(f"seeds: expected how many to train each variant with, at least 1, got {seeds}.")
    if steps is not None and seconds is not None:
        raise LimnerError("Give the budget either in steps or in seconds, not in both.")
    source = recipe.table() if isinstance(recipe, Recipe) else recipe
    name = "RECIPE" if isinstance(source, Mapping) else _portable(source)

    def base_of(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
        table = resolve(plugins, source, overrides)
        for unit, budget in (("steps", steps), ("seconds", seconds)):
            if budget is not None:
                table = merge(table, {"training": {unit: budget}})
        return table

    base = base_of(source)
    variants = make_variants(plugins, base, vary, "the recipe" if name == "RECIPE" else name, base_of)
    training = variants[0].recipe.training
    results = {
        "command": "",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": name,
        "overrides": list(overrides),
        "vary": {key: list(values) for key, values in vary.items()},
        "seeds": seeds,
        "budget": {"steps": training.steps} if training.steps else {"seconds": training.seconds},
        "recipe": base,
        "recipes": {str(value): base_of(value) for value in vary.get("recipe", ())},
        "machine": machine(cast(torch.device, PartialState().device)),
        "versions": versions(plugins),
        "missing": len(variants) * seeds,
        "runs": [],
    }
    folder = None if out is None else Path(out)
    results = _with_kept(folder, results, {(v.label, seed) for v in variants for seed in range(seeds)})
    _train_missing(plugins, results, variants, seeds, folder, quiet)
    comparison = Comparison.of(results)
    if folder is not None and len(comparison):
        comparison.illustrate(folder)
    return comparison


def _with_kept(folder: Path | None, results: dict[str, Any], asked: set[tuple[str, int]]) -> dict[str, Any]:
    """The results with the runs that the folder keeps of the same comparison; anything else there is refused."""
    if folder is None:
        return results
    if not (folder / RESULTS_FILE).exists():
        free_folder(folder)
        return results
    kept = read_results(folder)
    made = {(run["variant"], run["seed"]) for run in kept["runs"]}
    missing = len(asked - made)
    whole = {"recipes": {}} | kept
    both = whole["recipes"].keys() & results["recipes"].keys()

    def same(comparison: Mapping[str, Any]) -> dict[str, Any]:
        """What must be the same; another machine or version only matters where something is yet to be trained."""
        versions = {name: version for name, version in comparison["versions"].items() if name != "plugins"}
        conditions = {"machine": comparison["machine"], "versions": versions} if missing and made else {}
        recipes = {name: comparison["recipes"][name] for name in sorted(both)}
        varied = " and ".join(comparison["vary"])
        return {"recipe": comparison["recipe"], "recipes": recipes, "varied": varied, **conditions}

    if difference := _difference(same(whole), same(json.loads(json.dumps(results)))):
        raise LimnerError(f"{folder} holds another comparison: {difference}; name another folder.")
    if not missing:
        return kept | {"missing": 0}
    vary = {
        key: _distinct([*(run["settings"][key] for run in kept["runs"]), *values])
        for key, values in results["vary"].items()
    }
    seeds = max([results["seeds"], *(run["seed"] + 1 for run in kept["runs"])])
    recipes = whole["recipes"] | results["recipes"]
    return results | {"vary": vary, "recipes": recipes, "seeds": seeds, "missing": missing, "runs": kept["runs"]}


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def _difference(kept: Any, asked: Any, place: str = "") -> str | None:
    """The first place where two tables differ, in words."""
    if isinstance(kept, Mapping) and isinstance(asked, Mapping):
        both = ((key, kept.get(key), asked.get(key)) for key in dict.fromkeys([*kept, *asked]))
        found = (_difference(one, other, f"{place}.{key}" if place else key) for key, one, other in both)
        return next((difference for difference in found if difference), None)
    words = ["not given" if value is None else text_of(value) for value in (kept, asked)]
    return None if kept == asked else f"{place} is {words[0]} there and {words[1]} here"


def _train_missing(
    plugins: PluginHost, results: dict[str, Any], variants: list[Variant], seeds: int, folder: Path | None, quiet: bool
) -> None:
    """Train and measure what is missing, all variants with one seed and then with the next; each is kept at once."""
    made = {(run["variant"], run["seed"]) for run in results["runs"]}
    asked = [(variant, seed) for seed in range(seeds) for variant in variants]
    missing = [(variant, seed) for variant, seed in asked if (variant.label, seed) not in made]
    if not missing:
        return
    results["command"] = _command(results, folder)
    bar = WholeBar(len(asked) - len(missing), len(asked), quiet)
    models: dict[str, Model] = {}
    try:
        for variant, seed in missing:
            _keep(results, folder)
            bar.begin(f"{variant.label}, seed {seed}")
            weights = _weights(variant.settings, seed)
            twins = [run for run in results["runs"] if _weights(run["settings"], run["seed"]) == weights]
            if twins:
                run = _sample(plugins, variant, twins[0], models.get(weights), folder)
            else:
                place = _place(variant.label, seed, results["runs"])
                run = _train(plugins, variant, seed, place, folder, bar)
                if any(map(_samples, variant.settings)):
                    models[weights] = bar.run.model
            results["runs"].append(run)
            results["missing"] -= 1
            bar.end()
    except KeyboardInterrupt:
        bar.close()
        finished = f"Stopped with {len(asked) - results['missing']} of {len(asked)} runs finished"
        goes_on = f"; they are kept in {folder}, and the same command goes on with the rest." if folder else "."
        warnings.warn(finished + goes_on, stacklevel=3)
    finally:
        bar.close()
    _keep(results, folder)


def _train(
    plugins: PluginHost, variant: Variant, seed: int, place: str, out: Path | None, bar: WholeBar
) -> dict[str, Any]:
    """One run: trained, measured, and described."""
    folder = None if out is None else out / place
    if folder is not None and folder.exists():
        shutil.rmtree(folder)  # half made: it has no result
    scores: dict[str, float] = {}
    problem: dict[str, str] = {}
    try:
        callbacks = [bar, *default_callbacks(folder, quiet=True)]
        model = train(variant.recipe, folder, [f"training.seed={seed}"], callbacks=callbacks, plugins=plugins)
        if bar.run.interrupted:
            raise KeyboardInterrupt
        report = model.evaluate()
        scores = report.scores
        if folder is not None:
            (folder / "scores.json").write_text(report.to_json())
    except DivergedError as error:  # a result, too
        problem = {"problem": str(error).replace(str(folder), place) if folder else str(error)}
    run = bar.run
    return {
        "variant": variant.label,
        "settings": variant.settings,
        "seed": seed,
        "steps": run.step,
        "seconds": round(run.seconds, 3),
        "images/s": round(run.images / run.seconds, 1) if run.seconds else 0.0,
        "precision": precision_of(run.recipe.training, run.batches.device),
        "scores": scores,
        "folder": None if out is None else place,
        **problem,
    }


def _samples(key: str) -> bool:
    """Whether a key of a recipe says how images are sampled, so that no training depends on it."""
    return key.split(".")[0] == "sampling"


def _weights(settings: Mapping[str, Any], seed: int) -> str:
    """What a run's weights depend on: its settings but those of sampling, and its seed."""
    return json.dumps([{key: value for key, value in settings.items() if not _samples(key)}, seed])


def _sample(
    plugins: PluginHost, variant: Variant, twin: Mapping[str, Any], model: Model | None, out: Path | None
) -> dict[str, Any]:
    """A run with the weights of its twin, from which it differs in how images are sampled; measured by itself."""
    scores = {}
    if twin["scores"]:  # otherwise it diverged
        model = model or Model.load(cast(Path, out) / twin["folder"], plugins)
        model.recipe = model.recipe.model_copy(update={"sampling": variant.recipe.sampling})
        scores = model.evaluate().scores
    return {**twin, "variant": variant.label, "settings": variant.settings, "scores": scores}


def _keep(results: dict[str, Any], folder: Path | None) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / RESULTS_FILE, json.dumps(results, indent=1, ensure_ascii=False).encode())


def _place(label: str, seed: int, runs: Sequence[Mapping[str, Any]]) -> str:
    """Where a run lies in the comparison's folder: a name that every file system takes, and no finished run has."""
    name = re.sub(r"[^\w.+-]+", "-", label.lower()).strip("-.")[:60] or "variant"
    free = chain([f"runs/{name}-{seed}"], (f"runs/{name}-{number}-{seed}" for number in count(2)))
    taken = {run["folder"] for run in runs}
    return next(place for place in free if place not in taken)


def _command(results: Mapping[str, Any], folder: Path | None) -> str:
    """The command that makes these results, whether they were made by it or in Python."""
    words = ["limner", "compare", results["source"]]
    for change in results["overrides"]:
        words += ["--set", change]
    for key, values in results["vary"].items():
        words += ["--vary", f"{key}={','.join(map(text_of, values))}"]
    words += ["--seeds", str(results["seeds"])]
    for unit, budget in results["budget"].items():
        words += [f"--{unit}", f"{budget:.10g}"]
    return shlex.join(words + (["--out", _portable(folder)] if folder else []))


def _portable(path: str | Path) -> str:
    """A path as it reads on any machine: as given, or where it is absolute, from the working folder on."""
    path = Path(path)
    if path.is_absolute():
        path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else Path(path.name)
    return path.as_posix()
