"""The report of a run, section by section. What the folder does not hold is said, and the rest is shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tomli_w

import limner
from limner.errors import LimnerError, quoted
from limner.models.model import Model
from limner.models.report import Report
from limner.models.run_files import PICTURES_FOLDER
from limner.models.run_summary import RunSummary, step_pictures
from limner.play.markup import figure
from limner.play.pages import verdict as in_short
from limner.play.studio import Studio
from limner.plugins import host
from limner.recipes.nearest_recipe import nearest_recipe
from limner.reports import html
from limner.reports.charts import curves
from limner.reports.examine import Judged, judge_many, sample_prompts, samples
from limner.reports.html import Section, missing, paragraph, scrolling, text

FRAMES = 8
"""Preview sheets that are shown if there is no film strip."""


def run_intro(found: RunSummary, place: str) -> str:
    """The title, and what a training that is not finished lacks."""
    title = found.recipe.get("title", "")
    lines = [paragraph(str(title))] if title else []
    if not found.is_finished:
        resume = f" `limner train --resume {place}` continues it." if found.can_resume else ""
        lines.append(missing(f"This training is not finished: it made {found.progress} steps.{resume}"))
    return "".join(lines)


def run_sections(found: RunSummary, place: str) -> Iterator[Section]:
    """All sections. `place` is the run as a shell reads it."""
    model = problem = None
    try:
        model = limner.load(found.folder)
    except LimnerError as error:
        problem = str(error)
    studio = Studio(model) if model else None
    yield Section("Overview", _overview(found, place))
    yield Section("Losses", _losses(found))
    yield Section("During training", _attempt(lambda: _film(found, studio)))
    if studio is None or model is None:
        yield Section("Images", missing(f"The model cannot be loaded, so nothing new is painted. {problem}"))
    else:
        yield Section("Images", _attempt(lambda: _images(studio)))
    yield Section("Scores", _scores(found, place))
    if studio and model:
        try:
            judged = judge_many(studio, model)
        except LimnerError as error:
            yield Section("Failures", missing(error))
        else:
            yield Section("Asked and shown", _confusion(judged))
            yield Section("Failures", _failures(judged))
        yield Section("Attention", _attempt(lambda: _attention(studio, model)))
    yield Section("Recipe", f"<pre>{text(tomli_w.dumps(found.recipe))}</pre>")


def _attempt(make: Callable[[], str]) -> str:
    """A piece, or the reason why it is missing."""
    try:
        return make()
    except LimnerError as error:
        return missing(error)


# --- what the folder holds ------------------------------------------------------------------------------------------


def _overview(found: RunSummary, place: str) -> str:
    named = nearest_recipe(host(), found.recipe)
    rows: list[tuple[str, object]] = []
    if named:
        name, changes = named
        rows.append(("recipe", f"like {name}{', but for:' if changes else ''}"))
        rows += [(key, _change(name, *values)) for key, values in changes.items()]
    rows += [("image size", f"{found.recipe.get('image_size', '?')} pixels"), ("steps", found.progress)]
    rows.append(("time", f"{found.seconds:,.0f} seconds" if found.seconds else "not recorded"))
    if found.images_per_second:
        rows.append(("speed", f"{found.images_per_second:,.0f} real images a second"))
    machine = ", ".join(f"{name} {value}" for name, value in found.surroundings.items())
    rows.append(("machine and versions", machine or "not recorded: the folder has no state.safetensors"))
    rows.append(("last saved", f"{found.date:%Y-%m-%d %H:%M}"))
    return html.facts(rows) + html.commands(found.next_commands(place).items())


def _change(recipe: str, before: Any, now: Any) -> str:
    told = ["not given" if value is None else quoted(value) for value in (now, before)]
    return f"{told[0]} (in {recipe}: {told[1]})"


def _losses(found: RunSummary) -> str:
    """A panel for the players, and one for each loss."""
    if not found.history:
        return missing("There are no losses: training keeps them every ten steps, and none were kept.")
    names = list(dict.fromkeys(name for row in found.history for name in row))
    players = tuple(name for name in ("discriminator", "generator") if name in names)
    losses = dict.fromkeys(name.rpartition("/")[0] for name in names if name.endswith(players) and "/" in name)
    title = "both players, all losses together" if len(players) > 1 else "all losses together"
    panels = [curves(title, {name: _curve(found, name) for name in players})]
    for loss in losses:
        panels.append(curves(loss, {player: _curve(found, f"{loss}/{player}") for player in players}))
    about = "Each point is the mean of at least ten steps. A few values at the start may be above the panel."
    return paragraph(about) + f'<div class="charts">{"".join(panels)}</div>'


def _curve(found: RunSummary, name: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[name])) for row in found.history if name in row]


def _film(found: RunSummary, studio: Studio | None) -> str:
    """The film strip, or as much of it as a training that was stopped has kept."""
    film = found.folder / PICTURES_FOLDER / "film.png"
    if film.is_file():
        prompts = ", ".join(f"“{prompt}”" for prompt in (sample_prompts(studio) if studio else []))
        about = (
            f"The same prompts during training, from left to right. The first rows are {prompts}." if prompts else ""
        )
        return paragraph(about or "The same prompts during training.") + scrolling(
            html.picture_file(film, "film strip")
        )
    kept = step_pictures(found.folder)
    if not kept:
        return missing(f"There are no pictures of the training: the folder {PICTURES_FOLDER} is empty or missing.")
    count = min(FRAMES, len(kept))
    chosen = [kept[round(place * (len(kept) - 1) / max(1, count - 1))] for place in range(count)]
    sheets = [
        f"<h3>step {step:,}</h3>{scrolling(html.picture_file(file, f'step {step}'))}"
        for step, file in dict(chosen).items()
    ]
    told = missing("There is no film strip, because training did not end. These are previews that it painted.")
    return told + "".join(sheets)


def _scores(found: RunSummary, place: str) -> str:
    if not found.scores:
        return missing(f"This run was not evaluated; `limner evaluate {place}` measures it and keeps the scores.")
    return scrolling(Report(found.scores)._repr_html_())


# --- what the model does --------------------------------------------------------------------------------------------


def _images(studio: Studio) -> str:
    parts = []
    for sheet in samples(studio):
        figures = "".join(_said(one.image, [], one.verdict, one.reading) for one in sheet.pictures)
        parts.append(f'<h3>{text(sheet.prompt)}</h3><div class="grid">{figures}</div>')
    if not parts:
        return missing("There are no prompts to paint: neither the recipe nor the data name any that can be read.")
    return paragraph(f"Painted anew, seed 0. {_legend(studio)}") + "".join(parts)


def _legend(studio: Studio) -> str:
    told = ["✓ and ✗ are from the metric that judges single images."] if studio.judge else []
    return " ".join([*told, "In quotation marks is what the model's own captioner reads, if it has one."])


def _said(image: Any, lines: Sequence[str], verdict: Mapping[str, bool] | None, reading: str | None) -> str:
    """A picture, and below it what is said about it."""
    told = [*lines, in_short(verdict)] if verdict else [*lines]
    if reading is not None:
        told.append(f'<span class="limner-reading">“{text(reading)}”</span>')
    return figure(image, "".join(told))


def _confusion(judged: Judged) -> str:
    """For each attribute a table: a row for what was asked, a column for what was shown."""
    if not judged.confusion:
        return missing("The metric of the data does not say what an image shows in place of what was asked.")
    tables = []
    for attribute, counts in judged.confusion.items():
        asked = sorted({pair[0] for pair in counts})
        shown = [*asked, *sorted({pair[1] for pair in counts} - set(asked))]
        head = "".join(f"<th>{text(name)}</th>" for name in shown)
        rows = []
        for name in asked:
            total = sum(counts[name, other] for other in shown)
            cells = "".join(_cell(counts[name, other], total, other == name) for other in shown)
            rows.append(f"<tr><th>{text(name)}</th>{cells}</tr>")
        body = f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        tables.append(scrolling(f'<table class="confusion"><caption>{text(attribute)}</caption>{body}</table>'))
    about = f"One image of each of {judged.total} prompts: a row for what was asked, a column for what was shown."
    return paragraph(about) + f'<div class="confusions">{"".join(tables)}</div>'


def _cell(count: int, total: int, right: bool) -> str:
    share = f"{0.75 * count / max(1, total):.2f}"
    return f'<td{" class=right" if right else ""} style="--share: {share}">{count or ""}</td>'


def _failures(judged: Judged) -> str:
    told = f"{judged.failed} of {judged.total} images do not show all that their prompts ask for."
    if not judged.worst:
        return paragraph(told)
    figures = "".join(
        _said(one.image, [f"<span>{text(one.prompt)}</span>"], one.verdict, one.reading) for one in judged.worst
    )
    worst = f" Here are the worst {len(judged.worst)}." if len(judged.worst) < judged.failed else ""
    return paragraph(told + worst) + f'<div class="grid">{figures}</div>'


def _attention(studio: Studio, model: Model) -> str:
    """Where every attention module attended, word by word; for attention over channels, the picture of `explain`."""
    if not studio.can_look:
        raise LimnerError("This model has no attention to words that could be shown.")
    prompts = sample_prompts(studio)
    if not prompts:
        raise LimnerError("There is no prompt to paint.")
    sheet = studio.paint(prompts[0], count=1)
    modules: dict[int, list[str]] = {}
    titles: dict[int, str] = {}
    try:
        for place, word in enumerate(sheet.words):
            for number, (title, image) in enumerate(studio.look(sheet, 0, place)):
                titles[number] = title
                shown = figure(image, f"<span>{text(word)}</span>")
                modules.setdefault(number, []).append(shown)
    except LimnerError:
        return paragraph(prompts[0]) + scrolling(_explained(model, prompts[0]))
    parts = [f'<h3>{text(titles[n])}</h3><div class="words">{"".join(of)}</div>' for n, of in modules.items()]
    told = f"“{prompts[0]}”, seed 0. Red goes from the smallest weight of any word to the largest."
    return paragraph(told) + "".join(parts)


def _explained(model: Model, prompt: str) -> str:
    return html.sheet(model.explain(prompt)._repr_png_(), "attention over channels")
