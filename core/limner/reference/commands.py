"""Descriptions of the commands of a command line, from the objects that typer makes of them."""

import re
from collections.abc import Iterator
from inspect import cleandoc, unwrap
from typing import Any, get_type_hints

import typer
from typer.main import get_command

from limner.errors import LimnerError
from limner.plugins import host
from limner.reference.entries import Description, Option
from limner.reference.type_words import OPTIONAL, REQUIRED, type_in_words, value_in_words


def command_of(name: str) -> Any:
    """The command `limner data NAME` of a plugin, imported now.

    Raises:
        LimnerError: if it cannot be imported, or is not a `typer.Typer` with a command.
    """
    component = host().find("data command", name)
    command = host().bring(component)
    if not isinstance(command, typer.Typer) or not (command.registered_commands or command.registered_groups):
        raise LimnerError(
            f"The data command '{name}' of {component.plugin} must be a typer.Typer with a command, not {command!r}."
        )
    return get_command(command)


def all_commands(command: Any, name: str) -> Iterator[Description]:
    """Every command of a command line, each under its full name, such as "limner data coco"."""
    if hasattr(command, "list_commands"):
        for word in command.list_commands(None):
            yield from all_commands(command.get_command(None, word), f"{name} {word}")
        return
    callback = unwrap(command.callback)
    place = f"{callback.__module__}:{callback.__qualname__}"
    about = cleandoc(command.help or "")
    yield Description("command", name, about, "", "", "", place, command_options(command), examples(command))


def command_options(command: Any) -> list[Option]:
    """The arguments and options of one command, in words."""
    hints = get_type_hints(unwrap(command.callback), include_extras=True)
    found = []
    for parameter in command.params:
        words = type_in_words(hints.get(parameter.name, str)).removesuffix(OPTIONAL)
        words = f"{words.removeprefix('list of ')}, may be repeated" if words.startswith("list of ") else words
        spelled = ", ".join([*parameter.opts, *parameter.secondary_opts])
        if not spelled.startswith("-"):
            spelled = (parameter.metavar or parameter.name).upper()
        elif parameter.metavar:
            spelled = f"{spelled} {parameter.metavar}"
        default = parameter.default if isinstance(parameter.default, str) else value_in_words(parameter.default)
        default = REQUIRED if parameter.required else default
        found.append(Option(spelled, "flag" if words == "bool" else words, default, parameter.help or ""))
    return found


def examples(command: Any) -> str:
    """The command lines in a command's epilog."""
    return "\n".join(re.findall("`([^`]+)`", command.epilog or ""))
