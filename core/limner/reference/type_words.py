"""Types and values in plain words: `Annotated[int, Field(ge=1)]` is "int, at least 1", `True` is TOML's "true"."""

import json
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from limner.kinds import kind_of

LIMITS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min": "at least {}",  # typer's two
    "max": "at most {}",
    "multiple_of": "a multiple of {}",
    "pattern": "matching {!r}",
    "min_length": "at least {} of them",
    "max_length": "at most {} of them",
}
"""The words for a limit, by the attribute that holds it in an annotation of pydantic, annotated_types or typer."""

NAMES = {"Path": "path", "Part": "component", "LossPart": "component"}
"""The words for some types."""

OPTIONAL = ", optional"
REQUIRED, NOT_SET, EMPTY = "required", "not set", "empty"
"""The words for a default that TOML cannot write."""


def type_in_words(hint: Any) -> str:
    """A type in words: "list of int, each at least 1; at least 2 of them", "str, optional", "slot of stage"."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        base, limits = type_in_words(arguments[0]), " and ".join(_limits(arguments[1:]))
        limits = limits.replace("of them", "characters") if base.startswith("str") else limits
        base, optional = base.removesuffix(OPTIONAL), OPTIONAL if base.endswith(OPTIONAL) else ""
        return f"{base}{';' if ',' in base else ','} {limits}{optional}" if limits else f"{base}{optional}"
    if origin in (Literal, Union, UnionType):
        return either(_choices(hint)) + (OPTIONAL if NoneType in arguments else "")
    if origin in (list, tuple, set, frozenset):
        return f"list of {_each(arguments[0])}" if arguments else "list"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {type_in_words(arguments[1])}"
    if origin is not None and origin.__module__ == "limner.slots":
        return f"slot of {kind_of(arguments[0])}"
    name = "anything" if hint is Any else getattr(hint, "__name__", str(hint))
    return NAMES.get(name, name)


def _choices(hint: Any) -> list[str]:
    """The alternatives of a union or a literal, without None."""
    if get_origin(hint) is Literal:
        return [value_in_words(value) for value in get_args(hint)]
    if get_origin(hint) in (Union, UnionType):
        return [choice for part in get_args(hint) if part is not NoneType for choice in _choices(part)]
    return [type_in_words(hint)]


def _each(hint: Any) -> str:
    """The type of a list's items: "int, each at least 1"."""
    words = type_in_words(hint)
    return words.replace(", ", ", each ", 1) if get_origin(hint) is Annotated else words


def _limits(annotations: Iterable[Any]) -> Iterator[str]:
    for annotation in annotations:
        yield from _limits(getattr(annotation, "metadata", ()))  # pydantic's Field holds several
        for attribute, words in LIMITS.items():
            if (limit := getattr(annotation, attribute, None)) is not None:
                yield words.format(limit)


def either(words: Iterable[str]) -> str:
    """Words as alternatives: "a, b or c"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def value_in_words(value: Any) -> str:
    """A value as TOML; None and an empty slot, which TOML cannot write, as "not set" and "empty"."""
    if value is None:
        return NOT_SET
    if isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {value_in_words(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_in_words, value))}]"
    if hasattr(value, "entries"):  # a slot
        return ", ".join(part.__name__ for part, *_ in value.entries) or EMPTY
    return str(value)
