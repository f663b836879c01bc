"""The register of extracts: who may read, when the watermark moves, and what dies on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.http import sources
from ingest.service import Landfall
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.extracting import LAG, SOURCE, Extracting, Row, project
from tests.ingest.memory import InMemoryAccount
from tests.ingest.test_crashes import CrashingPort, CrashPoint, WorkerKilledError

HOUR = timedelta(hours=1)


@pytest.fixture
def shop(tmp_path: Path, clock: Clock) -> Extracting:
    """A shop without orders, on a lake in memory."""
    return Extracting(InMemoryAccount(clock), clock, project(tmp_path))


@pytest.fixture
def real(storage_account: StorageAccount, tmp_path: Path) -> Iterator[Extracting]:
    """The same on a real lake, through the SDK."""
    made = Extracting(storage_account, Clock(), project(tmp_path))
    yield made
    made.storage_account.lake.delete_folder("manifest/sources")
    made.storage_account.lake.delete_folder("raw/orders")
    made.storage_account.lake.delete_folder("raw/_extracts")


def watermark(shop: Extracting, entry: str = "orders") -> str | None:
    """The watermark as `GET /sources` shows it."""
    text: str | None = shop.ask(sources.get_object, {}, entry=entry).body["watermark"]
    return text


# -- the way of an extract ------------------------------------------------------------------


def test_new_rows_reach_landing_once_and_the_watermark_follows(real: Extracting) -> None:
    """Bytes stand in landing by one rename, are claimed at once, and are not read again."""
    real.table.insert(1)
    real.clock.turn(seconds=61)
    done = real.run()
    assert (done.status, done.body["delivered"], done.body["rows"]) == (200, True, 1)
    assert real.service.manifest.get(done.body["run_id"]).run.source.via == "extract"
    assert len(done.messages) == 1
    assert real.delivered() == [[1]]
    assert real.run().body["reason"] == "nothing new"
    real.table.insert(2)
    assert real.run().body["reason"] == "nothing new"  # it is younger than the lag
    real.clock.turn(seconds=61)
    assert real.run().body["rows"] == 1
    assert sorted(real.delivered()) == [[1], [2]]
    document = real.ask(sources.get_object, {}).body
    assert document["extracts"] == 2
    assert [extract["rows"] for extract in document["recent"]] == [1, 1]
    assert document["lag_seconds"] == 61


def test_an_idle_look_writes_nothing(shop: Extracting) -> None:
    """No document, no drop: a plan, and one answer for each object."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    shop.run()
    lake = shop.storage_account.lake
    assert not isinstance(lake, StorageAccount)
    before = lake.writes  # type: ignore[union-attr]
    assert shop.ask(sources.plan, {"adf_run_id": "x"}).status in {200, 409}
    assert shop.run().body["reason"] == "nothing new"
    assert lake.writes == before  # type: ignore[union-attr]


def test_an_empty_range_moves_the_watermark_without_a_drop(shop: Extracting) -> None:
    """A condition may leave nothing of a range."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    begun = shop.ask(sources.begin, {"adf_run_id": "a", "high": shop.table.high()}).body
    shop.write(begun, [])
    done = shop.ask(
        sources.finish, {"adf_run_id": "a", "extract_id": begun["extract_id"], "rows": 0}
    )
    assert done.body == {"delivered": False, "rows": 0, "run_id": None}
    assert shop.delivered() == []
    assert watermark(shop) == begun["high"]
    staged = f"{begun['container']}/{begun['folder']}/{begun['file']}"
    assert shop.storage_account.lake.head(staged) is None


def test_an_empty_table_has_nothing_new(shop: Extracting) -> None:
    """Its greatest watermark is a null."""
    assert shop.run(high="").body["reason"] == "nothing new"


def test_rows_without_a_watermark_come_with_the_next_extract(shop: Extracting) -> None:
    """By `nulls: include`, which is the default."""
    shop.table.rows.append(Row(7, None, shop.clock()))
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    shop.run()
    assert [sorted(drop) for drop in shop.delivered()] == [[1, 7]]


def test_the_overlap_of_an_integer_is_a_number(shop: Extracting) -> None:
    """The range begins so many before the watermark."""
    first = shop.ask(sources.begin, {"adf_run_id": "a", "high": 10}, entry="counted").body
    assert (first["low"], first["high"]) == (None, "10")
    shop.write(first, [1])
    done = {"adf_run_id": "a", "extract_id": first["extract_id"], "rows": 1}
    assert shop.ask(sources.finish, done, entry="counted").body["delivered"]
    second = shop.ask(sources.begin, {"adf_run_id": "b", "high": "12"}, entry="counted").body
    assert (second["low"], second["high"]) == ("8", "12")
    assert '"number" > 8 AND "number" <= 12' in second["query"]


# -- the fence ------------------------------------------------------------------------------


def test_one_of_two_pipeline_runs_gets_through(shop: Extracting) -> None:
    """The other has nothing to do while the first is at work; its own question may be repeated."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    high = shop.table.high()
    shop.pipelines.working |= {"a", "b"}
    first = shop.ask(sources.begin, {"adf_run_id": "a", "high": high}).body
    assert shop.ask(sources.begin, {"adf_run_id": "a", "high": high}).body == first
    other = shop.ask(sources.begin, {"adf_run_id": "b", "high": high}).body
    assert (other["granted"], other["reason"]) == (False, "pipeline run a is at it")


def test_a_dead_pipeline_run_is_followed_by_another_and_cannot_finish(shop: Extracting) -> None:
    """What it still writes stands apart from what counts."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    high = shop.table.high()
    first = shop.ask(sources.begin, {"adf_run_id": "a", "high": high}).body
    second = shop.ask(sources.begin, {"adf_run_id": "b", "high": high}).body
    assert second["granted"]
    assert second["extract_id"] == first["extract_id"]
    assert second["file"] != first["file"]
    shop.write(first, [666])
    late = {"adf_run_id": "a", "extract_id": first["extract_id"], "rows": 1}
    assert shop.ask(sources.finish, late).status == 409
    shop.write(second, [1])
    assert shop.ask(sources.finish, late | {"adf_run_id": "b"}).body["delivered"]
    assert shop.ask(sources.finish, late).status == 409
    assert shop.delivered() == [[1]]


def test_a_lease_ends_a_pipeline_run_that_never_says_how_it_went(shop: Extracting) -> None:
    """Data Factory calls it working; it has been for longer than a Copy may take."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    shop.pipelines.working.add("a")
    high = shop.table.high()
    shop.ask(sources.begin, {"adf_run_id": "a", "high": high})
    shop.clock.turn(hours=4)
    assert shop.ask(sources.begin, {"adf_run_id": "b", "high": high}).body["granted"]


def test_rows_without_bytes_are_no_extract(shop: Extracting) -> None:
    """A pipeline that says that it has written has to have written."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    begun = shop.ask(sources.begin, {"adf_run_id": "a", "high": shop.table.high()}).body
    done = {"adf_run_id": "a", "extract_id": begun["extract_id"], "rows": 1}
    answer = shop.ask(sources.finish, done)
    assert answer.status == 409
    assert "nothing stands at" in answer.body["detail"]
    assert watermark(shop) is None


def test_a_failure_is_counted_and_frees_the_range(shop: Extracting) -> None:
    """Its reason is seen; the next delivery clears it."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    high = shop.table.high()
    shop.pipelines.working |= {"a", "b"}
    begun = shop.ask(sources.begin, {"adf_run_id": "a", "high": high}).body
    failed = {"adf_run_id": "a", "extract_id": begun["extract_id"], "error": "refused"}
    for _ in range(2):  # reported twice, counted once
        assert shop.ask(sources.fail, failed).status == 200
    shop.ask(sources.fail, {"adf_run_id": "b", "error": "no connection"})
    state = shop.ask(sources.get_object, {}).body
    assert (state["failure"]["count"], state["failure"]["error"]) == (2, "no connection")
    assert state["running"] == []
    shop.run()
    assert shop.ask(sources.get_object, {}).body["failure"] is None


# -- windows --------------------------------------------------------------------------------

WINDOW = {"window_start": "2026-01-01T00:00:00Z", "window_end": "2026-01-01T01:00:00Z"}


def test_windows_are_read_side_by_side_and_each_once(shop: Extracting) -> None:
    """A window that was delivered is not read again, unless that is asked for."""
    shop.pipelines.working |= {"a", "b"}
    other = {
        "window_start": "2026-01-01T01:00:00.0000000Z",
        "window_end": "2026-01-01T02:00:00.0000000Z",
    }
    one = shop.ask(sources.begin, {"adf_run_id": "a", **WINDOW}, entry="history").body
    two = shop.ask(sources.begin, {"adf_run_id": "b", **other}, entry="history").body
    assert one["granted"]
    assert two["granted"]
    again = shop.ask(sources.begin, {"adf_run_id": "c", **WINDOW}, entry="history")
    assert again.status == 409  # skipped, the window would count as read
    for begun, name in ((one, "a"), (two, "b")):
        shop.write(begun, [1])
        done = {"adf_run_id": name, "extract_id": begun["extract_id"], "rows": 1}
        assert shop.ask(sources.finish, done, entry="history").body["delivered"]
    late = shop.ask(sources.begin, {"adf_run_id": "c", **WINDOW}, entry="history").body
    assert late["reason"] == "delivered already"
    forced = shop.ask(
        sources.begin, {"adf_run_id": "c", "again": True, **WINDOW}, entry="history"
    ).body
    assert forced["extract_id"] == one["extract_id"]
    assert watermark(shop, "history") is None


def test_a_range_by_hand_leaves_the_watermark_alone(shop: Extracting) -> None:
    """A backfill of an object that goes by its watermark."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    shop.run()
    before = watermark(shop)
    assert shop.run(more=WINDOW).body["delivered"] is False
    assert watermark(shop) == before


def test_an_object_of_windows_is_not_read_without_one(shop: Extracting) -> None:
    """The reason is said."""
    answer = shop.ask(sources.plan, {"adf_run_id": "a", "objects": "history"})
    assert answer.status == 409
    assert "needs a begin and an end" in answer.body["detail"]


@pytest.mark.parametrize(
    "window",
    [
        {"window_start": "2026-01-01T00:00:00Z"},
        {"window_start": "soon", "window_end": "later"},
        {"window_start": "2026-01-01T01:00:00Z", "window_end": "2026-01-01T00:00:00Z"},
        {"window_start": "2026-01-01T01:00:00Z", "window_end": "2026-01-01T01:00:00Z"},
    ],
)
def test_a_window_that_is_none_is_refused(shop: Extracting, window: dict[str, str]) -> None:
    """Half a window, no times, no length."""
    answer = shop.ask(sources.begin, {"adf_run_id": "a", **window}, entry="history")
    assert answer.status == 422


# -- what people ask ------------------------------------------------------------------------


def test_a_plan_has_what_is_due(shop: Extracting) -> None:
    """Paused objects are left out, and those that were read too lately; named ones are not."""
    project(
        shop.project, SOURCE.replace("    mode: window\n", "    mode: window\n    enabled: false\n")
    )
    shop.service = shop.worker()

    def planned(**more: Any) -> list[str]:
        body = shop.ask(sources.plan, {"adf_run_id": "a", **more}).body
        return [item["object"] for item in body["items"]]

    assert planned() == ["orders", "counted", "whole"]
    whole = shop.ask(sources.begin, {"adf_run_id": "a"}, entry="whole").body
    shop.write(whole, [1])
    done = {"adf_run_id": "a", "extract_id": whole["extract_id"], "rows": 1}
    shop.ask(sources.finish, done, entry="whole")
    shop.ask(sources.pause, {}, entry="orders")
    assert planned() == ["counted"]
    assert planned(objects="orders,whole") == ["orders", "whole"]
    shop.ask(sources.resume, {}, entry="orders")
    shop.clock.turn(hours=25)
    assert planned() == ["orders", "counted", "whole"]


def test_a_rewound_watermark_reads_again_and_stops_what_is_under_way(shop: Extracting) -> None:
    """The pipeline run that was at it cannot move the watermark back up."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    shop.run()
    shop.table.insert(2)
    shop.clock.turn(seconds=61)
    shop.pipelines.working.add("a")
    begun = shop.ask(sources.begin, {"adf_run_id": "a", "high": shop.table.high()}).body
    shop.write(begun, [2])
    assert shop.ask(sources.rewind, {"to": None, "reason": "lost"}).body["watermark"] is None
    done = {"adf_run_id": "a", "extract_id": begun["extract_id"], "rows": 1}
    assert shop.ask(sources.finish, done).status == 409
    shop.run()
    assert sorted(sorted(drop) for drop in shop.delivered()) == [[1], [1, 2]]
    assert shop.ask(sources.rewind, {"to": "soon"}).status == 422
    assert shop.ask(sources.rewind, {"to": None}, entry="whole").status == 409


def test_a_start_by_hand_is_one_pipeline_run_or_one_for_each_window(shop: Extracting) -> None:
    """The windows have the range's ends."""
    shop.ask(sources.extract, {})
    assert shop.pipelines.started[0]["objects"] == "orders"
    answer = shop.ask(
        sources.extract,
        {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T02:30:00Z", "every": "1h"},
        entry="history",
    )
    assert answer.status == 202
    ends = [run["windowEnd"] for run in shop.pipelines.started[1:]]
    assert ends == ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T02:30:00Z"]
    for wrong in (
        {"from": "2026-01-01T00:00:00Z"},
        {"every": "1h"},
        {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "every": "1h"},
        {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "every": "often"},
    ):
        assert shop.ask(sources.extract, wrong, entry="history").status == 422


def test_a_wrong_source_is_told_and_keeps_no_other_from_working(shop: Extracting) -> None:
    """With file and line; the service runs on."""
    (shop.project / "sources" / "bad.yaml").write_text("kind: Source\nname: bad\n")
    shop.service = shop.worker()
    listed = shop.ask(sources.list_sources, {}).body
    assert [source["source"] for source in listed["sources"]] == ["shop"]
    assert listed["wrong"][0]["source"] == "bad"
    assert listed["wrong"][0]["error"].startswith("bad.yaml:1: ")


def test_a_damaged_document_is_the_trouble_of_its_object_alone(shop: Extracting) -> None:
    """The others are shown and extracted."""
    shop.storage_account.lake.put("manifest/sources/shop/orders/state.json", b"{")
    listed = shop.ask(sources.list_sources, {}).body["sources"][0]["objects"]
    assert "cannot be read" in listed[0]["error"]
    assert listed[1]["object"] == "counted"


def test_a_watermark_of_another_type_has_to_be_rewound(shop: Extracting) -> None:
    """After the source file has changed: it is said, nothing is guessed."""
    shop.table.insert(1)
    shop.clock.turn(seconds=61)
    shop.run()
    project(shop.project, SOURCE.replace("{column: updated_at, type: timestamptz}\n    lag: 60s",
                                         "{column: id, type: integer}", 1))  # fmt: skip
    shop.service = shop.worker()
    answer = shop.run(high="12")
    assert answer.status == 409
    assert "rewind it" in answer.body["detail"]
    assert shop.ask(sources.rewind, {"to": 5}).body["watermark"] == "5"
    begun = shop.ask(sources.begin, {"adf_run_id": "a", "high": "12"}).body
    assert (begun["low"], begun["high"]) == ("5", "12")


# -- what dies on the way -------------------------------------------------------------------


def dying(shop: Extracting, point: CrashPoint) -> Landfall:
    """A process that dies at one of its calls."""
    return shop.worker(lambda name, real: CrashingPort(name, real, point))


@dataclass
class Deaths:
    """One extract, and a process that dies at one of its calls; then another extract."""

    shop: Extracting

    def live(self, point: CrashPoint) -> None:
        """A pipeline run whose service dies once; the host starts again, its calls are repeated."""
        doomed = dying(self.shop, point)
        try:
            self.shop.run(service=doomed)
        except WorkerKilledError:
            return

    def check(self, keys: list[int]) -> None:
        """Later pipeline runs deliver all that is there, and no range twice."""
        for _ in range(2):
            self.shop.run()
        drops = self.shop.delivered()
        assert sorted(key for drop in drops for key in drop) == keys
        state = self.shop.ask(sources.get_object, {}).body
        assert state["running"] == []
        assert state["watermark"] is not None
        runs = list(self.shop.service.manifest.active())
        assert len({run.summary["path"] for run in runs}) == len(runs) == len(drops)


def crash_points(shop: Extracting) -> list[str]:
    """The calls that one extract makes."""
    listening = CrashPoint()
    Deaths(shop).live(listening)
    return listening.calls


def test_a_death_at_every_call_loses_nothing_and_delivers_nothing_twice(
    tmp_path: Path, clock: Clock
) -> None:
    """Before and after the effect of each: all rows come once, the watermark moves once."""

    def fresh(number: int) -> Extracting:
        made = Extracting(InMemoryAccount(clock), clock, project(tmp_path / str(number)))
        made.table.insert(1)
        clock.turn(seconds=61)
        made.run()
        made.table.insert(2)
        clock.turn(seconds=61)
        return made

    calls = crash_points(fresh(-1))
    assert len(calls) >= 10
    for at in range(len(calls)):
        for when in ("before", "after"):
            shop = fresh(at)
            point = CrashPoint(at, when)
            Deaths(shop).live(point)
            assert len(point.calls) == at + 1, f"{calls[at]} was not met"
            Deaths(shop).check([1, 2])


def test_a_death_is_healed_by_the_pipelines_own_retry(tmp_path: Path, clock: Clock) -> None:
    """The same call again, of the same pipeline run, to a host that has started anew."""
    at = 0
    while True:
        shop = Extracting(InMemoryAccount(clock), clock, project(tmp_path / str(at)))
        shop.table.insert(1)
        clock.turn(seconds=61)
        point = CrashPoint(at, "after")
        doomed = dying(shop, point)
        high = shop.table.high()
        shop.pipelines.working.add("a")
        begin = {"adf_run_id": "a", "high": high}
        try:
            begun = shop.ask(sources.begin, begin, service=doomed).body
        except WorkerKilledError:
            begun = shop.ask(sources.begin, begin).body
        assert begun["granted"]
        shop.write(begun, [1])
        finish = {"adf_run_id": "a", "extract_id": begun["extract_id"], "rows": 1}
        try:
            done = shop.ask(sources.finish, finish, service=doomed).body
        except WorkerKilledError:
            done = shop.ask(sources.finish, finish).body
        assert done["delivered"]
        assert done["run_id"]
        assert watermark(shop) == begun["high"]
        assert shop.delivered() == [[1]]
        if len(point.calls) <= at:
            break
        at += 1
    assert at >= 10


@pytest.mark.parametrize("fault", [503, 500])
def test_a_reply_lost_by_the_lake_is_recognised(real: Extracting, fault: int) -> None:
    """The SDK repeats a write whose acknowledgement was lost, and meets its own document."""
    real.table.insert(1)
    real.clock.turn(seconds=61)
    storage = real.storage_account
    assert isinstance(storage, StorageAccount)
    storage.fault(fault="status", status=fault, when="after", method="PUT", times=3)
    done = real.run()
    storage.reset_faults()
    assert done.body["delivered"]
    assert real.delivered() == [[1]]
    assert real.run().body["reason"] == "nothing new"


# -- any interleaving -----------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 59)),
    st.tuples(st.just("wait"), st.integers(1, 90)),
    st.tuples(st.just("high"), st.integers(0, 2)),
    st.tuples(st.just("begin"), st.integers(0, 2)),
    st.tuples(st.just("copy"), st.integers(0, 2)),
    st.tuples(st.just("finish"), st.integers(0, 2)),
    st.tuples(st.just("die"), st.integers(0, 2)),
)


class Interleaving:
    """Three pipeline runs at any point of their way, and transactions shorter than the lag."""

    def __init__(self, shop: Extracting) -> None:
        self.shop = shop
        self.keys = 0
        self.runs: dict[int, dict[str, Any]] = {}
        self.number = 0

    def step(self, what: str, argument: int) -> None:
        """Do one step, where it can be done."""
        if what == "insert":
            self.keys += 1
            self.shop.table.insert(self.keys, timedelta(seconds=argument))
        elif what == "wait":
            self.shop.clock.turn(seconds=argument)
        else:
            getattr(self, f"_{what}")(argument)

    def _high(self, slot: int) -> None:
        self._die(slot)
        self.number += 1
        name = f"run-x{self.number}"
        self.shop.pipelines.working.add(name)
        self.runs[slot] = {"adf_run_id": name, "high": self.shop.table.high()}

    def _begin(self, slot: int) -> None:
        run = self.runs.get(slot)
        if run and "grant" not in run:
            asked = {name: run[name] for name in ("adf_run_id", "high")}
            answer = self.shop.ask(sources.begin, asked)
            assert answer.status == 200, answer.body
            run["grant"] = answer.body

    def _copy(self, slot: int) -> None:
        run = self.runs.get(slot)
        if run and run.get("grant", {}).get("granted") and "rows" not in run:
            keys = self.shop.table.read(run["grant"])
            self.shop.write(run["grant"], keys)
            run["rows"] = len(keys)

    def _finish(self, slot: int) -> None:
        run = self.runs.get(slot)
        if run and "rows" in run:
            body = {
                "adf_run_id": run["adf_run_id"],
                "extract_id": run["grant"]["extract_id"],
                "rows": run["rows"],
            }
            answer = self.shop.ask(sources.finish, body)
            assert answer.status in {200, 409}, answer.body

    def _die(self, slot: int) -> None:
        run = self.runs.pop(slot, None)
        if run:
            self.shop.pipelines.working.discard(run["adf_run_id"])


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, max_size=60))
def test_no_interleaving_of_commits_and_extracts_loses_a_row(
    tmp_path: Path, steps: list[tuple[str, int]]
) -> None:
    """Transactions shorter than the lag, pipeline runs that die or stand still, in any order."""
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC))
    shop = Extracting(InMemoryAccount(clock), clock, project(tmp_path))
    world = Interleaving(shop)
    for what, argument in steps:
        world.step(what, argument)
    for slot in list(world.runs):
        world.step("die", slot)
    clock.turn(seconds=2 * LAG.total_seconds())
    for _ in range(3):
        shop.run()
    delivered = [key for drop in shop.delivered() for key in drop]
    assert sorted(set(delivered)) == list(range(1, world.keys + 1))
    assert len(delivered) == len(set(delivered)), "without overlap each row comes once"


def test_a_document_of_a_later_release_is_not_overwritten(shop: Extracting) -> None:
    """It is set aside, and said."""
    path = "manifest/sources/shop/orders/state.json"
    shop.storage_account.lake.put(path, json.dumps({"schema": 99}).encode())
    assert shop.run().status == 500
    assert json.loads(shop.storage_account.lake.get(path)[0]) == {"schema": 99}
