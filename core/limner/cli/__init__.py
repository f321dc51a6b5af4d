"""The command line. `app` puts it together; every other file holds the commands of one topic.

A command imports what it needs only when it runs, so that `limner --help` answers at once.

May import every other part of `limner`, but only inside a command.
"""

from limner.cli.app import app, main

__all__ = ["app", "main"]
