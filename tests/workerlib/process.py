"""Run the worker library with an app in a process of its own, from a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
needs_worker = pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="Microsoft's worker library azure-functions-runtime needs Python 3.13 or later",
)


def drive(
    folder: Path, calls: Sequence[Mapping[str, Any]], settings: Mapping[str, str]
) -> dict[str, Any]:
    """What `tests.workerlib.drive` answers.

    Raises:
        AssertionError: the process failed; with what it said.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "tests.workerlib.drive"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **settings},
        input=json.dumps({"folder": str(folder), "calls": calls}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer
