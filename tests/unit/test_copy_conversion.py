"""Typed conversion of Copy: the vectorised way must be the rule's way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devcloud.datafactory.azure_error import AzureError
from devcloud.datafactory.copy.convert import convert, reader
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.translator import MappedColumn, read
from devcloud.datafactory.recurrence import Recurrence

NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.from_regex(r"[ +-]{0,2}[0-9]{0,25}(\.[0-9]{0,3})?([eE][+-]?[0-9]{1,3})? ?", fullmatch=True),
    st.text(max_size=4),
)
TIMES = st.one_of(
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,7})?)?)?",
        fullmatch=True,
    ),
)
WORDS = st.sampled_from(["true", "True", "FALSE", "false", " true", "yes", "1", "0", ""])


def column(kind: str, form: str | None = None) -> MappedColumn:
    """A mapping to a type."""
    return MappedColumn("a", None, None, "a", kind, form)


def convert_single_values(given_column: MappedColumn, texts: list[str | None]) -> list[Any]:
    """What the rule says; "fault" where it refuses."""
    read_one = reader(given_column)
    results: list[Any] = []
    for text in texts:
        try:
            results.append(None if text is None else read_one(text))
        except (ValueError, OverflowError):
            results.append("fault")
    return results


@given(
    st.one_of(
        st.tuples(
            st.sampled_from(["Int64", "Int32", "Byte", "Double"]),
            st.just(None),
            st.lists(st.none() | NUMBERS, max_size=3),
        ),
        st.tuples(
            st.sampled_from(["DateTime", "Date"]),
            st.sampled_from([None, "yyyy-MM-dd", "yyyy-MM-dd HH:mm:ss"]),
            st.lists(st.none() | TIMES, max_size=3),
        ),
        st.tuples(st.just("Boolean"), st.just(None), st.lists(st.none() | WORDS, max_size=3)),
    )
)
@example(("Date", None, ["0000-01-01"]))
@example(("DateTime", None, ["0000-01-01", "0001-01-01", "0999-12-31 23:59:59"]))
@example(("DateTime", "yyyy-MM-dd HH:mm:ss", ["0000-12-31 00:00:00", "0010-01-01 00:00:00"]))
def test_batches_convert_as_single_values_do(case: tuple[str, str | None, list[Any]]) -> None:
    """Same values, same faults, whichever way was taken."""
    kind, form, texts = case
    expected = convert_single_values(column(kind, form), texts)
    converted = convert(column(kind, form), pa.array(texts, pa.string()))
    actual = converted.values.to_pylist()
    for row in converted.faults:
        assert actual[row] is None
        actual[row] = "fault"
    assert repr(expected) == repr(actual)


@pytest.mark.parametrize(
    ("kind", "form", "text", "value"),
    [
        ("Decimal", None, "1.5", "1.500000000000000000"),
        (
            "Guid",
            None,
            "{12345678-1234-5678-1234-567812345678}",
            "12345678-1234-5678-1234-567812345678",
        ),
        ("DateTime", "dd.MM.yyyy", "22.11.2026", "2026-11-22 00:00:00"),
        ("DateTimeOffset", None, "2026-11-22T10:00:00+02:00", "2026-11-22 08:00:00"),
        ("Date", None, "2026-11-22", "2026-11-22"),
        ("Double", None, "Infinity", "inf"),
    ],
)
def test_values_of_the_rarer_types(kind: str, form: str | None, text: str, value: str) -> None:
    """Each type reads what .NET reads for it."""
    converted = convert(column(kind, form), pa.array([text]))
    assert (str(converted.values[0].as_py()), converted.faults) == (value, {})


@pytest.mark.parametrize(
    ("kind", "source", "fault"),
    [
        ("Int64", pa.array([1.0, 1.5]), 1),
        ("Int32", pa.array([1, 2**40]), 1),
        ("DateTime", pa.array([1, 1001], pa.timestamp("ns")), 0),
        ("Int64", pa.array([b"x"]), 0),
    ],
)
def test_typed_values_that_would_be_cut_are_faults(
    kind: str, source: pa.Array[Any], fault: int
) -> None:
    """Nothing is truncated: the row whose value does not fit is named."""
    assert fault in convert(column(kind), source).faults


def test_typed_values_become_text_as_dotnet_writes_it() -> None:
    """Booleans with a capital, times with seven digits."""
    moments = pa.array([datetime(2026, 11, 22, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    assert convert(column("String"), pa.array([True])).values.to_pylist() == ["True"]
    assert convert(column("String"), moments).values.to_pylist() == ["2026-11-22 01:00:00.0000000"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "Other"}, "TabularTranslator"),
        ({"mappings": []}, "must not be empty"),
        (
            {"mappings": [{"source": {"name": "a"}, "sink": {"name": "a", "type": "Int64"}}]},
            "typeConversion",
        ),
        ({"columnMappings": "a: b"}, "columnMappings"),
        ({"collectionReference": "$.x[*]"}, "JSON path"),
        ({"mappings": [{"source": {}, "sink": {"name": "a"}}]}, "source"),
        (
            {"mappings": [{"source": {"name": "a"}, "sink": {"name": "a", "type": "Text"}}]},
            "'Text'",
        ),
        ({"mappings": [{"source": {"path": "$.a[*]"}, "sink": {"name": "a"}}]}, "JSON path"),
        ({"typeConversionSettings": {"culture": "de-de"}}, "culture"),
        ({"mappings": [{"source": {"name": "a"}, "sink": {"name": "a"}}] * 2}, "mapped twice"),
    ],
)
def test_translators_that_mean_something_else_are_refused(document: Any, message: str) -> None:
    """An unsupported translator is refused."""
    with pytest.raises(CopyError, match="UserErrorInvalidTranslator") as error:
        read({"type": "TabularTranslator", **document})
    assert message in str(error.value)


def recurrence(frequency: str, interval: int = 1, **more: Any) -> Recurrence:
    """A recurrence from the beginning of a Thursday."""
    return Recurrence.read(
        {
            "frequency": frequency,
            "interval": interval,
            "startTime": "2026-01-01T06:30:00Z",
            "timeZone": "UTC",
            **more,
        }
    )


@pytest.mark.parametrize(
    ("rule", "after", "due"),
    [
        (recurrence("Minute", 15), "2026-01-01T06:30:00", "2026-01-01T06:45:00"),
        (recurrence("Minute", 15), "2025-01-01T00:00:00", "2026-01-01T06:30:00"),
        (recurrence("Hour", 2), "2026-01-01T07:00:00", "2026-01-01T08:30:00"),
        (recurrence("Day"), "2026-03-01T06:30:00", "2026-03-02T06:30:00"),
        (
            recurrence("Day", schedule={"hours": [3, 17], "minutes": [17]}),
            "2026-01-02T03:17:00",
            "2026-01-02T17:17:00",
        ),
        (
            recurrence("Week", schedule={"weekDays": ["Monday"], "hours": [1], "minutes": [0]}),
            "2026-01-01T07:00:00",
            "2026-01-05T01:00:00",
        ),
        (recurrence("Day", endTime="2026-01-03T00:00:00Z"), "2026-01-02T07:00:00", None),
    ],
)
def test_the_next_time_of_a_schedule(rule: Recurrence, after: str, due: str | None) -> None:
    """The first time later than a moment, from the start time on and not beyond the end."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    expected = None if due is None else datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert rule.next_after(moment) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"frequency": "Year"},
        {"timeZone": "Europe/Berlin"},
        {"interval": 0},
        {"schedule": {"monthDays": [1]}},
        {"frequency": "Hour", "schedule": {"minutes": [5]}},
        {"startTime": "soon"},
    ],
)
def test_recurrences_that_are_not_supported_are_refused(wrong: dict[str, Any]) -> None:
    """A schedule that would fire at other times than in Azure is not accepted."""
    document = {
        "frequency": "Day",
        "interval": 1,
        "startTime": "2026-01-01T00:00:00Z",
        "timeZone": "UTC",
    }
    with pytest.raises(AzureError):
        Recurrence.read({**document, **wrong})


@given(st.integers(0, 10**7), st.integers(1, 500))
def test_schedules_go_forward(seconds: int, interval: int) -> None:
    """The next time is later, and at most one interval away."""
    rule = recurrence("Minute", interval)
    moment = rule.start + timedelta(seconds=seconds)
    due = rule.next_after(moment)
    assert due is not None
    assert timedelta() < due - moment <= timedelta(minutes=interval)
