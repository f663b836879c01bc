"""A process killed, a reply lost: at every point, every time, the drop ends once.

The whole matrix is `make test-crash`; here is the column that shows most, and in `make test` a few
points of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.environment import FaultEnvironment, fault_environment
from tests.faults.matrix import (
    FAULTS,
    KILLED_AFTER,
    KILLED_BEFORE,
    Row,
    fill,
    listen,
    strike,
    wrong,
)
from tests.faults.scenarios import SCENARIOS, prepare

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("faults")]


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEnvironment]:
    """One cloud for the tests of this module, warm and with a content that was accepted."""
    with fault_environment(tmp_path_factory.mktemp("faults") / "cloud") as cloud:
        prepare(cloud)
        yield cloud


POINTS = {
    "RenamePath raw": KILLED_AFTER,
    "PutBlob manifest/batches": KILLED_AFTER,
    "RenamePath quarantine": KILLED_AFTER,
    "POST pipelines": KILLED_BEFORE,  # after it the fence is asked again in 30 s, no sooner
    "POST jobs/run-now": KILLED_AFTER,
}


def test_a_kill_at_a_few_points_loses_and_doubles_nothing(harmed: FaultEnvironment) -> None:
    """The claim, the batch, the refusal, both hand-overs: kill -9 there, and all ends well."""
    rows = listen(harmed, SCENARIOS[:2])
    few: list[Row] = []
    for begins, fault in POINTS.items():
        row = next(row for row in rows if row.boundary.name.startswith(begins))
        strike(harmed, row, fault, FAULTS[fault])
        few.append(row)
    assert wrong(few) == []


@pytest.mark.slow
def test_a_kill_at_every_point_loses_and_doubles_nothing(harmed: FaultEnvironment) -> None:
    """Whatever request the process dies after, in whatever journey: one end, one copy, one load."""
    rows = listen(harmed)
    assert len(rows) > 25
    fill(harmed, rows, KILLED_AFTER, FAULTS[KILLED_AFTER])
    assert wrong(rows) == []
