"""Reading docstrings: the description of each argument, and the whole as Markdown with its equations unchanged."""

import inspect
import re
from collections.abc import Iterator
from itertools import groupby

SECTION = re.compile(r"^(Args|Returns|Raises):$", re.MULTILINE)
NAMES = r"`\w+`(?:(?:, and |, | and )`\w+`)*"
EXPLAINED = re.compile(rf"({NAMES}): (.*?)(?=[;.] {NAMES}: |$)")
EQUATION = re.compile(r"\S+ = ")  # "L_D = ..." at the beginning of every line


def first_paragraph(docstring: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())


def argument_descriptions(component: type) -> dict[str, str]:
    """What the constructor's docstring says of each argument; inherited constructors are read too.

    The descriptions are a section `Args:`, or sentences such as "`width`: of the map; `scale`: k, the temperature."
    """
    found: dict[str, str] = {}
    for base in reversed(component.__mro__):
        docstring = inspect.cleandoc(getattr(vars(base).get("__init__"), "__doc__", None) or "")
        found |= _in_sentences(SECTION.split(docstring)[0]) | _in_section(docstring)
    return found


def _in_sentences(text: str) -> dict[str, str]:
    found = {}
    for match in EXPLAINED.finditer(" ".join(text.split())):
        names, words = re.findall(r"`(\w+)`", match[1]), match[2].rstrip(".")
        parts = words.split(", ")
        found |= zip(names, parts if len(parts) == len(names) else [words] * len(names))
    return {name: f"{words}." for name, words in found.items()}


def _in_section(docstring: str) -> dict[str, str]:
    sections = SECTION.split(docstring)
    if "Args" not in sections:
        return {}
    return dict(_entries(sections[sections.index("Args") + 1]))


def _entries(section: str) -> Iterator[tuple[str, str]]:
    """The entries "name: description" of a section, each of one or more lines."""
    for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section)):
        name, _, words = " ".join(entry.split()).partition(": ")
        yield name, words


# --- as Markdown ----------------------------------------------------------------------------------------------------


def docstring_to_markdown(docstring: str | None) -> str:
    """A docstring as Markdown: prose, sections as lists, equations and code as blocks.

    A block is indented by four or more spaces; after "::" it is Python. A paragraph in which every line begins like
    "L_D = " is an equation, indented or not: `cleandoc` removes its indentation if no prose follows.
    """
    written, language = [], "text"
    paragraphs = re.split(r"\n\s*\n(?=.)", inspect.cleandoc(docstring or ""))
    for is_block, group in groupby(paragraphs, _is_block):
        if is_block:
            written.append(code_block(inspect.cleandoc("\n\n".join(["", *group])), language))
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
            f"- `{name}`: {escape(words)}" if words else f"- {escape(name)}"
            for name, words in _entries(paragraph[section.end() :])
        ]
        return "\n".join([f"{section[1]}:", "", *lines])
    return escape(" ".join(paragraph.split()).replace("::", ":"))


def code_block(text: str, language: str) -> str:
    """A fenced code block in Markdown."""
    fence = "~~~~" if "```" in text else "```"
    return f"{fence}{language}\n{text}\n{fence}"


def escape(text: str) -> str:
    """Text with Markdown's special characters escaped, except between `backticks`."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [
        re.sub(r"([\\*_\[\]])", r"\\\1", part.replace("&", "&amp;").replace("<", "&lt;")) for part in parts[::2]
    ]
    return "".join(parts)
