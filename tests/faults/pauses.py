"""The pause matrix: a worker stops before each of its calls, others do all the rest, it goes on.

    python -m tests.faults.pauses

Nobody lists the calls: a worker is stopped before its first, its second and so on, until it comes
to its end. Each time on a lake of its own, in memory. While it stands, another process finishes
what there is to do; in half of the stories an operator also has the run replayed from its file
meanwhile. In the end each run has one final state that it deserves, its file and its evidence are
as its document says, and no job run that succeeded had it more often than it was taken up.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import LandfallError
from ingest.operations.operators import OperatorRequest, ReplayOrigin
from ingest.runs.messages import Advance, LoadDataset
from ingest.runs.run import Run
from ingest.service import Landfall
from landfall.protocol import State
from tests.ingest.controlled_workers import ControlledWorker
from tests.ingest.instances import Instances
from tests.ingest.references import REFERS, silver

TOLERANT = "customProperties: [{property: maxRejectedRatio, value: 0.6}]"
PATH = "landing/things/x.csv"
GOOD, MIXED, BAD = b"id\n1\n2\n", b"id\n1\nx\n", b"id\nx\ny\n"
ORPHANS = b"id,to\n1,7\n2,1\n"
Work = Callable[[Landfall], object]


@dataclass
class PausedWork:
    """What is prepared for a worker: its work, and how the runs may end.

    Attributes:
        work: what the worker that stops is to do.
        ends: how each run may end; a run that is not named may end in no other way than succeeded.
        bodies: what was landed, by run id.
        poison: whether a failure is deserved.
    """

    work: Work
    bodies: dict[str, bytes]
    ends: Mapping[str, frozenset[State]] = field(default_factory=dict)


def landed(many: Instances, content: bytes = GOOD, path: str = PATH) -> dict[str, bytes]:
    """A drop that nobody has claimed."""
    return {many.land(path, content): content}


def _only(name: str, *states: State) -> dict[str, frozenset[State]]:
    return {name: frozenset(states)}


def claim(many: Instances, _: Landfall) -> PausedWork:
    """An event about a drop."""
    return PausedWork(lambda one: one.on_landing(PATH), landed(many))


def sweep(many: Instances, _: Landfall) -> PausedWork:
    """The claim of a drop that no event announced."""
    bodies = landed(many)
    many.clock.turn(minutes=3)
    return PausedWork(lambda one: one.sweep(PATH), bodies)


def _validation(content: bytes, *ends: State) -> Callable[[Instances, Landfall], PausedWork]:
    def prepare(many: Instances, other: Landfall) -> PausedWork:
        bodies = landed(many, content)
        (name,) = bodies
        (message,) = other.on_landing(PATH)
        return PausedWork(lambda one: one.handle(message), bodies, _only(name, *ends))

    return prepare


def redelivered(many: Instances, other: Landfall) -> PausedWork:
    """A message that comes again: the worker leaves its mark before it begins."""
    bodies = landed(many, MIXED)
    (message,) = other.on_landing(PATH)
    return PausedWork(lambda one: one.handle(message, 2), bodies)


def orphans(many: Instances, _: Landfall) -> PausedWork:
    """The validation of a drop that refers to what is not there: it is postponed."""
    many.deploy("others")
    many.deploy("things", more=REFERS)
    silver(many.lake, "others", [1])
    bodies = landed(many, ORPHANS)
    (message,) = many.process().on_landing(PATH)
    return PausedWork(lambda _: many.process().handle(message), bodies)


def duplicate(many: Instances, other: Landfall) -> PausedWork:
    """The validation of a content that another run has accepted."""
    (first,) = many.copied_as(other, "first.csv", GOOD)
    bodies = landed(many)
    (name,) = bodies
    (message,) = other.on_landing(PATH)
    return PausedWork(
        lambda one: one.handle(message), {first: GOOD, **bodies}, _only(name, State.DUPLICATE)
    )


def _copying(many: Instances, other: Landfall) -> tuple[str, str, str]:
    bodies = landed(many)
    (name,) = bodies
    for message in other.on_landing(PATH):
        other.handle(message)
    (pipeline,) = many.factory.pipelines.values()
    return name, str(pipeline.parameters["attemptId"]), pipeline.name


def fence(many: Instances, other: Landfall) -> PausedWork:
    """A pipeline run asks whether it may copy."""
    name, attempt, pipeline = _copying(many, other)
    return PausedWork(lambda one: one.fence(name, attempt, pipeline), {name: GOOD})


def watch_copy(many: Instances, other: Landfall) -> PausedWork:
    """The end of a copy is seen."""
    name, _, _ = _copying(many, other)
    many.pipe(other)
    return PausedWork(lambda one: one.handle(Advance(name)), {name: GOOD})


def start_copy_again(many: Instances, other: Landfall) -> PausedWork:
    """A copy has failed and is started anew."""
    name, _, _ = _copying(many, other)
    for pipeline in many.factory.pipelines.values():
        for _ in range(2):
            many.factory.move(pipeline, lambda *names: other.fence(*names).granted, "Failed")
    return PausedWork(lambda one: one.handle(Advance(name)), {name: GOOD})


def _batch(many: Instances, other: Landfall, *, poison: bool) -> tuple[dict[str, bytes], str]:
    bodies = {}
    for number in range(3):
        body = f"id\n{number}\n".encode()
        (name,) = many.copied_as(other, f"x{number}.csv", body)
        bodies[name] = body
    if poison:
        many.jobs.poison = {next(iter(bodies))}
    return bodies, next(iter(bodies))


def form(many: Instances, other: Landfall) -> PausedWork:
    """A batch is formed, and its load started."""
    bodies, _ = _batch(many, other, poison=False)
    return PausedWork(lambda one: one.handle(LoadDataset("things")), bodies)


def form_poisoned(many: Instances, other: Landfall) -> PausedWork:
    """The same, where one drop of it is poisoned."""
    bodies, bad = _batch(many, other, poison=True)
    return PausedWork(
        lambda one: one.handle(LoadDataset("things")), bodies, _only(bad, State.FAILED)
    )


def finish(many: Instances, other: Landfall) -> PausedWork:
    """A load has ended, and its members are ended."""
    bodies, _ = _batch(many, other, poison=False)
    many.load(other)
    many.jobs.end()
    return PausedWork(lambda one: one.handle(LoadDataset("things")), bodies)


def _after(failures: int) -> Callable[[Instances, Landfall], PausedWork]:
    def prepare(many: Instances, other: Landfall) -> PausedWork:
        bodies, bad = _batch(many, other, poison=True)
        many.load(other)
        for _ in range(failures - 1):
            many.jobs.end()
            many.load(other)
            many.clock.turn(seconds=121)
            many.load(other)
        many.jobs.end()
        return PausedWork(
            lambda one: one.handle(LoadDataset("things")), bodies, _only(bad, State.FAILED)
        )

    return prepare


def tick(many: Instances, other: Landfall) -> PausedWork:
    """A tick over runs of all kinds; what it finds is worked by the same process."""
    bodies, _ = _batch(many, other, poison=False)
    bodies |= landed(many, MIXED)
    many.clock.turn(minutes=3)

    def work(one: Landfall) -> None:
        for message in one.reconcile():
            one.handle(message)

    return PausedWork(work, bodies)


def _ended(many: Instances, other: Landfall, *, poison: bool) -> str:
    (name,) = many.copied_as(other, "x.csv", GOOD)
    if poison:
        many.jobs.poison = {name}
    many.settle(other)
    many.jobs.poison = set()
    return name


def retry(many: Instances, other: Landfall) -> PausedWork:
    """An operator takes a failed run up again."""
    name = _ended(many, other, poison=True)
    ends = _only(name, State.SUCCEEDED, State.FAILED)
    return PausedWork(
        lambda one: one.operators.retry(name, OperatorRequest("retry", "t1")), {name: GOOD}, ends
    )


def retry_refused(many: Instances, other: Landfall) -> PausedWork:
    """The same with a run that was quarantined, whose file moves."""
    bodies = landed(many, BAD)
    (name,) = bodies
    many.run_on(other, messages=other.on_landing(PATH))
    many.settle(other)
    ends = _only(name, State.QUARANTINED)
    return PausedWork(
        lambda one: one.operators.retry(name, OperatorRequest("retry", "t1")), bodies, ends
    )


def _replay(origin: ReplayOrigin) -> Callable[[Instances, Landfall], PausedWork]:
    def prepare(many: Instances, other: Landfall) -> PausedWork:
        name = _ended(many, other, poison=False)
        return PausedWork(
            lambda one: one.operators.replay(name, origin, OperatorRequest("replay", "t1")),
            {name: GOOD},
        )

    return prepare


def cancel(many: Instances, other: Landfall) -> PausedWork:
    """An operator ends a run whose copy is under way."""
    name, _, _ = _copying(many, other)
    ends = _only(name, State.CANCELLED, State.SUCCEEDED)
    return PausedWork(
        lambda one: one.operators.cancel(name, OperatorRequest("cancel", "t1")), {name: GOOD}, ends
    )


STAGES: dict[str, Callable[[Instances, Landfall], PausedWork]] = {
    "claim": claim,
    "sweep": sweep,
    "validate: accepted": _validation(GOOD, State.SUCCEEDED),
    "validate: with rejects": _validation(MIXED, State.SUCCEEDED),
    "validate: refused": _validation(BAD, State.QUARANTINED),
    "validate: delivered again": redelivered,
    "validate: postponed": orphans,
    "validate: duplicate": duplicate,
    "fence": fence,
    "copy: ended": watch_copy,
    "copy: failed": start_copy_again,
    "load: form": form,
    "load: form, poisoned": form_poisoned,
    "load: succeeded": finish,
    "load: failed once": _after(1),
    "load: failed twice": _after(2),
    "load: failed, halves": _after(4),
    "tick": tick,
    "retry": retry,
    "retry: refused": retry_refused,
    "replay: raw": _replay(ReplayOrigin.RAW),
    "replay: bronze": _replay(ReplayOrigin.BRONZE),
    "cancel": cancel,
}


def story(
    many: Instances,
    prepare: Callable[[Instances, Landfall], PausedWork],
    pause: int,
    *,
    again: bool,
) -> tuple[bool, list[str]]:
    """Tell one story; whether the worker came to its end before, and what is wrong."""
    many.deploy("things", more=TOLERANT)
    other = many.process()
    stage = prepare(many, other)
    late, other = many.process(), many.process()  # which know what is deployed by now
    worker = ControlledWorker(lambda: stage.work(late))
    worker.steps(pause)
    over = worker.over
    many.settle(other)
    replayed = set()
    if again:
        for name in stage.bodies:
            try:
                many.replay(other, name, "raw")
                replayed.add(name)
            except (LandfallError, AssertionError):
                continue
        many.run_on(other, replayed, load=False)
        many.load(other)  # which is under way as the worker goes on
    before = {name: evidence(many, name) for name in stage.bodies}
    worker.finish()
    wrong = [f"evidence of {n} was changed" for n in stage.bodies if not kept(many, n, before[n])]
    if worker.error is not None and not isinstance(worker.error, LandfallError):
        wrong.append(f"the worker broke: {worker.error!r}")
    many.settle(late)
    many.settle(many.process())
    wrong += [problem for name in stage.bodies for problem in problems(many, stage, name)]
    return over, wrong


def evidence(many: Instances, name: str) -> dict[str, bytes | None]:
    """What the verdict of a run names."""
    found = many.documents(name)
    verdict = found[0].verdict if found else None
    if verdict is None:
        return {}
    named = [verdict.rejects, verdict.rejects and f"{verdict.rejects}.reasons.jsonl"]
    if verdict.parquet is not None:
        named.append(f"{verdict.parquet['folder']}/data.parquet")
    blobs = {path: many.lake.files.get(path) for path in named if path}
    return {path: blob.data if blob else None for path, blob in blobs.items()}


def kept(many: Instances, name: str, before: Mapping[str, bytes | None]) -> bool:
    """Whether the evidence of a run is what it was, or that of another attempt of it."""
    after = evidence(many, name)
    return None not in after.values() and all(
        after[path] == data for path, data in before.items() if path in after
    )


def problems(many: Instances, stage: PausedWork, name: str) -> list[str]:
    """What is wrong with a run in the end."""
    found = many.documents(name)
    if len(found) != 1:
        return [f"{name} has {len(found)} documents"]
    (run,) = found
    ends = stage.ends.get(name, frozenset({State.SUCCEEDED}))
    said = []
    if run.state not in ends:
        said.append(f"{name} is {run.state}: {run.cause}")
    file = many.lake.files.get(run.raw or "")
    if file is None or file.data != stage.bodies[name]:
        said.append(f"{name} is {run.state}, and its file is not there")
    if None in evidence(many, name).values():
        said.append(f"{name} is {run.state}, and its evidence is not there")
    said += _of_load(many, run)
    return said


def _of_load(many: Instances, run: Run) -> list[str]:
    if run.state is State.SUCCEEDED and not many.own_load(run):
        return [f"{run.run_id} succeeded, and its job run did not load it"]
    loads = sum(run.run_id in job.loaded for job in many.jobs.tokens.values())
    if loads > 1 + run.reopened:
        return [f"{run.run_id} was loaded {loads} times"]
    return []


@dataclass
class Row:
    """The stories of one stage."""

    stage: str
    pauses: int
    stories: int
    wrong: list[str]


def row(name: str) -> Row:
    """All stories of a stage: before each call, with and without a replay meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        many = Instances(Path(folder))
        wrong: list[str] = []
        pauses = stories = 0
        for again in (False, True):

            def tell(many: Instances, pause: int, again: bool = again) -> bool:
                over, found = story(many, STAGES[name], pause, again=again)
                told = "and is replayed" if again else "and goes on"
                wrong.extend(f"before call {pause + 1}, {told}: {each}" for each in found)
                return over

            pauses = many.each_pause(tell) - 1
            stories += pauses
        return Row(name, pauses, stories, wrong)


def main() -> None:
    """Print the matrix; exit with 1 where a story went wrong."""
    argparse.ArgumentParser(prog="python -m tests.faults.pauses").parse_args()
    logging.disable(logging.CRITICAL)
    say = sys.stdout.write
    say("| stage | calls at which it stops | stories | wrong |\n|---|---|---|---|\n")
    rows = []
    for name in STAGES:
        rows.append(row(name))
        say(f"| {name} | {rows[-1].pauses} | {rows[-1].stories} | {len(rows[-1].wrong)} |\n")
        sys.stdout.flush()
    total = [sum(row.pauses for row in rows), sum(row.stories for row in rows)]
    wrong = [f"{row.stage}: {each}" for row in rows for each in row.wrong]
    say(f"| all | {total[0]} | {total[1]} | {len(wrong)} |\n")
    for each in wrong:
        say(f"{each}\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
