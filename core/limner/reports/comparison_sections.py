"""The report of a comparison: summary, chart, every run, and pictures of each variant."""

from collections.abc import Iterator
from pathlib import Path

from limner.comparisons.painted_rows import PaintedRow, read_rows
from limner.comparisons.results import Comparison
from limner.errors import LimnerError
from limner.play.markup import figure
from limner.reports import html
from limner.reports.charts import bars
from limner.reports.html import Section, missing, paragraph, scrolling, text


def comparison_intro(found: Comparison) -> str:
    """How it was made, and what is missing."""
    results = found.results
    versions = results.versions
    rows: list[tuple[str, object]] = [
        ("recipe", results.source),
        *((f"varied: {key}", ", ".join(map(str, values))) for key, values in results.vary.items()),
        ("budget", f"{results.budget_text} each"),
        ("seeds", results.seeds),
        ("machine", results.trained_on),
        ("versions", f"limner {versions['limner']}, torch {versions['torch']}, Python {versions['python']}"),
        ("date", results.date[:10]),
    ]
    told = html.facts(rows) + html.commands([("Made by", results.command)])
    if results.missing:
        told += missing(f"{results.missing} runs are still missing; the command above resumes it.")
    return told


def comparison_sections(found: Comparison, folder: Path) -> Iterator[Section]:
    """All sections. `folder` has the runs, if they were kept."""
    results, summary = found.results, found.summary()
    spread = "Mean ± standard deviation over the seeds." if summary.spread else "One seed, so the spread is unknown."
    scored = bool(summary.scores)
    yield Section(
        "Summary",
        paragraph(spread) + scrolling(summary._repr_html_()) if scored else missing("No run has any score yet."),
    )
    if scored:
        variants = list(dict.fromkeys(run.variant for run in results.ordered_runs()))
        panels = [
            bars(name, {v: [float(x) for x in found.loc[found["variant"] == v, name].dropna()] for v in variants})
            for name in found.metrics
        ]
        about = "A bar to the mean of each variant, and a dot for each seed."
        yield Section("Chart", paragraph(about) + f'<div class="charts">{"".join(panels)}</div>')
        yield Section("Differences", _differences(found))
    yield Section("Every run", _runs(found))
    yield Section("Images", _images(found, folder))


def _differences(found: Comparison) -> str:
    """How far each variant is from the first in every score, and whether the seeds alone can explain it."""
    differences = found.differences()
    if not differences:
        return missing("No two variants have a seed in common yet.")
    about = (
        f"The difference of each variant to {differences[0].other}, paired by seed, with its 95 % interval (Student). "
        "Where the interval holds 0, the seeds alone can explain it."
    )
    return paragraph(about) + html.table(["score", "variant", "difference", "95 % interval", ""], differences.rows())


def _runs(found: Comparison) -> str:
    columns = ["variant", "seed", "steps", "seconds", "images/s", *found.metrics]
    rows = [
        [run.variant, run.seed, f"{run.steps:,}", f"{run.seconds:.1f}", f"{run.images_per_second:.0f}"]
        + [f"{run.scores[name]:.3f}" if name in run.scores else "" for name in found.metrics]
        for run in found.results.ordered_runs()
    ]
    return html.table(columns, rows) + "".join(map(missing, found.problems))


def _images(found: Comparison, folder: Path) -> str:
    """For each variant, what its first seed painted: the same prompts and the same noise."""
    rows: dict[str, PaintedRow] = {}
    try:
        for row in read_rows(folder):
            if row.variant not in rows or row.seed < rows[row.variant].seed:
                rows[row.variant] = row
    except LimnerError as error:
        return missing(error)
    variants = dict.fromkeys(run.variant for run in found.results.ordered_runs())
    parts = [_painted(rows[variant]) for variant in variants if variant in rows]
    if absent := [variant for variant in variants if variant not in rows]:
        told = "any variant" if not parts else ", ".join(absent)
        parts.append(missing(f"The comparison keeps no pictures of {told}; its command makes them if it has the runs."))
    about = paragraph("The same prompts and the same noise for every variant.") if rows else ""
    return about + "".join(parts)


def _painted(row: PaintedRow) -> str:
    figures = "".join(figure(image, f"<span>{text(prompt)}</span>") for prompt, image in zip(row.prompts, row.images))
    return f'<h3>{text(row.variant)}, seed {row.seed}</h3><div class="grid">{figures}</div>'
