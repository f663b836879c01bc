"""Drawn contracts and files: every accepted cell is the value that it was written from.

The oracle is the value itself: cells are drawn as pairs of a value and one of the ways to write it,
or as texts that are no value. So it shares no code with the engine.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.contract.folder import Contract, parse
from landfall.validation.columns import Cells
from landfall.validation.local_files import BytesSource
from landfall.validation.readers.choice import reader_of
from landfall.validation.readers.opening import open_stream
from landfall.validation.remote import prepare
from landfall.validation.typed import typed_columns, typed_rows
from tests.unit.test_cases import column, document, faults
from tests.unit.test_remote_validation import validate_in_blocks
from tests.unit.validation import run_validation


@dataclass(frozen=True)
class Cell:
    """A cell as text and in JSON, and the value that it stands for; `valid` is False if none."""

    text: str
    json: Any
    value: Any
    valid: bool = True


@dataclass(frozen=True)
class Kind:
    """A column of a contract and the cells that it may have."""

    declared: dict[str, Any]
    cells: st.SearchStrategy[Cell]


def bad(*texts: str) -> st.SearchStrategy[Cell]:
    """Texts that are no values; JSON has them as texts."""
    return st.sampled_from([Cell(text, text, None, valid=False) for text in texts])


MISSING = st.just(Cell("", None, None))


def _custom(**more: Any) -> list[dict[str, Any]]:
    return [{"property": name, "value": value} for name, value in more.items()]


def _grouped(unscaled: int) -> str:
    """An amount with a comma before two digits and points between groups of three."""
    whole, cents = divmod(abs(unscaled), 100)
    groups: list[str] = []
    digits = str(whole)
    while digits:
        groups.insert(0, digits[-3:])
        digits = digits[:-3]
    return f"{'-' * (unscaled < 0)}{'.'.join(groups)},{cents:02}"


def _written(text: str, value: Any) -> Cell:
    """A value that is the same text in every format."""
    return Cell(text, text, value)


def _plain(unscaled: int, scale: int) -> str:
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{'-' * (unscaled < 0)}{digits[:-scale]}.{digits[-scale:]}"


def _decimal(unscaled: int, scale: int) -> Decimal:
    return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))


def _instant(parts: tuple[datetime, int, str]) -> Cell:
    """A local time with an offset in minutes, written in one of the ways of ISO 8601."""
    local, minutes, middle = parts
    sign = "-" if minutes < 0 else "+"
    fraction = f".{local.microsecond:06}" if local.microsecond else ""
    text = f"{local:%Y-%m-%d}".rjust(10, "0") + f"{middle}{local:%H:%M:%S}{fraction}"
    text += f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    try:
        value = local.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    except OverflowError:
        return Cell(text, text, None, valid=False)
    return Cell(text, text, value)


_DAYS = st.dates(date(1, 1, 1), date(9999, 12, 31))
_LETTERS = st.text("abcXYZ äöü,;\"'|\n\t0é", max_size=6)

KINDS = {
    "integer": Kind(
        column("c", "integer"),
        st.integers(-(2**63), 2**63 - 1).map(lambda n: Cell(str(n), n, n))
        | bad("1.0", "+1", " 1", "1 ", "1e3", str(2**63), "x", "1_000"),
    ),
    "number": Kind(
        column("c", "number"),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda x: Cell(repr(x), x, x + 0.0))
        | bad("1,5", ".5", "1.", "NaN", "inf", "0x1", "9007199254740993", "1e999"),
    ),
    "decimal": Kind(
        column("c", "number", physicalType="decimal(20,3)"),
        st.integers(1 - 10**20, 10**20 - 1).map(
            lambda u: Cell(_plain(u, 3), Decimal(_plain(u, 3)), _decimal(u, 3))
        )
        | bad("0.0001", "1" * 18, "1e-9", "x"),
    ),
    "amount with separators": Kind(
        column(
            "c",
            "number",
            physicalType="decimal(12,2)",
            customProperties=_custom(decimalSeparator=",", thousandsSeparator="."),
        ),
        st.integers(1 - 10**12, 10**12 - 1).map(
            lambda u: Cell(_grouped(u), Decimal(_plain(u, 2)), _decimal(u, 2))
        )
        | bad("1.5", "1,2,3", "12.34,5", "1.234.5"),
    ),
    "words": Kind(
        column(
            "c", "boolean", customProperties=_custom(trueValues=["ja", "J"], falseValues=["nein"])
        ),
        st.sampled_from([Cell("ja", True, True), Cell("J", True, True), Cell("nein", False, False)])
        | bad("true", "JA", "1", " ja"),
    ),
    "day": Kind(
        column("c", "date", logicalTypeOptions={"format": "dd.MM.yyyy"}),
        _DAYS.map(lambda d: _written(f"{d.day:02}.{d.month:02}.{d.year:04}", d))
        | bad("31.02.2024", "1.1.2024", "01.01.0000", "2024-01-01"),
    ),
    "instant": Kind(
        column("c", "timestamp", logicalTypeOptions={"timezone": True}),
        st.tuples(
            st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),  # noqa: DTZ001
            st.integers(-14 * 60, 14 * 60),
            st.sampled_from("T "),
        ).map(_instant)
        | bad("2024-01-01T10:00:00", "2024-01-01T24:00:00Z", "2024-01-01T10:00:00.1234567Z"),
    ),
    "text": Kind(column("c", "string"), _LETTERS.map(lambda t: Cell(t, t, t or None))),
    "cleaned text": Kind(
        column(
            "c",
            "string",
            customProperties=_custom(trim=True, case="upper", missingValues=["n/a", "-"]),
        ),
        st.tuples(
            st.sampled_from(["", " ", "\t ", "\u00a0"]), st.sampled_from(["a b", "É", "x"])
        ).map(lambda pair: _written(f"{pair[0]}{pair[1]}{pair[0]}", pair[1].upper()))
        | st.sampled_from([Cell(text, text, None) for text in (" n/a", "-", "  ")]),
    ),
}


@dataclass(frozen=True)
class Table:
    """Columns with their names, and records."""

    kinds: Sequence[Kind]
    rows: Sequence[Sequence[Cell]]
    required: bool

    @property
    def contract(self) -> str:
        """The contract's text."""
        columns = [
            kind.declared | {"name": f"c{at}", "required": self.required}
            for at, kind in enumerate(self.kinds)
        ]
        return document(*columns)

    def sound(self) -> list[list[Any]]:
        """The values of the records that must be accepted."""
        return [[cell.value for cell in row] for row in self.rows if self._is_sound(row)]

    def rejected(self) -> set[int]:
        """Numbers of the records that must be rejected, from 0."""
        return {at for at, row in enumerate(self.rows) if not self._is_sound(row)}

    def _is_sound(self, row: Sequence[Cell]) -> bool:
        return all(cell.valid and not (self.required and cell.value is None) for cell in row)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A table of one to four columns and up to eight records."""
    kinds = [
        KINDS[name]
        for name in draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4))
    ]
    cells = [kind.cells | MISSING for kind in kinds]
    rows = draw(st.lists(st.tuples(*cells), min_size=1, max_size=8))
    return Table(kinds, rows, draw(st.booleans()))


@dataclass(frozen=True)
class Dialect:
    """How a table is written as delimited text."""

    delimiter: str
    end: str
    codec: str
    packed: bool
    quoted: bool

    def write(self, table: Table) -> bytes:
        """The file; a cell is quoted where it must be, or always."""
        names = [f"c{at}" for at in range(len(table.kinds))]
        lines = [self.delimiter.join(names)]
        lines += [self.delimiter.join(self._cell(cell.text) for cell in row) for row in table.rows]
        data = "".join(line + self.end for line in lines).encode(self.codec)
        return gzip.compress(data) if self.packed else data

    def _cell(self, text: str) -> str:
        if self.quoted or not text or set(text) & {self.delimiter, '"', "\n", "\r"}:
            return '"' + text.replace('"', '""') + '"'
        return text


DIALECTS = st.builds(
    Dialect,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.booleans(),
    st.booleans(),
)


def accepted(
    data: bytes, contract: Contract, name: str, rejected: set[int]
) -> list[tuple[Any, ...]]:
    """The stored values of all other records, by the exact reader and by columns at once."""
    source = BytesSource(data)
    reader = reader_of(open_stream(source.stream(), name, contract.hints), contract, source)
    reader.start()
    rows = [row for batch in reader.batches() for row in batch.rows]
    rows = [row for at, row in enumerate(rows) if at not in rejected]
    cells = [
        Cells(declared, at, typed=reader.typed) for at, declared in enumerate(contract.columns)
    ]
    values = [one.values([row[at] for row in rows]) for at, one in enumerate(cells)]
    stored = typed_rows(contract, list(zip(*values, strict=True))).rows()
    if not reader.typed:
        frame = pl.DataFrame(
            {c.name: [row[at] for row in rows] for at, c in enumerate(contract.columns)},
            schema={c.name: pl.String for c in contract.columns},
        )
        assert typed_columns(contract, frame).rows() == stored
    return stored


def check(table: Table, data: bytes, contract: Contract, name: str) -> None:
    """The right records are rejected, and every cell of the others is its value."""
    report, findings = run_validation(data, contract, name=name)
    found = faults(report, findings)
    rejected = table.rejected()
    assert (report.rows, report.rejected) == (len(table.rows), len(rejected)), found
    assert accepted(data, contract, name, rejected) == [tuple(row) for row in table.sound()]
    remote = prepare(BytesSource(data), contract, name)
    if remote is not None and remote.reader.format.kind != "parquet":
        by_parts = validate_in_blocks(remote, data, [2, 3, 5])
        assert sorted(by_parts.faults) == sorted({line for line, *_ in found})


@settings(max_examples=80, deadline=None)
@given(tables(), DIALECTS)
def test_delimited_text(table: Table, dialect: Dialect) -> None:
    """In any dialect, encoding and compression."""
    encoding = {"cp1252": "WINDOWS-1252"}.get(dialect.codec, "UTF-8")
    text = json.loads(table.contract)
    text["customProperties"] += _custom(encoding=encoding, delimiter=dialect.delimiter)
    contract = parse(json.dumps(text), file="drop.odcs.yaml")

    check(table, dialect.write(table), contract, "x.csv.gz" if dialect.packed else "x.csv")


def _dumped(row: Sequence[Cell]) -> str:
    """A JSON object; decimals are written with all their digits."""
    members = [
        f'"c{at}":{cell.json if isinstance(cell.json, Decimal) else json.dumps(cell.json)}'
        for at, cell in enumerate(row)
    ]
    return "{" + ",".join(members) + "}"


def _array(lines: Sequence[str]) -> bytes:
    return f"[{', '.join(lines)}]".encode()


@settings(max_examples=60, deadline=None)
@given(
    tables(),
    st.sampled_from([("x.jsonl", lambda lines: "\n".join(lines).encode()), ("x.json", _array)]),
)
def test_json(table: Table, form: tuple[str, Callable[[Sequence[str]], bytes]]) -> None:
    """As lines and as an array."""
    contract = parse(table.contract, file="drop.odcs.yaml")
    name, write = form

    check(table, write([_dumped(row) for row in table.rows]), contract, name)


_PARQUET: dict[str, tuple[dict[str, Any], pl.DataType, st.SearchStrategy[Any], int]] = {
    "days": (column("c", "date"), pl.Date(), st.integers(-800_000, 3_000_000), 1),
    "milliseconds": (
        column("c", "timestamp"),
        pl.Datetime("ms", "UTC"),
        st.integers(-(10**14), 3 * 10**14),
        1000,
    ),
    "microseconds": (
        column("c", "timestamp"),
        pl.Datetime("us", "UTC"),
        st.integers(-(10**17), 3 * 10**17),
        1,
    ),
}


@pytest.mark.parametrize("name", _PARQUET)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_moments_of_parquet(name: str, data: st.DataObject) -> None:
    """Counts of days and of fractions of seconds, inside and outside of the calendar."""
    declared, dtype, counts, scale = _PARQUET[name]
    drawn = data.draw(st.lists(counts | st.none(), min_size=1, max_size=20))
    sink = io.BytesIO()
    physical = pl.Int32 if dtype == pl.Date else pl.Int64
    pl.DataFrame({"c": pl.Series(drawn, dtype=physical).cast(dtype)}).write_parquet(sink)
    contract = parse(document(declared), file="drop.odcs.yaml")

    def value(count: int | None) -> Any:
        if count is None:
            return None
        try:
            if dtype == pl.Date:
                return date(1970, 1, 1) + timedelta(days=count)
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=count * scale)
        except OverflowError:
            return ...

    values = [value(count) for count in drawn]
    report, findings = run_validation(sink.getvalue(), contract, name="x.parquet")

    outside = {at for at, one in enumerate(values) if one is ...}
    assert {line - 1 for line, *_ in faults(report, findings)} == outside
    sound = [(one,) for one in values if one is not ...]
    assert accepted(sink.getvalue(), contract, "x.parquet", outside) == sound


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(tables(), DIALECTS)
def test_much_delimited_text(table: Table, dialect: Dialect) -> None:
    """The same of many more tables."""
    test_delimited_text.hypothesis.inner_test(table, dialect)  # type: ignore[attr-defined]
