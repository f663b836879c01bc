"""States of a run and names in the lake, shared by the service and its clients.

A lake path is `container/key`, with `/` between the segments of the key and no leading slash.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from enum import StrEnum

LANDING = "landing"
RESEND = "_resend"
GOLD_DEFINITIONS = "manifest/definitions/gold.json"
"""The definitions of the gold tables that jobs build now."""

ANALYTICS_PAGE = "manifest/analytics/page.html"
"""The page of analytics: a file; where Spark wrote it to a lake that is no folder, the one part of
a folder of that name."""
UNASSIGNED = "unassigned"
"""The dataset of a drop outside every dataset's folder."""

RESERVED_DATASETS = frozenset({UNASSIGNED})
"""Names that mean something else where datasets stand; `_resend` is no name of a dataset anyway."""

RECORD, LINE = "_record", "_line"
"""Columns of bronze that say where a row stood in its drop: number from 1, and line."""

_DATASET = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")
_RUN_ID = re.compile(r"(\d{8})T\d{6}Z-([a-z0-9_]{1,63})-[0-9a-f]{8}(?:[0-9a-f]{8})?")
"""Ids of earlier releases end in 8 digits, those of this one in 16."""


class State(StrEnum):
    """State of a run."""

    RECEIVED = "received"  # registered; the file is still in landing
    CLAIMED = "claimed"  # the file was moved to raw
    VALIDATING = "validating"
    VALIDATED = "validated"
    COPYING = "copying"
    COPIED = "copied"  # in bronze, waiting for the next batch
    LOADING = "loading"
    SUCCEEDED = "succeeded"
    QUARANTINED = "quarantined"  # breaks its contract beyond tolerance
    DUPLICATE = "duplicate"  # the same content was already accepted for this dataset
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset(
    {State.SUCCEEDED, State.QUARANTINED, State.DUPLICATE, State.FAILED, State.CANCELLED}
)


def run_id(landed: datetime, dataset: str, path: str, etag: str) -> str:
    """Return the id of a landed version: the same version always has the same id.

    `landed` is the blob's Last-Modified; path and ETag together name the version. Of their hash 64
    bits are kept: among a million files of one dataset and second a collision has a chance of
    1 in 37 million, and the register would find it.
    """
    identity = hashlib.sha256(f"{path}\n{etag.strip(chr(34))}".encode()).hexdigest()[:16]
    return f"{id_prefix(landed)}-{dataset}-{identity}"


def id_prefix(landed: datetime) -> str:
    """How the ids of drops begin that landed at a time."""
    return f"{landed.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def day_and_dataset(run_id: str) -> tuple[str, str] | None:
    """Return the day (`YYYYMMDD`) and the dataset of a run id; None for another text."""
    match = _RUN_ID.fullmatch(run_id)
    return (match[1], match[2]) if match else None


def is_dataset(name: str) -> bool:
    """Whether a dataset may have a name: it is a folder in `landing` and part of run ids."""
    return _DATASET.fullmatch(name) is not None and name not in RESERVED_DATASETS


def dataset_of(landing_path: str) -> str:
    """Return the dataset whose folder a landed file is in, else `UNASSIGNED`."""
    segments = landing_path.split("/")
    if len(segments) > 2 and _DATASET.fullmatch(segments[1]):  # noqa: PLR2004 - landing/dataset/name
        return segments[1]
    return UNASSIGNED


def resent_run(landing_path: str) -> str | None:
    """Return the run whose corrected rejects a landed file has; None for an ordinary drop."""
    segments = landing_path.split("/")
    if len(segments) > 4 and segments[2] == RESEND and is_run_id(segments[3]):  # noqa: PLR2004
        return segments[3]
    return None


def name_of(landing_path: str) -> str:
    """Return the display name of a drop: its path below the dataset's folder."""
    segments = landing_path.split("/")
    if resent_run(landing_path):
        return segments[-1]
    return "/".join(segments[2:] if dataset_of(landing_path) != UNASSIGNED else segments[1:])
