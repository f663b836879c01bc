"""Whatever happens in whatever order: each drop ends once, none is lost, silver changes once.

Hypothesis plays producers, Event Grid, the queue, workers, Data Factory, Databricks, operators and
the clock against each other. Workers stop before every call that leaves their process, so their
steps interleave in any order, and each call may fail, lose its answer or be the process's last.
In the end the world calms down and ticks have to bring everything to its end.

There are several processes, each with a memory and a version of the contracts of its own. Of every
success is asked whether the job run that it names loaded it, by the contract that validated it; of
every failure whether it was its own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ingest.errors import LandfallError
from ingest.operations.operators import OperatorRequest, ReplayOrigin
from ingest.paths import ACTIVE, ARCHIVE
from ingest.runs.document import parse
from ingest.runs.messages import Message
from ingest.runs.run import Run
from ingest.runs.states import REOPENING, TRANSITIONS, Event
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.protocol import FINAL, LANDING, State, run_id
from tests.ingest.conftest import Clock
from tests.ingest.controlled_workers import (
    DIE,
    DIE_AFTER,
    GO,
    ORDERS,
    ControlledWorker,
    Interceptor,
    WorkerKilledError,
)
from tests.ingest.memory import (
    InMemoryFactory,
    InMemoryLake,
    InMemoryWorkspace,
    Job,
    Pipeline,
    rows_of,
)
from tests.ingest.references import silver

CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: {name}
version: {version}.0.0
status: active
schema:
  - name: {name}
    properties:
      - name: id
        logicalType: integer
        primaryKey: true
        required: true
{more}
customProperties:
  - property: loadOrder
    value: {order}
  - property: batchMaxDrops
    value: 3
  - property: maxRejectedRatio
    value: {ratio}
"""
DATASETS = {"any_order": "any", "in_order": "landed", "referring": "any"}
REFERS = "      - {name: to, logicalType: integer, relationships: [{to: known.id}]}"
PROCESSES = 3


def deploy(folder: Path, name: str, version: int) -> None:
    """Put a version of a contract where processes find it that are started from now on."""
    refers = name == "referring"
    text = CONTRACT.format(
        name=name,
        order=DATASETS[name],
        version=version,
        more=REFERS if refers else "",
        ratio=0.6 if refers else 0,
    )
    (folder / f"{name}.odcs.yaml").write_text(text)


@pytest.fixture(scope="module", autouse=True)
def contracts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Small contracts, whose files are validated in no time."""
    folder = tmp_path_factory.mktemp("project") / "contracts"
    folder.mkdir()
    InterleavedService.contracts = folder


class InterleavedService(RuleBasedStateMachine):
    """All that happens outside and inside, one thing at a time."""

    contracts: Path

    workers = Bundle("workers")

    @initialize()
    def begin(self) -> None:
        """An empty lake, and processes that know nothing."""
        self.clock = Clock()
        self.lake = InMemoryLake(self.clock)
        self.version = 1
        for name in DATASETS:
            deploy(self.contracts, name, self.version)
        silver(self.lake, "known", [0])
        self.factory = InMemoryFactory(self.lake, self.clock)
        self.workspace = InMemoryWorkspace(self.lake)
        self.processes = [self.process() for _ in range(PROCESSES)]
        self.alive: list[tuple[int, ControlledWorker]] = []
        self.queue: list[Message] = []
        self.landed: dict[str, str] = {}  # run id -> path, of every version that ever stood
        self.bodies: dict[str, bytes] = {}
        self.histories: dict[str, Run] = {}
        self.content = itertools.count(1)
        self.turns = itertools.cycle(range(PROCESSES))

    def process(self) -> Landfall:
        """A process that was just started."""
        env = {
            "LANDFALL_LAKE": "AccountName=a;AccountKey=a2V5",
            "LANDFALL_ADF_SUBSCRIPTION": "s",
            "LANDFALL_ADF_RESOURCE_GROUP": "g",
            "LANDFALL_ADF_FACTORY": "f",
            "DATABRICKS_HOST": "http://localhost",
            "LANDFALL_PROJECT": str(self.contracts.parent),
            "LANDFALL_MAX_COPIES": "2",
            "LANDFALL_MAX_LOADS": "1",
        }
        lake: Any = Interceptor("lake", self.lake)
        factory: Any = Interceptor("adf", self.factory)
        workspace: Any = Interceptor("databricks", self.workspace)
        service = build(
            read(env, app=self.contracts),
            clock=self.clock,
            lake=lake,
            copier=factory,
            loader=workspace,
        )
        # Asked for pushed contracts here: until then all threads of a process wait for the lake.
        assert service.contracts
        return service

    def hire(self, work: Callable[[Landfall], list[Message]]) -> ControlledWorker:
        """Let a process begin a piece of work."""
        number = next(self.turns)
        service = self.processes[number]
        controlled = ControlledWorker(lambda: work(service))
        self.alive.append((number, controlled))
        return controlled

    def collect(self) -> None:
        """What ended workers leave for the queue."""
        for number, controlled in list(self.alive):
            if controlled.over:
                self.alive.remove((number, controlled))
                if not isinstance(controlled.error, LandfallError | WorkerKilledError | None):
                    raise controlled.error
                self.queue += controlled.result or []

    # -- producers and events ---------------------------------------------------------------

    @rule(
        dataset=st.sampled_from(sorted(DATASETS)),
        name=st.sampled_from("abc"),
        kind=st.sampled_from(["good"] * 4 + ["bad", "same"]),
        over=st.sampled_from([False, False, True]),
    )
    def land(self, dataset: str, name: str, kind: str, over: bool) -> None:
        """A producer writes a file, perhaps over one that stands there."""
        number = next(self.content)
        path = f"{LANDING}/{dataset}/{name}{'' if over else number}.csv"
        if dataset == "referring":  # to what is there, and in one of two rows to what never is
            body = f"id,to\n{number},0\n{number + 1000},{7 if kind == 'bad' else 0}\n"
        else:
            good = f"id\n{number}\n{number + 1000}\n"
            body = {"bad": "id\nx\n", "same": "id\n0\n"}.get(kind, good)
        self.lake.put(path, body.encode())
        version = self.lake.head(path)
        assert version is not None
        name = run_id(version.modified, dataset, path, version.etag)
        self.landed[name], self.bodies[name] = path, body.encode()

    @rule(target=workers, data=st.data())
    @precondition(lambda self: self.landed)
    def hear(self, data: st.DataObject) -> ControlledWorker:
        """An event about a path arrives: late, twice, or about nothing any more."""
        path = data.draw(st.sampled_from(sorted(set(self.landed.values()))))
        return self.hire(lambda service: service.on_landing(path))

    @rule(data=st.data())
    @precondition(lambda self: len(self.landed) % 4 == 3 and self.standing())
    def remove(self, data: st.DataObject) -> None:
        """Somebody deletes a file in landing."""
        self.lake.delete(data.draw(st.sampled_from(self.standing())))

    def standing(self) -> list[str]:
        """What stands in landing."""
        return [entry.version.path for entry in self.lake.list(f"{LANDING}/")]

    # -- workers ----------------------------------------------------------------------------

    @rule(target=workers, data=st.data(), twice=st.booleans())
    @precondition(lambda self: self.queue)
    def work(self, data: st.DataObject, twice: bool) -> ControlledWorker:
        """A message of the queue is worked: in any order, perhaps delivered again."""
        index = data.draw(st.integers(0, len(self.queue) - 1))
        message = self.queue[index] if twice else self.queue.pop(index)
        return self.hire(lambda service: service.handle(message))

    @rule(messages=st.integers(1, 10))
    @precondition(lambda self: self.queue)
    def run_on(self, messages: int) -> None:
        """For a while all goes well: messages are worked one after the other."""
        for _ in range(messages):
            if self.queue:
                message = self.queue.pop(0)
                self.hire(lambda service, message=message: service.handle(message)).finish()  # type: ignore[misc]
                self.collect()

    @rule(target=workers)
    def tick(self) -> ControlledWorker:
        """The timer fires."""
        return self.hire(lambda service: service.reconcile())

    @rule(worker=workers, order=st.sampled_from([GO, GO, GO, *ORDERS]), steps=st.integers(1, 8))
    def step(self, worker: ControlledWorker, order: str, steps: int) -> None:
        """A worker makes some calls, the last of them as it is fated."""
        for _ in range(steps - 1):
            worker.step()
        worker.step(order)
        if order in (DIE, DIE_AFTER):
            self.die(worker)
        self.collect()

    @rule(worker=consumes(workers))
    def finish(self, worker: ControlledWorker) -> None:
        """A worker does the rest of its work."""
        worker.finish()
        self.collect()

    @rule(dataset=st.sampled_from(sorted(DATASETS)), process=st.integers(0, PROCESSES - 1))
    def roll_out(self, dataset: str, process: int) -> None:
        """A new version of a contract is deployed; one process is replaced by a new one."""
        self.version += 1
        deploy(self.contracts, dataset, self.version)
        for number, controlled in list(self.alive):
            if number == process:
                controlled.kill()
        self.collect()
        self.processes[process] = self.process()

    def die(self, worker: ControlledWorker) -> None:
        """A process is gone with all its workers; another takes its place."""
        for number, controlled in list(self.alive):
            if controlled is worker:
                for other, also in list(self.alive):
                    if other == number:
                        also.kill()
                self.processes[number] = self.process()

    # -- the other services -----------------------------------------------------------------

    @rule(data=st.data(), outcome=st.sampled_from(["Succeeded"] * 3 + ["Failed", "Cancelled"]))
    @precondition(lambda self: self.piping())
    def copy(self, data: st.DataObject, outcome: str) -> None:
        """A pipeline run goes on: it asks the fence, or ends."""
        self.factory.move(data.draw(st.sampled_from(self.piping())), self.fence, outcome)

    def piping(self) -> list[Pipeline]:
        """The pipeline runs that have not ended."""
        return [run for run in self.factory.pipelines.values() if not run.ended]

    def fence(self, run: str, attempt: str, adf_run: str) -> bool:
        """A pipeline run asks any of the processes; one that gets no answer fails."""
        try:
            return self.processes[next(self.turns)].fence(run, attempt, adf_run).granted
        except LandfallError:
            return False

    @rule(data=st.data())
    @precondition(lambda self: any(run.ended for run in self.factory.pipelines.values()))
    def forget(self, data: st.DataObject) -> None:
        """Data Factory forgets a run that has ended, as after its retention."""
        ended = [name for name, run in self.factory.pipelines.items() if run.ended]
        del self.factory.pipelines[data.draw(st.sampled_from(ended))]

    @rule(data=st.data(), outcome=st.sampled_from(["succeeded"] * 3 + ["failed", "late"]))
    @precondition(lambda self: self.workspace.active())
    def load(self, data: st.DataObject, outcome: str) -> None:
        """A job run ends."""
        going = [job for job in self.workspace.tokens.values() if job.status == "running"]
        self.workspace.move(data.draw(st.sampled_from(going)), outcome)

    @rule(
        rounds=st.integers(1, 6),
        copies=st.sampled_from(["Succeeded"] * 4 + ["Failed"]),
        loads=st.sampled_from(["succeeded", "succeeded", "failed", "late"]),
    )
    def reset_faults(self, rounds: int, copies: str, loads: str) -> None:
        """For a while nothing disturbs a fresh process, and copies and loads end all alike."""
        for _ in range(rounds):
            self.calm_down(copies, loads)

    def calm_down(self, copies: str, loads: str) -> None:
        """One tick and what follows from it, after all that was begun elsewhere has ended."""
        self.clock.turn(minutes=6)
        for run in self.piping():
            for _ in range(2):
                self.factory.move(run, self.fence, copies)
        for job in list(self.workspace.tokens.values()):
            self.workspace.move(job, loads)
        service = self.process()
        for message in service.reconcile():
            with suppress(LandfallError):
                service.handle(message)

    @rule(seconds=st.sampled_from([1, 11, 61, 360]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.turn(seconds=seconds)

    # -- operators --------------------------------------------------------------------------

    @rule(
        target=workers,
        data=st.data(),
        verb=st.sampled_from(["cancel", "retry", "raw", "bronze"]),
        token=st.sampled_from([None, "t1", "t2"]),
    )
    @precondition(lambda self: self.histories)
    def ask(self, data: st.DataObject, verb: str, token: str | None) -> ControlledWorker:
        """An operator asks something of a run, perhaps for the second time."""
        run = data.draw(st.sampled_from(sorted(self.documents())))
        operator_request = OperatorRequest("as asked", token and f"{token}-{verb}")

        def work(service: Landfall) -> list[Message]:
            with suppress(LandfallError):
                match verb:
                    case "cancel":
                        service.operators.cancel(run, operator_request)
                    case "retry":
                        service.operators.retry(run, operator_request)
                    case _:
                        service.operators.replay(run, ReplayOrigin(verb), operator_request)
            return []

        return self.hire(work)

    # -- what has to hold -------------------------------------------------------------------

    def documents(self) -> dict[str, list[Run]]:
        """The documents of each run, wherever they stand."""
        found: dict[str, list[Run]] = {}
        for path, blob in self.lake.files.items():
            if path.startswith((ACTIVE, ARCHIVE)):
                run = parse(blob.data)
                found.setdefault(run.run_id, []).append(run)
        return found

    @invariant()
    def histories_only_grow(self) -> None:
        """No move is outside the table, none is taken back, no final state is left by itself."""
        if not hasattr(self, "lake"):
            return
        for name, documents in self.documents().items():
            run = max(documents, key=lambda document: len(document.history))
            before = self.histories.get(name)
            if before is not None:
                assert run.history[: len(before.history)] == before.history, name
            for line, following in itertools.pairwise(run.history):
                event = Event(following.event)
                assert TRANSITIONS[line.state, event] is following.state, (line, following)
                assert line.state not in FINAL or event in REOPENING, (line, following)
            asked = [line.request for line in run.history if line.request]
            assert len(asked) == len(set(asked)), f"{name}: a request was done twice"
            self.histories[name] = run

    @invariant()
    def a_drop_changes_silver_once(self) -> None:
        """However often it is loaded."""
        if hasattr(self, "lake"):
            for run, changes in self.workspace.changes.items():
                assert changes <= 2, (run, changes)  # its two rows

    def teardown(self) -> None:
        """The world calms down: all that was begun ends well, and ticks do the rest."""
        if not hasattr(self, "lake"):
            return
        for _, controlled in list(self.alive):
            controlled.finish()
        self.collect()
        # One load at a time, of three drops at most: the more has landed, the longer it takes.
        for _ in range(60 + 2 * len(self.landed)):
            if not self.busy():
                break
            self.calm_down("Succeeded", "succeeded")
        self.histories_only_grow()
        self.a_drop_changes_silver_once()
        self.check_end()

    def busy(self) -> bool:
        """Whether anything is left to do."""
        return any(path.startswith((ACTIVE, f"{LANDING}/")) for path in self.lake.files)

    def check_end(self) -> None:
        """One final state for each, none lost, and silver has what has succeeded."""
        left = [path for path in self.lake.files if path.startswith((ACTIVE, f"{LANDING}/"))]
        assert left == []
        documents = self.documents()
        assert set(documents) <= set(self.landed)
        for name, found in documents.items():
            (run,) = found
            assert run.final, name
            assert run.source.path == self.landed[name]
            if run.state is State.SUCCEEDED:
                self.check_silver(run)
                self.check_own_load(run)
            if run.state is State.FAILED:
                self.check_deserved(run)
            self.check_evidence(run)
            if run.raw is not None:
                file = self.lake.files.get(run.raw)
                assert file is not None, f"{name} is {run.state} without {run.raw}"
                assert file.data == self.bodies[name], f"{name} is about another version"
        raw = {path for path in self.lake.files if path.startswith("raw/")}
        kept = {run.raw for (run,) in documents.values()}
        assert {path for path in raw if path.endswith(".csv")} <= kept
        assert len(self.factory.wrote) == len(set(self.factory.wrote)), "an attempt copied twice"
        assert not [path for path in self.lake.files if path.endswith("/current.json")]

    def job(self, number: int | None) -> Job:
        """A job run."""
        return next(job for job in self.workspace.tokens.values() if job.number == number)

    def check_own_load(self, run: Run) -> None:
        """A success was loaded by the job run that it names, by the contract of its verdict."""
        assert run.load is not None
        assert run.verdict is not None
        job = self.job(run.load.job_run_id)
        assert run.run_id in job.members, f"{run.run_id} was not in the batch of its success"
        assert job.status == "succeeded"
        assert job.bronze[run.run_id] == run.bronze
        assert job.contract == run.verdict.digest

    def check_deserved(self, run: Run) -> None:
        """A failure for a load is that of a job run which had this drop alone."""
        if match := re.match(r"job run (\d+) ", run.cause):
            job = self.job(int(match[1]))
            assert job.status == "failed", run.cause
            assert job.members == (run.run_id,), f"{run.run_id} failed for others: {run.cause}"
        else:
            assert "failed" in run.cause, run.cause

    def check_evidence(self, run: Run) -> None:
        """What a verdict names is there, and says what the verdict says."""
        if run.verdict is None:
            return
        report = self.process().report(run.run_id)
        found = (report["rows"], report["accepted"], report["rejected"])
        assert found == (run.verdict.rows, run.verdict.accepted, run.verdict.rejected), run.run_id
        if run.verdict.rejects:
            assert run.verdict.rejects in self.lake.files, run.run_id
        if run.state is State.SUCCEEDED:
            assert run.verdict.parquet is not None
            assert f"{run.verdict.parquet['folder']}/data.parquet" in self.lake.files, run.run_id

    def check_silver(self, run: Run) -> None:
        """Each row of a run is in silver, or one of the same key that landed later."""
        bronze = self.lake.files[f"{run.bronze}/data.parquet"]
        for row in rows_of(bronze.data):
            statement = (run.as_of.isoformat(), run.run_id)
            assert self.workspace.silver[f"{run.dataset}/{row}"] >= statement, run.run_id


def tell(examples: int, steps: int, *, derandomize: bool) -> None:
    """Play so many stories of so many steps each."""
    run_state_machine_as_test(
        InterleavedService,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_drop_ends_once_whatever_happens() -> None:
    """Some stories, the same each time."""
    tell(60, 50, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_drop_ends_once_in_many_stories() -> None:
    """Many and longer ones, others each time."""
    tell(500, 60, derandomize=False)
