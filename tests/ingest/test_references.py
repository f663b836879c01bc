"""Relationships against silver: a Delta table as other writers leave it, read from the lake."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest import paths
from ingest.runs.register import Register
from ingest.runs.run import LandedVersion, received
from ingest.stages.validate.delta import live_files
from ingest.stages.validate.references import CopiedDrops, LakeReferences
from landfall.contract.folder import parse
from landfall.protocol import State
from landfall.validation import Report, validate
from landfall.validation.local_files import BytesSource, FileOutputs
from tests.ingest.conftest import Clock, StorageAccount

ORDERS = """
apiVersion: v3.2.0
kind: DataContract
id: orders
version: 1.0.0
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - {name: buyer, logicalType: integer, relationships: [{to: TABLE.id}]}
customProperties: [{property: maxRejectedRatio, value: 1}]
"""


def silver(storage_account: StorageAccount, table: str) -> Path:
    """Where a silver table stands; the lake is a folder."""
    return storage_account.config.lake_folder / "silver" / table


def write(storage_account: StorageAccount, table: str, ids: Sequence[int]) -> deltalake.DeltaTable:
    """Add rows to a silver table, with columns that nobody asks for."""
    rows = pa.table({"name": [f"n{i}" for i in ids], "id": pa.array(ids, pa.int64())})
    place = silver(storage_account, table)
    place.parent.mkdir(exist_ok=True)
    deltalake.write_deltalake(place, rows, mode="append")
    return deltalake.DeltaTable(place)


def judge(storage_account: StorageAccount, table: str, buyers: Sequence[int]) -> Report:
    """Validate orders of these buyers against what the lake holds."""
    rows = "".join(f"{at},{buyer}\n" for at, buyer in enumerate(buyers))
    return validate(
        BytesSource(b"id,buyer\n" + rows.encode()),
        parse(ORDERS.replace("TABLE", table), file="orders.odcs.yaml"),
        name="orders.csv",
        outputs=FileOutputs(),
        references=LakeReferences(
            storage_account.lake, CopiedDrops(Register(storage_account.lake), Clock())
        ),
    )


def test_what_silver_has_may_be_referred_to(storage_account: StorageAccount) -> None:
    """Every version of the table counts, and nothing that is not in it."""
    write(storage_account, "some", [1, 2])
    write(storage_account, "some", [3])

    report = judge(storage_account, "some", [3, 4, 1, 5])

    assert (report.rows, report.rejected) == (4, 2)
    (check,) = report.checks
    assert (check.rule, check.column) == ("foreignKey", "buyer")
    assert [(sample.line, sample.value) for sample in check.samples] == [(3, "4"), (5, "5")]
    (link,) = report.relationships
    assert (link.to, link.checked, link.keys) == ("some.id", True, 3)


def test_a_dataset_that_is_not_there_is_told(storage_account: StorageAccount) -> None:
    """Nothing is rejected for it, and the report says that nothing was checked."""
    report = judge(storage_account, "nobody", [1])

    assert (report.verdict, report.rejected) == ("accepted", 0)
    (link,) = report.relationships
    assert not link.checked
    assert link.reason == "dataset nobody is not in the lake yet"


def test_checkpoints_merges_and_deletions(storage_account: StorageAccount) -> None:
    """A log that was tidied up gives the files that are live now, as delta-rs sees them."""
    for number in range(12):
        table = write(storage_account, "long", [number, number + 100])
    table.delete("id = 100")
    table.create_checkpoint()
    table.delete("id = 11")
    for commit in sorted((silver(storage_account, "long") / "_delta_log").glob("*.json"))[:13]:
        commit.unlink()

    found = live_files(storage_account.lake, "silver/long")

    expected = set(deltalake.DeltaTable(silver(storage_account, "long")).file_uris())
    assert found is not None
    assert {str(silver(storage_account, "long") / file.path) for file in found} == expected
    report = judge(storage_account, "long", [0, 100, 11, 111, 5])
    assert [sample.value for check in report.checks for sample in check.samples] == ["100", "11"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("gap", "commits are missing"),
        ("feature", "asks for rowTracking2"),
        ("columns", "no column 'id'"),
        ("footer", "no footer"),
    ],
)
def test_a_table_that_is_not_understood_is_told(
    storage_account: StorageAccount, damage: str, reason: str
) -> None:
    """It is named with what is wrong, and no record is rejected for it."""
    name = f"odd_{damage}"
    write(storage_account, name, [1])
    write(storage_account, name, [2])
    write(storage_account, name, [3])
    log = silver(storage_account, name) / "_delta_log"
    if damage == "gap":
        (log / f"{1:020}.json").unlink()
    elif damage == "feature":
        asked = '{"protocol":{"minReaderVersion":3,"readerFeatures":["rowTracking2"]}}\n'
        (log / f"{3:020}.json").write_text(asked)
    elif damage == "columns":
        deltalake.write_deltalake(
            silver(storage_account, name),
            pa.table({"x": [1]}),
            mode="overwrite",
            schema_mode="overwrite",
        )
    else:
        data = next(silver(storage_account, name).glob("*.parquet"))
        data.write_bytes(data.read_bytes()[:-4])

    report = judge(storage_account, name, [1, 9])

    (link,) = report.relationships
    assert not link.checked
    assert report.rejected == 0
    assert reason in (link.reason or "")


def test_what_is_copied_and_not_loaded_counts(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """Two datasets are often delivered together; a copy that is not done says nothing yet."""
    manifest = Register(storage_account.lake)
    for number, state in enumerate((State.COPIED, State.LOADING, State.COPYING)):
        run_id = f"20261122T13011{number}Z-fresh-1f3a9c2{number}"
        landed = LandedVersion(f"landing/fresh/{number}.csv", "e", 1, clock(), "event")
        run = replace(received(run_id, "fresh", landed, clock()), state=state)
        manifest.create(run)
        rows = io.BytesIO()
        pq.write_table(pa.table({"id": pa.array([number], pa.int64())}), rows)
        storage_account.lake.put(
            f"{paths.bronze_folder('fresh', run_id)}/data.parquet", rows.getvalue()
        )

    report = judge(storage_account, "fresh", [0, 1, 2])

    assert [sample.value for check in report.checks for sample in check.samples] == ["2"]
    assert report.relationships[0].keys == 2


def test_a_stranger_to_the_lake() -> None:
    """A contract that refers to others can be read where no lake is."""
    contract = parse(ORDERS.replace("TABLE", "users"), file="orders.odcs.yaml")

    report = validate(
        BytesSource(b"id,buyer\n1,1\n"), contract, name="orders.csv", outputs=FileOutputs()
    )

    assert not report.relationships[0].checked
