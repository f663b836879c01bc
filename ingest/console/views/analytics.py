"""The page of segments, recommendations and forecasts, as the job landfall_analytics left it."""

from __future__ import annotations

from ingest.errors import NotFound
from ingest.ports import Lake
from landfall.protocol import ANALYTICS_PAGE


def exists(lake: Lake) -> bool:
    """Whether the job has made its page."""
    return _file(lake) is not None


def page(lake: Lake) -> bytes:
    """Return the page.

    Raises:
        NotFound: the job has not run yet.
    """
    path = _file(lake)
    if path is None:
        raise NotFound("there is no page of analytics yet: the job landfall_analytics makes it")
    return lake.get(path)[0]


def _file(lake: Lake) -> str | None:
    listed = [entry.version.path for entry in lake.list(f"{ANALYTICS_PAGE.rpartition('/')[0]}/")]
    parts = [path for path in listed if path.startswith(f"{ANALYTICS_PAGE}/part-")]
    return ANALYTICS_PAGE if ANALYTICS_PAGE in listed else next(iter(parts), None)
