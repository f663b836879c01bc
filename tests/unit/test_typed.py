"""Accepted cells as typed columns: each has the value that the record validator reads."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landfall.contract.columns import read_column
from landfall.contract.domains import DOMAINS
from landfall.contract.model import Column, Contract, Hints
from landfall.contract.reader import Node
from landfall.validation.columns import INVALID, Cells
from landfall.validation.typed import (
    stored_schema,
    stored_type,
    typed_columns,
    typed_rows,
    value_series,
    value_type,
)

_CLEAN = {"property": "decimalSeparator", "value": ","}
_GROUPS = {"property": "thousandsSeparator", "value": "."}


def column(kind: str, **more: Any) -> Column:
    """A column of the contract."""
    return read_column(Node({"name": "c", "logicalType": kind, **more}, "t.odcs.yaml"))


TEXTS: dict[str, tuple[Column, dict[str, Any]]] = {
    "integer": (column("integer"), {"007": 7, "-0": 0, "0" * 29 + "1": 1}),
    "number": (
        column("number"),
        {"0.1": 0.1, "1e3": 1000.0, "9007199254740993": INVALID, "9007199254740994": 2.0**53 + 2},
    ),
    "number of many digits": (
        column("number"),
        {
            "1.2345678901234567e+300": 1.2345678901234567e300,
            "12345678901234567.89": INVALID,
            "1" * 400: INVALID,
            "9" * 3000 + ".5": INVALID,
        },
    ),
    "decimal": (
        column("number", physicalType="DECIMAL(38, 2)"),
        {
            "123456789012345678901234567890123456.78": Decimal(
                "123456789012345678901234567890123456.78"
            ),
            "1." + "0" * 50: Decimal("1.00"),
            "1e2": Decimal("100.00"),
            "0.001": INVALID,
            "1e999999999": INVALID,
        },
    ),
    "separators": (
        column("number", physicalType="numeric(12,2)", customProperties=[_CLEAN, _GROUPS]),
        {"1.234,50": Decimal("1234.50"), "1234,5": Decimal("1234.50"), "1.5": INVALID},
    ),
    "boolean": (column("boolean"), {"TRUE": True, "false": False, "yes": INVALID}),
    "date": (column("date"), {"0001-01-01": date(1, 1, 1), "2023-02-29": INVALID}),
    "date with an offset": (
        column("date", logicalTypeOptions={"format": "yyyy-MM-ddXXX"}),
        {"1990-05-01+02:00": date(1990, 5, 1), "1990-05-01Z": date(1990, 5, 1)},
    ),
    "date in letters": (
        column("date", logicalTypeOptions={"format": "yyyy'年'MM'月'dd'日'"}),
        {"2024年03月01日": date(2024, 3, 1)},
    ),
    "timestamp": (
        column("timestamp"),
        {
            "2024-01-01 10:00:00+00": datetime(2024, 1, 1, 10, tzinfo=UTC),
            "2024-01-01 10:00:00.5+05:30": datetime(2024, 1, 1, 4, 30, 0, 500_000, tzinfo=UTC),
            "2024-01-01T10:00:00.123456000Z": datetime(2024, 1, 1, 10, 0, 0, 123_456, tzinfo=UTC),
            "2024-01-01T10:00:00.1234567Z": INVALID,
            "9999-12-31T23:59:59-05:00": INVALID,
            "0001-01-01T00:00:00+01:00": INVALID,
        },
    ),
    "optional section": (
        column("timestamp", logicalTypeOptions={"format": "yyyy-MM-dd'T'HH:mm[:ss]"}),
        {
            "2024-01-01T10:00": datetime(2024, 1, 1, 10, tzinfo=UTC),
            "2024-01-01T10:00:30": datetime(2024, 1, 1, 10, 0, 30, tzinfo=UTC),
            "2024-01-01T10:00[:30]": INVALID,
        },
    ),
    "time": (column("time"), {"10:00:00.5": time(10, 0, 0, 500_000), "10:00:00.1234567": INVALID}),
    "string": (column("string"), {" a ": " a ", "NULL": "NULL"}),
    "cleaned string": (
        column(
            "string",
            customProperties=[
                {"property": "trim", "value": True},
                {"property": "missingValues", "value": ["NULL", "-"]},
                {"property": "case", "value": "upper"},
            ],
        ),
        {" a\u00a0": "A", " NULL": None, "-": None, "null": "NULL", "  ": None},
    ),
}


@pytest.mark.parametrize(("declared", "expected"), TEXTS.values(), ids=TEXTS)
def test_a_text_has_one_value(declared: Column, expected: dict[str, Any]) -> None:
    """The exact reader and the typed column agree on every valid text, "" being none."""
    cells = Cells(declared, 0, typed=False)

    assert dict(zip(expected, cells.checked_values(list(expected)), strict=True)) == expected
    valid = ["", *(text for text, value in expected.items() if value is not INVALID)]
    series = value_series(declared, pl.Series(valid, dtype=pl.String))
    assert series.dtype == value_type(declared)
    assert series.to_list() == [None, *(expected[text] for text in valid[1:])]


def test_columns_are_stored_in_the_contracts_order_and_types() -> None:
    """Absent columns are null, others are dropped, times of day are text."""
    columns = tuple(
        Column(name, kind, decimal=decimal)
        for name, kind, decimal in (
            ("t", "time", None),
            ("n", "number", (9, 2)),
            ("gone", "date", None),
        )
    )
    contract = Contract("d", "1", "", columns, (), 0.0, Hints())
    frame = pl.DataFrame({"n": ["1.5", ""], "extra": ["x", "y"], "t": ["10:00:00", "10:00:00.25"]})

    typed = typed_columns(contract, frame)

    assert typed.schema == stored_schema(contract)
    expected = [
        ("10:00:00", Decimal("1.50"), None),
        ("10:00:00.250000", None, None),
    ]
    assert typed.rows() == expected
    values = [(time(10), Decimal("1.50"), None), (time(10, 0, 0, 250_000), None, None)]
    assert typed_rows(contract, values).rows() == expected


@given(st.lists(st.decimals(-(10**14), 10**14, places=3) | st.none(), max_size=20))
def test_decimals_of_parquet_are_kept(values: list[Decimal | None]) -> None:
    """As decimals exactly, as numbers the nearest double of their digits."""
    cells = pl.Series(values, dtype=pl.Decimal(38, 3))

    exact = value_series(column("number", physicalType="decimal(38,3)"), cells)
    assert exact.to_list() == values
    doubles = value_series(column("number"), cells)
    assert doubles.to_list() == [None if v is None else float(v) for v in values]


def test_every_type_has_a_domain() -> None:
    """The stored type of each domain is the one that the docs name."""
    words = {"string": "String", "double": "Float64", "timestamp": "Datetime", "int64": "Int64"}
    for kind, domain in DOMAINS.items():
        declared = (
            column("number", physicalType="decimal(9,2)") if kind == "decimal" else column(kind)
        )
        assert declared.domain is domain
        name = domain.stored.replace("(p,s)", "").split(",")[0].split(";")[0].split(" ")[0]
        assert type(stored_type(declared)).__name__ == words.get(name, name.capitalize())
