"""How a command ends when it does not end well."""

from __future__ import annotations

import sys
from typing import IO, Any

import click

DONE = 0
REFUSED = 1
"""The data was refused, or a run failed."""
WRONG = 2
"""Wrong use, or no connection."""


class CliError(click.ClickException):
    """A command could not do what it was asked; its message says what to do."""

    exit_code = WRONG

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as this command line prints all of them."""
        click.echo(f"landfall: {self.message}", file=file or sys.stderr)


def describe(error: Exception) -> str:
    """One line about an error that nobody foresaw, and how to see where it came from."""
    text = " ".join(str(error).split()) or "no further message"
    return f"{type(error).__name__}: {text[:500]} (set LANDFALL_DEBUG=1 to see where)"
