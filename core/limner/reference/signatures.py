"""Hooks and interfaces as they stand in the source: each signature letter by letter, each docstring."""

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
class Signed:
    """What has a signature: a hook, an interface, or a member of one."""

    name: str
    signature: str
    about: str
    members: tuple["Signed", ...] = ()


def all_hooks() -> dict[str, Signed]:
    """Every hook by name, in the order of the source."""
    return {name: read(value) for name, value in vars(hooks).items() if name.startswith("limner_")}


def all_interfaces() -> dict[str, Signed]:
    """Every interface by name, and the values that travel between them."""
    from limner import interfaces, slots, step, types

    travelling = [types.Sizes, types.Tokens, types.TextFeatures, types.Canvas, types.Judgement, types.CaptionedImages]
    values = [interfaces.Painter, slots.Slot, step.Step, *travelling, types.Batch]
    return {value.__name__: read(value) for value in [*(kind.interface for kind in COMPONENTS.values()), *values]}


def read(thing: type | Callable[..., object]) -> Signed:
    """A function or class as its source has it; of a class, also its public members."""
    lines = dedent(inspect.getsource(thing)).splitlines()
    definition = ast.parse("\n".join(lines)).body[0]
    assert isinstance(definition, Definition)
    members = tuple(_members(definition, lines)) if isinstance(definition, ast.ClassDef) else ()
    return Signed(definition.name, _head(definition, lines), ast.get_docstring(definition) or "", members)


def _members(definition: ast.ClassDef, lines: list[str]) -> Iterator[Signed]:
    for node, following in zip(definition.body, [*definition.body[1:], None]):
        if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            yield Signed(node.name, _head(node, lines), ast.get_docstring(node) or "")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            about = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                about = inspect.cleandoc(str(following.value.value))
            yield Signed(node.target.id, dedent("\n".join(lines[node.lineno - 1 : node.end_lineno])), about)


def _head(definition: Definition, lines: list[str]) -> str:
    """Decorators, name and arguments, up to the body."""
    first, body = min([definition.lineno, *(d.lineno for d in definition.decorator_list)]), definition.body[0]
    head = lines[first - 1 : body.lineno]
    head[-1] = head[-1][: body.col_offset]
    text = re.sub(r" *# (pyright|noqa).*|@hookspec\n", "", dedent("\n".join(head)))
    return text.strip().removesuffix(":")


def comments(thing: type) -> dict[str, str]:
    """What the source of a class says of its fields, in a comment behind each or in the lines above it."""
    lines = dedent(inspect.getsource(thing)).splitlines()
    definition = ast.parse("\n".join(lines)).body[0]
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = takewhile(lambda line: line.strip().startswith("# "), reversed(lines[: node.lineno - 1]))
            behind = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
            found[node.target.id] = behind or " ".join(line.strip()[2:] for line in reversed(list(above)))
    return found
