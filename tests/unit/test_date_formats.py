"""A date by its format: the value that is judged is the one that is stored."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from landfall.contract.folder import parse
from tests.unit.validation import run_validation

WRITTEN = [
    ("yyyy-MM-ddTHH:mm:ssZ", "2024-03-10T14:22:35Z", (2024, 3, 10, 14, 22, 35)),
    ("yyyy-MM-ddTHH:mm:ssZ", "2024-03-10T14:22:35+10:00", (2024, 3, 10, 4, 22, 35)),
    ("yyyy-MM-ddTHH:mm:ssZ", "2024-03-10T14:22:35+1000", (2024, 3, 10, 4, 22, 35)),
    (
        "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "2024-03-10T14:22:35.123+02:00",
        (2024, 3, 10, 12, 22, 35, 123_000),
    ),
    ("yyyy-MM-dd'T'HH:mm:ssxxx", "2024-03-10T14:22:35-05:30", (2024, 3, 10, 19, 52, 35)),
    ("yyyyMMdd'T'HHmmssXX", "20240310T142235-0530", (2024, 3, 10, 19, 52, 35)),
    ("dd.MM.yyyy HH:mm", "10.03.2024 14:22", (2024, 3, 10, 14, 22)),
    ("d/M/uuuu H:mm", "1/3/2024 4:22", (2024, 3, 1, 4, 22)),
    ("'on' dd.MM.yyyy 'at' HH'h'mm", "on 10.03.2024 at 14h22", (2024, 3, 10, 14, 22)),
    ("yyyy''MM''dd HH:mm", "2024'03'10 14:22", (2024, 3, 10, 14, 22)),
    (None, "2024-03-10T14:22:35", (2024, 3, 10, 14, 22, 35)),
    (None, "2024-03-10 14:22:35Z", (2024, 3, 10, 14, 22, 35)),
    (None, "0001-01-01T00:00:00.000001Z", (1, 1, 1, 0, 0, 0, 1)),
    (None, "9999-12-31T23:59:59.999999Z", (9999, 12, 31, 23, 59, 59, 999_999)),
]


def stored(kind: str, pattern: str | None, text: str, rows: int) -> pl.Series:
    """A column of so many rows with the same text, as it is stored."""
    options = "" if pattern is None else f"logicalTypeOptions: {{format: {pattern!r}}}"
    contract = parse(
        f"""
apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
      - {{name: id, logicalType: integer, required: true}}
      - name: at
        logicalType: {kind}
        {options}
""",
        file="t",
    )
    lines = "".join(f"{number},{text}\n" for number in range(rows))

    report, findings = run_validation(f"id,at\n{lines}".encode(), contract)

    assert (report.verdict, report.accepted) == ("accepted", rows), report.checks
    return findings.parquet()["at"]


@pytest.mark.parametrize("rows", [1, 20_000])
@pytest.mark.parametrize(("pattern", "text", "parts"), WRITTEN)
def test_a_time_is_stored_as_the_instant_that_is_written(
    pattern: str | None, text: str, parts: tuple[int, ...], rows: int
) -> None:
    """In UTC, in microseconds; one by one, and in blocks that are parsed as a whole."""
    column = stored("timestamp", pattern, text, rows)

    assert column.dtype == pl.Datetime("us", "UTC")
    assert column.unique().to_list() == [datetime(*parts, tzinfo=UTC)]  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("rows", [1, 30_000])
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (None, "1990-05-01"),
        ("yyyy-MM-ddXXX", "1990-05-01+02:00"),
        ("yyyy-MM-ddXXX", "1990-05-01-11:00"),
        ("dd/MM/yyyy", "01/05/1990"),
        ("yyyy'年'MM'月'dd'日'", "1990年05月01日"),
    ],
)
def test_a_date_is_stored_as_the_day_that_is_written(
    pattern: str | None, text: str, rows: int
) -> None:
    """An offset does not move it, and literals may be any letters."""
    assert stored("date", pattern, text, rows).unique().to_list() == [date(1990, 5, 1)]
