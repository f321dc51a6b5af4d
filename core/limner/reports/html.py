"""Pieces of a report as HTML. Everything that comes from a file, a recipe or a caption is escaped here."""

import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from PIL import Image

import limner
from limner.errors import LimnerError, printable
from limner.play.markup import STYLE, escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may load for a report: nothing but what is in it."""


@dataclass(frozen=True)
class Section:
    """A part of a report: its heading, and its content as HTML."""

    title: str
    content: str

    @property
    def anchor(self) -> str:
        """The name by which the list of contents points to it."""
        return "-".join(self.title.lower().split())


def page(title: str, intro: str, sections: Sequence[Section]) -> str:
    """A whole page."""
    css = files("limner.reports").joinpath("style.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{part.anchor}">{text(part.title)}</a> ' for part in sections)
    body = "".join(
        f'<section id="{part.anchor}"><h2>{text(part.title)}</h2>{part.content}</section>' for part in sections
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title>{STYLE}<style>{css}</style></head>"
        f'<body><main class="limner"><h1>{text(title)}</h1>{intro}<nav>{links}</nav>{body}'
        f"<footer>Written by Limner {text(limner.__version__)}.</footer></main></body></html>\n"
    )


def text(value: object) -> str:
    """Text from outside, as HTML that shows it and does nothing else."""
    return escape(printable(str(value)))


def paragraph(*sentences: str) -> str:
    """Sentences of a report itself, or from outside: all are escaped."""
    return f"<p>{' '.join(map(text, sentences))}</p>"


def missing(sentence: object) -> str:
    """What a report lacks, and why."""
    return f'<p class="missing">{text(sentence)}</p>'


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A table of two columns: names and values."""
    return f"<table class='facts'>{''.join(f'<tr><th>{text(k)}</th><td>{text(v)}</td></tr>' for k, v in rows)}</table>"


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls by itself where the page is narrow. The first column has names, the others numbers."""
    head = "".join(f"<th>{text(cell).replace('/', '/<wbr>')}</th>" for cell in header)
    body = "".join(
        f"<tr><th>{text(row[0])}</th>{''.join(f'<td>{text(cell)}</td>' for cell in row[1:])}</tr>" for row in rows
    )
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def scrolling(content: str) -> str:
    """Wide content, which scrolls by itself where the page is narrow."""
    return f'<div class="scroll" tabindex="0">{content}</div>'


def commands(lines: Iterable[tuple[str, str]]) -> str:
    """What one can do next: in words, and as a command line."""
    return "".join(f"<p>{text(told)}: <code>{text(line)}</code></p>" for told, line in lines)


def picture_file(file: Path, about: str) -> str:
    """A picture of the run folder, written anew: only its pixels get into the page.

    Raises:
        LimnerError: if it is missing or is not a picture.
    """
    found = io.BytesIO()
    try:
        with Image.open(file) as picture:
            picture.convert("RGB").save(found, "PNG", optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LimnerError(f"The picture {file} cannot be shown: {error}.") from None
    return sheet(found.getvalue(), about)


def sheet(png: bytes, about: str) -> str:
    """A picture in its own size, within the page itself."""
    return f'<img class="sheet" src="data:image/png;base64,{b64encode(png).decode()}" alt="{text(about)}">'
