"""What is done at which times, and what is not made up for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from devcloud.scheduler import Fire, TriggerScheduler
from devcloud.testing.clock import ManualClock

START = datetime(2026, 11, 25, 3, tzinfo=UTC)
DEADLINE_SECONDS = 20.0


@dataclass
class Hourly:
    """Due at each full hour, up to a last one."""

    last: datetime = START + timedelta(days=365)

    def next_after(self, moment: datetime) -> datetime | None:
        """The next full hour."""
        due = moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return due if due <= self.last else None


class Diary:
    """What was fired, and when."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int, int]] = []

    def of(self, name: str, *, fails: bool = False) -> Fire:
        """Writes name, hour that was due and hour that it was."""

        async def fire(due: datetime, now: datetime) -> None:
            self.entries.append((name, due.hour, now.hour))
            if fails:
                raise OSError(name)

        return fire

    async def until(self, count: int) -> None:
        """Wait for so many entries."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(self.entries) < count:  # noqa: ASYNC110 - it is the scheduler that is waited for
                await asyncio.sleep(0.005)


def test_late_once_and_never_made_up_for() -> None:
    """After hours of standing still a thing is done once, late, then again at its times."""

    async def scenario() -> None:
        clock, diary = ManualClock(START), Diary()
        table: TriggerScheduler[str] = TriggerScheduler(clock)
        table.put("a", Hourly(), diary.of("a"))
        clock.advance(timedelta(hours=5, minutes=10))
        await diary.until(1)
        clock.advance(timedelta(minutes=50))
        await diary.until(2)
        await table.close()
        assert diary.entries == [("a", 4, 8), ("a", 9, 9)]

    asyncio.run(scenario())


def test_one_that_fails_goes_on() -> None:
    """A failure is logged; neither its next time nor another thing is lost by it."""

    async def scenario() -> None:
        clock, diary = ManualClock(START), Diary()
        table: TriggerScheduler[str] = TriggerScheduler(clock)
        table.put("a", Hourly(), diary.of("a", fails=True))
        table.put("b", Hourly(), diary.of("b"))
        for count in (2, 4):
            clock.advance(timedelta(hours=1))
            await diary.until(count)
        await table.close()
        assert sorted(diary.entries) == [("a", 4, 4), ("a", 5, 5), ("b", 4, 4), ("b", 5, 5)]

    asyncio.run(scenario())


def test_dropped_and_replaced() -> None:
    """What is dropped is done no more; what is put again is done as put last; an end is an end."""

    async def scenario() -> None:
        clock, diary = ManualClock(START), Diary()
        table: TriggerScheduler[str] = TriggerScheduler(clock)
        table.put("gone", Hourly(), diary.of("gone"))
        table.put("twice", Hourly(), diary.of("old"))
        table.put("ends", Hourly(START + timedelta(hours=1)), diary.of("ends"))
        table.put("twice", Hourly(), diary.of("new"))
        table.drop("gone")
        assert "gone" not in table
        for count in (2, 3):
            clock.advance(timedelta(hours=1))
            await diary.until(count)
        await table.close()
        assert sorted(diary.entries) == [("ends", 4, 4), ("new", 4, 4), ("new", 5, 5)]

    asyncio.run(scenario())
