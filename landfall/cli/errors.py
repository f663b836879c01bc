"""Errors and exit codes of the command line."""

from __future__ import annotations

import sys
from typing import IO, Any

import click

DONE = 0
REFUSED = 1
"""The data was refused, or a run failed."""
WRONG = 2
"""Wrong usage, or no connection."""


class CliError(click.ClickException):
    """A command failed; the message says why and what to do."""

    exit_code = WRONG

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message with the prefix of this command line."""
        click.echo(f"landfall: {self.message}", file=file or sys.stderr)


def describe(error: Exception) -> str:
    """Return one line about an unexpected error, and how to see its traceback."""
    text = " ".join(str(error).split()) or "no further message"
    return f"{type(error).__name__}: {text[:500]} (set LANDFALL_DEBUG=1 to see the traceback)"
