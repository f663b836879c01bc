"""The wheel as an outsider builds and installs it, with a C compiler and without."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
KERNEL = "landfall/validation/prefilter/kernel/_kernel.abi3.so"
LEFT_OUT = shutil.ignore_patterns(
    ".*", "build", "dist", "*.egg-info", "*.so", "__pycache__", "tests", "devcloud", "docs"
)
ROWS = 3000
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: readings
version: 1.0.0
status: active
schema:
  - name: readings
    properties:
      - name: id
        logicalType: integer
        primaryKey: true
        required: true
      - name: value
        logicalType: number
"""


def installed(folder: Path, **environment: str) -> Path:
    """Build the wheel of this checkout, and install it alone, its requirements being here."""
    checkout = folder / "checkout"
    shutil.copytree(REPOSITORY, checkout, ignore=LEFT_OUT)
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment}
    site = folder / "site"
    built, site_packages = ["--wheel-dir", str(folder)], ["--target", str(site)]
    for arguments in (
        ["wheel", "--no-deps", "--no-build-isolation", *built, str(checkout)],
        ["install", "--no-deps", "--no-index", "-f", str(folder), *site_packages, "landfall"],
    ):
        command = [sys.executable, "-m", "pip", "-q", *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(checkout)
    return site


def landfall(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder that is no checkout, without the local Azure."""
    start = "import logging, sys; logging.basicConfig(level=logging.DEBUG)\n"
    start += "sys.modules['devcloud'] = None\n"
    start += "from landfall.cli.main import main; sys.argv[0] = 'landfall'; main()"
    return subprocess.run(
        [sys.executable, "-c", start, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def validated(site: Path, folder: Path) -> str:
    """Validate a file by the installed command; returns which prefilter did, from its log."""
    (folder / "readings.odcs.yaml").write_text(CONTRACT)
    rows = [f"{n},{n / 4}" for n in range(ROWS)] + ["x,1"]
    (folder / "readings.csv").write_text("\n".join(["id,value", *rows, ""]))
    done = landfall(
        site, folder, "validate", "readings.csv", "--contract", "readings.odcs.yaml", "--json"
    )
    report = json.loads(done.stdout)
    assert (report["rows"], report["rejected"]) == (ROWS + 1, 1), done.stderr
    (used,) = {name for name in ("the kernel", "Polars") if f"{name} prefilters" in done.stderr}
    return used


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_with_a_compiler_the_wheel_has_the_kernel(tmp_path: Path) -> None:
    """It is built, its name says for which versions of Python, and `landfall validate` uses it."""
    site = installed(tmp_path)
    assert (site / KERNEL).is_file()
    (wheel,) = tmp_path.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    assert validated(site, tmp_path) == "the kernel"


def test_without_a_compiler_the_wheel_does_without(tmp_path: Path) -> None:
    """The installation succeeds, and the same file has the same report."""
    site = installed(tmp_path, CC="no-such-compiler")
    assert not (site / KERNEL).exists()
    assert validated(site, tmp_path) == "Polars"


def test_the_wheel_holds_what_its_commands_read(tmp_path: Path) -> None:
    """The app with its contracts and SQL, the factory and the bundle; one top-level package."""
    site = installed(tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert {name.split("/")[0] for name in names} == {"landfall", f"landfall-{version}.dist-info"}
    for folder in ("ingest", "marketplace/contracts", "marketplace/gold", "adf", "spark_jobs"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in {".py", ".sql", ".yaml", ".json", ".j2", ".css", ".js"}:
                assert f"landfall/_app/{path.relative_to(REPOSITORY)}" in names
    assert "landfall/py.typed" in names
    for command, hint in (("up", "needs devcloud"), ("runs", "set LANDFALL_URL")):
        refused = landfall(site, tmp_path, command)
        assert refused.returncode, refused.stdout
        assert hint in refused.stderr
        assert "pip install 'landfall[cli,devcloud]'" in refused.stderr
