from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from devcloud import pidfile

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing is left running."""
    yield tmp_path / "cloud"
    pidfile.stop(tmp_path / "cloud")


def _landfall(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if "LANDFALL" not in key}
    return subprocess.run(
        [sys.executable, "-c", "from landfall.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=root.parent,
        env=environ | {"PYTHONPATH": str(REPOSITORY), "LANDFALL_HOME": str(root)},
        timeout=180,
    )


def _processes(root: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"--root {root}" in command:
            found.append(command)
    return found


def test_a_cloud_in_the_background(root: Path) -> None:
    """`up --detach` returns with everything deployed, others find it, and `down` leaves nothing."""
    up = _landfall(root, "up", "--detach", "--json")
    assert up.returncode == 0, up.stderr
    addresses = json.loads(up.stdout)
    assert addresses == json.loads(_landfall(root, "env", "--json").stdout)
    assert len(_processes(root)) >= 5

    functions = addresses["functions"]
    datasets = httpx.get(
        f"{functions['url']}/datasets", headers={"x-functions-key": functions["key"]}
    )
    assert "users" in {each["dataset"] for each in datasets.json()["datasets"]}
    assert httpx.get(f"{functions['url']}/datasets").status_code == 401

    again = _landfall(root, "up", "--detach")
    assert again.returncode == 2
    assert "already running" in again.stderr

    factory, bundle = _landfall(root, "deploy", "adf"), _landfall(root, "deploy", "bundle")
    assert (factory.returncode, bundle.returncode) == (0, 0)
    assert bundle.stdout.startswith("0 changed, ")

    assert json.loads(_landfall(root, "runs", "--json").stdout) == {"runs": []}

    down = _landfall(root, "down", "--json")
    assert json.loads(down.stdout)["stopped"] is True
    assert _processes(root) == []

    silent = _landfall(root, "runs")
    assert silent.returncode == 2
    assert "no connection to the local cloud" in silent.stderr
