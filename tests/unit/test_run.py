"""The run document: nothing is lost between a value, its JSON and its metadata."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.runs.document import dump, from_metadata, parse, summary, to_metadata, writer_of
from ingest.runs.run import Copy, LandedVersion, Lease, Load, Run, Verdict, received
from ingest.runs.states import Event, IllegalTransition
from landfall.protocol import State

NOW = datetime(2026, 11, 22, 13, 1, 14, tzinfo=UTC)
SOURCE = LandedVersion(path="landing/users/may.csv", etag="0x8D", size=10, landed=NOW, via="event")


def full_run(cause: str = "because") -> Run:
    """A run with every part filled in."""
    run = received("20261122T130114Z-users-1f3a9c20", "users", SOURCE, NOW)
    run = run.apply(Event.CLAIM, cause, NOW, raw="raw/users/x/may.csv")
    lease = Lease("worker", NOW + timedelta(minutes=5))
    run = run.apply(Event.START_VALIDATION, "judging", NOW, lease=lease)
    verdict = Verdict("accepted", 2, 2, 0, "ab", "raw/report.json", None, {"kind": "csv"})
    run = run.apply(Event.ACCEPT, "good", NOW, verdict=verdict)
    copy = Copy(1, "a.1", NOW, adf_run_id="r", rows=2)
    run = run.apply(Event.START_COPY, "copy", NOW, copy=copy)
    run = run.apply(Event.FINISH_COPY, "copied", NOW)
    return run.apply(Event.START_LOAD, "batch", NOW, load=Load("b", 7, {"inserted": 2}))


def test_a_document_gives_back_its_run() -> None:
    """Writing and reading a run changes nothing, and the document names its writer."""
    run = full_run()
    body = dump(run, "writer-1")
    assert parse(body) == run
    assert writer_of(body) == "writer-1"


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=400))
def test_metadata_is_ascii_whatever_the_text(cause: str) -> None:
    """Blob metadata travels in HTTP headers; a listing reads back the same summary."""
    run = full_run(cause)
    metadata = to_metadata(run)
    assert all(value.isascii() for value in metadata.values())
    assert sum(map(len, metadata.values())) < 8 * 1024
    listed = from_metadata(metadata)
    assert listed.summary == summary(run)
    assert listed.state is run.state
    assert listed.steering["attempt_id"] == "a.1"


def test_each_transition_is_kept_with_its_cause() -> None:
    """The history says what happened, in order, and why."""
    run = full_run()
    assert [line.state for line in run.history] == [
        State.RECEIVED,
        State.CLAIMED,
        State.VALIDATING,
        State.VALIDATED,
        State.COPYING,
        State.COPIED,
        State.LOADING,
    ]
    assert run.cause == "batch"


def test_a_lease_ends_with_its_state() -> None:
    """Any transition that does not renew the lease ends it."""
    assert full_run().lease is None


def test_an_illegal_move_changes_nothing() -> None:
    """A run refuses what its state does not allow."""
    run = full_run()
    with pytest.raises(IllegalTransition):
        run.apply(Event.CANCEL, "too late", NOW)


def test_a_later_release_may_add_fields() -> None:
    """Two releases work side by side: what one does not know it passes over."""
    later = dump(full_run(), "w").replace(b'"schema": 1', b'"schema": 1, "colour": "blue"')
    later = later.replace(b'"number": 1', b'"number": 1, "colour": "red"')
    assert b"red" in later
    assert parse(later) == full_run()


def test_a_newer_schema_is_refused() -> None:
    """A document of a later release is not guessed at."""
    newer = dump(full_run(), "w").replace(b'"schema": 1', b'"schema": 2')
    with pytest.raises(ValueError, match="schema 2"):
        parse(newer)
