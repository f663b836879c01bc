"""Several processes of the service on one lake in memory, each with a memory of its own.

Nothing moves by itself: a test hands each message to the process that it means, lets pipeline runs
and job runs go on, and turns the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ingest.errors import LandfallError, Retryable
from ingest.operations.operators import OperatorRequest, ReplayOrigin
from ingest.paths import ACTIVE, ARCHIVE
from ingest.runs.document import parse
from ingest.runs.messages import Advance, LoadDataset, Message
from ingest.runs.run import Run
from ingest.runs.states import Event
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.protocol import State, run_id
from tests.ingest.conftest import Clock
from tests.ingest.controlled_workers import ControlledWorker, Interceptor
from tests.ingest.jobs import Jobs
from tests.ingest.memory import InMemoryFactory, InMemoryLake

_MOST_CALLS = 200
_COPIED = (Event.FINISH_COPY, Event.RETRY_LOAD, Event.REPLAY_BRONZE)
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: {name}
version: {version}
status: active
schema:
  - name: {name}
    properties:
      - name: id
        logicalType: integer
        primaryKey: true
        required: true
{more}
"""


def contract(name: str, version: str = "1.0.0", more: str = "") -> str:
    """A small contract, whose files are validated in no time."""
    return CONTRACT.format(name=name, version=version, more=more)


@dataclass
class Instances:
    """A lake, the services beside it, and as many processes of the service as a test makes."""

    project: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    lake: InMemoryLake = field(init=False)
    factory: InMemoryFactory = field(init=False)
    jobs: Jobs = field(init=False)

    def __post_init__(self) -> None:
        self.lake = InMemoryLake(self.clock)
        self.factory = InMemoryFactory(self.lake, self.clock)
        self.jobs = Jobs(self.lake, self.clock)
        self.folder.mkdir(exist_ok=True)
        if not list(self.folder.glob("*.yaml")):
            self.deploy("things")

    @property
    def folder(self) -> Path:
        """The folder of the contracts."""
        return self.project / "contracts"

    def deploy(self, name: str, version: str = "1.0.0", more: str = "") -> None:
        """Put a contract where processes that are started from now on find it."""
        (self.folder / f"{name}.odcs.yaml").write_text(contract(name, version, more))

    def process(self, clock: Clock | None = None, **parts: Any) -> Landfall:
        """A process that was just started, with all contracts that are deployed now."""
        env = {
            "LANDFALL_LAKE": "AccountName=a;AccountKey=a2V5",
            "LANDFALL_ADF_SUBSCRIPTION": "s",
            "LANDFALL_ADF_RESOURCE_GROUP": "g",
            "LANDFALL_ADF_FACTORY": "f",
            "DATABRICKS_HOST": "http://localhost",
            "LANDFALL_PROJECT": str(self.project),
            **self.settings,
        }
        lake: Any = Interceptor("lake", parts.get("lake", self.lake))
        factory: Any = Interceptor("adf", parts.get("factory", self.factory))
        jobs: Any = Interceptor("databricks", parts.get("jobs", self.jobs))
        return build(
            read(env, app=self.project),
            clock=clock or self.clock,
            lake=lake,
            copier=factory,
            loader=jobs,
        )

    # -- what is done ------------------------------------------------------------------------

    def land(self, path: str, content: bytes) -> str:
        """Write a file as a producer would; returns the id of the run that it becomes."""
        self.lake.put(path, content)
        version = self.lake.head(path)
        assert version is not None
        return run_id(version.modified, path.split("/")[1], path, version.etag)

    def copied(self, by: Landfall, *paths: str, dataset: str = "things") -> list[str]:
        """Land good drops and let one process bring them to where they wait for their load."""
        names = []
        for path in paths:
            body = f"id\n{len(self.lake.files)}\n".encode()
            names += self.copied_as(by, path, body, dataset)
        return names

    def copied_as(self, by: Landfall, path: str, body: bytes, dataset: str = "things") -> list[str]:
        """The same with one drop of this content."""
        name = self.land(f"landing/{dataset}/{path}", body)
        self.run_on(by, messages=by.on_landing(f"landing/{dataset}/{path}"), load=False)
        assert self.run(name).state is State.COPIED
        return [name]

    def run_on(
        self,
        by: Landfall,
        names: Iterable[str] = (),
        messages: Iterable[Message] = (),
        *,
        load: bool = True,
    ) -> None:
        """Let one process work messages, and all that follows from them; copies succeed."""
        queue = [*messages, *(Advance(name) for name in names)]
        for _ in range(200):
            if not queue:
                ended = self.pipe(by)
                queue = [Advance(str(run)) for run in ended]
                if not queue:
                    return
            message = queue.pop(0)
            if load or not isinstance(message, LoadDataset):
                queue += by.handle(message)
        raise AssertionError(f"no end: {queue}")

    def pipe(self, by: Landfall) -> list[str]:
        """Let every pipeline run ask a process, copy and end; the run ids whose copy ended."""
        ended = []
        for run in [run for run in self.factory.pipelines.values() if not run.ended]:
            for _ in range(2):
                self.factory.move(run, lambda *names: by.fence(*names).granted, "Succeeded")
            ended.append(str(run.parameters["runId"]))
        return ended

    def hand(self, by: Landfall, message: Message) -> list[Message]:
        """Hand a process a message; one that it cannot do now the queue would bring again."""
        try:
            return by.handle(message)
        except Retryable:
            return []

    def load(self, by: Landfall, dataset: str = "things") -> None:
        """Hand a process the message that the tick sends for a dataset's load."""
        self.hand(by, LoadDataset(dataset))

    def settle(self, by: Landfall, rounds: int = 20) -> None:
        """Let a process tick, and all that was begun end, until nothing is left to do."""
        for _ in range(rounds):
            if not self.active():
                return
            self.clock.turn(seconds=61)
            try:
                messages = by.reconcile()
            except LandfallError:
                continue
            for message in messages:
                try:
                    more = by.handle(message)
                except LandfallError:
                    continue
                self.run_on(by, messages=more)
            self.run_on(by)
            self.jobs.end()

    def replay(self, by: Landfall, name: str, origin: str = "bronze") -> None:
        """Ask a process to take an ended run through it again."""
        by.operators.replay(name, ReplayOrigin(origin), OperatorRequest("again"))

    def each_pause(self, story: Callable[[Instances, int], bool]) -> int:
        """Tell a story with a worker that stands still before its first call, its second, ...

        Each time on a lake of its own, until the story says that the worker came to its end
        before. Returns how many calls it had.
        """
        for pause in range(1, _MOST_CALLS):
            if story(replace(self, clock=Clock()), pause):
                return pause
        raise AssertionError(f"the worker has made {_MOST_CALLS} calls and has no end")

    # -- what there is -----------------------------------------------------------------------

    def run(self, name: str) -> Run:
        """A run as it stands."""
        found = self.documents(name)
        assert len(found) == 1, f"{name}: {len(found)} documents"
        return found[0]

    def state(self, *names: str) -> list[State]:
        """Where runs stand."""
        return [self.run(name).state for name in names]

    def documents(self, name: str) -> list[Run]:
        """The documents of a run, wherever they stand."""
        return [
            parse(blob.data)
            for path, blob in self.lake.files.items()
            if path.startswith((ACTIVE, ARCHIVE)) and path.endswith(f"/{name}.json")
        ]

    def active(self) -> list[str]:
        """The paths of the documents of runs that have not ended."""
        return [path for path in self.lake.files if path.startswith(ACTIVE)]

    def loaded(self, name: str) -> bool:
        """Whether a job run that succeeded had a run in its batch."""
        return any(name in job.loaded for job in self.jobs.tokens.values())

    def own_load(self, run: Run) -> bool:
        """Whether the very job run that a success names has loaded it, since it was copied last."""
        job = self.jobs.job(run.load.job_run_id if run.load else None)
        copied = [line.at for line in run.history if line.event in _COPIED]
        return job is not None and run.run_id in job.loaded and job.begun >= copied[-1]


def stopped(work: Any, call: str, nth: int = 1) -> ControlledWorker:
    """A worker that stands before its `nth` call of a name, such as `lake.put`."""
    controlled = ControlledWorker(work)
    while not controlled.over:
        if controlled.at == call:
            nth -= 1
            if not nth:
                return controlled
        controlled.step()
    raise AssertionError(f"it ended without calling {call}: {controlled.error}")
