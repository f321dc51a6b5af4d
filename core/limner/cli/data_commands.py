"""Commands that plugins bring: each is imported only when it is asked for, and a broken one harms no other."""

from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from limner.errors import LimnerError
from limner.plugins import host
from limner.reference.commands import command_of


class DataCommands(TyperGroup):
    """The commands of `limner data`: whatever plugins bring by the hook `limner_data_commands`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names; nothing is imported for them."""
        return list(host().components("data command"))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; of one that cannot be imported, a command that says why."""
        known = {name for kind, name in host().clashes if kind == "data command"} | set(self.list_commands(ctx))
        if cmd_name not in known:
            return None
        try:
            return command_of(cmd_name)
        except LimnerError as error:
            return get_command(_broken(error))


def _broken(error: LimnerError) -> typer.Typer:
    command = typer.Typer(add_completion=False)

    @command.command(help=str(error), context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def say_why() -> None:
        raise error

    return command
