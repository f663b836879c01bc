"""`landfall contract`: infer, lint and diff."""

import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from landfall.authoring.diff import diff
from landfall.authoring.infer import infer
from landfall.authoring.lint import lint
from landfall.cli.main import landfall
from landfall.contract.folder import parse
from landfall.validation.local_files import BytesSource
from marketplace.generator import write_users
from tests.unit.validation import CONTRACTS, run_validation

ROWS = [
    {
        "id": n,
        "when": f"2024-01-{n % 28 + 1:02}",
        "kind": "ab"[n % 2],
        "price": n / 4,
        "on": n % 3 == 0,
    }
    for n in range(200)
]
FRAME = pl.DataFrame(ROWS)


def csv(separator: str = ",") -> bytes:
    """The rows as delimited text."""
    return FRAME.write_csv(separator=separator).encode()


def parquet() -> bytes:
    """The rows as Parquet."""
    sink = io.BytesIO()
    FRAME.write_parquet(sink)
    return sink.getvalue()


SAMPLES = {
    "rows.csv": csv(),
    "rows.csv.gz": gzip.compress(csv()),
    "semicolons.csv": csv(";"),
    "rows.tsv": csv("\t"),
    "rows.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "rows.json": json.dumps(ROWS, indent=1).encode(),
    "wide.csv": b"\xff\xfe" + csv().decode().encode("utf-16-le"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_inferred_contract_accepts_its_sample(name: str) -> None:
    """The inferred contract is valid and has types, key, required columns and an enum."""
    text = infer(BytesSource(SAMPLES[name]), name=name, dataset="rows")

    contract = lint(text, file="rows.odcs.yaml")
    report, _ = run_validation(SAMPLES[name], contract, name=name)

    assert report.verdict == "accepted"
    assert [column.logical_type for column in contract.columns] == [
        *("integer", "date", "string", "number", "boolean")
    ]
    assert contract.key == ("id",)
    assert all(column.required for column in contract.columns)
    assert contract.column("kind").enum == ("a", "b")


def test_a_parquet_sample() -> None:
    """Parquet types are used."""
    text = infer(BytesSource(parquet()), name="rows.parquet", dataset="rows")

    assert parse(text, file="t").column("price").logical_type == "number"


def test_users_are_recognised(tmp_path: Path) -> None:
    """The types inferred from generated users are those of the committed contract."""
    write_users(tmp_path / "users.csv", 2000, 3)
    data = (tmp_path / "users.csv").read_bytes()

    inferred = parse(infer(BytesSource(data), name="users.csv", dataset="users"), file="t")

    expected = [(c.name, c.logical_type) for c in CONTRACTS["users"].columns]
    assert expected == [(c.name, c.logical_type) for c in inferred.columns]
    assert inferred.key == ("identifierHash",)


def run(*arguments: str | Path) -> Result:
    """`landfall contract` with some arguments."""
    return CliRunner().invoke(landfall, ["contract", *map(str, arguments)])


def test_infer_does_not_overwrite(tmp_path: Path) -> None:
    """An existing file is never overwritten."""
    sample, out = tmp_path / "My rows.csv", tmp_path / "rows.odcs.yaml"
    sample.write_bytes(csv())

    assert "name: my_rows" in run("infer", sample).output
    assert run("infer", sample, "--out", out).exit_code == 0
    assert run("infer", sample, "--out", out).exit_code == 2


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n", b"a,b\n", b'{"a": [1]}\n'])
def test_samples_without_a_contract(tmp_path: Path, data: bytes) -> None:
    """The command exits with 2."""
    sample = tmp_path / "sample"
    sample.write_bytes(data)

    result = run("infer", sample)

    assert result.exit_code == 2


OLD = """
apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - name: n
        logicalType: integer
        relationships: [{to: o.id}]
        required: true
        logicalTypeOptions: {minimum: 1, format: i32}
      - {name: s, logicalType: string, enum: [{value: a}, {value: b}]}
"""
CHANGES = {
    "nothing": ("", "", False),
    "a description": ("version: 1.0.0", "version: 1.0.1", False),
    "a column less": (
        "      - {name: s, logicalType: string, enum: [{value: a}, {value: b}]}\n",
        "",
        True,
    ),
    "another type": ("{name: id, logicalType: integer", "{name: id, logicalType: string", True),
    "no longer required": ("        required: true\n", "", True),
    "a looser bound": ("minimum: 1", "minimum: 0", True),
    "a tighter bound": ("minimum: 1", "minimum: 2", False),
    "a bound that excludes": ("minimum: 1", "exclusiveMinimum: 0", True),
    "a wider number": ("format: i32", "format: i64", True),
    "a narrower number": ("format: i32", "format: i16", False),
    "another value": ("{value: b}", "{value: b}, {value: c}", True),
    "a value less": (", {value: b}", "", False),
    "any value": (", enum: [{value: a}, {value: b}]", "", True),
    "no key": (", primaryKey: true", "", True),
    "no quality rule": (
        "    quality:\n      - {metric: rowCount, mustBeGreaterThan: 0}\n",
        "",
        True,
    ),
    "no relationship": ("        relationships: [{to: o.id}]\n", "", True),
    "another relationship": ("[{to: o.id}]", "[{to: o.id}, {to: p.id}]", False),
    "a new column": (
        "    properties:\n",
        "    properties:\n      - {name: z, logicalType: date}\n",
        False,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_breaks_readers(change: str) -> None:
    """A relaxed rule breaks readers; a tightened one does not."""
    was, now, breaking = CHANGES[change]
    assert was in OLD

    changes = diff(parse(OLD, file="old"), parse(OLD.replace(was, now, 1), file="new"))

    assert breaking == any(item.breaking for item in changes)
    if change in {"nothing", "a description"}:
        assert changes == []


def test_diff_exits_with_1_on_a_breaking_change(tmp_path: Path) -> None:
    """The exit code can be used as a check of a pull request."""
    old, new, wrong = (tmp_path / f"{name}.odcs.yaml" for name in ("old", "new", "wrong"))
    old.write_text(OLD)
    new.write_text(OLD.replace("minimum: 1", "minimum: 0"))
    wrong.write_text("kind: DataContract\n")

    assert run("diff", old, old).exit_code == 0
    result = run("diff", old, new)
    assert result.exit_code == 1
    assert "BREAKS n: minimum was 1, is 0" in result.output
    assert json.loads(run("diff", old, new, "--json").output)["breaking"] is True
    assert run("diff", old, wrong).exit_code == 2


def test_lint_names_every_wrong_file(tmp_path: Path) -> None:
    """Each contract has one line; the exit code is 1 if one of them is wrong."""
    good, wrong = tmp_path / "t.odcs.yaml", tmp_path / "wrong.odcs.yaml"
    good.write_text(OLD)
    wrong.write_text(OLD.replace("logicalType: integer", "logicalType: whole", 1))

    result = run("lint", good, wrong)

    assert result.exit_code == 1
    assert f"{good}: good: t 1.0.0, 3 columns, 1 quality rules" in result.output
    assert "schema[0].properties[0].logicalType: is 'whole'" in result.output
    assert run("lint", good).exit_code == 0
