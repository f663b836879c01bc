"""Jobs that run by themselves: schedules and periodic triggers, on a clock that the test turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue
from databricks.sdk.errors import NotImplemented as NotSupported
from databricks.sdk.service.jobs import (
    BaseRun,
    CronSchedule,
    JobSettings,
    PauseStatus,
    PeriodicTriggerConfiguration,
    PeriodicTriggerConfigurationTimeUnit,
    TriggerSettings,
)

from devcloud.testing.clock import ManualClock
from devcloud.testing.workspace import LocalWorkspace, local_workspace, python_task, states

TWO_O_CLOCK = datetime(2026, 11, 25, 2, tzinfo=UTC)
HOURLY = {"quartz_cron_expression": "0 0 * * * ?", "timezone_id": "UTC"}
ECHO = "import sys\nprint('|'.join(sys.argv[1:]))\n"
WAIT_FOR_FILE = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""
HOUR = timedelta(hours=1)
DEADLINE_SECONDS = 60.0


@pytest.fixture
def clock() -> ManualClock:
    """It is two o'clock."""
    return ManualClock(TWO_O_CLOCK)


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[LocalWorkspace]:
    """A workspace by that clock."""
    with local_workspace(tmp_path, clock=clock) as running:
        yield running


def runs_of(workspace: LocalWorkspace, job_id: int) -> list[BaseRun]:
    """The runs of a job, the oldest first."""
    return list(workspace.client.jobs.list_runs(job_id=job_id))[::-1]


def until(
    workspace: LocalWorkspace, job_id: int, condition: Callable[[list[BaseRun]], object]
) -> Any:
    """Wait until the runs of a job are as wanted; those runs."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition(found := runs_of(workspace, job_id)):
        assert time.monotonic() < deadline, [states(run) for run in found]
        time.sleep(0.01)
    return found


def ended(workspace: LocalWorkspace, job_id: int, count: int) -> list[BaseRun]:
    """Wait until a job has had so many runs, all of which have ended."""

    def all_over(runs: list[BaseRun]) -> bool:
        return len(runs) >= count and all(states(run)[1] for run in runs)

    found: list[BaseRun] = until(workspace, job_id, all_over)
    assert len(found) == count
    return found


def started_at(runs: list[BaseRun]) -> list[int]:
    """The hours in which runs were started."""
    return [datetime.fromtimestamp((run.start_time or 0) / 1000, UTC).hour for run in runs]


def test_a_job_runs_by_its_schedule(workspace: LocalWorkspace, clock: ManualClock) -> None:
    """At each time one run, which says what started it; not while it is paused."""
    path = workspace.script("echo.py", ECHO)
    task = python_task(path, "{{job.trigger.type}}", "{{job.parameters.who}}")
    who = [{"name": "who", "default": "me"}]
    paused = workspace.job(task, parameters=who, schedule=HOURLY | {"pause_status": "PAUSED"})
    job_id = workspace.job(task, parameters=who, schedule=HOURLY)
    clock.advance(HOUR)
    ended(workspace, job_id, 1)
    clock.advance(HOUR)
    first, second = ended(workspace, job_id, 2)
    assert [states(run) for run in (first, second)] == [("TERMINATED", "SUCCESS")] * 2
    assert started_at([first, second]) == [3, 4]
    run = workspace.client.jobs.get_run(first.run_id or 0)
    assert workspace.logs(run) == "periodic|me\n"
    assert run.trigger is not None
    assert run.trigger.value == "PERIODIC"
    assert run.schedule is not None
    assert run.schedule.quartz_cron_expression == HOURLY["quartz_cron_expression"]

    assert runs_of(workspace, paused) == []
    by_hand = workspace.run(paused)
    assert by_hand.trigger is not None
    assert by_hand.trigger.value == "ONE_TIME"
    assert workspace.logs(by_hand) == "one_time|me\n"
    assert by_hand.schedule is None


def test_paused_resumed_changed_and_deleted(workspace: LocalWorkspace, clock: ManualClock) -> None:
    """A job goes by its settings as they are: update, reset and delete hold at once."""
    path = workspace.script("echo.py", ECHO)
    jobs = workspace.client.jobs
    job_id = workspace.job(python_task(path), schedule=HOURLY)
    witness = workspace.job(python_task(path), schedule=HOURLY)
    clock.advance(HOUR)
    ended(workspace, job_id, 1)

    def schedule(expression: str, status: PauseStatus) -> JobSettings:
        return JobSettings(schedule=CronSchedule(expression, "UTC", status))

    jobs.update(job_id, new_settings=schedule("0 0 * * * ?", PauseStatus.PAUSED))
    for count in (2, 3):
        clock.advance(HOUR)
        ended(workspace, witness, count)
    ended(workspace, job_id, 1)

    jobs.update(job_id, new_settings=schedule("0 0 0/2 * * ?", PauseStatus.UNPAUSED))
    for count in (4, 5):
        clock.advance(HOUR)
        ended(workspace, witness, count)
    assert started_at(ended(workspace, job_id, 2)) == [3, 6]

    jobs.delete(job_id)
    for count in (6, 7):
        clock.advance(HOUR)
        ended(workspace, witness, count)
    ended(workspace, job_id, 2)


def test_every_few_hours(workspace: LocalWorkspace, clock: ManualClock) -> None:
    """A periodic trigger counts from when the job was made, whatever is done to the job since."""
    path = workspace.script("echo.py", ECHO)
    unit = PeriodicTriggerConfigurationTimeUnit.HOURS
    trigger = TriggerSettings(periodic=PeriodicTriggerConfiguration(interval=2, unit=unit))
    job_id = workspace.job(python_task(path), trigger=trigger.as_dict())
    clock.advance(HOUR)
    workspace.client.jobs.update(job_id, new_settings=JobSettings(name="renamed"))
    clock.advance(HOUR)
    (run,) = ended(workspace, job_id, 1)
    assert started_at([run]) == [4]
    assert run.trigger is not None
    assert run.trigger.value == "PERIODIC"
    assert run.schedule is None


@pytest.mark.parametrize("queue", [False, True])
def test_limits_hold_for_scheduled_runs(
    workspace: LocalWorkspace, clock: ManualClock, tmp_path: Path, queue: bool
) -> None:
    """At `max_concurrent_runs` a scheduled run is skipped, or waits where the job may queue."""
    path = workspace.script("wait.py", WAIT_FOR_FILE)
    there = tmp_path / "there"
    job_id = workspace.job(
        python_task(path, str(there)),
        schedule=HOURLY,
        max_concurrent_runs=1,
        queue={"enabled": queue},
    )
    clock.advance(HOUR)
    until(workspace, job_id, lambda runs: [states(run)[0] for run in runs] == ["RUNNING"])
    clock.advance(HOUR)
    expected = "QUEUED" if queue else "SKIPPED"
    until(workspace, job_id, lambda runs: [states(run)[0] for run in runs] == ["RUNNING", expected])
    there.touch()
    second = "SUCCESS" if queue else "MAXIMUM_CONCURRENT_RUNS_REACHED"
    found = ended(workspace, job_id, 2)
    assert [states(run)[1] for run in found] == ["SUCCESS", second]


def test_ten_seconds_at_least(workspace: LocalWorkspace, clock: ManualClock) -> None:
    """Between runs that a schedule starts at least ten seconds pass, whatever its seconds say."""
    path = workspace.script("echo.py", ECHO)
    often = HOURLY | {"quartz_cron_expression": "* * * * * ?"}
    job_id = workspace.job(python_task(path), schedule=often, max_concurrent_runs=99)
    deadline = time.monotonic() + DEADLINE_SECONDS
    seconds = 0
    while len(runs_of(workspace, job_id)) < 3:
        assert time.monotonic() < deadline
        clock.advance(timedelta(seconds=1))
        seconds += 1
    assert seconds > 2 * 10
    assert len(runs_of(workspace, job_id)) <= 1 + seconds // 10


def test_times_that_pass_while_it_is_down(tmp_path: Path, clock: ManualClock) -> None:
    """A schedule outlives the service; what was due meanwhile is not made up for."""
    with local_workspace(tmp_path, clock=clock) as workspace:
        path = workspace.script("echo.py", ECHO)
        job_id = workspace.job(python_task(path), schedule=HOURLY)
        clock.advance(HOUR)
        ended(workspace, job_id, 1)
    clock.advance(timedelta(hours=3, minutes=30))
    with local_workspace(tmp_path, clock=clock) as workspace:
        clock.advance(timedelta(minutes=30))
        assert started_at(ended(workspace, job_id, 2)) == [3, 7]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"schedule": HOURLY | {"quartz_cron_expression": "0 0 * * *"}},
         InvalidParameterValue, "5 fields"),
        ({"schedule": HOURLY | {"timezone_id": "Mars/Olympus"}},
         InvalidParameterValue, "time zone"),
        ({"schedule": HOURLY | {"pause_status": "OFF"}}, InvalidParameterValue, "PAUSED or"),
        ({"schedule": HOURLY | {"sql_condition": {"sql_query": "select 1"}}},
         NotSupported, "sql_condition"),
        ({"trigger": {"periodic": {"interval": 0, "unit": "HOURS"}}},
         InvalidParameterValue, "interval"),
        ({"trigger": {"periodic": {"interval": 1, "unit": "YEARS"}}},
         InvalidParameterValue, "unit"),
        ({"trigger": {"file_arrival": {"url": "abfss://x"}}}, NotSupported, "file_arrival"),
        ({"schedule": HOURLY, "trigger": {"periodic": {"interval": 1, "unit": "DAYS"}}},
         InvalidParameterValue, "give one"),
    ],
)  # fmt: skip
def test_schedules_that_are_refused(
    workspace: LocalWorkspace, settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A schedule that could not be kept is not stored."""
    with pytest.raises(error, match=words):
        workspace.job(python_task("/Workspace/x.py"), **settings)
    assert list(workspace.client.jobs.list()) == []
