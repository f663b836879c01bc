"""A file without a column: refused where silver has values in it, unless the contract has said."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from ingest.stages.validate.delta import DataFile, live_files
from landfall.protocol import State
from tests.ingest.conftest import StorageAccount
from tests.ingest.instances import Instances, contract

NOTE = "      - {name: note, logicalType: string}"
FREE = "customProperties: [{property: drift, value: {missingColumns: evolve}}]"


def silver(many: Instances, *files: dict[str, int]) -> None:
    """Silver of `things` with files of 10 rows and their counts of nulls."""
    commit: list[dict[str, object]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {"id": "1", "configuration": {}}},
    ]
    for number, nulls in enumerate(files):
        stats = json.dumps({"numRecords": 10, "nullCount": nulls})
        commit.append({"add": {"path": f"{number}.parquet", "size": 1, "stats": stats}})
    log = "\n".join(map(json.dumps, commit))
    many.lake.put(f"silver/things/_delta_log/{0:020}.json", log.encode())


def outcome(many: Instances, content: bytes) -> tuple[State, str]:
    """What becomes of a drop, and why."""
    one = many.process()
    run_id = many.land("landing/things/x.csv", content)
    many.run_on(one, messages=one.on_landing("landing/things/x.csv"))
    run = many.run(run_id)
    return run.state, run.history[-1].cause


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake whose dataset `things` has an optional column."""
    instances = Instances(tmp_path)
    (instances.folder / "things.odcs.yaml").write_text(contract("things", more=NOTE))
    instances.clock.turn(seconds=2)
    return instances


@pytest.mark.parametrize("nulls", [{"id": 0, "note": 10}, {"id": 0}])
def test_a_column_without_values_may_be_missing(many: Instances, nulls: dict[str, int]) -> None:
    """Nothing is lost: the column is empty, or not yet in silver at all."""
    silver(many, nulls)
    state, _ = outcome(many, b"id\n1\n")
    assert state is not State.QUARANTINED


def test_a_column_may_be_missing_before_there_is_silver(many: Instances) -> None:
    """The first drop."""
    state, _ = outcome(many, b"id\n1\n")
    assert state is not State.QUARANTINED


def test_a_column_with_values_must_not_be_missing(many: Instances) -> None:
    """The refusal names the column and the policy; nothing of the attempt is left to be loaded."""
    silver(many, {"id": 0, "note": 10}, {"id": 0, "note": 9})
    state, cause = outcome(many, b"id\n1\n")
    assert state is State.QUARANTINED
    assert "'note' is missing, and silver has values in it" in cause
    assert not [path for path in many.lake.files if path.endswith(".parquet") and "raw/" in path]


def test_a_contract_may_say_that_columns_may_be_missing(many: Instances) -> None:
    """Then what is missing is taken as empty, as the contract has it."""
    (many.folder / "things.odcs.yaml").write_text(contract("things", more=f"{NOTE}\n{FREE}"))
    many.clock.turn(seconds=2)
    silver(many, {"id": 0, "note": 0})
    state, _ = outcome(many, b"id\n1\n")
    assert state is not State.QUARANTINED


def test_statistics_say_what_they_say() -> None:
    """Without them, or beyond the columns that are measured, it is not known."""
    assert DataFile("a", 1).has_values("x") is None
    assert DataFile("a", 1, "broken").has_values("x") is None
    many_columns = {f"c{n}": 1 for n in range(32)}
    wide = DataFile("a", 1, json.dumps({"numRecords": 1, "nullCount": many_columns}))
    assert wide.has_values("c1") is False
    assert wide.has_values("x") is None


def test_tables_of_other_writers_have_the_statistics(storage_account: StorageAccount) -> None:
    """delta-rs writes them as Spark does."""
    place = storage_account.config.lake_folder / "silver" / "things"
    place.parent.mkdir(exist_ok=True)
    rows = pa.table(
        {"id": [1, 2], "note": pa.array([None, "x"]), "none": pa.array([None, None], pa.string())}
    )
    deltalake.write_deltalake(place, rows)
    (file,) = live_files(storage_account.lake, "silver/things") or []
    assert [file.has_values(name) for name in ("id", "note", "none", "other")] == [
        True,
        True,
        False,
        False,
    ]
