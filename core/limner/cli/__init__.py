"""The command line. Each command imports what it needs only when it runs, so that `limner --help` answers at once.

May import every other part of `limner`, inside a command.
"""

from limner.cli.app import app, main

__all__ = ["app", "main"]
