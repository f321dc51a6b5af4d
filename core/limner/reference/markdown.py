"""The reference as Markdown: one text, which the terminal shows and the site is made of."""

from collections.abc import Iterable, Sequence

from limner.reference.docstrings import escaped, fenced, markdown
from limner.reference.entries import Chapter, Description, KindSummary, Summary
from limner.reference.signatures import Signed

NAMED = {"recipe": "The whole of it", "data command": "For example", "command": "For example"}
"""What stands above an example that is no part of a recipe."""
LANGUAGES = {"data command": "sh", "command": "sh"}


def page(chapter: Chapter) -> str:
    """A chapter as a page: its title, a table of what is told in a line, sections of what is told whole."""
    parts = [f"# {escaped(chapter.title)}", escaped(chapter.about)]
    kinds = [entry for entry in chapter.entries if isinstance(entry, KindSummary)]
    if kinds:
        rows = [
            [code(kind.name), escaped(kind.about), ", ".join(map(code, kind.names)), code(kind.hook)] for kind in kinds
        ]
        parts.append(table(["kind", "what it is", "there is", "hook"], rows))
    summaries = [entry for entry in chapter.entries if isinstance(entry, Summary)]
    if summaries:
        rows = [[code(entry.name), escaped(entry.about), escaped(entry.plugin)] for entry in summaries]
        parts.append(table(["name", "what it is", "plugin"], rows))
    parts += sections(chapter.entries)
    return "\n\n".join(part for part in parts if part) + "\n"


def sections(entries: Iterable[object]) -> list[str]:
    """A section for each entry that is told whole."""
    written = []
    for entry in entries:
        if isinstance(entry, Description):
            written.append(component(entry))
        elif isinstance(entry, Signed):
            written.append(signed(entry))
    return written


def component(found: Description) -> str:
    """The section of a component or a command: docstring, where it comes from, options, example."""
    parts = [f"## {escaped(found.name)}", markdown(found.about)]
    if found.plugin:
        owner = f"{found.distribution} {found.version}".strip()
        parts.append(f"Brought by the plugin {code(found.plugin)} ({escaped(owner)}), as {code(found.place)}.")
    if found.options:
        rows = [
            [code(option.name), escaped(option.type), word_or_code(option.default), escaped(option.about)]
            for option in found.options
        ]
        parts.append(table(["option", "type", "default", "what it is"], rows))
    elif found.kind not in ("recipe", "setting"):
        parts.append("It has no options.")
    if found.example:
        parts += [f"{NAMED.get(found.kind, 'In a recipe')}:", fenced(found.example, LANGUAGES.get(found.kind, "toml"))]
    return "\n\n".join(part for part in parts if part)


def signed(found: Signed) -> str:
    """The section of a hook or an interface: signature and docstring, and so for each of its members."""
    parts = [f"## {escaped(found.name)}", fenced(found.signature, "python"), markdown(found.about)]
    for member in found.members:
        parts += [
            f"### {escaped(found.name)}.{escaped(member.name)}",
            fenced(member.signature, "python"),
            markdown(member.about),
        ]
    return "\n\n".join(part for part in parts if part)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what stands in its cells is Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') or ' ' for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Text as code, unless it has a sign that a table's cell or the backticks would take for their own."""
    return escaped(text) if "|" in text or "`" in text or not text else f"`{text}`"


def word_or_code(default: str) -> str:
    """A default: a value as code, and a word that says there is none as a word."""
    return default if default in ("needed", "left out", "empty") else code(default)
