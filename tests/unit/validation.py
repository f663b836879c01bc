"""Helpers to validate bytes in tests."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from landfall.contract.folder import Contract, load_folder, parse
from landfall.validation import References, Report, Writer, validate
from landfall.validation.local_files import BytesSource

CONTRACTS = load_folder(Path(__file__).resolve().parents[2] / "marketplace" / "contracts")

SMALL_YAML = """
apiVersion: v3.2.0
kind: DataContract
id: small
version: 1.0.0
schema:
  - name: small
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - {name: name, logicalType: string, logicalTypeOptions: {maxLength: 3000000}}
      - {name: secret, logicalType: string, classification: personal, enum: [{value: s}]}
customProperties:
  - {property: maxRejectedRatio, value: RATIO}
EXTRA"""


def small(ratio: float = 1.0, extra: str = "") -> Contract:
    """Three columns: a key, a text, a secret that may only be `s`; any delimiter."""
    text = SMALL_YAML.replace("RATIO", str(ratio)).replace("EXTRA", extra)
    return parse(text, file="small.odcs.yaml")


@dataclass
class Findings:
    """Outputs in memory; None if never opened."""

    kept: dict[str, io.BytesIO] = field(default_factory=dict)

    @contextmanager
    def _open(self, name: str) -> Iterator[Writer]:
        """Keeps what is written, unless it is left by an exception."""
        assert name not in self.kept
        sink = io.BytesIO()
        yield sink
        self.kept[name] = sink

    def rejects(self) -> AbstractContextManager[Writer]:
        """The rejected records."""
        return self._open("rejects")

    def reasons(self) -> AbstractContextManager[Writer]:
        """Why."""
        return self._open("reasons")

    def accepted(self) -> AbstractContextManager[Writer]:
        """The rest, as typed Parquet."""
        return self._open("accepted")

    def rows(self) -> list[dict[str, Any]]:
        """The accepted records, without their places; none if they were not kept."""
        return (
            []
            if "accepted" not in self.kept
            else self.parquet().drop("_record", "_line").rows(named=True)
        )

    def parquet(self) -> pl.DataFrame:
        """The accepted records."""
        return pl.read_parquet(io.BytesIO(self.kept["accepted"].getvalue()))

    def __getitem__(self, name: str) -> bytes | None:
        return self.kept[name].getvalue() if name in self.kept else None


def run_validation(
    data: bytes,
    contract: Contract,
    *,
    name: str = "drop.csv",
    chunk: int = 1 << 20,
    references: References | None = None,
) -> tuple[Report, Findings]:
    """Validate `data` and keep what was written."""
    findings = Findings()
    report = validate(
        BytesSource(data, chunk), contract, name=name, outputs=findings, references=references
    )
    return report, findings


def faults(report: Report) -> dict[tuple[str, str | None], tuple[int, list[int]]]:
    """Rule and column to count and sample lines."""
    return {
        (check.rule, check.column): (check.failed, [sample.line for sample in check.samples])
        for check in report.checks
    }
