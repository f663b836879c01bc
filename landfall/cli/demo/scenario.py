"""What a demo drops and how each drop must end; the data is the project's, in its `demo.py`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from landfall.cli.demo.sources import StartSources
from landfall.cli.errors import CliError
from landfall.protocol import State


@dataclass(frozen=True)
class DemoDrop:
    """One drop of the demo.

    Attributes:
        dataset: its dataset.
        file: its name in the lake.
        note: why it is part of the demo; empty for an ordinary good file.
        expect: the expected final state of its run.
        how: closed upload, which raises an event, or upload without event and POST /ingest.
        rejected: the expected number of rejected rows; None for any number.
    """

    dataset: str
    file: str
    note: str
    expect: State = State.SUCCEEDED
    how: Literal["event", "post"] = "event"
    rejected: int | None = 0

    @property
    def path(self) -> str:
        """Lake path of the drop."""
        return f"landing/{self.dataset}/{self.file}"

    @property
    def source(self) -> str:
        """Name of its file in the demo's folder."""
        return f"{self.dataset}.csv" if self.file == "all.csv" else self.file


@dataclass(frozen=True)
class Scenario:
    """One demo.

    Attributes:
        first: delivered at once.
        again: delivered when the first of `first` has been accepted: the same content.
        small: delivered when all others have ended, and timed; it has `small_rows` rows.
        refused: the drop of `first` whose report is shown.
        query: SQL that is run against the served tables and shown.
        check: raises a `CliError` if `prepare` cannot do what is asked.
        sources: starts what is extracted from while the demo runs; None where nothing is.
        prepare: writes every file into a folder, from the kind of data (`real`, `generated` or
            `auto`) and the number of rows; returns in a few words where they come from.
        later: delivered when the sources have been extracted; their files are there by then.
        analytics: whether segments, recommendations and forecasts are made at the end.
    """

    first: tuple[DemoDrop, ...]
    again: DemoDrop
    small: DemoDrop
    small_rows: int
    refused: DemoDrop
    query: str
    check: Callable[[str], None]
    prepare: Callable[[Path, str, int | None], str]
    sources: StartSources | None = None
    later: tuple[DemoDrop, ...] = ()
    analytics: bool = False


def load(project: Path) -> Scenario:
    """Return `SCENARIO` of a project's `demo.py`.

    Raises:
        CliError: the project has no demo.
    """
    if not (project / "demo.py").is_file():
        raise CliError(f"{project} has no demo.py, so there is nothing to show")
    if str(project.parent) not in sys.path:
        sys.path.insert(0, str(project.parent))
    module = importlib.import_module(f"{project.name}.demo")
    scenario: Scenario = module.SCENARIO
    return scenario
