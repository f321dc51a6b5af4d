"""The group `limner data`: commands that plugins provide.

Each is imported only when it is asked for, and a broken one does not affect the others.
"""

from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from limner.errors import LimnerError
from limner.plugins import host


class DataCommands(TyperGroup):
    """The commands of `limner data`, which plugins provide through the hook `limner_data_commands`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names. This imports no command."""
        return list(host().components("data command"))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name. If it cannot be imported, this is a command that says why."""
        from limner.reference.commands import command_of

        known = {name for kind, name in host().clashes if kind == "data command"} | set(self.list_commands(ctx))
        if cmd_name not in known:
            return None
        try:
            return command_of(cmd_name)
        except LimnerError as error:
            return get_command(_broken(error))


app = typer.Typer(
    cls=DataCommands,
    help="Check and download data, with commands that plugins provide.",
    epilog="Example: `limner data coco`",
)


def _broken(error: LimnerError) -> typer.Typer:
    command = typer.Typer(add_completion=False)

    @command.command(help=str(error), context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def say_why() -> None:
        raise error

    return command
