"""A lake in a folder, and the jobs run on it as Databricks would run them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from landfall.contract.folder import Contract, load_folder
from landfall.gold import GoldFolder, read_gold
from spark_jobs.gold import build as build_gold
from spark_jobs.silver import load as load_silver
from tests.unit.validation import run_validation

MARKETPLACE = Path(__file__).resolve().parents[2] / "marketplace"


def marketplace_gold() -> GoldFolder:
    """The marketplace's gold tables."""
    return read_gold(MARKETPLACE / "gold", load_folder(MARKETPLACE / "contracts"))


ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}

USER_TYPES = {
    "identifierHash": "integer",
    "type": "string",
    "country": "string",
    "language": "string",
    "socialNbFollowers": "integer",
    "socialNbFollows": "integer",
    "socialProductsLiked": "integer",
    "productsListed": "integer",
    "productsSold": "integer",
    "productsPassRate": "number",
    "productsWished": "integer",
    "productsBought": "integer",
    "gender": "string",
    "civilityGenderId": "integer",
    "civilityTitle": "string",
    "hasAnyApp": "boolean",
    "hasAndroidApp": "boolean",
    "hasIosApp": "boolean",
    "hasProfilePicture": "boolean",
    "daysSinceLastLogin": "integer",
    "seniority": "integer",
    "seniorityAsMonths": "number",
    "seniorityAsYears": "number",
    "countryCode": "string",
}


class SparkHarness:
    """Writes bronze and batch documents, runs the jobs, and reads Delta without Spark."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark = spark
        self.root = root
        self.define_gold(marketplace_gold())

    def define_gold(self, gold: GoldFolder) -> None:
        """Write down the gold tables that batches and jobs build from now on."""
        path = self.root / "manifest" / "definitions" / "gold.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gold.document())

    def bronze(
        self,
        dataset: str,
        run_id: str,
        types: Mapping[str, str],
        rows: Sequence[Mapping[str, Any]] | pa.Table,
        landed_at: str,
    ) -> dict[str, Any]:
        """Write a drop's folder; the drop as the batch document names it.

        Rows are written as validation writes them; a table as it is, as an earlier release may have
        copied it.
        """
        file = self.root / "bronze" / dataset / run_id / "data.parquet"
        file.parent.mkdir(parents=True)
        if isinstance(rows, pa.Table):
            table, written = rows, {}
            pq.write_table(table, file)
        else:
            places = {"_record": pa.int64(), "_line": pa.int64()}
            schema = pa.schema(
                [*((name, ARROW[kind]) for name, kind in types.items()), *places.items()]
            )
            placed = [{**row, "_record": at, "_line": at + 1} for at, row in enumerate(rows, 1)]
            table = pa.Table.from_pylist(placed, schema)
            pq.write_table(table, file)
            written = {"size": file.stat().st_size, "files": 1}
        return {
            **written,
            "run_id": run_id,
            "bronze": f"bronze/{dataset}/{run_id}",
            "rows": table.num_rows,
            "landed_at": landed_at,
            "source": f"landing/{dataset}/{run_id}.csv",
        }

    def validated(
        self, run_id: str, data: bytes, contract: Contract, landed_at: str
    ) -> dict[str, Any]:
        """Validate a file and write what is accepted to bronze; the drop as `bronze` gives it."""
        report, findings = run_validation(data, contract)
        assert report.parquet is not None, report.problem
        file = self.root / "bronze" / contract.dataset / run_id / "data.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(findings["accepted"] or b"")
        return {
            "run_id": run_id,
            "bronze": f"bronze/{contract.dataset}/{run_id}",
            "rows": report.accepted,
            "rejected": report.rejected,
            "size": report.parquet.size,
            "files": report.parquet.files,
            "landed_at": landed_at,
            "source": f"landing/{contract.dataset}/{run_id}.csv",
        }

    def batch(
        self,
        dataset: str,
        batch_id: str,
        columns: Sequence[Mapping[str, Any]],
        key: Sequence[str],
        drops: Sequence[Mapping[str, Any]],
        **table: Any,
    ) -> list[str]:
        """Write the batch document; the parameters of the job for it.

        `table` is what else the contract says of the table: `history`, `references`.
        """
        path = self.root / "manifest" / "batches" / dataset / "current.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "schema": 1,
            "batch_id": batch_id,
            "dataset": dataset,
            "attempt": 1,
            "created": "2026-11-22T13:02:00Z",
            "table": {"key": list(key), "columns": list(columns), **table},
            "drops": list(drops),
        }
        path.write_text(json.dumps(document, indent=1))
        return self.arguments(dataset, batch_id)

    def arguments(self, dataset: str, batch_id: str) -> list[str]:
        """What the job is started with."""
        return [
            "--lake", f"file://{self.root}/{{container}}",
            "--dataset", dataset,
            "--batch-id", batch_id,
            "--batch", f"manifest/batches/{dataset}/current.json",
        ]  # fmt: skip

    def load(self, arguments: list[str]) -> dict[str, Any]:
        """Run load_silver; what it left for the next task."""
        load_silver.main(arguments)
        dataset, batch_id = arguments[3], arguments[5]
        return self._document(f"manifest/results/{dataset}/{batch_id}.silver")

    def build(self, arguments: list[str]) -> dict[str, Any]:
        """Run build_gold; the result document, found as the service finds it."""
        build_gold.main(arguments)
        dataset, batch_id = arguments[3], arguments[5]
        return self._document(f"manifest/results/{dataset}/{batch_id}")

    def _document(self, folder: str) -> dict[str, Any]:
        (part,) = (self.root / folder).glob("part-*")
        found: dict[str, Any] = json.loads(part.read_text())
        return found

    def delta(self, path: str) -> DeltaTable:
        """A Delta table, opened by another reader than the one that wrote it."""
        return DeltaTable(str(self.root / path))

    def rows(self, path: str, *columns: str, by: str | None = None) -> list[dict[str, Any]]:
        """Rows of a Delta table, sorted by a column."""
        table = self.delta(path).to_pyarrow_table(columns=list(columns) or None)
        found: list[dict[str, Any]] = (table.sort_by(by) if by else table).to_pylist()
        return found


def columns_of(types: Mapping[str, str], required: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The batch document's columns."""
    return [
        {"name": name, "type": kind, "required": name in required} for name, kind in types.items()
    ]
