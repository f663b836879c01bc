"""A drop validated by the Spark job as the service does it: its plan, answer and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyspark.sql import SparkSession

from landfall.contract.folder import Contract
from landfall.validation import Report
from landfall.validation.local_files import BytesSource
from landfall.validation.remote import prepare
from spark_jobs import validate
from spark_jobs.validation import outcome, scan
from tests.unit.validation import Findings

BLOCKS = "spark.sql.files.maxPartitionBytes"
"""Spark's setting of how large the blocks are in which it reads a file."""


@dataclass
class Remote:
    """What the job made of a drop."""

    report: Report
    answer: dict[str, Any]
    files: dict[str, bytes]
    accepted: pl.DataFrame | None


def validate_remotely(
    spark: SparkSession,
    root: Path,
    data: bytes,
    contract: Contract,
    *,
    name: str = "drop.csv",
    block: int | None = None,
) -> Remote:
    """Validate `data` by the job, read in blocks of so many bytes."""
    folder = root / "raw" / contract.dataset / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    handed = prepare(BytesSource(data), contract, name)
    assert handed is not None, "the other engine is not given this file"
    plan = f"raw/{contract.dataset}/run/judging/1/plan.json"
    place = root / plan
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(handed.plan(f"raw/{contract.dataset}/run/{name}")))
    with small_blocks(spark, block) if block is not None else nullcontext():
        validate.main(["--lake", f"file://{root}/{{container}}", "--plan", plan])
    answer = json.loads(_part(place.parent / "result") or b"")
    files = {
        kind: part
        for kind in ("rejects", "reasons")
        if (part := _part(place.parent / kind)) is not None
    }
    written = sorted((place.parent / "accepted").glob("*.parquet"))
    sizes = (len(written), sum(path.stat().st_size for path in written))
    report = handed.report(answer, name=name, size=len(data), sha256="", parquet=sizes)
    accepted = pl.read_parquet(written).sort("_record") if written else None
    return Remote(report, answer, files, accepted)


@contextmanager
def small_blocks(spark: SparkSession, size: int) -> Iterator[None]:
    """Have the file itself, and nothing else, read in blocks of so many bytes."""

    def small(action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            before = spark.conf.get(BLOCKS) or ""
            spark.conf.set(BLOCKS, str(size) if "rejected" not in arguments else before)
            try:
                return action(*arguments)
            finally:
                spark.conf.set(BLOCKS, before)

        return act

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome, "surveyed", small(scan.surveyed))
        patch.setattr(outcome.Validation, "_write", small(outcome.Validation._write))
        yield


def records(findings: Findings, remote: Remote) -> dict[str, tuple[list[str], list[str]]]:
    """What both engines wrote, line by line."""
    return {
        kind: (_lines(findings[kind]), _lines(remote.files.get(kind)))
        for kind in ("rejects", "reasons")
    }


def _lines(content: bytes | None) -> list[str]:
    return [] if content is None else content.decode("utf-8", "surrogateescape").splitlines()


def _part(folder: Path) -> bytes | None:
    parts = sorted(folder.glob("part-*"))
    assert len(parts) <= 1
    return parts[0].read_bytes() if parts else None
