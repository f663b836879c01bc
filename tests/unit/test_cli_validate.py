from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from landfall.cli.main import landfall

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: shoes
version: 1.2.0
status: active
schema:
  - name: shoes
    logicalType: object
    properties:
      - name: code
        logicalType: string
        primaryKey: true
        primaryKeyPosition: 1
        required: true
        unique: true
      - name: pairs
        logicalType: integer
        logicalTypeOptions: {minimum: 0}
        required: true
customProperties:
  - property: maxRejectedRatio
    value: 0.25
"""


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A folder with one small contract."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "shoes.odcs.yaml").write_text(CONTRACT)
    return folder


def _validate(contracts: Path, text: str, *more: str) -> Result:
    file = contracts.parent / "shoes.csv"
    file.write_text(text)
    arguments = ["validate", str(file), "-d", "shoes", "--contracts", str(contracts), *more]
    return CliRunner().invoke(landfall, arguments, env={"COLUMNS": "100"})


def test_a_good_file_is_accepted(contracts: Path) -> None:
    """Exit code 0, and the counts."""
    result = _validate(contracts, "code,pairs\na,1\nb,2\n")

    assert result.exit_code == 0
    assert "shoes.csv is accepted by contract shoes 1.2.0" in result.output
    assert "2 rows, 2 accepted, 0 rejected" in result.output


def test_a_file_within_tolerance_has_rejects(contracts: Path) -> None:
    """Within tolerance the exit code is 0, and the rejected rows are written to the given file."""
    rejects = contracts.parent / "out.csv"

    result = _validate(contracts, "code,pairs\na,1\nb,-2\nc,3\nd,4\n", "--rejects", str(rejects))

    assert result.exit_code == 0
    assert "accepted with rejects" in result.output
    assert "b,-2" in rejects.read_text()


def test_a_broken_file_is_refused(contracts: Path) -> None:
    """Beyond tolerance the exit code is 1; rule, column, line and value are named."""
    result = _validate(contracts, "code,pairs\na,1\nb,-2\nc,many\n", "--json")

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["verdict"] == "refused"
    assert {(check["column"], check["samples"][0]["line"]) for check in report["checks"]} == {
        ("pairs", 3),
        ("pairs", 4),
    }


def test_a_missing_column_says_what_to_do(contracts: Path) -> None:
    """A structural fault has a reason and an action, and the exit code is 1."""
    result = _validate(contracts, "code,pair\na,1\n")

    assert result.exit_code == 1
    assert "pairs" in result.output
    assert "what to do: " in result.output


def test_an_unknown_dataset_lists_the_known_ones(contracts: Path) -> None:
    """An unknown dataset is exit code 2, with the known names."""
    file = contracts / "shoes.odcs.yaml"

    result = CliRunner().invoke(
        landfall, ["validate", str(file), "-d", "hats", "--contracts", str(contracts)]
    )

    assert result.exit_code == 2
    assert "known: shoes" in result.output


def test_a_wrong_contract_is_not_a_refusal_of_the_data(contracts: Path) -> None:
    """A contract that cannot be read is exit code 2 and names the file."""
    (contracts / "shoes.odcs.yaml").write_text("kind: DataContract\n")

    result = _validate(contracts, "code,pairs\na,1\n")

    assert result.exit_code == 2
    assert "shoes.odcs.yaml" in result.output


def test_a_contract_may_be_any_file(contracts: Path) -> None:
    """A contract may be any file; exactly one of --contract and --dataset is needed."""
    file, own = contracts.parent / "any.csv", contracts / "shoes.odcs.yaml"
    file.write_text("code,pairs\na,1\n")
    run = CliRunner().invoke

    assert run(landfall, ["validate", str(file), "--contract", str(own)]).exit_code == 0
    assert run(landfall, ["validate", str(file)]).exit_code == 2
    assert run(landfall, ["validate", str(file), "-c", str(own), "-d", "shoes"]).exit_code == 2


def test_rejects_and_reasons(contracts: Path) -> None:
    """Rejects have the header, and their reasons are in the file beside them."""
    out = contracts.parent / "out.csv"

    _validate(contracts, "code,pairs\na,1\nb,-2\nc,3\nd,4\n", "--rejects", str(out))

    reasons = out.with_name("out.csv.reasons.jsonl").read_text().splitlines()
    assert out.read_text() == "code,pairs\nb,-2\n"
    assert [json.loads(line) for line in reasons] == [
        {"line": 3, "faults": [{"rule": "minimum", "column": "pairs", "value": "-2"}]}
    ]


def test_accepted_rows_are_written_typed(contracts: Path) -> None:
    """As the service loads them; a refused file leaves none, nor what an earlier one has left."""
    out = contracts.parent / "accepted.parquet"

    _validate(contracts, "code,pairs\na,1\nb,-2\nc,3\nd,4\n", "--accepted", str(out))

    rows = [("a", 1, 1, 2), ("c", 3, 3, 4), ("d", 4, 4, 5)]
    frame = pl.read_parquet(out)
    assert (frame.columns, frame.rows()) == (["code", "pairs", "_record", "_line"], rows)
    refused = _validate(contracts, "code,pairs\na,x\n", "--accepted", str(out))
    assert (refused.exit_code, out.exists()) == (1, False)
    drop = contracts.parent / "shoes.csv"
    mistaken = _validate(contracts, "code,pairs\na,1\n", "--accepted", str(drop))
    assert "would overwrite" in mistaken.output


def test_several_files_share_a_folder(contracts: Path) -> None:
    """Each has its page, and the answer in JSON is a list in their order."""
    names = ["good.csv", "bad.csv"]
    files = [contracts.parent / name for name in names]
    files[0].write_text("code,pairs\na,1\n")
    files[1].write_text("code,pairs\na,x\n")
    pages = contracts.parent / "pages"
    arguments = ["-c", str(contracts / "shoes.odcs.yaml"), "--html", str(pages), "--json"]

    result = CliRunner().invoke(landfall, ["validate", *map(str, files), *arguments])

    assert result.exit_code == 1
    assert [report["verdict"] for report in json.loads(result.stdout)] == ["accepted", "refused"]
    assert sorted(page.name for page in pages.iterdir()) == ["bad.csv.html", "good.csv.html"]
    assert "Refused" in (pages / "bad.csv.html").read_text()


def test_rejects_of_an_earlier_run_are_deleted(contracts: Path) -> None:
    """Rejects of an earlier run are deleted; the validated file is never overwritten."""
    out = contracts.parent / "out.csv"
    _validate(contracts, "code,pairs\na,1\nb,-2\nc,3\nd,4\n", "--rejects", str(out))
    assert out.exists()

    _validate(contracts, "code,pairs\na,1\n", "--rejects", str(out))
    assert not out.exists()
    assert not out.with_name("out.csv.reasons.jsonl").exists()

    file = contracts.parent / "own.csv"
    file.write_text("code,pairs\na,1\n")
    arguments = ["validate", str(file), "-c", str(contracts / "shoes.odcs.yaml")]
    result = CliRunner().invoke(landfall, [*arguments, "--rejects", str(file)])
    assert result.exit_code == 2
    assert file.read_text() == "code,pairs\na,1\n"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_may_be_given_for_another_dataset(contracts: Path, suffix: str) -> None:
    """Relationships are checked against a given file; without it the report says so."""
    own = contracts.parent / "sales.odcs.yaml"
    own.write_text("""
apiVersion: v3.2.0
kind: DataContract
id: sales
version: 1.0.0
schema:
  - name: sales
    properties:
      - {name: shoe, logicalType: string, relationships: [{to: shoes.code}]}
""")
    sales = contracts.parent / "sales.csv"
    sales.write_text("shoe\na\nz\n")
    shoes = contracts.parent / f"shoes.{suffix}"
    lines = {"csv": "code,pairs\na,1\nb,x\n", "jsonl": '{"code": "a", "pairs": 1}\n'}
    shoes.write_text(lines[suffix])
    arguments = ["validate", str(sales), "-c", str(own), "--contracts", str(contracts), "--json"]

    alone = json.loads(CliRunner().invoke(landfall, arguments).stdout)
    result = CliRunner().invoke(landfall, [*arguments, "--reference", f"shoes={shoes}"])
    beside = json.loads(result.stdout)

    assert alone["relationships"][0]["checked"] is False
    assert alone["verdict"] == "accepted"
    assert (beside["verdict"], beside["rejected"], result.exit_code) == ("refused", 1, 1)
    (check,) = beside["checks"]
    assert (check["rule"], check["column"]) == ("foreignKey", "shoe")
    assert check["samples"] == [{"line": 3, "value": "z"}]


def test_the_standard_input_is_a_file(contracts: Path) -> None:
    """`-` stands for it; it is read several times, so it is kept while it is validated."""
    arguments = ["validate", "-", "-d", "shoes", "--contracts", str(contracts)]
    result = CliRunner().invoke(landfall, arguments, input="code,pairs\na,1\nb,2\nb,3\n")
    assert result.exit_code == 1
    assert "stdin is refused" in result.output
    assert "line 4 (first on line 3): 'b'" in result.output
