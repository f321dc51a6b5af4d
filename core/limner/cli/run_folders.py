"""The commands that look at run folders: `limner runs` and `limner show`. They import no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from limner.cli.options import AsJson, RunFolder
from limner.cli.output import plain, print_json
from limner.errors import LimnerError, printable, quoted
from limner.shell import shell_quote

app = typer.Typer()


@app.command(epilog="Examples: `limner runs`, `limner runs comparisons --json`")
def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to look, with all folders below.")] = Path(
        "runs"
    ),
    as_json: AsJson = False,
) -> None:
    """List run folders and comparisons: recipe, steps, key figures, size and date.

    Damaged ones are listed with the reason. The runs of a comparison are listed if you name its own folder.
    """
    from limner.comparisons.results_file import RESULTS_FILE
    from limner.models.run_files import RECIPE_FILE
    from limner.models.run_summary import find_folders

    if not folder.is_dir() and folder != Path("runs"):
        raise LimnerError(f"There is no folder {folder}; name one that has run folders in it.")
    rows = [
        _comparison(found) if (found / RESULTS_FILE).is_file() else _run(found)
        for found in find_folders(folder, (RECIPE_FILE, RESULTS_FILE))
    ]
    if as_json:
        print_json({"runs": rows})
    elif rows:
        _print_list(rows)
    else:
        print(printable(f"There are no runs in {folder}; `limner train quickstart` makes one."))


@app.command(epilog="Examples: `limner show runs/first`, `limner show quickstart --json`")
def show(run: RunFolder, as_json: AsJson = False) -> None:
    """Print a run: what its recipe changes, its parts, its figures, and how to resume it or paint with it."""
    from limner.comparisons.results_file import RESULTS_FILE

    if (run / RESULTS_FILE).is_file():
        raise LimnerError(f"{run} is a comparison; `limner report {shell_quote(str(run))} --out report.html` shows it.")
    row = _details(run)
    if as_json:
        print_json(row)
    else:
        _print_run(row)


# --- what is known of a folder --------------------------------------------------------------------------------------


def _run(folder: Path) -> dict[str, Any]:
    """A row of the list for a run folder."""
    from limner.models.run_summary import read_summary, size_of

    row: dict[str, Any] = {"folder": folder, "kind": "run"}
    try:
        found = read_summary(folder)
        name, changes = _named(found.recipe)
    except LimnerError as error:
        return {**row, "kind": "damaged", "problem": str(error), "bytes": size_of(folder)}
    title = found.recipe.get("title", "")
    row |= {"recipe": name, "changes": len(changes), "title": title if isinstance(title, str) else ""}
    row |= {"progress": found.progress, "finished": found.is_finished, "steps": found.step, "seconds": found.seconds}
    row |= {"scores": found.scores, "bytes": found.bytes, "date": found.date.isoformat(" ", "minutes"), "problem": None}
    if not found.can_paint:
        row["problem"] = "its weights or its tokenizer are missing or damaged"
    return row


def _comparison(folder: Path) -> dict[str, Any]:
    """A row of the list for a comparison."""
    from limner.comparisons.results_file import read_results
    from limner.models.run_summary import size_of

    row: dict[str, Any] = {"folder": folder, "kind": "comparison"}
    try:
        results = read_results(folder)
    except LimnerError as error:
        return {**row, "kind": "damaged", "problem": str(error), "bytes": size_of(folder)}
    done, asked = len(results.runs), len(results.runs) + results.missing
    failed = sum(run.problem is not None for run in results.runs)
    return row | {
        "recipe": results.source,
        "changes": 0,
        "title": f"varies {' and '.join(results.vary)}",
        "progress": f"{done} of {asked} runs, {results.budget_text} each",
        "finished": not results.missing,
        "scores": {name: [low, high] for name, low, high in _ranges([run.scores for run in results.runs])},
        "bytes": size_of(folder),
        "date": results.date[:16].replace("T", " "),
        "problem": f"{failed} of its runs failed" if failed else None,
    }


def _ranges(runs: list[dict[str, float]]) -> list[tuple[str, float, float]]:
    """The lowest and the highest value of each score."""
    names = dict.fromkeys(name for scores in runs for name in scores)
    values = {name: [scores[name] for scores in runs if name in scores] for name in names}
    return [(name, min(of), max(of)) for name, of in values.items()]


def _details(run: Path) -> dict[str, Any]:
    """Everything that `limner show` prints of a run."""
    from limner.models.run_summary import read_summary, run_path
    from limner.plugins import host

    found = read_summary(run_path(run, host()))
    name, changes = _named(found.recipe)
    place = shell_quote(str(run))
    return {
        "folder": found.folder,
        "recipe": name,
        "changes": {key: {"recipe": one, "run": other} for key, (one, other) in changes.items()},
        "title": found.recipe.get("title", ""),
        "parts": _parts(found.recipe),
        "progress": found.progress,
        "finished": found.is_finished,
        "steps": found.step,
        "seconds": found.seconds,
        "images_per_second": found.images_per_second,
        "machine": found.surroundings,
        "scores": found.scores,
        "bytes": found.bytes,
        "date": found.date.isoformat(" ", "minutes"),
        "next": found.next_commands(place) | {"to see all of it": f"limner report {place} --out report.html"},
    }


def _named(recipe: Mapping[str, Any]) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The named recipe that a run is closest to, and what it changes."""
    from limner.plugins import host
    from limner.recipes.nearest_recipe import nearest_recipe

    return nearest_recipe(host(), recipe) or ("", {})


def _parts(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The components of a recipe, by their places, as far as they can be told without checking it."""
    found = {key: _name_of(recipe.get(key)) for key in ("data", "encoder", "generator", "discriminator")}
    losses = recipe.get("losses")
    found["losses"] = ", ".join(map(str, losses)) if isinstance(losses, Mapping) else ""
    return {key: name for key, name in found.items() if name}


def _name_of(part: object) -> str:
    return str(part.get("name", "")) if isinstance(part, Mapping) else str(part or "")


# --- as tables ------------------------------------------------------------------------------------------------------


def _print_list(rows: list[dict[str, Any]]) -> None:
    longest = min(30, max(len(str(row["folder"])) for row in rows))
    table = Table(Column("run", overflow="fold", min_width=longest), "recipe", "steps", "figures", "size and date")
    for row in rows:
        if row["kind"] == "damaged":
            cells = (Text("damaged: ", "red") + plain(row["problem"]), "", "", _size(row["bytes"]))
            table.add_row(plain(row["folder"]), *cells)
            continue
        changes = f" + {row['changes']} changes" if row["changes"] > 1 else " + 1 change" if row["changes"] else ""
        recipe = f"{row['recipe']}{changes}" if row["kind"] == "run" else f"{row['recipe']}: {row['title']}"
        problem = Text(f"\n{printable(row['problem'])}", "yellow") if row["problem"] else Text()
        progress = plain(row["progress"]) if row["finished"] else Text(printable(row["progress"]), "yellow")
        cells = (plain(recipe) + problem, progress, plain(_figures(row["scores"])))
        table.add_row(plain(row["folder"]), *cells, f"{_size(row['bytes'])}\n{row['date'][:10]}")
    Console().print(table)


def _size(number: int) -> str:
    """Bytes in the unit that suits them."""
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.0f} kB"


def _figures(scores: Mapping[str, Any]) -> str:
    """The key figures, one per line; of a comparison, from the lowest to the highest."""
    from limner.models.run_summary import key_figures

    chosen = {name: scores[name] for name in key_figures(scores, 2)}
    return "\n".join(f"{name} {_number(value)}" for name, value in chosen.items())


def _number(value: Any) -> str:
    return f"{value[0]:.3f} to {value[1]:.3f}" if isinstance(value, list) else f"{value:.3f}"


def _print_run(row: Mapping[str, Any]) -> None:
    from limner.models.report import Report

    console = Console()
    facts = Table(show_header=False)
    speed = f", {row['images_per_second']:.0f} images/s" if row["images_per_second"] else ""
    machine = ", ".join(f"{name} {value}" for name, value in row["machine"].items()) or "not recorded"
    for name, value in (
        ("folder", f"{row['folder']}, {_size(row['bytes'])}, {row['date']}"),
        ("recipe", f"like {row['recipe']}: {row['title']}" if row["recipe"] else row["title"]),
        *((f"  {key}", _change(change)) for key, change in row["changes"].items()),
        *row["parts"].items(),
        ("steps", f"{row['progress']}{speed}" + ("" if row["finished"] else "; not finished")),
        ("trained with", machine),
    ):
        facts.add_row(plain(name), plain(value))
    console.print(facts)
    if row["scores"]:
        console.print(Report(row["scores"]))
    for told, line in row["next"].items():
        print(printable(f"{told}: {line}"))


def _change(change: Mapping[str, Any]) -> str:
    before = "not given" if change["recipe"] is None else quoted(change["recipe"])
    return f"{'not given' if change['run'] is None else quoted(change['run'])} (the recipe: {before})"
