"""A worker dies at every point where it touches the outside, before or after the effect.

The points are found by counting the calls of a run that nothing disturbs. For each of them: the
same journey, death at that call, then fresh workers that know nothing but what is written down.
Whatever the point, the drop ends once: one success, one copy, one load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from ingest.errors import Retryable
from ingest.paths import ACTIVE
from ingest.runs.messages import Message
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import REPOSITORY, Clock, StorageAccount
from tests.ingest.remote import Factory, Workspace


class WorkerKilledError(BaseException):
    """The process is gone; nothing in it catches this."""


@dataclass
class CrashPoint:
    """Counts the calls that leave the process, and ends it at one of them."""

    at: int = -1
    when: str = "before"
    calls: list[str] = field(default_factory=list)

    def meet(self, name: str, call: Callable[[], Any]) -> Any:
        """Let one call happen, or die before or after it."""
        self.calls.append(name)
        doomed = len(self.calls) - 1 == self.at
        if doomed and self.when == "before":
            raise WorkerKilledError(name)
        result = call()
        if doomed:
            raise WorkerKilledError(name)
        return result


class CrashingPort:
    """A part of the outside, reached by a process that may die on the way."""

    def __init__(self, name: str, real: object, crash_point: CrashPoint) -> None:
        self._name, self._real, self._fate = name, real, crash_point

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        def call(*arguments: Any, **named: Any) -> Any:
            what = f"{self._name}.{name}"
            return self._fate.meet(what, lambda: method(*arguments, **named))

        return call


class Fenced(Factory):
    """A data factory whose pipeline runs ask the fence, and copy only when it lets them."""

    def __init__(self, ask: Callable[[str, str, str], bool]) -> None:
        super().__init__()
        self._ask = ask
        self.copies: list[str] = []

    def start(self, parameters: Mapping[str, Any]) -> str:
        name = super().start(parameters)
        run_id, attempt = str(parameters["runId"]), str(parameters["attemptId"])
        if self._ask(run_id, attempt, name):
            self.copies.append(run_id)
            self.end(name)
        else:
            self.end(name, "Failed")
        return name


class Merging(Workspace):
    """A workspace that remembers which drops each of its job runs loaded."""

    def __init__(self, storage_account: StorageAccount) -> None:
        super().__init__()
        self._sea = storage_account
        self.loaded: dict[str, set[str]] = {}

    def start(self, token: str, parameters: Mapping[str, str]) -> int:
        if token not in self.loaded:
            batch = self._sea.lake.get(parameters["batch"])[0].decode()
            runs = {part.split('"')[0] for part in batch.split('"run_id": "')[1:]}
            self.loaded[token] = runs
        return super().start(token, parameters)


@dataclass
class CrashHarness:
    """What outlives a worker: the lake, Data Factory, Databricks and the time."""

    storage_account: StorageAccount
    clock: Clock
    factory: Fenced = field(init=False)
    workspace: Merging = field(init=False)
    scenarios: int = 0

    def __post_init__(self) -> None:
        self.factory = Fenced(lambda *names: self.worker(CrashPoint()).fence(*names).granted)
        self.workspace = Merging(self.storage_account)

    def worker(self, crash_point: CrashPoint) -> Landfall:
        """A fresh process."""
        env = {
            "LANDFALL_LAKE": self.storage_account.config.lake_connection_string,
            "LANDFALL_ADF_SUBSCRIPTION": "s",
            "LANDFALL_ADF_RESOURCE_GROUP": "g",
            "LANDFALL_ADF_FACTORY": "f",
            "LANDFALL_NUDGE_SECONDS": "0",  # a tick looks at every copy: nobody calls back here
            "DATABRICKS_HOST": "http://localhost",
        }
        return build(
            read(env, app=REPOSITORY),
            clock=self.clock,
            lake=CrashingPort("lake", self.storage_account.lake, crash_point),
            copier=CrashingPort("adf", self.factory, crash_point),
            loader=CrashingPort("databricks", self.workspace, crash_point),
        )

    def live(self, path: str, crash_point: CrashPoint) -> None:
        """One worker takes an event as far as it gets."""
        service = self.worker(crash_point)
        queue: list[Message] = service.on_landing(path)
        for _ in range(30):
            if not queue:
                queue = service.reconcile()
            if not queue or not self.unfinished():
                return
            message, *queue = queue
            try:
                queue += service.handle(message)
            except Retryable:
                queue.append(message)

    def unfinished(self) -> bool:
        """Whether a document still stands among the active ones."""
        return next(iter(self.storage_account.lake.list(ACTIVE)), None) is not None

    def recover(self) -> None:
        """Ticks, each by a fresh worker, until nothing is left to do."""
        for _ in range(20):
            self.clock.turn(minutes=6)
            service = self.worker(CrashPoint())
            queue = service.reconcile()
            if not queue:
                return
            for message in queue:
                try:
                    service.handle(message)
                except Retryable:
                    continue


def drop_with_crash(environment: CrashHarness, name: str, crash_point: CrashPoint) -> str:
    """A drop whose worker meets its fate; returns what is wrong in the end, or nothing."""
    path = f"landing/users/{name}.csv"
    environment.scenarios += 1
    seed = 1000 * environment.scenarios
    good = users(range(seed, seed + 40))
    bad = users([seed + 999], gender="X").splitlines()[1]
    environment.storage_account.land(path, f"{good}{bad}\n".encode())
    with suppress(WorkerKilledError):
        environment.live(path, crash_point)
    environment.recover()
    service = environment.worker(CrashPoint())
    runs = [r for r in service.manifest.newest(limit=500) if r.summary["path"] == path]
    if len(runs) != 1:
        return f"{len(runs)} runs"
    run_id = runs[0].run_id
    loads = sum(run_id in members for members in environment.workspace.loaded.values())
    found = (
        runs[0].state,
        environment.factory.copies.count(run_id),
        loads,
        environment.unfinished(),
        environment.storage_account.lake.head(path),
    )
    return "" if found == (State.SUCCEEDED, 1, 1, False, None) else str(found)


@pytest.mark.timeout(900)
def test_a_death_at_any_point_loses_and_doubles_nothing(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """Every point where the process touches the outside, before its effect and after."""
    environment = CrashHarness(storage_account, clock)
    reset_faults = CrashPoint()
    assert drop_with_crash(environment, "calm", reset_faults) == ""
    assert len(reset_faults.calls) > 20
    wrong: dict[str, str] = {}
    for at in range(len(reset_faults.calls)):
        for when in ("before", "after"):
            crash_point = CrashPoint(at, when)
            result = drop_with_crash(environment, f"dies-{at}-{when}", crash_point)
            if result:
                wrong[f"{when} call {at}, {crash_point.calls[-1]}"] = result
    assert wrong == {}
