"""When a Quartz cron expression is due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from devcloud.databricks.quartz import Quartz

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)).map(  # noqa: DTZ001 - made so next
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)


def times(expression: str, after: str, zone: str = "UTC", count: int = 3) -> list[str]:
    """The next times after a moment of UTC, in UTC, to the minute."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    due_times = []
    for _ in range(count):
        due = Quartz.read(expression, zone).next_after(moment)
        if due is None:
            break
        due_times.append(due.strftime("%Y-%m-%d %H:%M"))
        moment = due
    return due_times


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 30 3 * * ?", "2026-11-25T03:30", ["2026-11-26 03:30", "2026-11-27 03:30"]),
        ("0 0/15 9-17 ? * MON-FRI", "2026-11-27T17:40", ["2026-11-27 17:45", "2026-11-30 09:00"]),
        ("0 0 0 ? * 1", "2026-11-25T00:00", ["2026-11-29 00:00", "2026-12-06 00:00"]),  # Sundays
        ("0 0 22-1 ? * FRI-SUN", "2026-11-25", ["2026-11-27 00:00", "2026-11-27 01:00"]),
        ("0 0 2 L * ?", "2027-02-01", ["2027-02-28 02:00", "2027-03-31 02:00"]),
        ("0 0 0 ? * 6L", "2026-11-01", ["2026-11-27 00:00", "2026-12-25 00:00"]),
        ("0 0 0 ? * L", "2026-11-25", ["2026-11-28 00:00", "2026-12-05 00:00"]),
        ("0 0 0 ? * FRI#3", "2026-11-01", ["2026-11-20 00:00", "2026-12-18 00:00"]),
        ("0 0 0 29 2 ?", "2026-11-25", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 0 0 ? FEB SUN#5", "2026-11-25", ["2032-02-29 00:00", "2060-02-29 00:00"]),
        ("0 0 0 1 1 ? 2027-2028", "2026-11-25", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("0 0 0 1 1 ? 2026", "2026-11-25", []),
        ("0 0 0 30 2 ?", "2026-11-25", []),
    ],
)
def test_next_times(expression: str, after: str, expected: list[str]) -> None:
    """What Quartz's own tutorial says of each field, special characters included."""
    assert expected == times(expression, after, count=2)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        # 02:00 to 03:00 does not exist on 2026-03-29, and comes twice on 2026-10-25.
        ("0 30 2 * * ?", "2026-03-28T00:00", ["03-28 01:30", "03-30 00:30", "03-31 00:30"]),
        ("0 30 2 * * ?", "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
        ("0 0 * * * ?", "2026-03-29T00:00", ["03-29 01:00", "03-29 02:00", "03-29 03:00"]),
        ("0 0 * * * ?", "2026-10-24T23:30", ["10-25 00:00", "10-25 02:00", "10-25 03:00"]),
    ],
)
def test_local_time(expression: str, after: str, expected: list[str]) -> None:
    """Times are local; one that the clock skips does not come, one that comes twice counts once."""
    assert [f"2026-{time}" for time in expected] == times(expression, after, "Europe/Berlin")


@pytest.mark.parametrize(
    ("expression", "zone", "words"),
    [
        ("0 3 * * ?", "UTC", "5 fields"),
        ("0 0 3 * * *", "UTC", "exactly one must be"),
        ("0 0 3 ? * ?", "UTC", "exactly one must be"),
        ("0 0 24 * * ?", "UTC", "no hour"),
        ("0 0 3 * FOO ?", "UTC", "no month"),
        ("0 0/0 3 * * ?", "UTC", "no minute"),
        ("0 0 3 ? * 8", "UTC", "no day of week"),
        ("0 0 3 1,L * ?", "UTC", "no day of month"),
        ("0 0 3 15W * ?", "UTC", "not supported here"),
        ("0 0 3 LW * ?", "UTC", "not supported here"),
        ("0 0 3 L-3 * ?", "UTC", "not supported here"),
        ("0 0 22-1/3 * * ?", "UTC", "must not wrap"),
        ("0 0 3 32 * ?", "UTC", "no day of month"),
        ("? 0 3 * * ?", "UTC", "no second"),
        ("0 0 3 * * ?", "Mars/Olympus", "no time zone"),
        ("0 0 3 * * ?", "", "no time zone"),
    ],
)
def test_what_is_no_schedule(expression: str, zone: str, words: str) -> None:
    """The error names the wrong field."""
    with pytest.raises(ValueError, match=words):
        Quartz.read(expression, zone)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """A field of a cron expression: every value, one, a range, a list or a step."""
    value = st.integers(low, high)
    # The other library takes a range of one value for every value.
    spans = st.lists(value, min_size=2, max_size=2, unique=True).map(sorted)
    return st.one_of(
        st.just("*"),
        value.map(str),
        spans.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.lists(value, min_size=1, max_size=4).map(lambda values: ",".join(map(str, values))),
        st.integers(1, high - low).map(lambda step: f"*/{step}"),
    )


@given(
    st.tuples(field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12)),
    st.booleans(),
    MOMENTS,
)
def test_as_another_cron_has_it(
    fields: tuple[str, str, str, str, str], weekly: bool, moment: datetime
) -> None:
    """Where both dialects mean the same, times are those of the library that knows the other."""
    second, minute, hour, day, month = fields
    if weekly:
        quartz, cron = f"? {month} MON-WED,SAT", f"* {month} MON-WED,SAT"
    else:
        quartz, cron = f"{day} {month} ?", f"{day} {month} *"
    due = Quartz.read(f"{second} {minute} {hour} {quartz}", "UTC").next_after(moment)
    other = croniter(f"{second} {minute} {hour} {cron}", moment, second_at_beginning=True)
    assert due == other.get_next(datetime)
