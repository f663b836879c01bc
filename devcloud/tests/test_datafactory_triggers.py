"""Triggers of the local data factory, through the unmodified SDK."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from hypothesis import given
from hypothesis import strategies as st

from devcloud.datafactory.azure_error import AzureError
from devcloud.datafactory.event_triggers import account_path
from devcloud.datafactory.recurrence import Recurrence
from devcloud.datafactory.tumbling import TumblingSchedule
from devcloud.testing.clock import ManualClock
from devcloud.testing.factory import FACTORY, GROUP, FactoryHost, configure, hosting

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def pipeline(name: str, **parameters: Any) -> dict[str, Any]:
    """What a trigger starts."""
    reference = {"referenceName": name, "type": "PipelineReference"}
    return {"pipelineReference": reference, "parameters": parameters}


BOUNDS = {
    "low": "@trigger().outputs.windowStartTime",
    "high": "@{formatDateTime(trigger().outputs.windowEndTime, 'HH:mm')}",
}


def hourly(start: datetime, name: str = "p", **more: Any) -> dict[str, Any]:
    """A tumbling window trigger of hours."""
    inside = {
        "frequency": "Hour",
        "interval": 1,
        "startTime": start.isoformat().replace("+00:00", "Z"),
        "maxConcurrency": 50,
        **more,
    }
    return {
        "type": "TumblingWindowTrigger",
        "typeProperties": inside,
        "pipeline": pipeline(name, **BOUNDS),
    }


def asked(**more: Any) -> Any:
    """The body of a query over all times."""
    return {
        "lastUpdatedAfter": "2020-01-01T00:00:00Z",
        "lastUpdatedBefore": "2040-01-01T00:00:00Z",
        **more,
    }


def trigger_runs(host: FactoryHost, name: str, **filters: str) -> list[Any]:
    """The runs of a trigger, oldest window first."""
    conditions = [{"operand": "TriggerName", "operator": "Equals", "values": [name]}]
    conditions += [
        {"operand": operand, "operator": "Equals", "values": [value]}
        for operand, value in filters.items()
    ]
    query = asked(filters=conditions)
    found: list[Any] = []
    while True:
        page = host.client.trigger_runs.query_by_factory(GROUP, FACTORY, query)
        found += page.value or []
        if not page.continuation_token:
            break
        query["continuationToken"] = page.continuation_token
    return sorted(found, key=lambda run: (run.properties or {}).get("windowStartTime", ""))


def states(host: FactoryHost, name: str) -> list[str]:
    """The states of the windows of a trigger, oldest first."""
    return [str(run.as_dict()["status"]) for run in trigger_runs(host, name)]


def until(check: Callable[[], Any], seconds: float = 15) -> Any:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return result


def start(host: FactoryHost, name: str) -> None:
    """Start a trigger."""
    host.client.triggers.begin_start(GROUP, FACTORY, name, retry_total=0).result()


def stop(host: FactoryHost, name: str) -> None:
    """Stop a trigger."""
    host.client.triggers.begin_stop(GROUP, FACTORY, name).result()


def web(host: FactoryHost, name: str = "p") -> None:
    """A pipeline with a window, that asks the service of the test and is as it answers."""
    call = {
        "name": "Call",
        "type": "WebActivity",
        "typeProperties": {
            "url": f"{host.service_url}/{name}",
            "method": "POST",
            "body": {"low": "@pipeline().parameters.low", "high": "@pipeline().parameters.high"},
        },
    }
    declared = {"low": {"type": "string"}, "high": {"type": "string"}}
    host.pipeline(name, call, parameters=declared)


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    """Noon."""
    return ManualClock(NOON)


@pytest.fixture
def host(tmp_path: Path, clock: ManualClock) -> Iterator[FactoryHost]:
    """A factory with the pipeline `p`."""
    with hosting(configure(tmp_path), clock=clock) as running:
        web(running)
        yield running


def test_windows_of_the_past_are_run_and_those_to_come(
    host: FactoryHost, clock: ManualClock
) -> None:
    """Every hour since the start once, oldest first; the next after its end and the delay."""
    host.put("triggers", "t", hourly(NOON - timedelta(hours=3), delay="00:10:00"))
    start(host, "t")
    until(lambda: states(host, "t") == ["Succeeded"] * 2)  # the third waits for its delay
    clock.advance(timedelta(minutes=11))
    until(lambda: states(host, "t") == ["Succeeded"] * 3)
    # They run side by side: which of them asks first is not said.
    assert sorted(host.service.bodies("/p"), key=lambda body: str(body["low"])) == [
        {"low": "2026-11-22T09:00:00Z", "high": "10:00"},
        {"low": "2026-11-22T10:00:00Z", "high": "11:00"},
        {"low": "2026-11-22T11:00:00Z", "high": "12:00"},
    ]
    run = trigger_runs(host, "t")[0]
    assert (run.trigger_type, run.properties["windowEndTime"]) == (
        "TumblingWindowTrigger",
        "2026-11-22T10:00:00Z",
    )
    started = host.client.pipeline_runs.get(GROUP, FACTORY, run.triggered_pipelines["p"])
    assert started.invoked_by is not None
    assert (started.invoked_by.name, started.invoked_by.invoked_by_type) == (
        "t",
        "TumblingWindowTrigger",
    )
    stop(host, "t")
    clock.advance(timedelta(hours=2))
    assert len(states(host, "t")) == 3
    start(host, "t")
    until(lambda: states(host, "t") == ["Succeeded"] * 5)


def held(name: str) -> dict[str, Any]:
    """A pipeline that waits long."""
    return {"name": name, "type": "Wait", "typeProperties": {"waitTimeInSeconds": 3600}}


def waiting(host: FactoryHost, name: str) -> None:
    """A pipeline that runs for an hour of the test's clock."""
    declared = {"low": {"type": "string"}, "high": {"type": "string"}}
    host.pipeline(name, held("W"), parameters=declared)


def test_a_backfill_runs_so_many_at_a_time(host: FactoryHost, clock: ManualClock) -> None:
    """24 windows, four at a time, the oldest first; the rest waits."""
    waiting(host, "slow")
    trigger = hourly(NOON - timedelta(hours=24), "slow", maxConcurrency=4)
    host.put("triggers", "t", trigger)
    start(host, "t")
    until(lambda: states(host, "t") == ["Running"] * 4 + ["Waiting"] * 20)
    unfinished = trigger_runs(host, "t", Status="Inprogress")
    assert len(unfinished) == 24
    clock.advance(timedelta(minutes=59))
    assert states(host, "t").count("Running") == 4
    clock.advance(timedelta(minutes=2))
    until(lambda: states(host, "t")[:8] == ["Succeeded"] * 4 + ["Running"] * 4)


def test_a_window_that_fails_is_tried_again(host: FactoryHost, clock: ManualClock) -> None:
    """After the interval, as often as the policy says; then it is Failed, and the rest go on."""
    host.service.replies["/p"] = [(500, {}), (500, {}), (200, {})]
    policy = {"count": 2, "intervalInSeconds": 120}
    host.put("triggers", "t", hourly(NOON - timedelta(hours=1), retryPolicy=policy))
    start(host, "t")
    for tries in (1, 2):
        until(partial(has_finished, host, tries))
        until(lambda: states(host, "t") == ["Running"])
        assert len(host.service.bodies("/p")) == tries
        clock.advance(timedelta(seconds=119))
        assert len(host.service.bodies("/p")) == tries
        clock.advance(timedelta(seconds=2))
    until(lambda: states(host, "t") == ["Succeeded"])
    assert len(host.service.bodies("/p")) == 3
    host.service.replies["/p"] = (500, {})
    clock.advance(timedelta(hours=1))
    for tries in (4, 5, 6):
        until(partial(has_finished, host, tries))
        until(lambda: states(host, "t")[-1] in ("Running", "Failed"))
        clock.advance(timedelta(seconds=121))
    until(lambda: states(host, "t") == ["Succeeded", "Failed"])
    assert "500" in trigger_runs(host, "t")[-1].message


def has_finished(host: FactoryHost, count: int) -> bool:
    """Whether so many pipeline runs have ended."""
    runs = host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, asked()).value
    return sum(run.status in ("Succeeded", "Failed", "Cancelled") for run in runs) == count


def test_one_window_is_run_again(host: FactoryHost) -> None:
    """A rerun takes the definition of now; a second one of a window that runs is refused."""
    host.put("triggers", "t", hourly(NOON - timedelta(hours=3)))
    start(host, "t")
    until(lambda: states(host, "t") == ["Succeeded"] * 3)
    second = trigger_runs(host, "t")[1]
    waiting(host, "slow")
    stop(host, "t")
    host.put("triggers", "t", hourly(NOON - timedelta(hours=3), "slow"))
    start(host, "t")
    runs: Any = host.client.trigger_runs
    runs.rerun(GROUP, FACTORY, "t", second.trigger_run_id)
    until(lambda: states(host, "t") == ["Succeeded", "Running", "Succeeded"])
    with pytest.raises(HttpResponseError, match="is Running"):
        runs.rerun(GROUP, FACTORY, "t", second.trigger_run_id)
    runs.cancel(GROUP, FACTORY, "t", second.trigger_run_id)
    until(lambda: states(host, "t") == ["Succeeded", "Cancelled", "Succeeded"])
    started = trigger_runs(host, "t")[1].triggered_pipelines["slow"]
    until(lambda: host.status(started) == "Cancelled")
    runs.rerun(GROUP, FACTORY, "t", second.trigger_run_id)
    until(lambda: states(host, "t") == ["Succeeded", "Running", "Succeeded"])
    with pytest.raises(HttpResponseError, match="has no run"):
        runs.rerun(GROUP, FACTORY, "t", "absent")


def depending(*entries: dict[str, Any]) -> dict[str, Any]:
    """`dependsOn`."""
    return {"dependsOn": list(entries)}


def on(trigger: str, **more: str) -> dict[str, Any]:
    """A dependency on a trigger."""
    reference = {"referenceName": trigger, "type": "TriggerReference"}
    kind = "TumblingWindowTriggerDependencyReference"
    return {"type": kind, "referenceTrigger": reference, **more}


def on_itself(**more: str) -> dict[str, Any]:
    """A dependency on earlier windows."""
    return {"type": "SelfDependencyTumblingWindowTriggerReference", **more}


def test_a_window_waits_for_those_of_another_trigger(host: FactoryHost) -> None:
    """All that its dependency covers must have succeeded; offset and size say which those are."""
    web(host, "first")
    host.put("triggers", "first", hourly(NOON - timedelta(hours=4), "first"))
    size_of_two = on("first", offset="-01:00:00", size="02:00:00")
    host.put("triggers", "t", hourly(NOON - timedelta(hours=3), **depending(size_of_two)))
    host.service.replies["/first"] = [(200, {}), (200, {}), (500, {}), (200, {})]
    start(host, "t")
    until(lambda: states(host, "t") == ["WaitingOnDependency"] * 3)
    assert "2026-11-22T08:00:00Z" in str(trigger_runs(host, "t")[0].dependency_status)
    start(host, "first")
    until(lambda: sorted(states(host, "first")) == ["Failed", *["Succeeded"] * 3])
    failed = next(run for run in trigger_runs(host, "first") if run.status == "Failed")
    number = states(host, "first").index("Failed")
    expected = [
        "WaitingOnDependency" if number in (window, window + 1) else "Succeeded"
        for window in range(3)
    ]
    until(lambda: states(host, "t") == expected)
    host.client.trigger_runs.rerun(GROUP, FACTORY, "first", failed.trigger_run_id)
    until(lambda: states(host, "t") == ["Succeeded"] * 3)
    stop(host, "first")
    with pytest.raises(HttpResponseError, match="referenced by"):
        host.client.triggers.delete(GROUP, FACTORY, "first")


def test_a_window_waits_for_the_one_before(host: FactoryHost, clock: ManualClock) -> None:
    """A self-dependency makes windows run one after the other, and stop at one that failed."""
    own = depending(on_itself(offset="-01:00:00", size="01:00:00"))
    host.service.replies["/p"] = [(200, {}), (500, {}), (200, {})]
    host.put("triggers", "t", hourly(NOON - timedelta(hours=4), **own))
    start(host, "t")
    until(
        lambda: (
            states(host, "t")
            == ["Succeeded", "Failed", "WaitingOnDependency", "WaitingOnDependency"]
        )
    )
    failed = trigger_runs(host, "t")[1]
    host.client.trigger_runs.rerun(GROUP, FACTORY, "t", failed.trigger_run_id)
    until(lambda: states(host, "t") == ["Succeeded"] * 4)
    host.service.replies["/p"] = (500, {})
    clock.advance(timedelta(hours=2))
    until(lambda: states(host, "t")[4:] == ["Failed", "WaitingOnDependency"])
    clock.advance(timedelta(days=7, minutes=1))
    until(lambda: states(host, "t")[5] == "Failed")
    assert "7 days" in trigger_runs(host, "t")[5].message


def test_windows_go_on_after_a_restart(tmp_path: Path) -> None:
    """What ran when the process ended is run again, what succeeded is not; both by their window."""
    config, clock = configure(tmp_path), ManualClock(NOON)
    with hosting(config, clock=clock) as host:
        waiting(host, "p")
        host.put("triggers", "t", hourly(NOON - timedelta(hours=3), maxConcurrency=2))
        start(host, "t")
        until(lambda: states(host, "t") == ["Running", "Running", "Waiting"])
        clock.advance(timedelta(minutes=61))
        until(lambda: states(host, "t")[:2] == ["Succeeded"] * 2)
        until(lambda: states(host, "t")[2:] == ["Running", "Running"])
    with hosting(config, clock=clock) as host:
        until(lambda: states(host, "t") == ["Succeeded"] * 2 + ["Running"] * 2)
        started = host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, asked()).value
        assert sorted(str(run.status) for run in started) == [
            *["Failed"] * 2,
            *["InProgress"] * 2,
            *["Succeeded"] * 2,
        ]
        client: Any = host.client
        assert client.triggers.get(GROUP, FACTORY, "t").properties.runtime_state == "Started"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frequency": "Day"}, "Minute, Hour or Month"),
        ({"frequency": "Minute", "interval": 4}, "5 minutes"),
        ({"maxConcurrency": 51}, "1 to 50"),
        ({"delay": "soon"}, "delay"),
        ({"retryPolicy": {"count": -1}}, "retryPolicy"),
        ({"startTime": "soon"}, "startTime"),
        (depending(on_itself(offset="01:00:00")), "negative"),
        (depending(on_itself(offset="-01:00:00", size="02:00:00")), "wait for itself"),
        (depending(on("absent")), "absent"),
        (depending(*[on_itself(offset="-01:00:00")] * 6), "at most 5"),
    ],
)
def test_windows_that_are_refused(host: FactoryHost, change: dict[str, Any], words: str) -> None:
    """A definition that Azure would not take, or that never could run."""
    with pytest.raises(HttpResponseError, match=words) as error:
        host.put("triggers", "t", hourly(NOON, **change))
    assert error.value.status_code == 400


def test_frequency_and_interval_stay(host: FactoryHost) -> None:
    """They cannot change; a trigger that is deleted and made anew begins from its start."""
    host.put("triggers", "t", hourly(NOON - timedelta(hours=2)))
    with pytest.raises(HttpResponseError, match=r"interval .* cannot be changed"):
        host.put("triggers", "t", hourly(NOON, interval=2))
    start(host, "t")
    until(lambda: states(host, "t") == ["Succeeded"] * 2)
    stop(host, "t")
    host.client.triggers.delete(GROUP, FACTORY, "t")
    host.put("triggers", "t", hourly(NOON - timedelta(hours=2), interval=2))
    start(host, "t")
    until(lambda: states(host, "t") == ["Succeeded"] * 3)
    several = {**hourly(NOON), "pipelines": [pipeline("p")]}
    with pytest.raises(HttpResponseError, match="pipeline, and one"):
        host.put("triggers", "many", several)


@given(
    st.integers(5, 3000),
    st.integers(0, 5000),
    st.integers(0, 600),
    st.one_of(st.none(), st.integers(0, 4000)),
)
def test_windows_follow_one_another(interval: int, now: int, delay: int, end: int | None) -> None:
    """No gap, no overlap, none that has not ended; the next is due later than now."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    document = {
        "frequency": "Minute",
        "interval": interval,
        "startTime": begin.isoformat(),
        "maxConcurrency": 1,
        "delay": f"{delay // 60:02}:{delay % 60:02}:00",
    }
    if end is not None:
        document["endTime"] = (begin + timedelta(minutes=end)).isoformat()
    schedule = TumblingSchedule.read(document)
    moment = begin + timedelta(minutes=now)
    windows = list(schedule.due(moment))
    limit = min(now - delay, now - delay if end is None else end)
    assert len(windows) == max(limit, 0) // interval
    edges = [begin, *(high for _, high in windows)]
    assert [low for low, _ in windows] == edges[:-1]
    due = schedule.next_due(moment)
    if due is None:
        assert end is not None
    else:
        assert due > moment
        assert due == edges[-1] + timedelta(minutes=interval + delay)


def recurrence(frequency: str, zone: str = "UTC", **more: Any) -> Recurrence:
    """A recurrence from the beginning of 2026."""
    document = {
        "frequency": frequency,
        "interval": 1,
        "startTime": "2026-01-01T08:30:00",
        "timeZone": zone,
    }
    return Recurrence.read({**document, **more})


@pytest.mark.parametrize(
    ("rule", "after", "due"),
    [
        (recurrence("Month"), "2026-01-02", "2026-02-01T08:30"),
        (recurrence("Month", interval=3), "2026-01-02", "2026-04-01T08:30"),
        (recurrence("Month", startTime="2026-01-31T00:00:00Z"), "2026-02-01", "2026-03-31T00:00"),
        (recurrence("Month", schedule={"monthDays": [28, -1]}), "2026-02-28", "2026-02-28T08:30"),
        (recurrence("Month", schedule={"monthDays": [-1]}), "2026-04-02", "2026-04-30T08:30"),
        (
            recurrence("Month", schedule={"monthDays": [29]}, startTime="2026-01-01T00:00:00Z"),
            "2026-01-30",
            "2026-03-29T00:00",
        ),
        (
            recurrence(
                "Month",
                schedule={
                    "monthlyOccurrences": [{"day": "Friday", "occurrence": -1}],
                    "hours": [5, 17],
                    "minutes": [0],
                },
            ),
            "2026-01-30T05:00",
            "2026-01-30T17:00",
        ),
        (
            recurrence(
                "Month", schedule={"monthlyOccurrences": [{"day": "monday", "occurrence": 5}]}
            ),
            "2026-01-02",
            "2026-03-30T08:30",
        ),
        (recurrence("Day", "W. Europe Standard Time"), "2026-03-28T08:00", "2026-03-29T06:30"),
        (recurrence("Day", "W. Europe Standard Time"), "2026-03-27T08:00", "2026-03-28T07:30"),
        (recurrence("Hour", "W. Europe Standard Time"), "2026-03-29T00:45", "2026-03-29T01:30"),
        (
            recurrence(
                "Week",
                "Pacific Standard Time",
                interval=2,
                schedule={"weekDays": ["Sunday", "Monday"], "hours": [2], "minutes": [30]},
            ),
            "2026-03-01T12:00",
            "2026-03-09T09:30",
        ),
        (recurrence("Day", endTime="2026-01-02T08:00:00"), "2026-01-01T08:30", None),
        (
            recurrence("Month", interval=12, startTime="2028-02-29T00:00:00Z"),
            "2028-03-01",
            "2032-02-29T00:00",
        ),
    ],
)
def test_the_next_time(rule: Recurrence, after: str, due: str | None) -> None:
    """Months, days from their end, the n-th weekday; the clocks of time zones."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    expected = None if due is None else datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert expected == rule.next_after(moment)


@pytest.mark.parametrize(
    "more",
    [
        {"timeZone": "Middle Earth Standard Time"},
        {"schedule": {"weekDays": ["Monday"]}},
        {"schedule": {"monthDays": [0]}},
        {"schedule": {"monthDays": [32]}},
        {"schedule": {"monthlyOccurrences": [{"day": "Monday", "occurrence": 6}]}},
        {"schedule": {"monthlyOccurrences": [{"day": "Moonday", "occurrence": 1}]}},
        {"schedule": {"hours": [24]}},
        {"schedule": {"minutes": 5}},
        {"interval": 0},
    ],
)
def test_recurrences_that_are_refused(more: dict[str, Any]) -> None:
    """What would fire at other times than in Azure."""
    with pytest.raises(AzureError):
        recurrence("Month", **more)


def test_a_schedule_on_the_clock_of_its_zone(host: FactoryHost, clock: ManualClock) -> None:
    """Started through the SDK, it fires at 14:00 in Berlin, which is 13:00 UTC in November."""
    declared = {"at": {"type": "string"}}
    host.pipeline("at", held("W"), parameters=declared)
    inside = {
        "frequency": "Month",
        "interval": 1,
        "startTime": "2026-01-01T00:00:00",
        "timeZone": "W. Europe Standard Time",
        "schedule": {"monthDays": [22], "hours": [14], "minutes": [0]},
    }
    trigger = {
        "type": "ScheduleTrigger",
        "typeProperties": {"recurrence": inside},
        "pipelines": [pipeline("at", at="@trigger().scheduledTime")],
    }
    host.put("triggers", "t", trigger)
    start(host, "t")
    clock.advance(timedelta(minutes=59))
    assert trigger_runs(host, "t") == []
    clock.advance(timedelta(minutes=2))
    [run] = until(lambda: trigger_runs(host, "t"))
    started = host.client.pipeline_runs.get(GROUP, FACTORY, run.triggered_pipelines["at"])
    assert str((started.parameters or {})["at"]).startswith("2026-11-22T13:00:00")
    with pytest.raises(HttpResponseError, match="only those of a TumblingWindowTrigger"):
        host.client.trigger_runs.rerun(GROUP, FACTORY, "t", run.trigger_run_id)


def storage(host: FactoryHost, **more: Any) -> dict[str, Any]:
    """A storage event trigger."""
    inside = {
        "events": ["Microsoft.Storage.BlobCreated"],
        "scope": account_path(host.config),
        "blobPathBeginsWith": "/partners/blobs/orders/",
        "blobPathEndsWith": ".csv",
        "ignoreEmptyBlobs": True,
        **more,
    }
    parameters = {"folder": "@triggerBody().folderPath", "file": "@triggerBody().fileName"}
    return {
        "type": "BlobEventsTrigger",
        "typeProperties": inside,
        "pipelines": [pipeline("take", **parameters)],
    }


def test_files_of_the_lake_start_pipelines(tmp_path: Path) -> None:
    """A file whose path fits, and that is not empty, starts one run; until it is stopped."""
    config = configure(tmp_path)
    with hosting(config, lake=True) as host:
        assert host.lake is not None
        host.lake.create_container("partners")
        declared = {"folder": {"type": "string"}, "file": {"type": "string"}}
        quick = {"name": "F", "type": "Fail", "typeProperties": {"message": "m", "errorCode": "1"}}
        host.pipeline("take", quick, parameters=declared)
        host.put("triggers", "t", storage(host))
        status: Any = host.client.triggers.begin_subscribe_to_events(GROUP, FACTORY, "t").result()
        assert status.status == "Disabled"  # until it is started
        host.write("partners/orders/early.csv", b"1")
        start(host, "t")
        host.write("partners/orders/empty.csv", b"")
        host.write("partners/orders/a b/2026 é.csv", b"1")
        host.write("partners/orders/a.json", b"1")
        host.write("partners/users/a.csv", b"1")
        [run] = until(lambda: trigger_runs(host, "t"))
        started = host.client.pipeline_runs.get(GROUP, FACTORY, run.triggered_pipelines["take"])
        assert started.parameters == {"folder": "partners/orders/a b", "file": "2026 é.csv"}
        stop(host, "t")
        host.write("partners/orders/late.csv", b"1")
        start(host, "t")
        host.write("partners/orders/last.csv", b"1")
        until(lambda: len(trigger_runs(host, "t")) == 2)
        names = {
            str((run.parameters or {})["file"])
            for run in host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, asked()).value
        }
        assert names == {"2026 é.csv", "last.csv"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blobPathBeginsWith": None, "blobPathEndsWith": None}, "blobPathBeginsWith or"),
        ({"blobPathBeginsWith": "/partners/orders/"}, "/blobs/"),
        ({"events": ["Microsoft.Storage.BlobRenamed"]}, "BlobRenamed"),
        ({"events": []}, "array"),
    ],
)
def test_storage_events_that_are_refused(
    host: FactoryHost, change: dict[str, Any], words: str
) -> None:
    """Filters that Azure would not take."""
    host.pipeline("take", held("W"))
    with pytest.raises(HttpResponseError, match=words):
        host.put("triggers", "t", storage(host, **change))


def test_another_storage_account_is_refused(host: FactoryHost) -> None:
    """It could never fire here: the start says so."""
    host.pipeline("take", held("W"))
    host.put("triggers", "t", storage(host, scope="/subscriptions/x/storageAccounts/other"))
    with pytest.raises(HttpResponseError, match="not the local storage account"):
        start(host, "t")


def test_custom_events_start_pipelines(host: FactoryHost) -> None:
    """Types compare without case, subject by beginning and end; a missing key starts nothing."""
    declared = {"key": {"type": "string"}, "kind": {"type": "string"}}
    host.pipeline("take", held("W"), parameters=declared)
    inside = {
        "scope": "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/shop",
        "events": ["shop.export.done", "other"],
        "subjectBeginsWith": "orders/",
    }
    parameters = {"key": "@triggerBody().event.data.key", "kind": "@triggerBody().event.eventType"}
    trigger = {
        "type": "CustomEventsTrigger",
        "typeProperties": inside,
        "pipelines": [pipeline("take", **parameters)],
    }
    host.put("triggers", "t", trigger)
    start(host, "t")
    url = f"{host.url}/topics/shop/api/events"
    key = {"aeg-sas-key": host.config.secrets["event-topic-key"]}

    def event(kind: str, subject: str, **data: Any) -> dict[str, Any]:
        return {
            "id": "1",
            "eventType": kind,
            "subject": subject,
            "eventTime": "2026-01-01T00:00:00Z",
            "data": data,
            "dataVersion": "1",
        }

    events = [
        event("SHOP.export.done", "orders/1", key="k1"),
        event("shop.export.begun", "orders/1", key="k2"),
        event("shop.export.done", "users/1", key="k3"),
        event("shop.export.done", "orders/2"),
    ]
    assert httpx.post(url, json=events).status_code == 401
    assert httpx.post(url, json=events[0], headers=key).status_code == 400
    assert httpx.post(url, json=events, headers=key).status_code == 200
    elsewhere = url.replace("/shop/", "/else/")
    assert httpx.post(elsewhere, json=events, headers=key).status_code == 200
    runs = trigger_runs(host, "t")
    assert sorted(run.status for run in runs) == ["Failed", "Succeeded"]
    failed = next(run for run in runs if run.status == "Failed")
    assert "key" in failed.message
    assert not failed.triggered_pipelines
    started = host.client.pipeline_runs.query_by_factory(GROUP, FACTORY, asked()).value
    assert [run.parameters for run in started] == [{"key": "k1", "kind": "SHOP.export.done"}]


def test_queries_of_trigger_runs(host: FactoryHost) -> None:
    """Pages of 100, filters by name, id and status."""
    start_time = NOON - timedelta(minutes=5 * 130)
    trigger = hourly(start_time, frequency="Minute", interval=5)
    host.put("triggers", "t", trigger)
    start(host, "t")
    until(lambda: states(host, "t") == ["Succeeded"] * 130, 60)
    first = host.client.trigger_runs.query_by_factory(GROUP, FACTORY, asked())
    assert (len(first.value or []), bool(first.continuation_token)) == (100, True)
    wanted = trigger_runs(host, "t")[5].trigger_run_id
    assert [run.trigger_run_id for run in trigger_runs(host, "t", RunId=wanted)] == [wanted]
    assert trigger_runs(host, "t", Status="Failed") == []
    listed = host.client.triggers.query_by_factory(GROUP, FACTORY, {})
    assert [each.name for each in listed.value] == ["t"]
    assert json.dumps(listed.as_dict())
