"""Makes the pages that are written elsewhere: home from README.md, the lessons from the notebooks, the reference from
the code. MkDocs calls `on_config` and `on_files` as it builds; nothing that is made here is kept in the repository.
"""

import os
import re
import tomllib
from base64 import b64decode
from collections.abc import Iterator
from itertools import count
from json import loads
from pathlib import Path
from posixpath import dirname, relpath
from typing import Any

from latex2mathml.converter import convert
from limner.cli.app import app
from limner.kinds import COMPONENTS, KINDS
from limner.plugins import PluginHost
from limner.reference.commands import all_commands
from limner.reference.describe import describe, description
from limner.reference.docstrings import fenced
from limner.reference.entries import Chapter
from limner.reference.markdown import page, sections
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from typer.main import get_command

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("[0-9]*.ipynb"))
PLACES = {ROOT / "README.md": "index.md", ROOT / "CONTRIBUTING.md": "contributing.md"}
PLACES |= {path: path.name for path in (ROOT / "docs").glob("*.md")}
PLACES |= {path: f"lessons/{path.stem}.md" for path in NOTEBOOKS}
"""Which page is made of which file."""

Made = Iterator[tuple[str, str | bytes]]
"""Pages and pictures, by their names in the site."""


def on_config(config: MkDocsConfig) -> None:
    """The navigation: lessons and kinds of components are as many as there are."""
    kinds = [f"reference/{name_of(kind)}.md" for kind in COMPONENTS]
    others = [f"reference/{name}.md" for name in ("recipes", "settings", "commands")]
    config.nav = [
        {"Home": "index.md"},
        {"Lessons": [PLACES[path] for path in NOTEBOOKS]},
        {"For authors": ["authors.md", "contributing.md"]},
        {"Reference": ["reference/hooks.md", "reference/interfaces.md", *kinds, *others]},
    ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add what is made to what is written by hand."""
    for make in (from_files, from_notebooks, from_code):
        for name, content in make():
            files.append(File.generated(config, name, content=content))


def from_files() -> Made:
    """README.md and CONTRIBUTING.md."""
    for path, name in PLACES.items():
        if path.suffix == ".md" and path.parent == ROOT:
            yield name, linked(path.read_text(encoding="utf-8"), path)


def linked(text: str, source: Path) -> str:
    """Text of a file, its links led to the pages that the site has; what the site does not have is left unlinked."""

    def lead(link: re.Match[str]) -> str:
        words, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        path, sign, anchor = target.partition("#")
        place = PLACES.get((source.parent / path).resolve())
        return f"[{words}]({relpath(place, dirname(PLACES[source]) or '.')}{sign}{anchor})" if place else words

    return re.sub(r"(?<!!)\[([^][]*)\]\(([^)\s]+)\)", lead, text)


# --- the lessons ----------------------------------------------------------------------------------------------------


def from_notebooks() -> Made:
    """Each notebook as it was executed: text, code, and what the code showed."""
    for path in NOTEBOOKS:
        parts: list[str] = []
        numbers = count(1)
        for cell in loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                text = with_equations(linked(source, path))
                parts.append(text.replace("<details>", '<details markdown="1">'))  # what is in it is Markdown, too
                continue
            written = [fenced(source, "python")]
            for output in cell.get("outputs", ()):
                picture = output.get("data", {}).get("image/png")
                if picture is None:
                    written.append(shown(output))
                    continue
                name = f"{path.stem}_{next(numbers)}.png"
                written.append(f"![What the code above shows]({name})")
                yield f"lessons/{name}", b64decode("".join(picture))
            if cell["metadata"].get("jupyter", {}).get("source_hidden"):  # collapsed, with what it shows
                indented = re.sub("^(?=.)", "    ", "\n\n".join(written), flags=re.MULTILINE)
                written = [f'??? success "In code"\n\n{indented}']
            parts += written
        yield PLACES[path], "\n\n".join(parts)


def shown(output: dict[str, Any]) -> str:
    """What a cell showed, other than a picture, as Markdown."""
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    if "text/latex" in data:  # a piece of source that the lesson shows
        return fenced(data["text/plain"], "python")
    if "text/html" in data:
        table = re.sub(r"<style.*?</style>|\n\s*", "", data["text/html"], flags=re.DOTALL)
        return f'<div class="output">{re.sub("<table[^>]*>", "<table>", table)}</div>'
    if "text/markdown" in data:
        return data["text/markdown"]
    return fenced(data.get("text/plain", "".join(output.get("text", ()))).rstrip(), "text")


def with_equations(text: str) -> str:
    """Text with its equations, which stand between dollars, as MathML: browsers draw that by themselves."""

    def math(latex: str, display: str) -> str:
        latex = re.sub(r"\\(mathbb|mathcal) (\w)", r"\\\1{\2}", latex)
        return convert(re.sub(r"\\(log|exp|max|min) (?=[A-Za-z\\])", r"\\\1\\,", latex), display=display)

    parts = re.split(r"(`[^`]+`)", text)
    for number in range(0, len(parts), 2):
        block = re.sub(r"\$\$(.+?)\$\$", lambda m: f'<div class="equation">{math(m[1], "block")}</div>', parts[number])
        parts[number] = re.sub(r"\$([^$\n]+)\$", lambda m: math(m[1], "inline"), block)
    return "".join(parts)


# --- the reference --------------------------------------------------------------------------------------------------


def from_code() -> Made:
    """Hooks, interfaces, components of each kind, recipes, settings, commands: whatever `limner describe` would say."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    os.environ["LIMNER_PLUGINS"] = ",".join(project["entry-points"]["limner"])  # what comes along, and nothing else
    host = PluginHost()
    if host.problems():
        raise PluginError(host.problems())
    for topic in ("hooks", "interfaces", "settings"):
        yield f"reference/{topic}.md", page(describe(host, topic))
    for kind in [*COMPONENTS, "recipe"]:
        about = describe(host, kind).about
        whole = sections(description(host, kind, name) for name in host.components(kind))
        parts = [page(Chapter(KINDS[kind].plural.capitalize(), about, [])), links_of(kind), *whole]
        yield f"reference/{name_of(kind)}.md", "\n\n".join(parts)
    commands = list(all_commands(get_command(app), "limner"))
    yield "reference/commands.md", page(Chapter("Command line", "", commands))


def links_of(kind: str) -> str:
    """The way from a kind of components to what a plugin needs to bring one."""
    hook = KINDS[kind].hook
    brought = f"the hook [`{hook}`](hooks.md#{hook})"
    if kind not in COMPONENTS:
        return f"Brought by {brought}; what may stand in one are [settings](settings.md)."
    interface = KINDS[kind].interface_name
    return f"Brought by {brought}; each implements [`{interface}`](interfaces.md#{interface.lower()})."


def name_of(kind: str) -> str:
    """The name of a kind's page."""
    return KINDS[kind].plural.replace(" ", "-")
