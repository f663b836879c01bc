"""Where the file of a claimed run stands: what its document says is made true.

A file moves to quarantine when it is refused, and back when its run is taken up again. Each move is
written into the run's document before it is made, as `raw` and the relocate it `came_from`; whoever
goes on with the run makes it, if it has not been made. Every place is used once, so that a worker
that stood still for long finds nothing left to move.
"""

from __future__ import annotations

from typing import Any

from ingest import paths
from ingest.errors import NotFound
from ingest.log import log
from ingest.ports import Lake
from ingest.runs.run import Run


def to_quarantine(run: Run) -> dict[str, Any]:
    """The changes of a run whose file goes to quarantine."""
    target = paths.quarantined_file(run.dataset, run.run_id, run.source.path, run.reopened)
    return {"raw": target, "came_from": run.raw}


def to_raw(run: Run) -> dict[str, Any]:
    """The changes of a run that is taken up again, whose file is validated in `raw`."""
    if run.raw is None or not run.raw.startswith(f"{paths.QUARANTINE}/"):
        return {}
    target = paths.raw_file(run.dataset, run.run_id, run.source.path, run.reopened + 1)
    return {"raw": target, "came_from": run.raw}


def relocate(run: Run, lake: Lake) -> None:
    """Make the last move of the run's file, unless it has been made.

    Raises:
        Retryable: the lake did not answer; the same call again goes on.
    """
    if run.came_from is None or run.raw is None:
        return
    try:
        lake.rename(run.came_from, run.raw)
    except NotFound:
        log.debug("run %s: its file has left %s before", run.run_id, run.came_from)


def exists(run: Run, lake: Lake) -> bool:
    """Whether the file of a run, placed before, is there; of a folder its marker."""
    return run.raw is not None and lake.head(run.source.etag_path_at(run.raw)) is not None
