"""How the tests are spread over workers: what shares something expensive stays together."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_TOGETHER = ("e2e", "spark")
"""Rooms that share one cloud, or one Spark session, for all their tests; the longest go first."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each of `_TOGETHER` on one worker, and each other module, for its fixtures' sake."""
    for item in items:
        place = item.path.relative_to(_TESTS)
        room = place.parts[0]
        item.add_marker(pytest.mark.xdist_group(room if room in _TOGETHER else str(place)))
    order = {room: number for number, room in enumerate((*_TOGETHER, "docs", "devcloud"))}
    items.sort(key=lambda item: order.get(item.path.relative_to(_TESTS).parts[0], len(order)))
