"""The result of a batch, as a job writes it: one JSON document, schema-versioned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1
UNBUILT = "unbuilt"
"""In the document, by lake path: why a gold table could not be built and stays as it was."""
ORIGINS = "origins"
"""In the document, by lake path: from which version of which silver each gold table was made."""


@dataclass(frozen=True)
class TableResult:
    """A Delta table after the batch.

    Attributes:
        rebuilt: whether the batch changed it; None where the question does not arise.
        parts: how many parts of it were made anew; None where it was the whole.
        origin: what it was made from; it stands apart from the rest of the table.
    """

    version: int
    rows: int
    rebuilt: bool | None = None
    parts: int | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Its form in the result document."""
        document: dict[str, Any] = {"version": self.version, "rows": self.rows}
        more = {"rebuilt": self.rebuilt, "parts": self.parts}
        return document | {name: value for name, value in more.items() if value is not None}


@dataclass(frozen=True)
class Result:
    """How a batch went.

    rows_in = inserted + updated + unchanged + duplicates.

    Attributes:
        inserted: keys that silver did not have.
        updated: keys whose values are others than before.
        unchanged: keys that silver had as they are, or newer.
        duplicates: rows that lost to a row of the same key in this batch.
        by_run: bronze rows of each drop.
        rejected: records of each drop that validation had split off before the copy.
        orphans: rows by reference that refer to a row that the other dataset's silver lacks.
        unenforced: why Delta does not enforce the contract's ranges and allowed values.
        tables: lake path of each table, and how it stands now.
    """

    batch_id: str
    dataset: str
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    by_run: Mapping[str, int]
    rejected: Mapping[str, int] = field(default_factory=dict)
    orphans: Mapping[str, int] = field(default_factory=dict)
    unenforced: str | None = None
    tables: Mapping[str, TableResult] = field(default_factory=dict)

    @property
    def rows_in(self) -> int:
        """Bronze rows of all drops."""
        return sum(self.by_run.values())

    def to_json(self) -> dict[str, Any]:
        """The result document."""
        optional_fields: dict[str, Any] = {"orphans": dict(self.orphans)} if self.orphans else {}
        if self.unenforced:
            optional_fields |= {"unenforced": self.unenforced}
        return {
            "schema": SCHEMA,
            "batch_id": self.batch_id,
            "dataset": self.dataset,
            "rows_in": self.rows_in,
            "inserted": self.inserted,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "duplicates": self.duplicates,
            "rejected": sum(self.rejected.values()),
            "by_run": {
                run_id: {"rows_in": rows, "rejected": self.rejected.get(run_id, 0)}
                for run_id, rows in self.by_run.items()
            },
            **optional_fields,
            "tables": {path: table.to_json() for path, table in self.tables.items()},
        }


def result_folder(dataset: str, batch_id: str) -> str:
    """Where the finished document is: one part file right in this folder."""
    return f"manifest/results/{dataset}/{batch_id}"


def silver_result_folder(dataset: str, batch_id: str) -> str:
    """Where load_silver leaves its half for build_gold.

    Beside the finished document and not below it, because that folder is overwritten whole.
    """
    return f"{result_folder(dataset, batch_id)}.silver"


def say(text: str | Mapping[str, Any]) -> None:
    """Put a line on the task's output, which the run's page shows."""
    line = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    print(line, flush=True)  # noqa: T201, a task speaks by its output
