"""Follows runs until they end: a live table on a terminal, else one line for each change."""

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
OUTAGE_SECONDS = 30.0
"""How long a service may be unavailable while its runs are followed."""


class Board(Protocol):
    """A view of runs."""

    def show(self, runs: Sequence[Mapping[str, Any]]) -> None:
        """Update the view."""


class LineOutput:
    """Prints one line for each change of a run's state, for logs and pipes.

    Where nothing changes for a while it says what is still going on, and for how long.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._states: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._said = clock()

    def show(self, runs: Sequence[Mapping[str, Any]]) -> None:
        """Print what changed since the last call, oldest runs first."""
        for run in sorted(runs, key=lambda run: str(run["run_id"])):
            run_id, now = run["run_id"], run["state"]
            earlier = self._states.get(run_id)
            if earlier == now:
                continue
            self._states[run_id] = now
            self._since[run_id] = self._clock()
            change = f"{earlier} → {now}" if earlier else now
            why = f": {run['cause']}" if now in render.BAD and run.get("cause") else ""
            which = "" if earlier else f" (run {run_id})"
            self._print(f"{_time(run)} {run['dataset']}/{run['name']}: {change}{why}{which}")
        if self._clock() - self._said >= HEARTBEAT_SECONDS:
            for run in runs:
                if run["state"] not in FINAL:
                    waited = self._clock() - self._since[run["run_id"]]
                    self._print(
                        f"{time.strftime('%H:%M:%S')} {run['dataset']}/{run['name']}: still "
                        f"{run['state']}, for {waited:.0f} s"
                    )

    def _print(self, line: str) -> None:
        self._said = self._clock()
        self._console.print(line, markup=False, soft_wrap=True)


HEARTBEAT_SECONDS = 20.0
"""After so long without a line it is said what is still going on."""


def _time(run: Mapping[str, Any]) -> str:
    """When a run came into its state, by the clock of this machine."""
    updated = run.get("updated")
    if not updated:
        return time.strftime("%H:%M:%S")
    return f"{datetime.fromisoformat(updated).astimezone():%H:%M:%S}"


class _LiveTable:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, runs: Sequence[Mapping[str, Any]]) -> None:
        width = self._live.console.width
        self._live.update(render.progress_table(runs, datetime.now(UTC), width), refresh=True)


@contextmanager
def board(console: Console, *, transient: bool = False) -> Iterator[Board]:
    """Return a live table on a terminal, else lines; one that is `transient` goes at the end."""
    if not console.is_terminal:
        yield LineOutput(console)
        return
    with Live(console=console, auto_refresh=False, transient=transient) as live:
        yield _LiveTable(live)


def follow(
    poll: Callable[[], list[Json]],
    view: Board,
    *,
    done: Callable[[list[Json]], bool],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> list[Json]:
    """Poll and show runs until `done` returns true or `seconds` have passed.

    Returns the last runs, done or not.

    Raises:
        ApiProblem: the service refused the request.
        CliError: the service was not available for `OUTAGE_SECONDS`, or never.
    """
    deadline = clock() + seconds
    answered: float | None = None
    runs: list[Json] = []
    while True:
        try:
            runs = poll()
        except CliError as error:
            permanent = isinstance(error, ApiProblem) and error.status < _SERVER_ERROR
            if permanent or answered is None or clock() - answered > OUTAGE_SECONDS:
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
    """Whether all runs are in a final state."""
    return all(run["state"] in FINAL for run in runs)
