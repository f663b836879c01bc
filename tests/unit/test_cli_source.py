"""`landfall source` on files: check, compile, schema."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from landfall.cli import source
from landfall.cli.main import landfall
from tests.shop_source import WHOLE_ORDERS, shop

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = shop(WHOLE_ORDERS, schedule="schedule: {every: 1h}\n")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's folder with one source, and a factory's folder without triggers."""
    shutil.copytree(REPOSITORY / "marketplace" / "contracts", tmp_path / "team" / "contracts")
    (tmp_path / "team" / "sources").mkdir()
    (tmp_path / "team" / "sources" / "shop.yaml").write_text(FILE)
    monkeypatch.setenv("LANDFALL_PROJECT", str(tmp_path / "team"))
    monkeypatch.setattr(source, "app_folder", lambda: tmp_path)
    return tmp_path / "team"


def run(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(landfall, ["source", *arguments])


def test_check_tells_good_files_wrong_ones_and_stale_triggers(project: Path) -> None:
    """With file, line and reason, and what to do."""
    stale = run("check")
    assert stale.exit_code == 1
    assert "shop.yaml: good: postgresql, orders" in stale.output
    assert "extract_shop.json: is missing; run `landfall source compile`" in stale.output
    assert run("compile").exit_code == 0
    assert run("check").exit_code == 0
    assert run("compile").output == "nothing changed\n"
    wrong = FILE.replace("mode: full", "mode: sometimes")
    (project / "sources" / "shop.yaml").write_text(wrong)
    told = run("check")
    assert told.exit_code == 1
    assert "shop.yaml:15: objects[0].mode: is 'sometimes'; supported: full" in told.output
    assert run("compile").exit_code == 2


def test_the_schema_is_printed_for_editors() -> None:
    """As JSON Schema."""
    printed = run("schema")
    assert json.loads(printed.output)["oneOf"][0]["properties"]["connector"]["const"]


def test_a_wrong_contract_keeps_no_other_source_from_being_checked(project: Path) -> None:
    """It is named; sources of other datasets are checked as they are."""
    assert run("compile").exit_code == 0
    (project / "contracts" / "broken.odcs.yaml").write_text("schema: [")
    told = run("check")
    assert told.exit_code == 0, told.output
    assert "warning: contract left out: broken.odcs.yaml" in told.output
    assert "shop.yaml: good" in told.output


def test_lint_of_the_project_checks_sources(project: Path) -> None:
    """A wrong one is named with its line; one whose contract is wrong says so."""
    broken = project / "contracts" / "orders.odcs.yaml"
    assert CliRunner().invoke(landfall, ["lint", str(project)]).exit_code == 0
    (project / "sources" / "bad.yaml").write_text("connector: fax\n")
    told = CliRunner().invoke(landfall, ["lint", str(project)])
    assert told.exit_code == 1
    assert "wrong  sources/bad.yaml: line 1" in told.output
    broken.write_text("schema: [")
    told = CliRunner().invoke(landfall, ["lint", str(project)])
    assert "'orders', which has no contract" in told.output
    assert "its contract is wrong" in told.output
