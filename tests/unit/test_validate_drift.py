"""Drift of columns: each kind by each policy, and what is stored of it."""

import io
from datetime import date

import polars as pl
import pytest

from landfall.contract.folder import Contract, parse
from tests.unit.validation import SMALL_YAML, faults, run_validation, small

CELLS = {"id": "1", "name": "a", "secret": "s", "extra": "x", "ID": "1", "Na-me": "a"}


def drift(kind: str, policy: str | None) -> Contract:
    """The small contract with one policy of drift; with None the default."""
    properties = f"  - {{property: drift, value: {{{kind}: {policy}}}}}\n" if policy else ""
    return small(extra=properties)


def csv(*names: str) -> bytes:
    """A file of one record."""
    return f"{','.join(names)}\n{','.join(CELLS[name] for name in names)}\n".encode()


@pytest.mark.parametrize(
    ("kind", "policy", "names", "verdict", "expected"),
    [
        ("extraColumns", None, ("id", "name", "secret", "extra"), "accepted", {}),
        ("extraColumns", "discard", ("id", "name", "secret", "extra"), "accepted", {}),
        (
            "extraColumns",
            "evolve",
            ("id", "name", "secret", "extra"),
            "accepted",
            {"loaded": ["extra"]},
        ),
        ("extraColumns", "freeze", ("id", "name", "secret", "extra"), "refused", {}),
        ("reorderedColumns", None, ("secret", "id", "name"), "accepted", {}),
        ("reorderedColumns", "evolve", ("secret", "id", "name"), "accepted", {}),
        ("reorderedColumns", "freeze", ("secret", "id", "name"), "refused", {}),
        ("missingColumns", None, ("id", "secret"), "accepted", {"missing": ["name"]}),
        ("missingColumns", "evolve", ("id", "secret"), "accepted", {"missing": ["name"]}),
        ("missingColumns", "freeze", ("id", "secret"), "refused", {}),
        ("missingColumns", "evolve", ("name", "secret"), "refused", {}),
        ("renamedColumns", None, ("ID", "name", "secret"), "refused", {}),
        ("renamedColumns", None, ("id", "Na-me", "secret"), "refused", {}),
        ("renamedColumns", "freeze", ("id", "Na-me", "secret"), "refused", {}),
        (
            "renamedColumns",
            "evolve",
            ("ID", "Na-me", "secret"),
            "accepted",
            {"renamed": {"id": "ID", "name": "Na-me"}},
        ),
        (
            "renamedColumns",
            "discard",
            ("id", "Na-me", "secret"),
            "accepted",
            {"missing": ["name"]},
        ),
        ("renamedColumns", "discard", ("ID", "name", "secret"), "refused", {}),
    ],
)
def test_policies_of_columns(
    kind: str, policy: str | None, names: tuple[str, ...], verdict: str, expected: dict[str, object]
) -> None:
    """By default order and extra columns are allowed, and optional columns may be missing."""
    report, findings = run_validation(csv(*names), drift(kind, policy))

    assert report.verdict == verdict
    assert (report.problem is None) == (verdict == "accepted")
    if verdict == "accepted":
        columns = report.columns
        loaded = list(columns.loaded)
        drifted = {"missing": list(columns.missing), "renamed": columns.renamed, "loaded": loaded}
        assert {name: value for name, value in drifted.items() if value} == expected
        written = findings.parquet().columns
        assert written == ["id", "name", "secret", *loaded, "_record", "_line"]


def test_cells_of_renamed_and_reordered_columns_stay_with_their_names() -> None:
    """A fault has the contract's name of the column."""
    contract = drift("renamedColumns", "evolve")

    report, findings = run_validation(b"SECRET,Name,Id\nhush,a,x\ns,b,2\n", contract)

    assert faults(report) == {("type", "id"): (1, [2]), ("enum", "secret"): (1, [2])}
    assert findings.rows() == [{"id": 2, "name": "b", "secret": "s"}]


def test_two_headers_for_one_column() -> None:
    """An ambiguous header is refused."""
    report, _ = run_validation(b"id,NAME,Name,secret\n1,a,b,s\n", drift("renamedColumns", "evolve"))

    assert report.problem is not None
    assert report.problem.reason == "column 'name' may be any of 'NAME', 'Name'"


@pytest.mark.parametrize("rows", [3, 40_000])
def test_a_missing_column_is_empty_in_every_record(rows: int) -> None:
    """Rules on it see a missing value, in small files and prefiltered ones; it is null."""
    quality = f"quality: [{{metric: nullValues, mustBe: {rows}}}, {{metric: invalidValues, "
    quality += "arguments: {validValues: [a]}, mustBe: 0}]"
    text = SMALL_YAML.replace("RATIO", "0").replace("EXTRA", "")
    text = text.replace("{maxLength: 3000000}}", f"{{maxLength: 3000000}}, {quality}}}")
    contract = parse(text, file="small.odcs.yaml")

    report, findings = run_validation(
        b"id,secret\n" + b"".join(b"%d,s\n" % at for at in range(rows)), contract
    )

    assert (report.verdict, report.rows) == ("accepted", rows)
    assert [(m.rule, m.value, m.kept) for m in report.measures] == [("nullValues", rows, True)]
    assert [profile.column for profile in report.profile] == ["id", "secret"]
    accepted = findings.parquet()
    assert accepted.columns == ["id", "name", "secret", "_record", "_line"]
    assert accepted["name"].null_count() == len(accepted) == rows


def parquet(**columns: object) -> bytes:
    """A Parquet file of these columns."""
    sink = io.BytesIO()
    pl.DataFrame(columns).write_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("policy", "verdict", "expected"),
    [
        ("freeze", "refused", {}),
        ("evolve", "accepted_with_rejects", {("type", "id"): (2, [2, 3])}),
        ("discard", "accepted_with_rejects", {("type", "id"): (4, [1, 2, 3, 4])}),
    ],
)
def test_a_file_of_other_types(
    policy: str, verdict: str, expected: dict[tuple[str, str], tuple[int, list[int]]]
) -> None:
    """`freeze` refuses the file, `evolve` reads values from text, `discard` rejects records."""
    data = parquet(id=["1", "x", "2.0", "4"], name=[1, 2, None, 3], secret=["s", "s", "s", "s"])
    if policy == "discard":
        data = parquet(id=["1", "x", "2.0", "4", None], name=["a"] * 5, secret=["s"] * 5)
        expected = expected | {("required", "id"): (1, [5])}

    report, findings = run_validation(data, drift("changedTypes", policy), name="a.parquet")

    assert report.verdict == verdict
    assert faults(report) == expected
    if policy == "evolve":
        assert [(row["id"], row["name"]) for row in findings.rows()] == [(1, "1"), (4, "3")]


@pytest.mark.parametrize(("policy", "rejected"), [("freeze", 3), ("evolve", 1)])
def test_json_of_other_types(policy: str, rejected: int) -> None:
    """Each JSON value has a type, so a wrong type is a fault of its record."""
    lines = b'{"id": "1", "name": 7, "secret": "s"}\n{"id": 2, "name": "a"}\n'
    lines += b'{"id": "1.0", "name": "a"}\n{"id": 4, "name": 5}\n'

    report, _ = run_validation(lines, drift("changedTypes", policy), name="a.jsonl")

    assert (report.rows, report.rejected) == (4, rejected)


@pytest.mark.parametrize("rows", [2, 20_000])
def test_extra_columns_are_loaded_as_text_and_fail_no_drop(rows: int) -> None:
    """But for a cell that is no text; names that a reader would confuse stay behind."""
    contract = drift("extraColumns", "evolve")
    lines = b"".join(b"%d,a,s,x%d,,y,z\n" % (at, at) for at in range(rows))
    data = b"id,name,secret,note,empty,ID,_record\n" + lines + b"%d,a,s,caf\xe9,,y,z\n" % rows

    report, findings = run_validation(data, contract)

    assert faults(report) == {("encoding", "note"): (1, [rows + 2])}
    assert report.columns.extra == ("note", "empty", "ID", "_record")
    assert report.columns.loaded == ("note", "empty")
    accepted = findings.parquet()
    assert accepted["note"].to_list() == [f"x{at}" for at in range(rows)]
    assert accepted["empty"].null_count() == len(accepted)
    assert accepted["_record"].to_list() == list(range(1, rows + 1))


def test_extra_columns_of_parquet_are_loaded_as_text() -> None:
    """Where text can say what they hold; a list stays behind."""
    day = date(2024, 3, 10)
    data = parquet(id=[1], name=["a"], secret=["s"], day=[day], price=[1.5], tags=[["x"]])

    report, findings = run_validation(data, drift("extraColumns", "evolve"), name="a.parquet")

    assert (report.verdict, report.columns.loaded) == ("accepted", ("day", "price"))
    (row,) = findings.rows()
    assert row == {"id": 1, "name": "a", "secret": "s", "day": "2024-03-10", "price": "1.5"}
