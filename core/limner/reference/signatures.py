"""Signatures and docstrings of hooks and interfaces, exactly as the source has them."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from textwrap import dedent

from limner import hooks
from limner.kinds import COMPONENTS

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Signature:
    """A hook, an interface, or a member of an interface."""

    name: str
    signature: str
    about: str  # its docstring
    members: tuple["Signature", ...] = ()


def all_hooks() -> dict[str, Signature]:
    """Every hook by name, in source order."""
    return {name: read_signature(value) for name, value in vars(hooks).items() if name.startswith("limner_")}


def all_interfaces() -> dict[str, Signature]:
    """Every interface by name, then the types that they exchange."""
    from limner import slots, step, types

    exchanged = [types.Sizes, types.Tokens, types.TextFeatures, types.Canvas, types.Judgement, types.Batch]
    images = [types.CaptionedImages, types.ImageStream, types.StreamedImage]
    others = [types.Painter, slots.Slot, step.Step, *exchanged, *images]
    classes = [*(kind.interface for kind in COMPONENTS.values()), *others]
    return {value.__name__: read_signature(value) for value in classes}


def read_signature(thing: type | Callable[..., object]) -> Signature:
    """The signature of a function or class; for a class, also those of its public members."""
    lines = dedent(inspect.getsource(thing)).splitlines()
    definition = ast.parse("\n".join(lines)).body[0]
    assert isinstance(definition, Definition)
    members = tuple(_members(definition, lines)) if isinstance(definition, ast.ClassDef) else ()
    return Signature(definition.name, _head(definition, lines), ast.get_docstring(definition) or "", members)


def _members(definition: ast.ClassDef, lines: list[str]) -> Iterator[Signature]:
    for node, following in zip(definition.body, [*definition.body[1:], None]):
        if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            yield Signature(node.name, _head(node, lines), ast.get_docstring(node) or "")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            about = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                about = inspect.cleandoc(str(following.value.value))
            yield Signature(node.target.id, dedent("\n".join(lines[node.lineno - 1 : node.end_lineno])), about)


def _head(definition: Definition, lines: list[str]) -> str:
    """Decorators, name and arguments, without the body."""
    first, body = min([definition.lineno, *(d.lineno for d in definition.decorator_list)]), definition.body[0]
    head = lines[first - 1 : body.lineno]
    head[-1] = head[-1][: body.col_offset]
    text = re.sub(r" *# (pyright|noqa).*|@hookspec\n", "", dedent("\n".join(head)))
    return text.strip().removesuffix(":")


def field_comments(thing: type) -> dict[str, str]:
    """The comment on each field of a class: on the field's own lines, or else on the lines above it."""
    lines = dedent(inspect.getsource(thing)).splitlines()
    definition = ast.parse("\n".join(lines)).body[0]
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = takewhile(lambda line: line.strip().startswith("# "), reversed(lines[: node.lineno - 1]))
            own = (line.partition("  # ")[2] for line in lines[node.lineno - 1 : node.end_lineno])
            comment = " ".join(text for text in own if text)
            found[node.target.id] = comment or " ".join(line.strip()[2:] for line in reversed(list(above)))
    return found
