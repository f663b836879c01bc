"""Plays the scenario against a running service and sees how each drop ends."""

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
    """A drop as it was delivered, and its run as it was seen last."""

    drop: DemoDrop
    landed: Landed
    run: Json = field(default_factory=dict)

    @property
    def as_expected(self) -> bool:
        """Whether the run ended as the scenario says."""
        right_rows = self.drop.rejected in (None, self.run.get("rejected"))
        return self.run.get("state") == self.drop.expect and right_rows

    def view(self) -> Json:
        """The run; before the service knows of it, what is known here."""
        return self.run or self.landed.known()

    def to_json(self) -> Json:
        """The run, with what was expected of it."""
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
        view: shows how the runs stand.
        seconds: how long all of it may take.
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

    def perform(self) -> None:
        """Play the whole scenario; `deliveries` tells how it went."""
        first, *_ = self.deliver(self._scenario.first)
        self._follow(lambda: first.view()["state"] in _ACCEPTED)
        self.deliver([self._scenario.again])
        self._follow(self._all_final)
        started = time.monotonic()
        (small,) = self.deliver([self._scenario.small])
        self._follow(self._all_final)
        if small.run.get("state") == State.SUCCEEDED:
            self.small_seconds = time.monotonic() - started

    def deliver(self, drops: Sequence[DemoDrop]) -> list[DemoDelivery]:
        """Upload drops as producers would."""
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
            self._scan,
            self._view,
            done=lambda _: done(),
            seconds=self._deadline - time.monotonic(),
        )

    def _scan(self) -> list[Json]:
        known = {run["run_id"]: run for run in self._client.runs(limit=_LIST_LIMIT)}
        for delivery in self.deliveries:
            delivery.run = known.get(delivery.landed.run_id, delivery.run)
        return [delivery.view() for delivery in self.deliveries]

    def _all_final(self) -> bool:
        return live.all_final([delivery.view() for delivery in self.deliveries])
