"""Watching runs until they end: a table that redraws on a terminal, a line per change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from landfall.cli import render
from landfall.cli.client import ApiProblem
from landfall.cli.errors import CliError
from landfall.protocol import FINAL

Json = dict[str, Any]
_SERVER_ERROR = 500
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 30.0
"""How long a service may stay silent while its runs are followed."""


class Board(Protocol):
    """Shows runs as they are now."""

    def show(self, runs: Sequence[Mapping[str, Any]]) -> None:
        """Bring the view up to date."""


class LineOutput:
    """One line for each change of a run's state: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, str] = {}

    def show(self, runs: Sequence[Mapping[str, Any]]) -> None:
        """Print what changed since the last time."""
        for run in runs:
            earlier, now = self._states.get(run["run_id"]), run["state"]
            if earlier == now:
                continue
            self._states[run["run_id"]] = now
            change = f"{earlier} → {now}" if earlier else now
            why = f": {run['cause']}" if now in render.BAD and run.get("cause") else ""
            self._console.print(
                f"{time.strftime('%H:%M:%S')} {run['dataset']}/{run['name']}: {change}{why}",
                markup=False,
                soft_wrap=True,
            )


class _Redrawn:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, runs: Sequence[Mapping[str, Any]]) -> None:
        self._live.update(render.progress_table(runs, datetime.now(UTC)), refresh=True)


@contextmanager
def board(console: Console) -> Iterator[Board]:
    """The view that suits where the output goes."""
    if not console.is_terminal:
        yield LineOutput(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield _Redrawn(live)


def follow(
    look: Callable[[], list[Json]],
    view: Board,
    *,
    done: Callable[[list[Json]], bool],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> list[Json]:
    """Look at runs and show them until `done` says so or `seconds` have passed.

    Returns the runs as they were seen last, done or not.

    Raises:
        Problem: the service refused to show them.
        Trouble: it could not be reached for `PATIENCE_SECONDS`.
    """
    deadline = clock() + seconds
    answered = clock()
    runs: list[Json] = []
    while True:
        try:
            runs = look()
        except CliError as trouble:
            lasting = isinstance(trouble, ApiProblem) and trouble.status < _SERVER_ERROR
            if lasting or clock() - answered > PATIENCE_SECONDS:
                raise
        else:
            answered = clock()
            view.show(runs)
            if done(runs):
                return runs
        if clock() > deadline:
            return runs
        pause(POLL_SECONDS)


def all_final(runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing will happen to any of the runs by itself any more."""
    return all(run["state"] in FINAL for run in runs)
