"""Generate pages of the site: home from README.md, the lessons from the notebooks, the reference from the code.

MkDocs calls `on_config`, `on_files` and `on_page_markdown` during a build. The generated pages are not kept in the
repository.
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
from limner.reference.describe import describe, describe_component
from limner.reference.docstrings import code_block
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
"""The page that is generated from each file."""

Pages = Iterator[tuple[str, str | bytes]]
"""Pages and pictures: the name in the site, and the content."""


def on_config(config: MkDocsConfig) -> None:
    """Set the navigation, with every lesson and every kind of component."""
    kinds = [f"reference/{name_of(kind)}.md" for kind in COMPONENTS]
    others = [f"reference/{name}.md" for name in ("trackers", "recipes", "settings", "commands")]
    config.nav = [
        {"Home": "index.md"},
        {"Lessons": [PLACES[path] for path in NOTEBOOKS]},
        {"Paint": "paint.md"},
        {"Command line": "command-line.md"},
        {"Several machines": "several-machines.md"},
        {"Large data": "large-data.md"},
        {"League": ["league.md", "speedrun.md"]},
        {"For authors": ["authors.md", "contributing.md"]},
        {"Reference": ["reference/hooks.md", "reference/interfaces.md", *kinds, *others]},
    ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the generated pages to those written by hand."""
    for pages in (from_files, from_notebooks, from_code):
        for name, content in pages():
            files.append(File.generated(config, name, content=content))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page without its links to kept comparisons, which the site does not have; their words stay."""
    return re.sub(r"\[([^][]*)\]\(\.\./comparisons/[^)\s]+\)", r"\1", markdown)


def from_files() -> Pages:
    """The pages of README.md and CONTRIBUTING.md."""
    for path, name in PLACES.items():
        if path.suffix == ".md" and path.parent == ROOT:
            yield name, linked(path.read_text(encoding="utf-8"), path)


def linked(text: str, source: Path) -> str:
    """Text of a file with links to the site's pages. A link to a file that has no page becomes plain text."""

    def replace(link: re.Match[str]) -> str:
        words, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        path, sign, anchor = target.partition("#")
        place = PLACES.get((source.parent / path).resolve())
        return f"[{words}]({relpath(place, dirname(PLACES[source]) or '.')}{sign}{anchor})" if place else words

    text = re.sub(r"(!\[[^][]*\]\()docs/", r"\1", text)  # pictures of docs/ are in the site's first folder
    return re.sub(r"(?<!!)\[([^][]*)\]\(([^)\s]+)\)", replace, text)


# --- the lessons ----------------------------------------------------------------------------------------------------


def from_notebooks() -> Pages:
    """A page for each notebook: text, code and output."""
    for path in NOTEBOOKS:
        parts: list[str] = []
        numbers = count(1)
        for cell in loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                text = with_equations(linked(source, path))
                parts.append(text.replace("<details>", '<details markdown="1">'))  # its content is Markdown
                continue
            written = [code_block(source, "python")]
            for output in cell.get("outputs", ()):
                data = output.get("data", {})
                kind = next((kind for kind in ("gif", "png") if f"image/{kind}" in data), None)
                if kind is None:
                    written.append(output_to_markdown(output))
                    continue
                name = f"{path.stem}_{next(numbers)}.{kind}"
                written.append(f"![Output of the code above]({name})")
                yield f"lessons/{name}", b64decode("".join(data[f"image/{kind}"]))
            if cell["metadata"].get("jupyter", {}).get("source_hidden"):  # collapsed, with its output
                indented = re.sub("^(?=.)", "    ", "\n\n".join(written), flags=re.MULTILINE)
                written = [f'??? success "In code"\n\n{indented}']
            parts += written
        yield PLACES[path], "\n\n".join(parts)


def output_to_markdown(output: dict[str, Any]) -> str:
    """The output of a cell, other than a picture, as Markdown."""
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    if "text/latex" in data:  # source code that the lesson shows
        return code_block(data["text/plain"], "python")
    if "text/html" in data:
        table = re.sub(r"<style.*?</style>|\n\s*", "", data["text/html"], flags=re.DOTALL)
        return f'<div class="output">{re.sub("<table[^>]*>", "<table>", table)}</div>'
    if "text/markdown" in data:
        return data["text/markdown"]
    return code_block(data.get("text/plain", "".join(output.get("text", ()))).rstrip(), "text")


def with_equations(text: str) -> str:
    """Text with its equations, given between dollar signs, as MathML, which browsers render without scripts."""

    def math(latex: str, display: str) -> str:
        latex = re.sub(r"\\(mathbb|mathcal) (\w)", r"\\\1{\2}", latex)
        return convert(re.sub(r"\\(log|exp|max|min) (?=[A-Za-z\\])", r"\\\1\\,", latex), display=display)

    parts = re.split(r"(`[^`]+`)", text)
    for number in range(0, len(parts), 2):
        block = re.sub(r"\$\$(.+?)\$\$", lambda m: f'<div class="equation">{math(m[1], "block")}</div>', parts[number])
        parts[number] = re.sub(r"\$([^$\n]+)\$", lambda m: math(m[1], "inline"), block)
    return "".join(parts)


# --- the reference --------------------------------------------------------------------------------------------------


def from_code() -> Pages:
    """The reference: hooks, interfaces, settings, components of each kind, recipes, commands."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    os.environ["LIMNER_PLUGINS"] = ",".join(project["entry-points"]["limner"])  # bundled plugins only
    host = PluginHost()
    if host.problems():
        raise PluginError(host.problems())
    for topic in ("hooks", "interfaces", "settings"):
        yield f"reference/{topic}.md", page(describe(host, topic))
    for kind in [*COMPONENTS, "tracker", "recipe"]:
        about = describe(host, kind).about
        entries = sections(describe_component(host, kind, name) for name in host.components(kind))
        parts = [page(Chapter(KINDS[kind].plural.capitalize(), about, [])), links_of(kind), *entries]
        yield f"reference/{name_of(kind)}.md", "\n\n".join(parts)
    commands = list(all_commands(get_command(app), "limner"))
    yield "reference/commands.md", page(Chapter("Command line", "", commands))


def links_of(kind: str) -> str:
    """Links from the page of a kind to its hook, and to its interface or the settings."""
    hook = KINDS[kind].hook
    provided = f"Provided by plugins through the hook [`{hook}`](hooks.md#{hook})"
    if kind == "tracker":
        return f"{provided}. Each is a class whose objects have [training hooks](hooks.md)."
    if kind not in COMPONENTS:
        return f"{provided}. Its keys are the [settings](settings.md)."
    interface = KINDS[kind].interface_name
    return f"{provided}. Each implements [`{interface}`](interfaces.md#{interface.lower()})."


def name_of(kind: str) -> str:
    """The name of the page of a kind."""
    return KINDS[kind].plural.replace(" ", "-")
