"""The reference as Markdown, for the terminal and for the site."""

from collections.abc import Iterable, Sequence

from limner.reference.docstrings import code_block, docstring_to_markdown, escape
from limner.reference.entries import Chapter, Description, KindSummary, Summary
from limner.reference.signatures import Signature
from limner.reference.type_words import EMPTY, NOT_SET, REQUIRED

TITLES = {"recipe": "The recipe", "model": "Its recipe", "league entry": "Its recipe"}
TITLES |= {"data command": "Examples", "command": "Examples"}
"""The line above an example, if it is not part of a recipe."""
LANGUAGES = {"data command": "sh", "command": "sh"}


def page(chapter: Chapter) -> str:
    """A chapter as a page: title, introduction, tables of the summaries, sections of the other entries."""
    parts = [f"# {escape(chapter.title)}", escape(chapter.about)]
    kinds = [entry for entry in chapter.entries if isinstance(entry, KindSummary)]
    if kinds:
        rows = [
            [code(kind.name), escape(kind.about), ", ".join(map(code, kind.names)), code(kind.hook)] for kind in kinds
        ]
        parts.append(table(["kind", "description", "components", "hook"], rows))
    summaries = [entry for entry in chapter.entries if isinstance(entry, Summary)]
    if summaries:
        rows = [[code(entry.name), escape(entry.about), escape(entry.plugin)] for entry in summaries]
        parts.append(table(["name", "description", "plugin"], rows))
    parts += sections(chapter.entries)
    return "\n\n".join(part for part in parts if part) + "\n"


def sections(entries: Iterable[object]) -> list[str]:
    """A section for each full description and each signature."""
    written = []
    for entry in entries:
        if isinstance(entry, Description):
            written.append(description_section(entry))
        elif isinstance(entry, Signature):
            written.append(signature_section(entry))
    return written


def description_section(found: Description) -> str:
    """The section of a component or a command: docstring, origin, options, example."""
    parts = [f"## {escape(found.name)}", docstring_to_markdown(found.about)]
    if found.plugin:
        owner = f"{found.distribution} {found.version}".strip()
        parts.append(f"Provided by the plugin {code(found.plugin)} ({escape(owner)}), as {code(found.place)}.")
    if found.options:
        rows = [
            [code(option.name), escape(option.type), word_or_code(option.default), escape(option.about)]
            for option in found.options
        ]
        parts.append(table(["option", "type", "default", "description"], rows))
    elif found.kind not in ("recipe", "model", "setting"):
        parts.append("It has no options.")
    if found.example:
        title, language = TITLES.get(found.kind, "In a recipe"), LANGUAGES.get(found.kind, "toml")
        parts += [f"{title}:", code_block(found.example, language)]
    return "\n\n".join(part for part in parts if part)


def signature_section(found: Signature) -> str:
    """The section of a hook or an interface: signature, docstring, and the same for each member."""
    parts = [f"## {escape(found.name)}", code_block(found.signature, "python"), docstring_to_markdown(found.about)]
    for member in found.members:
        parts += [
            f"### {escape(found.name)}.{escape(member.name)}",
            code_block(member.signature, "python"),
            docstring_to_markdown(member.about),
        ]
    return "\n\n".join(part for part in parts if part)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Its cells are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') or ' ' for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Text as code, or plain if it has a character that would break the table cell or the backticks."""
    return escape(text) if "|" in text or "`" in text or not text else f"`{text}`"


def word_or_code(default: str) -> str:
    """A default as code, or a word such as "required" as a plain word."""
    return default if default in (REQUIRED, NOT_SET, EMPTY) else code(default)
