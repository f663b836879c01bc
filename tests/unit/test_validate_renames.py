"""A column that files call otherwise than silver does: in every format, key, rule and report."""

from __future__ import annotations

import io
import json

import polars as pl
import pytest

from landfall.authoring.diff import diff
from landfall.authoring.infer import infer
from landfall.contract.folder import Contract, parse
from landfall.validation.local_files import BytesSource
from landfall.validation.remote import prepare
from tests.unit.test_validate_workbook import workbook
from tests.unit.validation import faults, run_validation

TEXT = """
apiVersion: v3.2.0
kind: DataContract
id: orders
version: 1.0.0
schema:
  - name: orders
    properties:
      - {name: order_no, physicalName: Order No., logicalType: integer, primaryKey: true}
      - {name: mail, physicalName: "E-Mail (work)", logicalType: string, unique: true}
      - {name: total, physicalName: Total (EUR), logicalType: number,
         logicalTypeOptions: {minimum: 0}}
    quality:
      - {type: sql, query: "SELECT COUNT(*) FROM ${object} WHERE total > 100", mustBe: 0}
customProperties: [{property: maxRejectedRatio, value: 1}]
"""
ROWS = [
    {"Order No.": 1, "E-Mail (work)": "a@x", "Total (EUR)": 5.0},
    {"Order No.": 1, "E-Mail (work)": "b@x", "Total (EUR)": 5.0},
    {"Order No.": 2, "E-Mail (work)": "a@x", "Total (EUR)": 5.0},
    {"Order No.": 3, "E-Mail (work)": "c@x", "Total (EUR)": -1.0},
    {"Order No.": 4, "E-Mail (work)": "d@x", "Total (EUR)": 101.0},
]
FIRST_LINES = {"csv": 2, "xlsx": 2, "jsonl": 1, "json": 1, "parquet": 1}


def contract() -> Contract:
    """Every column is called otherwise in files."""
    return parse(TEXT, file="orders.odcs.yaml")


def file(kind: str) -> bytes:
    """The rows in a format."""
    if kind == "csv":
        rows = (",".join(map(str, row.values())) for row in ROWS)
        return "\n".join([",".join(ROWS[0]), *rows, ""]).encode()
    if kind == "xlsx":
        return workbook(list(ROWS[0]), *(list(row.values()) for row in ROWS))
    if kind == "jsonl":
        return "\n".join(map(json.dumps, ROWS)).encode()
    if kind == "json":
        return ("[" + ",\n".join(map(json.dumps, ROWS)) + "]").encode()
    content = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(content)
    return content.getvalue()


@pytest.mark.parametrize("kind", FIRST_LINES)
def test_keys_rules_reports_and_rows_have_the_name_of_the_contract(kind: str) -> None:
    """And rejects have that of the file, to be sent again."""
    report, found = run_validation(file(kind), contract(), name=f"a.{kind}")
    first = FIRST_LINES[kind]
    assert faults(report) == {
        ("unique", "order_no"): (1, [first + 1]),
        ("unique", "mail"): (1, [first + 2]),
        ("minimum", "total"): (1, [first + 3]),
        ("sql", None): (1, [first + 4]),
    }
    assert found.rows() == [{"order_no": 1, "mail": "a@x", "total": 5.0}]
    assert {item.column for item in report.profile} == {"order_no", "mail", "total"}
    if kind in {"csv", "xlsx", "jsonl", "json"}:
        suffix = {"json": "jsonl", "xlsx": "csv"}.get(kind, kind)
        again, _ = run_validation(found["rejects"] or b"", contract(), name=f"a.{suffix}")
        assert again.rows == 4
        assert ("minimum", "total") in faults(again)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_job_gets_the_names_of_the_contract(kind: str) -> None:
    """With those of the file where it has to read them."""
    remote = prepare(BytesSource(file(kind)), contract(), f"a.{kind}")
    assert remote is not None
    layout = remote.plan(f"raw/a.{kind}")["layout"]
    assert tuple(layout["names"]) == ("order_no", "mail", "total")
    if kind == "parquet":
        assert tuple(layout["sources"]) == ("Order No.", "E-Mail (work)", "Total (EUR)")


def test_a_refusal_names_columns_as_the_file_should() -> None:
    """What the producer has to write."""
    bare = TEXT.replace("primaryKey: true", "primaryKey: true, required: true")
    report, _ = run_validation(b"E-Mail (work),mail\na,1\n", parse(bare, file="orders.odcs.yaml"))
    assert report.problem is not None
    assert "'Order No.'" in report.problem.reason


def test_infer_writes_names_that_delta_takes_and_diff_tells_of_renames() -> None:
    """Another name in files is a change of what producers send."""
    text = infer(BytesSource(file("csv")), name="a.csv", dataset="orders")
    inferred = parse(text, file="orders.odcs.yaml")
    column = inferred.columns[0]
    assert (column.name, column.source) == ("Order_No.", "Order No.")
    other = parse(
        TEXT.replace("physicalName: Total (EUR)", "physicalName: sum"), file="orders.odcs.yaml"
    )
    (change,) = diff(contract(), other)
    assert (change.column, change.what) == ("total", "files call it sum, no longer Total (EUR)")
