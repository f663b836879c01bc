"""Files and contracts of which other systems lost, changed or refused values: each has one outcome.

Where a folder `../shared/cases` is beside the repository, its files are validated too.
"""

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from landfall.contract.folder import Contract, ContractError, load_folder, parse
from landfall.validation import Report
from landfall.validation.local_files import FileReferences
from tests.unit.validation import Findings, run_validation

SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases"

KEY = {"name": "id", "logicalType": "integer", "primaryKey": True}


def contract_of(*columns: dict[str, Any], ratio: float = 1.0, **custom: Any) -> Contract:
    """A contract of these columns."""
    return parse(document(*columns, ratio=ratio, **custom), file="drop.odcs.yaml")


def document(*columns: dict[str, Any], ratio: float = 1.0, **custom: Any) -> str:
    """The same as text; JSON is YAML."""
    properties = {"maxRejectedRatio": ratio, **custom}
    return json.dumps(
        {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": "drop",
            "version": "1.0.0",
            "schema": [{"name": "drop", "properties": columns}],
            "customProperties": [{"property": k, "value": v} for k, v in properties.items()],
        }
    )


def column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """A column of a contract."""
    return {"name": name, "logicalType": kind, **more}


def parquet(**columns: Any) -> bytes:
    """Columns as a Parquet file."""
    sink = io.BytesIO()
    pl.DataFrame(columns).write_parquet(sink)
    return sink.getvalue()


def faults(report: Report, findings: Findings) -> list[tuple[int, str, str | None]]:
    """Line, rule and column of every fault."""
    assert report.problem is None, report.problem
    lines = (findings["reasons"] or b"").splitlines()
    return [
        (reason["line"], fault["rule"], fault["column"])
        for reason in map(json.loads, lines)
        for fault in reason["faults"]
    ]


AT, DAY = column("at", "timestamp"), column("d", "date")
TEXT = column("s", "string")
NUMBER = column("n", "number")

FILES: dict[str, tuple[str, bytes, Contract, list[tuple[int, str, str]]]] = {
    "fractions of seven and nine digits": (
        "x.csv",
        b"id,at\n1,2024-05-01T10:00:00.1234567Z\n2,2024-05-01T10:00:01.123000000Z\n",
        contract_of(KEY, AT),
        [(2, "type", "at")],
    ),
    "the end of time with an offset": (
        "x.csv",
        (
            b"id,at\n1,2024-05-01T00:00:00-05:00\n2,9999-12-31T23:59:59-05:00\n"
            b"3,0001-01-01T00:00:00+01:00\n"
        ),
        contract_of(KEY, AT | {"unique": True}),
        [(3, "type", "at"), (4, "type", "at")],
    ),
    "a day of the year 29349": (
        "x.parquet",
        parquet(id=[1, 2], d=pl.Series([10_000_000, 1], dtype=pl.Int32).cast(pl.Date)),
        contract_of(KEY, DAY),
        [(1, "type", "d")],
    ),
    "instants beyond the calendar": (
        "x.parquet",
        parquet(
            id=[1, 2, 3],
            at=pl.Series([2**60, -(2**60), 0], dtype=pl.Int64).cast(pl.Datetime("ms")),
        ),
        contract_of(KEY, AT),
        [(1, "type", "at"), (2, "type", "at")],
    ),
    "nanoseconds": (
        "x.parquet",
        parquet(id=[1, 2], at=pl.Series([1, 1000], dtype=pl.Int64).cast(pl.Datetime("ns"))),
        contract_of(KEY, AT),
        [(1, "type", "at")],
    ),
    "a bad byte in a column nobody asked for": (
        "x.csv",
        b"id,s,comment\n1,a,caf\xe9\n2,b,ok\n",
        contract_of(KEY, TEXT),
        [],
    ),
    "a bad byte in a column that is loaded": (
        "x.csv",
        b"id,s,comment\n1,a,caf\xe9\n2,b,ok\n",
        contract_of(KEY, TEXT, drift={"extraColumns": "evolve"}),
        [(2, "encoding", "comment")],
    ),
    "a name twice among the columns nobody asked for": (
        "x.csv",
        b"id,,,a,a\n1,2,3,4,5\n",
        contract_of(KEY, drift={"extraColumns": "evolve"}),
        [],
    ),
    "keys that differ by a blank": (
        "x.csv",
        b'k,v\nA1,10\n"A1 ",20\nB2,30\n',
        contract_of(column("k", "string", primaryKey=True), column("v", "integer")),
        [],
    ),
    "keys that differ by what is cleaned away": (
        "x.csv",
        b'k,v\nA1,10\n"a1 ",20\nB2,30\n',
        contract_of(
            column(
                "k",
                "string",
                primaryKey=True,
                customProperties=[
                    {"property": "trim", "value": True},
                    {"property": "case", "value": "upper"},
                ],
            ),
            column("v", "integer"),
        ),
        [(3, "unique", "k")],
    ),
    "half a surrogate pair": (
        "x.jsonl",
        (
            b'{"id":1,"s":"\\ud800"}\n{"id":2,"s":"ok"}\n{"id":3,"s":"\\ud83d\\ude00"}\n'
            b'{"id":4,"s":"\\udc00x"}\n'
        ),
        contract_of(KEY, TEXT),
        [(1, "json", None), (4, "json", None)],  # type: ignore[list-item]
    ),
    "whole numbers beyond 2^53, CSV": (
        "x.csv",
        b"id,n\n1,9007199254740993\n2,9007199254740992\n3,1e300\n4,12345678901234567.89\n",
        contract_of(KEY, NUMBER),
        [(2, "type", "n"), (5, "type", "n")],
    ),
    "whole numbers beyond 2^53, JSON": (
        "x.jsonl",
        (
            b'{"id":1,"n":9007199254740993}\n{"id":2,"n":9007199254740992}\n{"id":3,"n":1e300}\n'
            b'{"id":4,"n":12345678901234567.89}\n{"id":5,"n":1e99999999999999999999}\n'
        ),
        contract_of(KEY, NUMBER),
        [(1, "type", "n"), (4, "type", "n"), (5, "type", "n")],
    ),
    "whole numbers beyond 2^53, Parquet": (
        "x.parquet",
        parquet(id=[1, 2], n=[2**53 + 1, 2**53]),
        contract_of(KEY, NUMBER),
        [(1, "type", "n")],
    ),
    "decimals of which a double keeps no digits": (
        "x.parquet",
        parquet(
            id=[1, 2],
            n=pl.Series(
                [Decimal("12345678901234567.89"), Decimal("0.10")], dtype=pl.Decimal(38, 2)
            ),
        ),
        contract_of(KEY, NUMBER),
        [(1, "type", "n")],
    ),
    "decimals that are one double": (
        "x.parquet",
        parquet(
            n=pl.Series(
                [Decimal("12345678901234567.89"), Decimal("12345678901234567.88")],
                dtype=pl.Decimal(38, 2),
            )
        ),
        contract_of(NUMBER | {"physicalType": "decimal(38,2)", "primaryKey": True}),
        [],
    ),
    "JSON Lines with a form feed": (
        "x.jsonl",
        b'{"id":1,"s":"a"}\n\x0c\n \t\n{"id":2,"s":"b"}\n',
        contract_of(KEY, TEXT),
        [(2, "json", None)],  # type: ignore[list-item]
    ),
    "an optional section of a date format": (
        "x.csv",
        b"id,at\n1,2024-01-01T10:00\n2,2024-01-01T10:00:30\n3,2024-01-01T10:00[:30]\n",
        contract_of(KEY, AT | {"logicalTypeOptions": {"format": "yyyy-MM-dd'T'HH:mm[:ss]"}}),
        [(4, "type", "at")],
    ),
    "an offset of hours alone": (
        "x.csv",
        b"id,at\n1,2024-01-01 10:00:00+00\n2,2024-01-01 10:00:00.5+05:30\n",
        contract_of(KEY, AT),
        [],
    ),
    "UTF-16LE without a mark": (
        "x.csv",
        "id,s\n1,ä\n2,b\n".encode("utf-16-le"),
        contract_of(KEY, TEXT, encoding="UTF-16LE"),
        [],
    ),
    "text that spells a date by the contract's format": (
        "x.parquet",
        parquet(id=[1, 2], d=["01.02.2024", "2024-02-01"]),
        contract_of(
            KEY,
            DAY | {"logicalTypeOptions": {"format": "dd.MM.yyyy"}},
            drift={"changedTypes": "evolve"},
        ),
        [(2, "type", "d")],
    ),
    "an empty text is no value in any format": (
        "x.jsonl",
        b'{"id":1,"s":""}\n',
        contract_of(KEY, TEXT | {"required": True}),
        [(1, "required", "s")],
    ),
    "a sentinel": (
        "x.jsonl",
        b'{"id":1,"n":737028}\n{"id":2,"n":7}\n',
        contract_of(
            KEY,
            NUMBER
            | {
                "logicalTypeOptions": {"maximum": 100},
                "customProperties": [{"property": "missingValues", "value": ["737028"]}],
            },
        ),
        [],
    ),
    "a record of huge numbers": (
        "x.jsonl",
        b'{"id":' + b"9" * 5000 + b',"n":1}\n{"id":1e999999999,"n":' + b"9" * 3000 + b".5}\n",
        contract_of(KEY, NUMBER),
        [(1, "json", None), (2, "type", "id"), (2, "type", "n")],  # type: ignore[list-item]
    ),
}


@pytest.mark.parametrize(("name", "data", "contract", "expected"), FILES.values(), ids=FILES)
def test_a_file_has_one_outcome(
    name: str, data: bytes, contract: Contract, expected: list[tuple[int, str, str]]
) -> None:
    """What is at fault is a fault of its record; nothing is raised and all others are accepted."""
    report, findings = run_validation(data, contract, name=name)

    assert faults(report, findings) == expected
    assert report.accepted == report.rows - len({line for line, *_ in expected})


@pytest.mark.parametrize(
    ("timezone", "zone", "refused"),
    [(True, None, True), (False, "UTC", True), (True, "UTC", False), (False, None, False)],
)
def test_timezone_holds_for_parquet(timezone: bool, zone: str | None, refused: bool) -> None:
    """Local times where an offset is needed are another type, and the other way round."""
    at = AT | {"logicalTypeOptions": {"timezone": timezone}}
    moments = pl.Series([datetime(2024, 7, 1, 12)], dtype=pl.Datetime("us", zone))  # noqa: DTZ001
    data = parquet(id=[1], at=moments)

    report, _ = run_validation(data, contract_of(KEY, at), name="x.parquet")
    assert (report.problem is not None) == refused
    discard = contract_of(KEY, at, drift={"changedTypes": "discard"})
    report, _ = run_validation(data, discard, name="x.parquet")
    assert report.rejected == int(refused)


def test_the_profile_says_the_day_that_is_written() -> None:
    """An offset does not move a date."""
    contract = contract_of(KEY, DAY | {"logicalTypeOptions": {"format": "yyyy-MM-ddXXX"}})

    report, _ = run_validation(b"id,d\n1,1990-05-01+02:00\n2,1990-05-01-05:00\n", contract)

    profile = report.profile[1]
    assert (profile.least, profile.most) == (str(date(1990, 5, 1)), str(date(1990, 5, 1)))


def test_files_may_call_a_column_by_its_physical_name() -> None:
    """A name that Delta does not take is mapped, in every format."""
    contract = contract_of(
        KEY | {"name": "order_id", "physicalName": "Order ID"},
        column("total", "number", physicalName="Total (EUR), net"),
    )
    files = {
        "x.csv": b'Order ID,"Total (EUR), net"\n1,2.5\n2,x\n',
        "x.jsonl": b"".join(
            b'{"Order ID":%d,"Total (EUR), net":%s}\n' % line for line in ((1, b"2.5"), (2, b'"x"'))
        ),
        "x.parquet": parquet(**{"Order ID": [1], "Total (EUR), net": [2.5]}),
    }

    for name, data in files.items():
        report, findings = run_validation(data, contract, name=name)
        expected = [] if name == "x.parquet" else [("type", "total")]
        assert [fault[1:] for fault in faults(report, findings)] == expected
        assert report.profile[1].least == 2.5
    missing = run_validation(b"order,total\n1,2\n", contract)[0].problem
    assert missing is not None


CONTRACTS = {
    "an empty name": ((KEY, column("", "string")), "schema[0].properties[1].name"),
    "names equal but for case": (
        (KEY, column("Ab", "string"), column("aB", "string")),
        "schema[0].properties[2]",
    ),
    "a name that Delta refuses": (
        (KEY, column("Total (EUR)", "number")),
        "schema[0].properties[1].name",
    ),
    "a name of the lake's own": ((KEY, column("_id", "string")), "schema[0].properties[1].name"),
    "a physical name twice": (
        (KEY, column("a", "string", physicalName="x y"), column("b", "string", physicalName="x y")),
        "schema[0].properties[2].physicalName",
    ),
    "a decimal that is too wide": (
        (KEY, column("n", "number", physicalType="decimal(39,2)")),
        "schema[0].properties[1].physicalType",
    ),
    "a bound that the decimal does not hold": (
        (
            KEY,
            column(
                "n", "number", physicalType="decimal(9,2)", logicalTypeOptions={"minimum": 0.001}
            ),
        ),
        "schema[0].properties[1].logicalTypeOptions.minimum",
    ),
    "a section that is not closed": (
        (KEY, AT | {"logicalTypeOptions": {"format": "yyyy-MM-dd HH:mm[:ss"}}),
        "schema[0].properties[1].logicalTypeOptions.format",
    ),
    "an optional day": (
        (KEY, DAY | {"logicalTypeOptions": {"format": "yyyy-MM[-dd]"}}),
        "schema[0].properties[1].logicalTypeOptions.format",
    ),
    "a reserved character": (
        (KEY, DAY | {"logicalTypeOptions": {"format": "yyyy-MM-dd#"}}),
        "schema[0].properties[1].logicalTypeOptions.format",
    ),
    "times of day with an offset": (
        (KEY, column("t", "time", logicalTypeOptions={"timezone": True})),
        "schema[0].properties[1].logicalTypeOptions.timezone",
    ),
    "case of a number": (
        (KEY, NUMBER | {"customProperties": [{"property": "case", "value": "upper"}]}),
        "schema[0].properties[1].customProperties[0].value",
    ),
    "one separator for both": (
        (
            KEY,
            NUMBER
            | {
                "customProperties": [
                    {"property": "decimalSeparator", "value": ","},
                    {"property": "thousandsSeparator", "value": ","},
                ]
            },
        ),
        "schema[0].properties[1].customProperties[1].value",
    ),
}


@pytest.mark.parametrize(("columns", "path"), CONTRACTS.values(), ids=CONTRACTS)
def test_what_cannot_be_honoured_is_refused(columns: tuple[dict[str, Any], ...], path: str) -> None:
    """With the place, when the contract is read."""
    with pytest.raises(ContractError) as caught:
        contract_of(*columns)

    assert caught.value.path == path


def test_the_standards_own_examples_are_read() -> None:
    """Null among valid values, and a time of day that asks for no offset."""
    rule = {
        "metric": "invalidValues",
        "mustBe": 1,
        "arguments": {"validValues": ["", None, "n/a"]},
    }
    contract = contract_of(
        KEY,
        TEXT | {"quality": [rule]},
        column("t", "time", logicalTypeOptions={"timezone": False, "format": "HH:mm:ss"}),
    )

    report, _ = run_validation(b"id,s,t\n1,n/a,12:30:00\n2,,\n3,x,\n", contract)

    assert report.measures[0].value == 1
    assert report.verdict == "accepted"


def test_relationships_by_id_lead_to_names(tmp_path: Path) -> None:
    """The fully qualified notation of the standard names ids."""
    users = document({"id": "user_pk", **KEY}).replace('"drop"', '"users"')
    users = users.replace('{"name": "users", "prop', '{"id": "users_tbl", "name": "users", "prop')
    link = {"relationships": [{"to": "schema/users_tbl/properties/user_pk"}]}
    orders = document(KEY, column("user", "integer", **link)).replace('"drop"', '"orders"')
    (tmp_path / "users.odcs.yaml").write_text(users)
    (tmp_path / "orders.odcs.yaml").write_text(orders)
    (tmp_path / "users.csv").write_bytes(b"id\n1\n")
    contracts = load_folder(tmp_path)

    report, findings = run_validation(
        b"id,user\n10,1\n11,99\n",
        contracts["orders"],
        references=FileReferences({"users": tmp_path / "users.csv"}, contracts),
    )

    assert [link.to for link in report.relationships] == ["users.id"]
    assert faults(report, findings) == [(3, "foreignKey", "user")]


NUMERALS = [
    ("1.234,56", "1234.56"),
    ("-1.234.567,5", "-1234567.5"),
    ("12345,6", "12345.6"),
    ("0", "0"),
    ("1,5e3", "1500"),
]


@pytest.mark.parametrize(("text", "value"), NUMERALS)
def test_separators_of_numbers(text: str, value: str) -> None:
    """Rules and keys see the number; the same number in another notation is the same key."""
    contract = contract_of(
        column("n", "number", physicalType="decimal(18,2)", primaryKey=True),
        decimalSeparator=",",
        thousandsSeparator=".",
    )

    report, findings = run_validation(f"n;x\n{text};1\n1.5;2\n12.34,5;3\n".encode(), contract)

    assert faults(report, findings) == [(3, "type", "n"), (4, "type", "n")]
    assert Decimal(report.profile[0].least) == Decimal(value)


@pytest.mark.skipif(not SHARED.is_dir(), reason="there is no collection of cases")
@pytest.mark.parametrize("case", sorted(SHARED.glob("*/contract.odcs.yaml")), ids=str)
def test_collected_cases_have_a_verdict(case: Path) -> None:
    """Each contract is read or refused for a reason, and each file has a verdict."""
    try:
        contract = parse(case.read_text(encoding="utf-8"), file=case.name)
    except ContractError:
        return  # `test_what_cannot_be_honoured_is_refused` has the reasons
    for file in sorted(case.parent.glob("input*")):
        report, _ = run_validation(file.read_bytes(), contract, name=file.name)
        assert report.verdict in {"accepted", "accepted_with_rejects", "refused"}
