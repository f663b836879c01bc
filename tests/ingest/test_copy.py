"""The copy's hand-over: one pipeline run copies, whatever is answered, lost or late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.errors import OutcomeUnknown, Refused, Throttled
from ingest.runs.register import Register, Stored
from ingest.runs.run import LandedVersion, Verdict, received
from ingest.runs.states import Event
from ingest.stages.copy import CopyStage, plan
from ingest.stages.rules import CopyRules, Rules
from landfall.protocol import State, run_id
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.contexts import stage_context
from tests.ingest.remote import Factory

RULES = Rules(copy=CopyRules(grace=timedelta(seconds=60), max_failures=3))
PARQUET = {"folder": "raw/users/x/v1/accepted", "rows": 2, "size": 700, "files": 1}
VERDICT = Verdict("accepted", 2, 2, 0, "sha", "raw/r.json", None, {"kind": "csv"}, parquet=PARQUET)


@pytest.fixture
def factory() -> Factory:
    """A data factory in which nothing has run yet."""
    return Factory()


@pytest.fixture
def stage(
    storage_account: StorageAccount, manifest: Register, factory: Factory, clock: Clock
) -> CopyStage:
    """The stage on it."""
    context = stage_context(storage_account.lake, clock, copier=factory, rules=RULES)
    return CopyStage(replace(context, manifest=manifest))


def copying(manifest: Register, clock: Clock, name: str) -> Stored:
    """A run whose first attempt is written down, and not started."""
    path = f"landing/users/{name}"
    source = LandedVersion(path=path, etag=name, size=1, landed=clock(), via="event")
    run = received(run_id(clock(), "users", path, name), "users", source, clock())
    stored, _ = manifest.create(run)
    run = run.apply(Event.CLAIM, "", clock(), raw="raw/users/x/may.csv")
    run = run.apply(Event.START_VALIDATION, "", clock())
    run = run.apply(Event.ACCEPT, "", clock(), verdict=VERDICT)
    return manifest.update(stored, plan(run, clock, "first"))


def test_a_copy_that_succeeds_is_copied(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """Start, fence, success: the run is copied, with the rows that were accepted."""
    stored = stage.start(copying(manifest, clock, "good"))
    attempt = str(factory.started[0]["attemptId"])
    assert stage.fence(stored.run.run_id, attempt, "adf-1").granted
    factory.end("adf-1", size=700)
    done = stage.advance(manifest.get(stored.run.run_id))
    assert done.run.state is State.COPIED
    assert done.run.copy is not None
    assert (done.run.copy.adf_run_id, done.run.copy.rows) == ("adf-1", 2)


def test_the_fence_lets_one_through(
    stage: CopyStage, manifest: Register, storage_account: StorageAccount, clock: Clock
) -> None:
    """Of two pipeline runs of one attempt the first may copy, however often it asks."""
    stored = copying(manifest, clock, "fence")
    run, attempt = stored.run.run_id, f"{stored.run.run_id}.a1"
    elsewhere = CopyStage(replace(stage.context, manifest=Register(storage_account.lake)))
    assert elsewhere.fence(run, attempt, "adf-1").granted
    assert not stage.fence(run, attempt, "adf-2").granted
    assert stage.fence(run, attempt, "adf-1").granted
    assert not stage.fence(run, f"{run}.a2", "adf-3").granted


@pytest.mark.parametrize("error", [OutcomeUnknown("503"), Throttled("429")])
def test_an_unclear_start_is_looked_for_and_not_repeated(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock, error: Exception
) -> None:
    """When a start may have happened, the run is found by its attempt and adopted."""

    def lose() -> None:
        raise error

    factory.on_start = lose
    stored = stage.start(copying(manifest, clock, f"lost-{type(error).__name__}"))
    adopted = stage.advance(stored)
    assert len(factory.started) == 1
    assert adopted.run.copy is not None
    assert adopted.run.copy.adf_run_id == "adf-1"


def test_an_attempt_that_never_started_is_replaced(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """After the grace time a new attempt is written down, and the old one is fenced off."""
    factory.begins = False
    stored = stage.start(copying(manifest, clock, "never"))
    assert stage.advance(stored).run == stored.run
    clock.turn(seconds=60)
    factory.begins = True
    again = stage.advance(stored)
    assert again.run.copy is not None
    assert again.run.copy.number == 2
    assert again.run.copy.failures == 0
    assert [p["attemptId"] for p in factory.started] == [
        f"{stored.run.run_id}.a1",
        f"{stored.run.run_id}.a2",
    ]
    assert not stage.fence(stored.run.run_id, f"{stored.run.run_id}.a1", "late").granted


@pytest.mark.parametrize("status", ["Failed", "Cancelled"])
def test_a_copy_that_keeps_failing_fails_the_run(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock, status: str
) -> None:
    """Three failed attempts, each with its cause in the history, and the run has failed."""
    stored = stage.start(copying(manifest, clock, f"fails-{status}"))
    for number in (1, 2, 3):
        factory.end(f"adf-{number}", status)
        stored = stage.advance(stored)
    assert stored.run.state is State.FAILED
    assert len(factory.started) == 3
    assert sum(status.lower() in line.cause for line in stored.run.history) == 3


def test_a_forgotten_run_is_copied_again(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """A pipeline run that Data Factory does not know any more counts as a failed attempt."""
    stored = stage.start(copying(manifest, clock, "forgotten"))
    stage.fence(stored.run.run_id, f"{stored.run.run_id}.a1", "adf-1")
    factory.runs.clear()
    again = stage.advance(manifest.get(stored.run.run_id))
    assert again.run.copy is not None
    assert (again.run.copy.number, again.run.copy.failures) == (2, 1)


def test_a_copy_of_another_size_is_a_failed_attempt(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """What was validated is what is copied: other bytes are copied again, and not for ever."""
    stored = stage.start(copying(manifest, clock, "size"))
    for number in (1, 2, 3):
        factory.end(f"adf-{number}", size=699)
        stored = stage.advance(stored)
    assert stored.run.state is State.FAILED
    assert "Data Factory wrote 699 bytes where validation wrote 700" in stored.run.cause


def test_the_pipeline_is_told_two_folders(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """Nothing of formats or columns: where the Parquet stands, and where it has to go."""
    run = stage.start(copying(manifest, clock, "folders")).run
    (asked,) = factory.started
    assert asked == {
        "runId": run.run_id,
        "attemptId": f"{run.run_id}.a1",
        "dataset": "users",
        "acceptedContainer": "raw",
        "acceptedFolder": "users/x/v1/accepted",
        "bronzeContainer": "bronze",
        "bronzeFolder": f"users/{run.run_id}.a1",
    }


def test_a_refused_start_fails_the_run(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """What Data Factory will never start is said, and not tried for ever."""

    def refuse() -> None:
        raise Refused("parameter mapping is missing")

    factory.on_start = refuse
    failed = stage.start(copying(manifest, clock, "refused"))
    assert failed.run.state is State.FAILED
    assert "parameter mapping is missing" in failed.run.cause


OLD = replace(VERDICT, parquet=None, copy_from="raw/users/x/may.csv")
"""As an earlier release has written it: it copied the drop itself."""


def test_what_an_earlier_release_was_copying_ends_as_it_began(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """Its pipeline run has counted rows: with those that were accepted the run is copied."""
    stored = copying(manifest, clock, "old-good")
    stored = manifest.update(stored, replace(stored.run, verdict=OLD))
    factory.start({"attemptId": f"{stored.run.run_id}.a1"})
    factory.end("adf-1", rows=2)
    done = stage.advance(stored)
    assert done.run.state is State.COPIED
    other = copying(manifest, clock, "old-bad")
    other = manifest.update(other, replace(other.run, verdict=OLD))
    factory.start({"attemptId": f"{other.run.run_id}.a1"})
    factory.end("adf-2", rows=1)
    failed = stage.advance(other)
    assert failed.run.state is State.FAILED
    assert "1 rows where validation accepted 2" in failed.run.cause


@pytest.mark.parametrize("status", ["Failed", None])
def test_what_an_earlier_release_did_not_copy_is_validated_again(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock, status: str | None
) -> None:
    """Its attempt failed, or never started: there is nothing that this release could copy."""
    stored = copying(manifest, clock, f"old-{status}")
    stored = manifest.update(stored, replace(stored.run, verdict=OLD))
    if status:
        factory.start({"attemptId": f"{stored.run.run_id}.a1"})
        factory.end("adf-1", status)
    clock.turn(seconds=60)
    again = stage.advance(stored).run
    assert again.state is State.CLAIMED
    assert again.verdict is None
    assert again.cause == "accepted by an earlier release, which left no Parquet of its records"
    assert len(factory.started) == (1 if status else 0)
    late = stage.fence(again.run_id, f"{again.run_id}.a1", "adf-9")
    assert (late.granted, late.reason) == (False, f"run {again.run_id} is claimed")


def test_a_validated_run_of_an_earlier_release_is_validated_again(
    stage: CopyStage, manifest: Register, factory: Factory, clock: Clock
) -> None:
    """It was waiting for room, or was retried."""
    stored = copying(manifest, clock, "old-waiting")
    run = stored.run.apply(Event.FAIL, "", clock()).apply(Event.RETRY_COPY, "", clock())
    stored = manifest.update(stored, replace(run, verdict=OLD))
    assert stage.plan(stored).run.state is State.CLAIMED
    assert not factory.started
