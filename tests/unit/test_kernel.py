"""The compiled prefilter changes nothing: the same report, rejects and profile as without it."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from landfall.contract.folder import Contract
from landfall.validation import References
from landfall.validation.prefilter.kernel import library
from landfall.validation.prefilter.kernel.library import load
from landfall.validation.readers import delimited
from marketplace.generator import break_records, write_users
from marketplace.generator.breakers import DAMAGES
from tests.unit.kernel_building import build
from tests.unit.prefilters import PREFILTERS, built, use_prefilter
from tests.unit.test_validate_fuzz import COLUMN, ODD, WORDS, contract_of
from tests.unit.test_validate_prefilter import CONTRACT, HEADER, LINE
from tests.unit.validation import CONTRACTS, run_validation, small


def validate_with(
    data: bytes,
    contract: Contract,
    prefilter: str,
    chunk: int = 1 << 20,
    references: References | None = None,
) -> dict[str, Any]:
    """Return the report of `data` with its rejects, reasons and accepted records."""
    with pytest.MonkeyPatch.context() as patch:
        use_prefilter(prefilter, patch)
        report, findings = run_validation(data, contract, chunk=chunk, references=references)
    document = report.to_dict()
    del document["seconds"]
    del document["parquet"]  # how its rows are grouped differs
    kept = findings.parquet() if findings["accepted"] is not None else None
    return document | {
        "rejects file": findings["rejects"],
        "reasons file": findings["reasons"],
        "accepted": None if kept is None else (kept.schema, kept.rows()),
    }


def assert_prefilters_agree(data: bytes, contract: Contract, chunk: int = 1 << 20) -> None:
    """Assert that all prefilters give the same result."""
    first, *results = (validate_with(data, contract, prefilter, chunk) for prefilter in PREFILTERS)
    for result in results:
        assert first == result


@pytest.mark.large
@settings(max_examples=150, deadline=None)
@given(
    st.lists(LINE, max_size=25),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.sampled_from([37, 1 << 20]),
)
@example([b"1,1,1,,,,1,", b"2,1,1,,,,1,,"], b"\n", True, 1 << 20)
@example([b'1,1,1,,"a ""b""",,1,', b"\r", b"", b'"'], b"\r\n", False, 37)
def test_same_report_with_every_prefilter(
    lines: list[bytes], end: bytes, closed: bool, chunk: int
) -> None:
    """For any cells and any number of fields."""
    assert_prefilters_agree(end.join([HEADER, *lines]) + (end if closed else b""), CONTRACT, chunk)


NUMBERS = [
    *("0", "-0", "007", "1.50", "1.5", "-2.5e-3", "1e22", "1e23", "9007199254740993", "4e-324"),
    *("0.1", "123456789012345678901234567890", "1e400", "1.7976931348623157e308", "1.e5", ".5"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e", "1e+", "--1"),
    *(
        "0.30000000000000004",
        "100000000000000016777216",
        "2.2250738585072011e-308",
        "1_0",
        "\u0663",
    ),
]
CELLS = [
    *WORDS,
    *ODD,
    *NUMBERS,
    "a,b",
    'a "b"',
    "x\ny",
    "\r\n",
    "\t",
    "a" * 17,
    "\ufeff",
    "\U0001f600",
]


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_contract(data: st.DataObject) -> None:
    """For any columns and any cells, quoted or not."""
    columns = data.draw(st.lists(COLUMN, min_size=2, max_size=5))
    if data.draw(st.booleans()):  # conditions are not for the kernel
        columns = [{k: v for k, v in column.items() if k != "quality"} for column in columns]
    for at in range(data.draw(st.integers(0, 2))):
        columns[at] |= {"primaryKey": True, "primaryKeyPosition": at + 1}
    cell = st.sampled_from(CELLS)
    record = st.lists(cell, min_size=len(columns), max_size=len(columns))
    ragged = st.lists(cell, min_size=1, max_size=len(columns) + 2)
    rows = data.draw(st.lists(st.tuples(record | record | record | ragged, st.booleans())))
    lines = [
        ",".join(quoted(column) if all_quoted or needs_quotes(column) else column for column in row)
        for row, all_quoted in rows
    ]
    header = ",".join(f"c{at}" for at in range(len(columns)))
    assert_prefilters_agree("\n".join([header, *lines]).encode(), contract_of(columns))


MOMENTS: list[dict[str, Any]] = [
    {"logicalType": "date"},
    {"logicalType": "date", "logicalTypeOptions": {"format": "dd.MM.yyyy"}},
    {"logicalType": "date", "logicalTypeOptions": {"format": "yyyyMMdd'é'HH"}},
    {"logicalType": "date", "logicalTypeOptions": {"format": "d/M/yyyy"}},
    {"logicalType": "date", "logicalTypeOptions": {"minimum": "1999-12-31"}},
    {"logicalType": "date", "logicalTypeOptions": {"exclusiveMaximum": "2024-02-29"}},
    {"logicalType": "timestamp"},
    {"logicalType": "timestamp", "logicalTypeOptions": {"timezone": True}},
    {"logicalType": "timestamp", "logicalTypeOptions": {"timezone": False}},
    {"logicalType": "timestamp", "logicalTypeOptions": {"format": "yyyy-MM-dd HH:mm:ss"}},
    {"logicalType": "timestamp", "logicalTypeOptions": {"format": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"}},
    {"logicalType": "timestamp", "logicalTypeOptions": {"format": "HH:mm dd-MM-uuuu"}},
    {"logicalType": "timestamp", "logicalTypeOptions": {"format": "yyyy-MM-dd HH:mm:ss.SSSSSSS"}},
    {"logicalType": "timestamp", "logicalTypeOptions": {"minimum": "2024-02-29T12:00:00Z"}},
    {"logicalType": "time"},
    {"logicalType": "time", "logicalTypeOptions": {"format": "HHmm", "maximum": "2359"}},
]
DAYS = ["2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "0001-01-01", "0000-01-01"]
DAYS += ["9999-12-31", "1969-12-31", "2024-13-01", "2024-04-31", "2024-00-10", "2024-1-1"]
DAYS += ["29.02.2024", "31.04.2024", "20240229é99", "20240229é1", "29/2/2024", "1999-12-30"]
CLOCKS = ["12:00:00", "23:59:59.999999999", "00:00:00.1234567", "24:00:00", "12:60:00", "12:00:60"]
CLOCKS += ["12:00", "12:00:00.", "1200", "2400", "12:00:00.123", "12:00:00.1234567890", "12:0:00"]
ZONES = ["", "", "Z", "z", "+02:00", "-23:59", "+24:00", "+02:60", "+0200", "Z ", "\n"]
MOMENT = st.one_of(
    st.sampled_from(DAYS),
    st.sampled_from(CLOCKS),
    st.tuples(
        st.sampled_from(DAYS),
        st.sampled_from("T  "),
        st.sampled_from(CLOCKS),
        st.sampled_from(ZONES),
    ).map("".join),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: f"{moment:%H:%M %d-%m-}{moment.year:04}"),
    st.datetimes().map(lambda moment: f"{moment.isoformat(' ', 'microseconds')}7"),
    st.datetimes().map(lambda moment: f"{moment.isoformat('T', 'milliseconds')}Z"),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(MOMENTS), min_size=1, max_size=3), st.data())
def test_moments(columns: list[dict[str, Any]], data: st.DataObject) -> None:
    """Dates, timestamps and times are those that Python reads, to the microsecond."""
    width = len(columns) + 1
    cell = MOMENT.map(lambda text: quoted(text) if needs_quotes(text) else text)
    rows = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=30))
    lines = [",".join(f"c{at}" for at in range(width)), *map(",".join, rows)]
    contract = contract_of([*columns, {"logicalType": "string"}])

    assert_prefilters_agree("\n".join(lines).encode(), contract)


DIGITS: list[dict[str, Any]] = [
    {"logicalType": "number", "physicalType": kind}
    for kind in ("decimal(12,2)", "decimal(15,15)", "decimal(3,0)", "decimal(16,2)")
]
DIGITS += [
    {"logicalType": "number", "logicalTypeOptions": {"multipleOf": unit}}
    for unit in (0.01, 0.25, 5, 0.3, 0.0001, 3 * 10**17)
]
DIGITS += [
    {
        "logicalType": "number",
        "physicalType": "decimal(8,3)",
        "logicalTypeOptions": {"multipleOf": 0.05, "minimum": -10, "exclusiveMaximum": 99.5},
    },
    {
        "logicalType": "number",
        "logicalTypeOptions": {"multipleOf": 0.1, "exclusiveMinimum": 0, "maximum": 1000},
    },
]
NUMBER = st.one_of(
    st.sampled_from(NUMBERS),
    st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
    st.decimals(-1000, 1000, places=3).map(lambda number: f"{number:f}"),
    st.integers(-(10**19), 10**19).map(lambda number: f"{number}.0"),
    st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,12})?", fullmatch=True),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(DIGITS), min_size=1, max_size=3), st.data())
def test_decimals_and_multiples(columns: list[dict[str, Any]], data: st.DataObject) -> None:
    """Decimals and multiples of fractions are those that Python reads, to the last digit."""
    width = len(columns) + 1
    rows = data.draw(st.lists(st.lists(NUMBER, min_size=width, max_size=width), max_size=30))
    lines = [",".join(f"c{at}" for at in range(width)), *map(",".join, rows)]
    contract = contract_of([*columns, {"logicalType": "string"}])

    assert_prefilters_agree("\n".join(lines).encode(), contract)


def cleaning(**said: Any) -> list[dict[str, Any]]:
    """Return custom properties of a column."""
    return [{"property": name, "value": value} for name, value in said.items()]


CLEANED: list[dict[str, Any]] = [
    {"logicalType": "string", "customProperties": cleaning(trim=True), "required": True},
    {"logicalType": "string", "customProperties": cleaning(trim=True, missingValues=["NA", '"'])},
    {"logicalType": "string", "customProperties": cleaning(case="upper"), "unique": True},
    {"logicalType": "string", "customProperties": cleaning(case="lower", trim=True)},
    {
        "logicalType": "string",
        "customProperties": cleaning(case="upper", missingValues=["na", "\u00df"]),
        "enum": [{"value": "NA"}, {"value": "SS"}, {"value": "A"}],
    },
    {
        "logicalType": "string",
        "customProperties": cleaning(case="lower"),
        "logicalTypeOptions": {"maxLength": 3, "pattern": "^[a-z]"},
    },
    {"logicalType": "integer", "customProperties": cleaning(trim=True, missingValues=["0", "-1"])},
    {"logicalType": "integer", "customProperties": cleaning(thousandsSeparator=",")},
    {
        "logicalType": "integer",
        "customProperties": cleaning(thousandsSeparator="\u202f", trim=True),
        "enum": [{"value": 1234}, {"value": 7}],
        "unique": True,
    },
    {"logicalType": "number", "customProperties": cleaning(decimalSeparator=",", trim=True)},
    {
        "logicalType": "number",
        "customProperties": cleaning(decimalSeparator=",", thousandsSeparator="."),
        "logicalTypeOptions": {"minimum": -5},
    },
    {"logicalType": "number", "customProperties": cleaning(decimalSeparator="\u066b")},
    {
        "logicalType": "number",
        "physicalType": "decimal(9,2)",
        "customProperties": cleaning(decimalSeparator=",", thousandsSeparator="'"),
    },
    {"logicalType": "boolean", "customProperties": cleaning(trim=True, missingValues=["?"])},
    {"logicalType": "date", "customProperties": cleaning(trim=True, missingValues=["0000-00-00"])},
    {"logicalType": "timestamp", "customProperties": cleaning(trim=True, missingValues=["NA"])},
]
DIRT = [
    "NA",
    " NA ",
    "na",
    "0",
    "-1",
    " 7",
    "7 ",
    "?",
    "A",
    " a",
    "b\t",
    "\u00df",
    "\u00e9",
    "\u0130",
]
DIRT += [
    "1.234",
    "1,234",
    "1.234,5",
    "1,234.5",
    "12.34",
    "1.2345",
    "1234,5",
    "-1.000,25e3",
    "1,",
    ",",
]
DIRT += ["1\u202f234", "1'234,50", "1'234", "7\u066b5", "0000-00-00", " 2024-02-29 ", "true ", " "]
DIRT += [
    "\u03a3\u0391\u03a3",
    "\u0391\u03c2",
    "\ufb01x",
    "\U00010400",
    "\U0001f600 ",
    "\u3000A\u200b",
    "\xa0",
]
DIRT += [
    "\u4e2d",
    "\u0250",
    "\u0149",
    '"',
    '""',
    ' " ',
    "\u1680\x85",
    "\x1c",
    "ABCD",
    "aBc",
    "\u00b5",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(CLEANED), min_size=1, max_size=4), st.data())
def test_cleaning(columns: list[dict[str, Any]], data: st.DataObject) -> None:
    """Cells that the contract has cleaned, in keys too, are those that Python cleans."""
    columns = [dict(column) for column in columns]
    for at in range(data.draw(st.integers(0, 2))):
        if at < len(columns) and columns[at]["logicalType"] in {"string", "integer"}:
            columns[at] |= {"primaryKey": True, "primaryKeyPosition": at + 1}
    width = len(columns) + 1
    cell = st.sampled_from([*DIRT, *DIRT, *CELLS, ""])
    rows = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=30))
    lines = [
        ",".join(quoted(text) if needs_quotes(text) or '"' in text else text for text in row)
        for row in [[f"c{at}" for at in range(width)], *rows]
    ]
    contract = contract_of([*columns, {"logicalType": "string"}])

    assert_prefilters_agree("\n".join(lines).encode("utf-8", "surrogateescape"), contract)


@pytest.mark.parametrize("props", [{"trim": True}, {"case": "upper"}, {"case": "lower"}])
def test_every_character_is_cleaned_as_python_does(props: dict[str, Any]) -> None:
    """White space at both ends, and letters of any script."""
    codes = [*range(1, 0xD800), *range(0xE000, 0x11000), *range(0x1E800, 0x1F700)]
    rows = [
        f"{at},{chr(code)}a{chr(code)}"
        for at, code in enumerate(codes)
        if chr(code) not in '\n\r",'
    ]
    contract = contract_of(
        [
            {"logicalType": "integer"},
            {"logicalType": "string", "unique": True, "customProperties": cleaning(**props)},
        ]
    )

    kernels, nones = (
        validate_with("\n".join(["c0,c1", *rows]).encode(), contract, prefilter)
        for prefilter in ("kernel", "none")
    )

    assert_same_results(kernels, nones)
    assert kernels["rows"] == len(rows)


def test_no_letter_beyond_the_kernels_last_one() -> None:
    """What the kernel takes for characters without a case has none."""
    beyond = map(chr, range(0x1F000, 0x110000))
    assert not [char for char in beyond if char.upper() != char or char.lower() != char]


def needs_quotes(cell: str) -> bool:
    """Whether a cell needs quotes."""
    return any(char in cell for char in ',"\r\n')


def quoted(cell: str) -> str:
    """A cell in quotes."""
    return '"' + cell.replace('"', '""') + '"'


MANY = contract_of(
    [
        {"logicalType": "integer", "required": True, "unique": True},
        {"logicalType": "integer"},
        {"logicalType": "number", "logicalTypeOptions": {"minimum": -9, "exclusiveMaximum": 9e9}},
        {"logicalType": "string", "logicalTypeOptions": {"maxLength": 40}},
        {"logicalType": "string", "logicalTypeOptions": {"pattern": "^[a-z]+[0-9]+$"}},
        {"logicalType": "date", "logicalTypeOptions": {"minimum": "2001-01-01"}},
        {"logicalType": "string", "unique": True},
        {"logicalType": "timestamp"},
    ]
)


def many_records(rows: int, seed: int) -> bytes:
    """Return records with more distinct values than are cached, some with faults."""
    chance = random.Random(seed)  # noqa: S311 - test data
    day = date(2001, 1, 1)
    lines = ["c0,c1,c2,c3,c4,c5,c6,c7"]
    for at in range(rows):
        row = [
            str((at * 0x9E3779B97F4A7C15) % 2**63 - 2**62),
            chance.choice(["", str(chance.randrange(3 * rows)), str(at % 7)]),
            chance.choice([f"{chance.random() * 99:.{at % 18}f}", "", f"{at % 9}e{at % 5}"]),
            chance.choice(["", f"text {at}", "é" * (at % 30), f'"a ""{at}"" b"', f'"{at},\n"']),
            chance.choice([f"ab{at}", "x1", f"zebra{at % 5000}"]),
            (day + timedelta(days=chance.randrange(9000))).isoformat(),
            "" if at % 11 == 0 else f"key {at}",
            chance.choice(["", f"2024-02-{at % 28 + 1:02}T12:{at % 60:02}:{at // 60 % 60:02}Z"]),
        ]
        if chance.random() < 0.01:
            wrong = ["", "x", "1e400", "2001-02-30", "\0", "5", row[0], '"', "A", "-99", "x" * 41]
            row[chance.randrange(8)] = chance.choice(wrong)
        if chance.random() < 0.003:
            row = row[: chance.randrange(1, 8)] if chance.random() < 0.5 else [*row, "more"]
        lines.append(",".join(row))
    return "\n".join(lines).encode()


@pytest.mark.parametrize("seed", [1, 2])
def test_more_values_than_are_cached(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full cache of cells, in many blocks on two threads."""
    monkeypatch.setattr(delimited, "BLOCK", 100_000)
    data = many_records(12_000, seed)

    kernels, polars = (validate_with(data, MANY, prefilter) for prefilter in PREFILTERS[:2])

    assert kernels["rejected"] > 50
    assert not all(profile["exact"] for profile in kernels["profile"])
    assert_same_results(kernels, polars)


class Users:
    """Another dataset: the users 1 to 50."""

    def values(self, dataset: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Their one column."""
        assert (dataset, list(columns)) == ("users", ["id"])
        yield pl.DataFrame({"id": range(1, 51)})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*NUMBERS, "", "1", "50", "51", "7"]), st.booleans())))
def test_relationships(buyers: list[tuple[str, bool]]) -> None:
    """Orphans are found among candidates and other records; a null reference is valid."""
    contract = contract_of(
        [
            {"logicalType": "integer", "unique": True},
            {"logicalType": "integer", "relationships": [{"to": "users.id"}]},
            {"logicalType": "boolean"},
        ]
    )
    lines = [
        f"{at // 2},{buyer},{'true' if sound else 'x'}" for at, (buyer, sound) in enumerate(buyers)
    ]
    data = "\n".join(["c0,c1,c2", *lines]).encode()

    results = [
        validate_with(data, contract, prefilter, references=Users()) for prefilter in PREFILTERS
    ]

    assert results[0] == results[1] == results[2]
    assert not buyers or results[0]["relationships"][0]["checked"]


def assert_same_results(kernels: dict[str, Any], polars: dict[str, Any]) -> None:
    """Assert the same results, except for estimates by different hashes."""
    for profile, polars_profile in zip(kernels["profile"], polars["profile"], strict=True):
        if not profile["exact"]:
            assert profile.pop("distinct") == pytest.approx(
                polars_profile.pop("distinct"), rel=0.04
            )
    assert kernels == polars


@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 63, 64, 65, 130])
def test_cells_of_any_length_at_any_place(width: int) -> None:
    """Cells of any length are compared correctly, in words and in blocks of 64 bytes."""
    cells = ["x" * width, "y" * (width - 1) + "z", "x" * (width - 1) + "z", "é" * width]
    lines = [
        f'{at},"{cell}",s' if at % 5 == 0 else f"{at},{cell},s"
        for at in range(40)
        for cell in cells[at % 4 :][:1]
    ]
    for end in ("\n", "\r\n"):
        text = end.join(["id,name,secret", *lines, f"7,{cells[0]},s"])
        assert_prefilters_agree(text.encode(), small())
        assert_prefilters_agree(text.encode() + b"\n\n", small())


def test_damaged_users(tmp_path: Path) -> None:
    """Every kind of damage, in blocks that two threads prefilter."""
    write_users(tmp_path / "good.csv", 20_000, 5)
    break_records(tmp_path / "good.csv", tmp_path / "bad.csv", dict.fromkeys(DAMAGES, 9), 6)
    data = (tmp_path / "bad.csv").read_bytes()

    kernels, polars = (
        validate_with(data, CONTRACTS["users"], prefilter) for prefilter in PREFILTERS[:2]
    )

    assert kernels["rejected"] > 100
    assert_same_results(kernels, polars)


def test_the_log_names_the_prefilter(caplog: pytest.LogCaptureFixture) -> None:
    """The log says which prefilter was used, and why."""
    with caplog.at_level(logging.DEBUG, "landfall.validation"):
        validate_with(b"id,name,secret\n1,a,s\n", small(), "kernel")
        validate_with(b"id,name,secret\n1,a,s\n", small(), "polars")
        validate_with(
            b"id,name,secret\n1,a,s\n",
            small(extra="  - {property: escape, value: '!'}\n"),
            "kernel",
        )

    assert [record.message for record in caplog.records] == [
        "the kernel prefilters",
        "Polars prefilters: there is no kernel, or it is off",
        "Polars prefilters: the text is not in the kernel's dialect",
    ]


def test_without_a_library(tmp_path: Path) -> None:
    """One that is absent, or is none, is not used."""
    assert load(tmp_path / "kernel.so") is None
    (tmp_path / "kernel.so").write_bytes(b"no library")
    assert load(tmp_path / "kernel.so") is None


def test_an_outdated_library_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Structures may have changed; the library must be built again."""
    if isinstance(why := built(), str):
        pytest.skip(why)
    path = build(tmp_path / "kernel.so")
    assert load(path) is not None
    monkeypatch.setattr(library, "sources_hash", lambda: "of others")
    assert load(path) is None

    monkeypatch.setattr(library, "sources_hash", lambda: "")
    assert load(path) is not None, "an installed package has no sources to compare with"
