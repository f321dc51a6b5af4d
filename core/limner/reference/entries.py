"""The entries of the reference: plain values that the terminal, the site and JSON all show."""

from collections.abc import Sequence
from dataclasses import dataclass

from limner.reference.signatures import Signature


@dataclass(frozen=True)
class Option:
    """One option of a component or a command, in words."""

    name: str
    type: str
    default: str  # as TOML; or "required", "not set", "empty"
    about: str


@dataclass(frozen=True)
class Description:
    """The full description of one component, recipe, setting or command."""

    kind: str
    name: str
    about: str  # its docstring
    plugin: str
    distribution: str
    version: str
    place: str  # where it is imported from
    options: list[Option]
    example: str  # a recipe's smallest part that uses it; a recipe's text; or command lines


@dataclass(frozen=True)
class Summary:
    """A component in one line."""

    name: str
    about: str
    plugin: str
    distribution: str
    version: str


@dataclass(frozen=True)
class KindSummary:
    """A kind of component, its hook, and the names of its components."""

    name: str
    about: str
    hook: str
    names: list[str]


@dataclass(frozen=True)
class Chapter:
    """A page of the reference: title, introduction and entries."""

    title: str
    about: str
    entries: Sequence[KindSummary | Summary | Description | Signature]
