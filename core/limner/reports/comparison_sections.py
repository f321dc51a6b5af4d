"""The report of a comparison: summary, chart, every run, and pictures of each variant."""

from collections.abc import Iterator
from pathlib import Path

import torch

import limner
from limner.comparisons.results import Comparison
from limner.comparisons.results_file import RunResult, is_sampling
from limner.errors import LimnerError
from limner.models.pictures import Pictures
from limner.play import pages
from limner.play.studio import Studio
from limner.recipes.schema import Sampling
from limner.reports import html
from limner.reports.charts import bars
from limner.reports.examine import sample_prompts
from limner.reports.html import Section, missing, paragraph, scrolling, text


def comparison_intro(found: Comparison) -> str:
    """How it was made, and what is missing."""
    results = found.results
    machine, versions = results.machine, results.versions
    rows: list[tuple[str, object]] = [
        ("recipe", results.source),
        *((f"varied: {key}", ", ".join(map(str, values))) for key, values in results.vary.items()),
        ("budget", f"{results.budget_text} each"),
        ("seeds", results.seeds),
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads"),
        ("device", machine["device"]),
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
    yield Section("Every run", _runs(found))
    yield Section("Images", _images(found, folder))


def _runs(found: Comparison) -> str:
    columns = ["variant", "seed", "steps", "seconds", "images/s", *found.metrics]
    rows = [
        [run.variant, run.seed, f"{run.steps:,}", f"{run.seconds:.1f}", f"{run.images_per_second:.0f}"]
        + [f"{run.scores[name]:.3f}" if name in run.scores else "" for name in found.metrics]
        for run in found.results.ordered_runs()
    ]
    return html.table(columns, rows) + "".join(map(missing, found.problems))


def _images(found: Comparison, folder: Path) -> str:
    """For each variant, images of the same prompts and the same noise, by its first run that is there."""
    parts, absent = [], []
    first: dict[str, RunResult] = {}
    for run in found.results.ordered_runs():
        if run.problem is None:
            first.setdefault(run.variant, run)
    for variant, run in first.items():
        if not run.folder or not (folder / run.folder).is_dir():
            absent.append(variant)
            continue
        try:
            parts.append(f"<h3>{text(variant)}, seed {run.seed}</h3>{_painted(folder / run.folder, run)}")
        except LimnerError as error:
            parts.append(f"<h3>{text(variant)}</h3>{missing(error)}")
    if absent:
        told = "all variants" if len(absent) == len(first) else ", ".join(absent)
        parts.append(missing(f"The run folders of {told} are not there, so nothing is painted for them."))
    about = paragraph("The same prompts and the same noise for every variant.") if len(absent) < len(first) else ""
    return about + "".join(parts) if parts else missing("There is no run to paint with yet.")


def _painted(folder: Path, run: RunResult) -> str:
    model = limner.load(folder)
    studio = Studio(model)
    prompts = sample_prompts(studio)
    if not prompts:
        raise LimnerError("Neither the recipe nor the data name a prompt to paint.")
    changes = {key.partition(".")[2]: value for key, value in run.settings.items() if is_sampling(key)}
    sampling = Sampling.model_validate(model.recipe.sampling.model_dump() | changes)
    images = model.paint_images(prompts, 0, None, sampling)
    shown = Pictures.of(images, prompts).images
    verdicts = [
        studio.judge.verdict(image, p) if studio.judge else None for image, p in zip(torch.unbind(images), prompts)
    ]
    figures = "".join(
        pages.figure(image, f"<span>{text(prompt)}</span>{pages.verdict(verdict) if verdict else ''}")
        for image, prompt, verdict in zip(shown, prompts, verdicts)
    )
    return f'<div class="grid">{figures}</div>'
