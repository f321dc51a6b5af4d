"""Docstrings, read: what they say of each option, and all of it as Markdown, with equations kept as they are."""

import inspect
import re
from collections.abc import Iterator
from itertools import groupby

SECTION = re.compile(r"^(Args|Returns|Raises):$", re.MULTILINE)
NAMES = r"`\w+`(?:(?:, and |, | and )`\w+`)*"
EXPLAINED = re.compile(rf"({NAMES}): (.*?)(?=[;.] {NAMES}: |$)")
EQUATION = re.compile(r"\S+ = ")  # "L_D = ..." at the beginning of every line


def first_paragraph(docstring: str | None) -> str:
    """What a docstring says first, in one line."""
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())


def explanations(component: type) -> dict[str, str]:
    """What the docstring of the constructor says of its arguments, and those of the constructors that it extends.

    They stand in a section `Args:`, or in sentences such as "`width`: of the map; `scale`: k, the temperature."
    """
    found: dict[str, str] = {}
    for base in reversed(component.__mro__):
        docstring = inspect.cleandoc(getattr(vars(base).get("__init__"), "__doc__", None) or "")
        found |= _in_sentences(SECTION.split(docstring)[0]) | _in_section(docstring)
    return found


def _in_sentences(text: str) -> dict[str, str]:
    found = {}
    for match in EXPLAINED.finditer(" ".join(text.split())):
        names, said = re.findall(r"`(\w+)`", match[1]), match[2].rstrip(".")
        shares = said.split(", ")
        found |= zip(names, shares if len(shares) == len(names) else [said] * len(names))
    return {name: f"{said}." for name, said in found.items()}


def _in_section(docstring: str) -> dict[str, str]:
    sections = SECTION.split(docstring)
    if "Args" not in sections:
        return {}
    return dict(_entries(sections[sections.index("Args") + 1]))


def _entries(section: str) -> Iterator[tuple[str, str]]:
    """The entries "name: what it is" of a section, each of one line or several."""
    for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section)):
        name, _, said = " ".join(entry.split()).partition(": ")
        yield name, said


# --- as Markdown ----------------------------------------------------------------------------------------------------


def markdown(docstring: str | None) -> str:
    """A docstring as Markdown: its prose, its sections as lists, equations and code as blocks.

    A block is indented, by four spaces or more; after "::" it is Python. A paragraph in which every line begins
    like "L_D = " is an equation that has nothing below it, so that its indentation says nothing.
    """
    written, language = [], "text"
    paragraphs = re.split(r"\n\s*\n(?=.)", inspect.cleandoc(docstring or ""))
    for is_block, group in groupby(paragraphs, _is_block):
        if is_block:
            written.append(fenced(inspect.cleandoc("\n\n".join(["", *group])), language))
            continue
        for paragraph in group:
            language = "python" if paragraph.endswith("::") else "text"
            written.append(_prose(paragraph))
    return "\n\n".join(part for part in written if part)


def _is_block(paragraph: str) -> bool:
    return paragraph.startswith("    ") or all(EQUATION.match(line) for line in paragraph.splitlines() or [""])


def _prose(paragraph: str) -> str:
    if section := SECTION.match(paragraph):
        lines = [
            f"- `{name}`: {escaped(said)}" if said else f"- {escaped(name)}"
            for name, said in _entries(paragraph[section.end() :])
        ]
        return "\n".join([f"{section[1]}:", "", *lines])
    return escaped(" ".join(paragraph.split()).replace("::", ":"))


def fenced(text: str, language: str) -> str:
    """A block of code, kept as it is."""
    fence = "~~~~" if "```" in text else "```"
    return f"{fence}{language}\n{text}\n{fence}"


def escaped(text: str) -> str:
    """Text of which Markdown takes nothing for markup but what stands between `backticks`."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [
        re.sub(r"([\\*_\[\]])", r"\\\1", part.replace("&", "&amp;").replace("<", "&lt;")) for part in parts[::2]
    ]
    return "".join(parts)
