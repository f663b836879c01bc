"""`landfall contract push`: a contract in force without a deployment, by the real API."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from landfall.cli.main import landfall
from tests.ingest.instances import Instances, contract
from tests.ingest.served_api import served


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A project with the dataset `things`."""
    return Instances(tmp_path)


def run(environment: dict[str, str], *arguments: str, answer: str = "") -> Result:
    """Run a command."""
    return CliRunner().invoke(landfall, arguments, input=answer, env=environment)


def test_a_new_dataset_is_pushed_and_withdrawn(many: Instances, tmp_path: Path) -> None:
    """It is listed with where it comes from, and gone when it is taken back."""
    file = tmp_path / "more.odcs.yaml"
    file.write_text(contract("more"))
    service = many.process()
    with served(service) as environment:
        pushed = run(environment, "contract", "push", str(file))
        assert (pushed.exit_code, pushed.output) == (0, "more 1.0.0 is in force\n")
        assert "more" in run(environment, "datasets").output
        gone = run(environment, "contract", "withdraw", "more")
        assert gone.output == "withdrawn; more has no contract any more: its drops wait\n"
        again = run(environment, "contract", "withdraw", "more")
        assert (again.exit_code, "no contract was pushed" in again.output) == (2, True)


def test_a_breaking_change_asks(many: Instances, tmp_path: Path) -> None:
    """Without a yes nothing changes; an added column asks nothing."""
    file = tmp_path / "things.odcs.yaml"
    service = many.process()
    wider = contract("things", "1.1.0", "      - {name: note, logicalType: string}")
    with served(service) as environment:
        file.write_text(wider)
        assert run(environment, "contract", "push", str(file)).exit_code == 0
        file.write_text(contract("things", "2.0.0"))
        refused = run(environment, "contract", "push", str(file), answer="n\n")
        assert "BREAKS note: removed" in refused.output
        assert (refused.exit_code, service.contracts["things"].version) == (1, "1.1.0")
        assert run(environment, "contract", "push", str(file), answer="y\n").exit_code == 0
        file.write_text(contract("things", "3.0.0").replace("integer", "string"))
        assert run(environment, "contract", "push", "--yes", str(file)).exit_code == 0
    assert service.contracts["things"].version == "3.0.0"


def test_a_contract_that_would_hurt_is_refused_with_its_reason(
    many: Instances, tmp_path: Path
) -> None:
    """The service checks it beside the others."""
    file = tmp_path / "things_history.odcs.yaml"
    file.write_text(contract("things_history"))
    history = "customProperties: [{property: history, value: scd2}]"
    many.deploy("things", "2.0.0", history)
    with served(many.process()) as environment:
        refused = run(environment, "contract", "push", str(file))
    assert refused.exit_code == 2
    assert "silver/things_history" in refused.output
