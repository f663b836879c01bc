"""What is deployed to the Function App: the product, all of it, and nothing else."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from benchmarks.package import pack, packed_files, starts
from tests.infra.bicep import ROOT
from tests.unit.test_function_names import EXPECTED

TOP = {"function_app.py", "host.json", "requirements.txt", "ingest", "landfall", "marketplace"}
BEHIND = {"landfall/authoring", "landfall/cli", "landfall/deploy", "marketplace/generator"}


def test_the_package_holds_the_intended_files_only() -> None:
    """Every tracked file of the app, and no file that is not tracked."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    intended = {
        Path(name)
        for name in tracked
        if name.split("/")[0] in TOP
        and not any(name.startswith(f"{folder}/") for folder in BEHIND)
        and not name.endswith((".md", ".c", ".h"))
        and (ROOT / name).exists()
    }
    new = {  # not committed yet
        path
        for path in packed_files()
        if path not in intended and str(path) not in tracked and path.suffix in {".py", ".sql"}
    }
    assert set(packed_files()) - new == intended


def test_the_app_runs_from_the_package(tmp_path: Path) -> None:
    """Nothing that it imports or reads at its start stays behind."""
    pack(tmp_path / "package.zip")
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        archive.extractall(tmp_path / "app")

    ((_, _, functions),) = starts(tmp_path / "app", rounds=1)

    assert functions == len(EXPECTED.split("\n")) - 2
