"""What a studio paints and says, as HTML that both interfaces show. Everything that was typed is escaped."""

from collections.abc import Iterable, Mapping, Sequence

from PIL import Image

from limner.play.markup import STYLE, escape, figure
from limner.play.studio import Named, Painted, Part, Sheet


def page(body: str) -> str:
    """A piece of HTML with the style that all pieces share."""
    return f'{STYLE}<div class="limner">{body}</div>'


def note(message: object) -> str:
    """One sentence about what went wrong."""
    return page(f'<div class="limner-note" role="alert">{escape(str(message))}</div>')


def marked(parts: Sequence[Part]) -> str:
    """A prompt with its unknown words marked, and a sentence that says what the marks are."""
    text = "".join(escape(part.text) if part.known else f"<mark>{escape(part.text)}</mark>" for part in parts)
    unknown = dict.fromkeys(part.text for part in parts if not part.known)
    told = f"Training never showed the model: {', '.join(map(escape, unknown))}." if unknown else "Every word is known."
    return page(f'<div class="limner-prompt">{text}</div><span class="limner-faint">{told}</span>')


def grid(sheet: Sheet, names: Sequence[str]) -> str:
    """The pictures of a sheet, each with what is said about it; `names` are those of an ensemble's members."""
    figures = (figure(painted.image, _said(painted, place, names)) for place, painted in enumerate(sheet.pictures, 1))
    return page(f'<div class="limner-grid">{"".join(figures)}</div><p class="limner-faint">{_legend(sheet)}</p>')


def row(pictures: Named) -> str:
    """Small pictures side by side, such as those of an interpolation."""
    return page(f'<div class="limner-row">{_figures(pictures)}</div>')


def maps(pictures: Named) -> str:
    """Larger pictures, such as attention maps or the stages of a generator."""
    return page(f'<div class="limner-maps">{_figures(pictures)}</div>')


def verdict(judged: Mapping[str, bool]) -> str:
    """What the judge says about a picture, in a few words."""
    wrong = [name for name, right in judged.items() if not right]
    if wrong:
        return f'<span class="limner-wrong">✗ wrong: {escape(", ".join(wrong))}</span>'
    return '<span class="limner-right">✓ as asked</span>'


def _said(painted: Painted, place: int, names: Sequence[str]) -> str:
    by = f", by {escape(names[painted.member])}" if len(names) > 1 else ""
    lines = [f'<span class="limner-faint">{place}{by}</span>']
    if painted.verdict is not None:
        lines.append(verdict(painted.verdict))
    if painted.reading is not None:
        lines.append(f'<span class="limner-reading">“{escape(painted.reading)}”</span>')
    return "".join(lines)


def _legend(sheet: Sheet) -> str:
    """Who says what under the pictures."""
    told = []
    if any(painted.verdict is not None for painted in sheet.pictures):
        told.append("✓ and ✗ are from the judge, which reads the pixels without any network.")
    elif sheet.has_judge:
        told.append("The judge cannot read this prompt, so it says nothing.")
    if any(painted.reading is not None for painted in sheet.pictures):
        told.append("In quotation marks is what the model's own captioner reads in the picture.")
    return " ".join(told)


def _figures(pictures: Iterable[tuple[str, Image.Image]]) -> str:
    return "".join(figure(image, f'<span class="limner-faint">{escape(text)}</span>') for text, image in pictures)
