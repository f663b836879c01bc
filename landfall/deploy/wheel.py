"""Builds reproducible wheels: the same sources give the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
EPOCH = "315532800"  # 1980, the earliest time in a zip file
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "build", "dist", "*.egg-info")


class WheelError(Exception):
    """The wheel could not be built; the message has the end of the build output."""


def _packages_beside(source: Path) -> list[str]:
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    folders = project.get("tool", {}).get("setuptools", {}).get("package-dir", {}).values()
    beside = [folder.removeprefix("../") for folder in folders if folder.startswith("../")]
    if missing := [folder for folder in beside if not (source.parent / folder).is_dir()]:
        raise WheelError(f"{source} needs {missing[0]} beside it, which is not there.")
    return beside


def build_wheel(source: Path, target: Path) -> Path:
    """Build the wheel of a folder with a `pyproject.toml` for setuptools.

    It is built from a copy, so that the folder is not changed. Packages that `package-dir` of
    setuptools takes from beside the folder (`../name`) are copied too.

    Args:
        source: folder with the `pyproject.toml`.
        target: folder for the wheel; must exist.

    Raises:
        WheelError: it cannot be built.
    """
    if not (source / "pyproject.toml").is_file():
        raise WheelError(f"{source} has no pyproject.toml; a wheel needs one.")
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        copy = Path(name) / source.name
        shutil.copytree(source, copy, ignore=LEFT_OUT)
        for beside in _packages_beside(source):
            shutil.copytree(source.parent / beside, Path(name) / beside, ignore=LEFT_OUT)
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", BUILD, str(target.resolve())],
            cwd=copy,
            env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise WheelError(f"The wheel of {source} cannot be built:\n{done.stderr[-2000:]}")
    return target / done.stdout.splitlines()[-1]
