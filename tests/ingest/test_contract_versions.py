"""A run is copied and loaded by the contract that validated it, whatever is deployed meanwhile."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingest import paths
from ingest.http import api
from ingest.http.web import ApiRequest
from ingest.operations.operators import OperatorRequest
from ingest.runs.messages import Advance, LoadDataset
from landfall import protocol
from landfall.contract.folder import ContractError, load_folder
from landfall.protocol import State, is_run_id
from tests.ingest.conftest import Clock
from tests.ingest.instances import Instances, contract, stopped

DAY_FIRST = """
      - name: day
        logicalType: date
        logicalTypeOptions: {format: dd/MM/yyyy}
"""
MONTH_FIRST = DAY_FIRST.replace("dd/MM", "MM/dd")


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake with a dataset whose days are written day first."""
    many = Instances(tmp_path)
    many.deploy("things", "1.0.0", DAY_FIRST)
    return many


def current(many: Instances) -> dict[str, Any]:
    """The batch of the dataset as it stands."""
    found: dict[str, Any] = json.loads(many.lake.get(paths.current_batch("things"))[0])
    return found


def accepted_days(many: Instances, name: str) -> list[date]:
    """What the last attempt to copy a run was told to copy."""
    pipelines = many.factory.pipelines.values()
    *_, asked = (p.parameters for p in pipelines if p.parameters["runId"] == name)
    folder = f"{asked['acceptedContainer']}/{asked['acceptedFolder']}"
    return pl.read_parquet(io.BytesIO(many.lake.get(f"{folder}/data.parquet")[0]))["day"].to_list()


def test_the_copy_goes_by_the_contract_that_validated(many: Instances) -> None:
    """A new version is deployed while a run waits for its copy."""
    old = many.process()
    name = many.land("landing/things/x.csv", b"id,day\n1,03/04/2026\n")
    (message,) = old.on_landing("landing/things/x.csv")
    stopped(lambda: old.handle(message), "adf.start").kill()
    many.deploy("things", "2.0.0", MONTH_FIRST)
    new = many.process()
    many.clock.turn(minutes=3)
    new.handle(Advance(name))
    assert len(many.factory.pipelines) == 1
    assert accepted_days(many, name) == [date(2026, 4, 3)]
    verdict = many.run(name).verdict
    assert verdict is not None
    assert (verdict.contract, new.report(name)["contract_version"]) == ("1.0.0", "1.0.0")
    kept = many.lake.get(paths.contract_document("things", verdict.digest or ""))[0]
    assert kept.decode() == contract("things", "1.0.0", DAY_FIRST)


def test_the_load_goes_by_the_contract_that_validated(many: Instances) -> None:
    """Drops of two versions wait for a load: each version has a batch, with its own columns."""
    old = many.process()
    (first,) = many.copied_as(old, "x.csv", b"id,day\n1,03/04/2026\n")
    more = "\n      - {name: note, logicalType: string}\n"
    many.deploy("things", "2.0.0", DAY_FIRST + more)
    new = many.process()
    (second,) = many.copied_as(new, "y.csv", b"id,day,note\n2,03/04/2026,n\n")
    columns: dict[str, list[str]] = {}
    for _ in range(2):
        many.load(new)
        batch = current(many)
        names = [column["name"] for column in batch["table"]["columns"]]
        columns |= {drop["run_id"]: names for drop in batch["drops"]}
        many.jobs.end()
        many.load(new)
    assert columns == {first: ["id", "day"], second: ["id", "day", "note"]}
    assert many.state(first, second) == [State.SUCCEEDED] * 2


def test_a_batch_takes_nobody_who_was_validated_anew_meanwhile(many: Instances) -> None:
    """While a batch is formed a member is cancelled, replayed and validated by another contract."""
    old = many.process()
    (name,) = many.copied_as(old, "x.csv", b"id,day\n1,03/04/2026\n")
    # The first put writes the batch, the second marks its member.
    worker = stopped(lambda: old.handle(LoadDataset("things")), "lake.put", 2)
    many.deploy("things", "2.0.0", MONTH_FIRST)
    new = many.process()
    new.operators.cancel(name, OperatorRequest("wrong contract"))
    many.replay(new, name, "raw")
    many.run_on(new, [name], load=False)
    assert many.state(name) == [State.COPIED]
    worker.finish()
    many.settle(new)
    run = many.run(name)
    assert (run.state, many.own_load(run)) == (State.SUCCEEDED, True)
    assert run.verdict is not None
    assert run.load is not None
    job = many.jobs.job(run.load.job_run_id)
    assert job is not None
    assert job.contract == run.verdict.digest


def test_a_retry_under_another_contract_validates_again(many: Instances) -> None:
    """A failed run that is retried after its contract was corrected is validated by the new one."""
    old = many.process()
    (name,) = many.copied_as(old, "x.csv", b"id,day\n1,03/04/2026\n")
    many.jobs.poison = {name}
    many.settle(old)
    assert many.state(name) == [State.FAILED]
    many.jobs.poison = set()
    many.deploy("things", "2.0.0", MONTH_FIRST)
    new = many.process()
    new.operators.retry(name, OperatorRequest("mended"))
    assert many.state(name) == [State.CLAIMED]
    many.settle(new)
    run = many.run(name)
    assert run.state is State.SUCCEEDED
    assert run.verdict is not None
    assert run.verdict.contract == "2.0.0"
    assert accepted_days(many, name) == [date(2026, 3, 4)]


def test_a_retry_under_the_same_contract_goes_on_where_it_was(many: Instances) -> None:
    """Nothing has changed: the copy that stands is loaded again."""
    one = many.process()
    (name,) = many.copied_as(one, "x.csv", b"id,day\n1,03/04/2026\n")
    many.jobs.poison = {name}
    many.settle(one)
    many.jobs.poison = set()
    many.process().operators.retry(name, OperatorRequest("mended"))
    assert many.state(name) == [State.COPIED]


def test_runs_of_a_dataset_that_was_removed_wait(many: Instances) -> None:
    """In every state they wait and say for what; when the contract is back they go on."""
    one = many.process()
    (copied,) = many.copied_as(one, "x.csv", b"id,day\n1,03/04/2026\n")
    copying = many.land("landing/things/y.csv", b"id,day\n2,03/04/2026\n")
    for message in one.on_landing("landing/things/y.csv"):
        one.handle(message)
    new = many.land("landing/things/z.csv", b"id,day\n3,03/04/2026\n")
    one.on_landing("landing/things/z.csv")
    file = many.folder / "things.odcs.yaml"
    text = file.read_text()
    file.unlink()
    many.deploy("others")
    two = many.process()
    for _ in range(30):
        many.clock.turn(minutes=3)
        for message in two.reconcile():
            many.hand(two, message)
        many.pipe(two)
    assert not any(many.run(name).final for name in (copied, copying, new))
    for name in (copied, new):
        shown = api.get_run(two, ApiRequest(route={"run_id": name})).body
        assert "no" in shown["waits"]
        assert "things" in shown["waits"]
    assert two.handle(LoadDataset("things")) == []
    file.write_text(text)
    three = many.process()
    many.settle(three)
    assert many.state(copied, copying, new) == [State.SUCCEEDED] * 3


def test_a_folder_that_never_had_a_contract_is_quarantined(many: Instances) -> None:
    """Nobody waits for a dataset that there has never been."""
    one = many.process()
    name = many.land("landing/thinks/x.csv", b"id\n1\n")
    many.run_on(one, messages=one.on_landing("landing/thinks/x.csv"))
    assert many.state(name) == [State.QUARANTINED]
    assert "landing/things/ may be meant" in many.run(name).cause


# -- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Users", "us-ers", "us ers", "_resend", "x" * 64, "unassigned"])
def test_a_dataset_has_a_name_that_paths_may_have(tmp_path: Path, name: str) -> None:
    """A contract of another name is refused where contracts are read, with file and reason."""
    (tmp_path / f"{name}.odcs.yaml").write_text(contract(f'"{name}"'))
    with pytest.raises(ContractError) as refused:
        load_folder(tmp_path)
    assert refused.value.file == f"{name}.odcs.yaml"
    assert refused.value.path == "schema[0].name"
    assert repr(name) in refused.value.reason


def test_the_history_of_a_dataset_is_nobody_elses_table(tmp_path: Path) -> None:
    """`users` with history and `users_history` would be one table in silver."""
    history = "customProperties: [{property: history, value: scd2}]"
    (tmp_path / "users.odcs.yaml").write_text(contract("users", more=history))
    assert set(load_folder(tmp_path)) == {"users"}
    (tmp_path / "users_history.odcs.yaml").write_text(contract("users_history"))
    with pytest.raises(ContractError, match="silver/users_history"):
        load_folder(tmp_path)
    (tmp_path / "users.odcs.yaml").write_text(contract("users"))
    assert len(load_folder(tmp_path)) == 2


def test_ids_of_both_lengths_are_run_ids() -> None:
    """Runs of the release before keep their ids; those of this one have 64 bits of a hash."""
    version = ("things", "landing/things/x.csv", "0x1")
    made = protocol.run_id(Clock()(), *version)
    assert is_run_id(made)
    assert len(made.rpartition("-")[2]) == 16
    old = made[:-8]
    assert is_run_id(old)
    assert paths.archived_document(old).endswith(f"{old}.json")
    assert not is_run_id(made[:-3])
    assert protocol.resent_run(f"landing/things/_resend/{old}/x.csv") == old
