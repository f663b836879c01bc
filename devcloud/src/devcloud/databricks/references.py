"""Dynamic value references: `{{job.parameters.lake}}` and the like, in the settings of a task.

Source: "Dynamic value references" of the Databricks Jobs documentation. A reference that is not
known is refused when the job is stored, not passed on as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from devcloud.databricks.errors import invalid

REFERENCE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
KNOWN = frozenset(
    {
        "job.id",
        "job.name",
        "job.run_id",
        "job.repair_count",
        "job.start_time.iso_date",
        "job.start_time.iso_datetime",
        "job.start_time.timestamp_ms",
        "job.start_time.year",
        "job.start_time.month",
        "job.start_time.day",
        "job.trigger.type",
        "task.name",
        "task.run_id",
        "task.execution_count",
        "workspace.id",
        "workspace.url",
        "job_id",
        "run_id",
        "parent_run_id",
        "task_key",
        "start_date",
        "start_time",
    }
)
TASK_FIELDS = ("run_id", "result_state", "execution_count")


def references(value: Any) -> set[str]:
    """Every reference in a document, without its braces."""
    if isinstance(value, str):
        return set(REFERENCE.findall(value))
    if isinstance(value, Mapping):
        return set().union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


def resolve(value: Any, lookup: Callable[[str], str]) -> Any:
    """A copy of a document with each reference replaced by what `lookup` says."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: lookup(match[1]), value)
    if isinstance(value, Mapping):
        return {key: resolve(item, lookup) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, lookup) for item in value]
    return value


def check_references(
    document: Mapping[str, Any], parameters: Collection[str], tasks: Collection[str]
) -> None:
    """Refuse a reference that could never be resolved.

    Args:
        document: one task of a job.
        parameters: names of the job's parameters.
        tasks: task keys of the job.

    Raises:
        ApiError: 400, naming the reference.
    """
    for name in sorted(references(document)):
        if name.startswith("job.parameters."):
            if name.removeprefix("job.parameters.") not in parameters:
                raise invalid(f"{{{{{name}}}}} names a parameter that the job does not define.")
        elif name.startswith("tasks."):
            _, task, field = (*name.split(".", 2), "", "")[:3]
            if task not in tasks or field not in TASK_FIELDS:
                raise invalid(f"{{{{{name}}}}} is not a field of a task of this job.")
        elif name not in KNOWN:
            raise invalid(f"{{{{{name}}}}} is not a reference that the local workspace knows.")


def start_values(milliseconds: int) -> dict[str, str]:
    """The references that tell when a run started; UTC.

    Args:
        milliseconds: since the epoch.
    """
    start = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return {
        "job.start_time.iso_date": start.date().isoformat(),
        "job.start_time.iso_datetime": start.isoformat(timespec="milliseconds"),
        "job.start_time.timestamp_ms": str(milliseconds),
        "job.start_time.year": str(start.year),
        "job.start_time.month": str(start.month),
        "job.start_time.day": str(start.day),
        "start_date": start.date().isoformat(),
        "start_time": str(milliseconds),
    }
