"""The service on a real lake, and its HTTP API as the function app calls it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.errors import Retryable
from ingest.http import web
from ingest.ports import CopyRun, JobRun
from ingest.runs.messages import Message
from ingest.runs.run import Run
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.protocol import run_id
from tests.ingest.conftest import REPOSITORY, Clock, StorageAccount
from tests.ingest.memory import InMemoryAccount, copy_accepted
from tests.ingest.remote import Factory, Workspace

SETTLE = 120
SETTLED = SETTLE + 60
"""Seconds after which a file has settled: its time is the lake's, a little after the clock's."""
DEQUEUES = 5
FOLDERS = """
apiVersion: v3.2.0
kind: DataContract
id: readings
version: 1.0.0
status: active
schema:
  - name: readings
    properties:
      - name: id
        logicalType: integer
        primaryKey: true
        required: true
      - name: value
        logicalType: number
customProperties:
  - property: dropKind
    value: folder
  - property: maxRejectedRatio
    value: 0.4
"""
"""The contract of a dataset whose drops are folders."""


class Copying(Factory):
    """A data factory whose pipeline runs copy what they were asked to as soon as they start."""

    def __init__(self, storage_account: StorageAccount | InMemoryAccount) -> None:
        super().__init__()
        self._sea = storage_account
        self.holding = False

    def start(self, parameters: Mapping[str, Any]) -> str:
        name = super().start(parameters)
        if not self.holding:
            self.copy(name)
        return name

    def copy(self, name: str) -> None:
        """Let a pipeline run write its sink and succeed."""
        asked = self.started[int(name.rpartition("-")[2]) - 1]
        size = copy_accepted(self._sea.lake, asked)
        self.runs[name] = CopyRun(
            name, "Succeeded", str(asked["attemptId"]), copied=True, size=size
        )


class Loading(Workspace):
    """A workspace that remembers the batch documents that its job runs were started with."""

    def __init__(self, storage_account: StorageAccount | InMemoryAccount) -> None:
        super().__init__()
        self._sea = storage_account
        self.documents: list[Mapping[str, Any]] = []
        self.poison: set[str] = set()

    def start(self, token: str, parameters: Mapping[str, str]) -> int:
        if token not in self.batches:
            self.documents.append(json.loads(self._sea.lake.get(parameters["batch"])[0]))
        return super().start(token, parameters)

    def observe(self, job_run_id: int) -> JobRun | None:
        members = {drop["run_id"] for drop in self.documents[job_run_id - 1]["drops"]}
        if members & self.poison:
            return JobRun(job_run_id, "failed", "a row is poisoned")
        return super().observe(job_run_id)

    def loads_of(self, run: str) -> int:
        """How many job runs loaded a run."""
        return sum(
            any(drop["run_id"] == run for drop in document["drops"]) for document in self.documents
        )


@dataclass
class ServiceHarness:
    """One service's outside: what workers share, and what they are asked."""

    storage_account: Any  # a Sea, or a Pond
    clock: Clock
    settings: Mapping[str, str] = field(default_factory=dict)
    factory: Copying = field(init=False)
    workspace: Loading = field(init=False)
    service: Landfall = field(init=False)

    def __post_init__(self) -> None:
        self.factory = Copying(self.storage_account)
        self.workspace = Loading(self.storage_account)
        self.service = self.worker()

    def worker(self) -> Landfall:
        """A fresh process, which remembers nothing."""
        env = {
            "LANDFALL_LAKE": self.storage_account.config.lake_connection_string,
            "LANDFALL_ADF_SUBSCRIPTION": "s",
            "LANDFALL_ADF_RESOURCE_GROUP": "g",
            "LANDFALL_ADF_FACTORY": "f",
            "LANDFALL_NUDGE_SECONDS": "0",  # a tick looks at every copy: nobody calls back here
            "DATABRICKS_HOST": "http://localhost",
            "LANDFALL_SETTLE_SECONDS": str(SETTLE),
            **self.settings,
        }
        return build(
            read(env, app=REPOSITORY),
            clock=self.clock,
            lake=self.storage_account.lake,
            copier=self.factory,
            loader=self.workspace,
        )

    def drive(self, messages: list[Message], ticks: int = 6) -> None:
        """Work a queue until it is empty and ticks find nothing more; late messages go last.

        One that fails five times is given up, as the real queue does.
        """
        queue, budget = list(messages), 400
        for _ in range(ticks):
            failures: Counter[Message] = Counter()
            while queue:
                budget -= 1
                assert budget, f"no end: {queue}"
                message, *queue = queue
                try:
                    queue += self.service.handle(message)
                except Retryable:
                    self.clock.turn(seconds=1)
                    failures[message] += 1
                    if failures[message] < DEQUEUES:
                        queue.append(message)
            self.clock.turn(seconds=31)
            queue = self.service.reconcile()

    def take(self, path: str, content: bytes) -> Run:
        """Land a file and bring it to its end by its event."""
        version = self.storage_account.land(path, content)
        self.drive(self.service.on_landing(path))
        return self.run(run_id(version.modified, path.split("/")[1], path, version.etag))

    def run(self, name: str) -> Run:
        """A run as it stands."""
        return self.service.manifest.get(name, fresh=True).run

    def post(
        self,
        endpoint: web.Endpoint,
        body: Mapping[str, Any] | bytes = b"",
        *,
        key: str = "",
        query: Mapping[str, str] | None = None,
        service: Callable[[], Landfall] | None = None,
        **route: str,
    ) -> web.ApiResponse:
        """Ask as a caller would; the reply's messages are left to the test."""
        raw = isinstance(body, bytes)
        request = web.ApiRequest(
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            content_type="text/csv" if raw else "application/json",
            query=query or {},
            route=route,
            key=key,
        )
        return web.answer(endpoint, service or (lambda: self.service), request)
