"""What a description is made of: plain values, for the terminal, for the site and for machines."""

from collections.abc import Sequence
from dataclasses import dataclass

from limner.reference.signatures import Signed


@dataclass(frozen=True)
class Option:
    """One option of a component or a command, in words."""

    name: str
    type: str
    default: str  # as a recipe would write it; "needed" where there is none
    about: str


@dataclass(frozen=True)
class Description:
    """All that there is to know of one component (or command) before using it."""

    kind: str
    name: str
    about: str  # its docstring
    plugin: str
    distribution: str
    version: str
    place: str  # where it is imported from
    options: list[Option]
    example: str  # the smallest part of a recipe that uses it; a recipe itself; or command lines


@dataclass(frozen=True)
class Summary:
    """A component in a line."""

    name: str
    about: str
    plugin: str
    distribution: str
    version: str


@dataclass(frozen=True)
class KindSummary:
    """A kind of component, the hook that brings it, and the names of those that there are."""

    name: str
    about: str
    hook: str
    names: list[str]


@dataclass(frozen=True)
class Chapter:
    """What is said of one topic: a title, a few words, and the entries."""

    title: str
    about: str
    entries: Sequence[KindSummary | Summary | Description | Signed]
