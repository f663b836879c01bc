"""`landfall init` and `landfall lint`: a project of one's own, and all of it checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devcloud import config
from landfall.cli.cloud import _create, _project
from landfall.cli.errors import CliError
from landfall.cli.main import landfall
from landfall.cli.target import project_folder
from tests.ingest.instances import contract

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(landfall, arguments)


def test_init_makes_a_project_and_spares_what_is_there(tmp_path: Path) -> None:
    """Run again, or on a folder with files, it leaves them."""
    project = tmp_path / "shop"
    assert run("init", str(project)).exit_code == 0
    assert {p.name for p in project.iterdir()} >= {"contracts", "gold", "sources", "README.md"}
    (project / "README.md").write_text("mine")
    again = run("init", str(project), "--json")
    assert json.loads(again.output)["made"] == []
    assert (project / "README.md").read_text() == "mine"


def test_an_inferred_contract_goes_where_the_project_finds_it(tmp_path: Path) -> None:
    """Steps of the README of a project: a folder as --out, then lint."""
    run("init", str(tmp_path))
    sample = tmp_path / "311 Calls-2026.csv"
    sample.write_text("id,kind\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(50)))
    out = run("contract", "infer", str(sample), "-o", str(tmp_path / "contracts"))
    assert out.exit_code == 0, out.output
    assert (tmp_path / "contracts" / "311_calls_2026.odcs.yaml").is_file()
    good = run("lint", str(tmp_path))
    assert (good.exit_code, good.output.splitlines()[-1]) == (0, f"{tmp_path}: good")


def test_infer_takes_no_name_that_is_none(tmp_path: Path) -> None:
    """What landing would not take is refused before a contract is written."""
    sample = tmp_path / "x.csv"
    sample.write_text("id\n1\n")
    result = run("contract", "infer", str(sample), "-d", "311 calls")
    assert result.exit_code == 2
    assert "up to 63 of a-z, 0-9 and _" in result.output


def test_lint_names_every_file_that_is_wrong(tmp_path: Path) -> None:
    """Of four files three are wrong, each with its place and reason; the fourth is served."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "good.odcs.yaml").write_text(contract("good"))
    (folder / "copy.odcs.yaml").write_text(contract("good"))
    (folder / "broken.odcs.yaml").write_text("schema: [")
    (folder / "late.odcs.yml").write_text(contract("late"))
    result = run("lint", str(tmp_path), "--json")
    assert result.exit_code == 1
    wrong = {f["file"]: f for f in json.loads(result.output)["findings"] if f["wrong"]}
    assert set(wrong) == {
        f"contracts/{name}" for name in ("broken.odcs.yaml", "copy.odcs.yaml", "late.odcs.yml")
    }
    assert "makes it dataset 'copy'" in wrong["contracts/copy.odcs.yaml"]["text"]


def test_lint_tells_of_a_dataset_that_is_referred_to_and_not_there(tmp_path: Path) -> None:
    """It is a note: the other dataset may come later."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    more = "      - {name: user, logicalType: integer, relationships: [{to: users.id}]}"
    (folder / "facts.odcs.yaml").write_text(contract("facts", more=more))
    result = run("lint", str(tmp_path))
    assert result.exit_code == 0
    assert "refers to dataset users, which has no contract in force" in result.output


def test_the_project_that_comes_along_is_good() -> None:
    """Contracts and gold tables of the example."""
    result = run("lint", str(ROOT / "marketplace"))
    assert result.exit_code == 0, result.output


def test_contract_lint_takes_a_folder_and_checks_file_names(tmp_path: Path) -> None:
    """The copy of a contract under another name is wrong, as the service says too."""
    (tmp_path / "good.odcs.yaml").write_text(contract("good"))
    (tmp_path / "copy.odcs.yaml").write_text(contract("good"))
    result = run("contract", "lint", str(tmp_path))
    assert result.exit_code == 1
    assert "copy.odcs.yaml: schema[0].name: is 'good'" in result.output
    assert "good: good 1.0.0, 1 columns" in result.output


def test_a_local_cloud_remembers_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path starts where the command runs; later starts without one serve it again."""
    monkeypatch.delenv("LANDFALL_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    run("init", "shop")
    root = tmp_path / "cloud"
    served = _project(Path("shop"), root)
    assert served == tmp_path / "shop"
    _create(root, None, served)
    assert config.app_settings(config.load(root))["LANDFALL_PROJECT"] == str(served)
    monkeypatch.chdir("/")
    assert _project(None, root) == served
    monkeypatch.setenv("LANDFALL_PROJECT", str(tmp_path / "shop" / ".." / "other"))
    assert project_folder() == tmp_path / "other"
    with pytest.raises(CliError, match=r"has no folder contracts/"):
        _project(None, root)


def test_deploy_checks_the_project_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong file is named, and nothing is deployed; `--force` goes on to what is next."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "broken.odcs.yaml").write_text("schema: [")
    monkeypatch.setenv("LANDFALL_PROJECT", str(tmp_path))
    nowhere = ["--data", str(tmp_path / "nowhere")]
    stopped = run("deploy", "adf", *nowhere)
    assert stopped.exit_code == 2
    assert "contracts/broken.odcs.yaml" in stopped.output
    assert "1 files" in stopped.output
    assert "no local cloud" in run("deploy", "--force", "adf", *nowhere).output
