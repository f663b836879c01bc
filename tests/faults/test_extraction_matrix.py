"""The service killed at a few points of an extract; the whole matrix is `make test-crash`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.extraction import ExtractEnvironment, extracting, listen, wrong
from tests.faults.matrix import FAULTS, KILLED_AFTER

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("extraction"), pytest.mark.slow]

POINTS = ("PutBlob manifest/sources", "RenamePath landing")


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtractEnvironment]:
    """One cloud for the tests of this module, with a table that was extracted."""
    with extracting(tmp_path_factory.mktemp("extraction")) as made:
        yield made


def test_a_kill_loses_and_doubles_nothing(harmed: ExtractEnvironment) -> None:
    """After the fence has written, after the bytes are on their way, after the rename."""
    rows = listen(harmed)
    few = [row for row in rows if row.boundary.name.startswith(POINTS)]
    assert len(few) >= 3
    for row in few:
        rule = FAULTS[KILLED_AFTER] | row.boundary.rule()
        row.cells[KILLED_AFTER] = harmed.extract((row.boundary.service, rule))
    assert wrong(few) == []
