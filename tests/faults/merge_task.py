"""A load job without Spark: a real task of a real job run that merges a batch into silver.

It stands in for `spark_jobs` where thousands of loads are wanted in minutes, and keeps their
rules: another batch than the one it was started for ends it, the newest drop wins a key, the same
batch twice changes nothing, the result document comes last. What each task run did to silver is a
line of `silver/<dataset>/ledger.jsonl`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl

Json = dict[str, Any]


def load(lake: str, dataset: str, batch_id: str, batch_path: str) -> Json:
    """Merge a batch; returns the result document."""
    batch = json.loads(_local(lake, batch_path).read_text())
    if batch["batch_id"] != batch_id:
        raise RuntimeError(f"batch {batch_id} is no longer current: {batch['batch_id']} is")
    key = batch["table"]["key"]
    folder = _local(lake, f"silver/{dataset}")
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "rows.json"
    rows: dict[str, Json] = json.loads(table.read_text()) if table.exists() else {}
    counts = {"inserted": 0, "updated": 0, "unchanged": 0}
    by_run: dict[str, Json] = {}
    for drop in sorted(batch["drops"], key=lambda each: each["landed_at"]):
        bronze = pl.read_parquet(_local(lake, drop["bronze"]) / "*.parquet")
        if drop["rows"] is not None and bronze.height != drop["rows"]:
            raise RuntimeError(f"{drop['run_id']}: {bronze.height} rows, not {drop['rows']}")
        by_run[drop["run_id"]] = {"rows_in": bronze.height}
        for row in bronze.iter_rows(named=True):
            name = json.dumps([row[column] for column in key], default=str)
            # What a row states; by which run it came, and when, is no change of it.
            stated = {column: cell for column, cell in row.items() if column[0] != "_"}
            text = json.dumps(stated, default=str, sort_keys=True)
            content = hashlib.sha256(text.encode()).hexdigest()
            known = rows.get(name)
            if known and (known["row"] == content or known["landed_at"] > drop["landed_at"]):
                counts["unchanged"] += 1
                continue
            counts["updated" if known else "inserted"] += 1
            rows[name] = {"row": content, "landed_at": drop["landed_at"], "run_id": drop["run_id"]}
    _replace(table, json.dumps(rows))
    with (folder / "ledger.jsonl").open("a") as ledger:
        line = {"batch_id": batch_id, "runs": sorted(by_run), **counts}
        ledger.write(json.dumps(line) + "\n")
    return {
        "schema": 1,
        "batch_id": batch_id,
        "dataset": dataset,
        "rows_in": sum(counts.values()),
        **counts,
        "duplicates": 0,
        "by_run": by_run,
        "tables": {f"silver/{dataset}": {"version": 0, "rows": len(rows)}},
    }


def main() -> None:
    """The task: four parameters, as the real job has them."""
    parser = argparse.ArgumentParser()
    for name in ("lake", "dataset", "batch-id", "batch"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    result = load(given.lake, given.dataset, given.batch_id, given.batch)
    target = _local(given.lake, f"manifest/results/{given.dataset}/{given.batch_id}")
    target.mkdir(parents=True, exist_ok=True)
    _replace(target / "part-00000.txt", json.dumps(result))
    sys.stdout.write(json.dumps(result) + "\n")


def _local(lake: str, path: str) -> Path:
    """A lake path in the folder that the lake is kept in."""
    container, _, key = path.partition("/")
    return Path(unquote(urlsplit(lake.replace("{container}", container)).path)) / key


def _replace(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.tmp")
    staged.write_text(text)
    staged.replace(path)


if __name__ == "__main__":
    main()
