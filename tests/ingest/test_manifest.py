"""The manifest: one document a run, written by one winner, found wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.errors import Stale, Unavailable
from ingest.paths import active_document, archived_document
from ingest.ports import ListEntry
from ingest.runs import archive
from ingest.runs.register import Register
from ingest.runs.run import LandedVersion, Run, received
from ingest.runs.states import Event
from landfall.protocol import State, run_id
from tests.ingest.conftest import Clock, StorageAccount

DAY = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def new_run(name: str, clock: Clock, landed: datetime = DAY, dataset: str = "users") -> Run:
    """A run that nobody has written yet."""
    path = f"landing/{dataset}/{name}"
    source = LandedVersion(path=path, etag="0x1", size=1, landed=landed, via="event")
    return received(run_id(landed, dataset, path, "0x1"), dataset, source, clock())


def test_one_of_many_creates(storage_account: StorageAccount, clock: Clock) -> None:
    """However many workers learn of a drop at once, one creates its run and all hold the same."""
    run = new_run("race.csv", clock)
    workers = [Register(storage_account.lake) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda worker: worker.create(run), workers))
    assert [created for _, created in results].count(True) == 1
    assert len({stored.etag for stored, _ in results}) == 1


def test_an_old_version_cannot_overwrite(
    storage_account: StorageAccount, manifest: Register, clock: Clock
) -> None:
    """A worker that read before another wrote is told, and reads anew."""
    stored, _ = manifest.create(new_run("stale.csv", clock))
    claimed = stored.run.apply(Event.CLAIM, "mine", clock(), raw="raw/x")
    manifest.update(stored, claimed)
    other = Register(storage_account.lake)
    with pytest.raises(Stale):
        other.update(stored, stored.run.apply(Event.CLAIM, "mine too", clock(), raw="raw/y"))
    assert other.get(stored.run.run_id).run.cause == "mine"


@pytest.mark.parametrize(
    "fault",
    [{"fault": "status", "status": 503, "when": "after"}, {"fault": "reset", "when": "after"}],
)
def test_a_lost_acknowledgement_is_recognised(
    storage_account: StorageAccount, manifest: Register, clock: Clock, fault: dict[str, object]
) -> None:
    """The SDK repeats a write that had its effect; the writer knows its own document again."""
    run = new_run(f"lost-{fault['fault']}.csv", clock)
    storage_account.fault(method="PUT", path="manifest/active", times=1, **fault)
    stored, created = manifest.create(run)
    assert created
    storage_account.fault(method="PUT", path="manifest/active", times=1, **fault)
    claimed = stored.run.apply(Event.CLAIM, "mine", clock(), raw="raw/x")
    manifest.update(stored, claimed)
    assert Register(storage_account.lake).get(run.run_id).run == claimed


def test_a_lake_that_is_away_is_retryable(
    storage_account: StorageAccount, manifest: Register, clock: Clock
) -> None:
    """A lake that keeps failing raises what the queue takes as: try again later."""
    storage_account.fault(
        method="PUT", path="manifest/active", fault="status", status=503, when="before"
    )
    with pytest.raises(Unavailable):
        manifest.create(new_run("away.csv", clock))


def test_a_final_run_is_filed_by_its_day(
    storage_account: StorageAccount, manifest: Register, clock: Clock
) -> None:
    """Filing moves the document, twice is as good as once, and a retry brings it back."""
    stored, _ = manifest.create(new_run("final.csv", clock))
    name = stored.run.run_id
    final = manifest.update(stored, stored.run.apply(Event.CANCEL, "no", clock()))
    manifest.file(final)
    manifest.file(final)
    assert storage_account.lake.head(active_document(name)) is None
    found = Register(storage_account.lake).get(name)
    assert found.path == archived_document(name)
    assert found.run == final.run
    back = manifest.reopen(found)
    assert back.path == active_document(name)
    again = manifest.update(back, back.run.apply(Event.RETRY_CLAIM, "again", clock()))
    assert again.run.state is State.RECEIVED
    assert storage_account.lake.head(archived_document(name)) is None


def test_the_newest_come_first(storage_account_server: StorageAccount, clock: Clock) -> None:
    """Active and filed runs are merged by landing time, filtered, and paged without gaps."""
    manifest = Register(storage_account_server.lake)
    made: list[str] = []
    for index in range(12):
        landed = DAY - timedelta(days=index // 3, seconds=index)
        run = new_run(f"list-{index}.csv", clock, landed, "listed" if index % 2 else "others")
        stored, _ = manifest.create(run)
        if index % 3 == 0:
            manifest.file(manifest.update(stored, run.apply(Event.CANCEL, "no", clock())))
        made.append(run.run_id)
    made.sort(reverse=True)
    mine = [r.run_id for r in manifest.newest(limit=500) if r.run_id in made]
    assert mine == made
    listed = [r.run_id for r in manifest.newest(limit=500, dataset="listed")]
    assert listed == [r for r in made if "-listed-" in r]
    ended = manifest.newest(limit=500, dataset="others", state=State.CANCELLED)
    assert {r.state for r in ended} == {State.CANCELLED}
    first = manifest.newest(limit=4, dataset="others")
    second = manifest.newest(limit=4, dataset="others", before=first[-1].run_id)
    pages = [r.run_id for r in (*first, *second)]
    assert pages == [r for r in made if "-others-" in r]


def test_a_crowded_day_is_read_from_its_end(
    storage_account_server: StorageAccount, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day with more runs than a page has is read hour by hour, and the order is the same."""
    monkeypatch.setattr(archive, "PAGE", 4)
    manifest = Register(storage_account_server.lake)
    made: list[str] = []
    for hour in range(6):
        run = new_run(f"crowd-{hour}.csv", clock, DAY.replace(hour=hour * 4), "crowded")
        stored, _ = manifest.create(run)
        manifest.file(manifest.update(stored, run.apply(Event.CANCEL, "no", clock())))
        made.append(run.run_id)
    made.sort(reverse=True)
    assert [r.run_id for r in manifest.newest(limit=99, dataset="crowded")] == made
    first = manifest.newest(limit=2, dataset="crowded", state=State.CANCELLED)
    rest = manifest.newest(limit=9, dataset="crowded", before=first[-1].run_id)
    assert [r.run_id for r in (*first, *rest)] == made


def test_the_newest_of_many_active_are_found_from_the_end(
    storage_account_server: StorageAccount, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More are active than a page has: days, hours, minutes are read from the last on."""
    monkeypatch.setattr(archive, "PAGE", 5)
    manifest = Register(storage_account_server.lake)
    made: list[str] = []
    now = datetime.now(UTC)
    for number in range(40):
        landed = now - timedelta(days=number // 30, seconds=number * number)
        run = new_run(f"burst-{number}.csv", clock, landed, "burst")
        manifest.create(run)
        made.append(run.run_id)
    made.sort(reverse=True)
    lists: list[str] = []
    listed = storage_account_server.lake.list

    def counted(prefix: str, **given: Any) -> Iterator[ListEntry]:
        lists.append(prefix)
        return listed(prefix, **given)

    monkeypatch.setattr(storage_account_server.lake, "list", counted)
    found = manifest.newest(limit=3, dataset="burst")
    assert [run.run_id for run in found] == made[:3]
    assert len(lists) < 2 + 24 + 60 + 60 + 5
    assert [run.run_id for run in manifest.newest(limit=99, dataset="burst")] == made
    rest = manifest.newest(limit=99, dataset="burst", before=made[9])
    assert [run.run_id for run in rest] == made[10:]


def test_a_retried_run_leaves_the_index(
    storage_account: StorageAccount, manifest: Register, clock: Clock
) -> None:
    """What failed and was taken up again is not listed as failed any more."""
    run = new_run("comes-back.csv", clock, dataset="returning")
    stored, _ = manifest.create(run)
    manifest.file(manifest.update(stored, run.apply(Event.FAIL, "no", clock())))

    def failed() -> list[str]:
        runs = manifest.newest(limit=9, dataset="returning", state=State.FAILED)
        return [each.run_id for each in runs]

    assert failed() == [run.run_id]
    back = manifest.reopen(manifest.get(run.run_id, fresh=True))
    manifest.update(back, back.run.apply(Event.RETRY_CLAIM, "again", clock()))
    assert failed() == []
    assert next(iter(storage_account.lake.list("manifest/index/failed/returning/")), None) is None
