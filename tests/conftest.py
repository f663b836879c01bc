"""How the tests are spread over workers: what shares something expensive stays together."""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A machine that is busy with other work is slow, and no test is about how long an example takes.
settings.register_profile("landfall", deadline=None)
settings.load_profile("landfall")

_TOGETHER = ("e2e", "spark")
"""Rooms that share one cloud, or one Spark session, for all their tests; the longest go first."""


def _room(nodeid: str) -> str:
    first, second, *_ = nodeid.split("/")
    return first if first == "devcloud" else second


class ByPlace(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Keeps each of `_TOGETHER` on one worker, and each other module, for its fixtures' sake."""

    def _split_scope(self, nodeid: str) -> str:
        room = _room(nodeid)
        return room if room in _TOGETHER else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByPlace:
    """Spread by place, whatever `--dist` says."""
    return ByPlace(config, log)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name a test: workers must collect the same names, and gzip tells the time."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest rooms first, so that no worker is left alone with one of them at the end."""
    order = {room: number for number, room in enumerate((*_TOGETHER, "docs", "devcloud"))}
    items.sort(key=lambda item: order.get(_room(item.nodeid), len(order)))
