"""A short soak: every event three times, faults and kills all the while, nothing lost or doubled.

The long one is `make test-soak`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.environment import fault_environment
from tests.faults.soak import SETTINGS, run


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_hundred_drops_under_faults_end_once(tmp_path: Path) -> None:
    """Each drop has one run in the state that it must have; each row is in silver once."""
    with fault_environment(tmp_path / "cloud", settings=SETTINGS) as harmed:
        outcome = run(harmed, 300)
    assert outcome.problems == []
