"""Runs the scenario against a service and follows each drop to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.storage.filedatalake import FileSystemClient

from landfall.cli import lake, live
from landfall.cli.client import Client
from landfall.cli.demo.scenario import DemoDrop, Scenario
from landfall.cli.lake import Landed
from landfall.protocol import FINAL, State

Json = dict[str, Any]

_ACCEPTED = FINAL | {State.VALIDATED, State.COPYING, State.COPIED, State.LOADING}
_LIST_LIMIT = 100


@dataclass
class DemoDelivery:
    """A delivered drop, and the last known state of its run."""

    drop: DemoDrop
    landed: Landed
    run: Json = field(default_factory=dict)

    @property
    def as_expected(self) -> bool:
        """Whether the run ended as expected."""
        rejects_as_expected = self.drop.rejected in (None, self.run.get("rejected"))
        return self.run.get("state") == self.drop.expect and rejects_as_expected

    def view(self) -> Json:
        """Return the run; before the service knows it, what the upload returned."""
        return self.run or self.landed.summary()

    def to_json(self) -> Json:
        """Return the run with its expected result."""
        return self.view() | {
            "note": self.drop.note,
            "expected": self.drop.expect.value,
            "as_expected": self.as_expected,
        }


class Play:
    """Delivers drops and follows their runs.

    Args:
        scenario: what is delivered.
        client: of the service; container: its landing container.
        files: folder with the scenario's files.
        view: shows the states of the runs.
        seconds: time limit of the scenario.
    """

    def __init__(
        self,
        scenario: Scenario,
        client: Client,
        container: FileSystemClient,
        files: Path,
        *,
        view: live.Board,
        seconds: float,
    ) -> None:
        self.deliveries: list[DemoDelivery] = []
        self.small_seconds: float | None = None
        self._scenario = scenario
        self._client = client
        self._container = container
        self._files = files
        self._view = view
        self._deadline = time.monotonic() + seconds

    def run_scenario(self) -> None:
        """Run the whole scenario; the results are in `deliveries`."""
        first, *_ = self.deliver(self._scenario.first)
        self._follow(lambda: first.view()["state"] in _ACCEPTED)
        self.deliver([self._scenario.again])
        self._follow(self._all_final)
        started = time.monotonic()
        (small,) = self.deliver([self._scenario.small])
        self._follow(self._all_final)
        if small.run.get("state") == State.SUCCEEDED:
            self.small_seconds = time.monotonic() - started

    def follow_on(self, view: live.Board) -> None:
        """Deliver what belongs to the extracts, and follow it to the end."""
        self._view = view
        self.deliver(self._scenario.later)
        self._follow(self._all_final)

    def deliver(self, drops: Sequence[DemoDrop]) -> list[DemoDelivery]:
        """Upload drops as producers do."""
        delivered = [self._deliver(drop) for drop in drops]
        self.deliveries += delivered
        return delivered

    def _deliver(self, drop: DemoDrop) -> DemoDelivery:
        quietly = drop.how == "post"
        landed = lake.upload(
            self._container, self._files / drop.source, drop.path, announce=not quietly
        )
        if quietly:
            self._client.ingest(drop.dataset, drop.path)
        return DemoDelivery(drop, landed)

    def _follow(self, done: Callable[[], bool]) -> None:
        live.follow(
            self._poll,
            self._view,
            done=lambda _: done(),
            seconds=self._deadline - time.monotonic(),
        )

    def _poll(self) -> list[Json]:
        runs_by_id = {run["run_id"]: run for run in self._client.runs(limit=_LIST_LIMIT)}
        for delivery in self.deliveries:
            delivery.run = runs_by_id.get(delivery.landed.run_id, delivery.run)
        return [delivery.view() for delivery in self.deliveries]

    def _all_final(self) -> bool:
        return live.all_final([delivery.view() for delivery in self.deliveries])
