"""What a task needs beside Python itself: wheels of the deployment, packages of this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from devcloud.databricks.errors import ApiError
from devcloud.databricks.workspace import Workspace


class LibraryError(Exception):
    """A library of a task cannot be had here; the message says which and why."""


def dependencies(task: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What a task depends on: wheel paths and requirements, from its environment and libraries.

    Raises:
        LibraryError: it asks for a kind of library that is not known here.
    """
    requirements: list[str] = []
    for environment in settings.get("environments") or []:
        if environment["environment_key"] == task.get("environment_key"):
            requirements += (environment.get("spec") or {}).get("dependencies") or []
    for library in task.get("libraries") or []:
        if set(library) == {"whl"}:
            requirements.append(library["whl"])
        elif set(library) == {"pypi"} and set(library["pypi"]) == {"package"}:
            requirements.append(library["pypi"]["package"])
        else:
            raise LibraryError(f"Library {library} is neither a wheel nor a plain PyPI package.")
    return requirements


def prepare(requirements: list[str], workspace: Workspace, folder: Path) -> list[Path]:
    """Make the dependencies importable.

    A wheel is unpacked once for each content; a requirement must be met by this Python.

    Args:
        requirements: what `dependencies` gives.
        workspace: holds the wheels.
        folder: holds the unpacked wheels, one folder for each content hash.

    Returns:
        Folders for the front of `sys.path`.

    Raises:
        LibraryError: a wheel is missing or broken, or a package is not installed here.
    """
    paths: list[Path] = []
    for each in requirements:
        if each.endswith(".whl"):
            paths.append(_unpack(each, workspace, folder))
            for needed in _needs(paths[-1]):
                _check_installed(needed)
        else:
            _check_installed(each)
    return paths


def _unpack(path: str, workspace: Workspace, folder: Path) -> Path:
    try:
        content = workspace.read(path)
    except ApiError as error:
        raise LibraryError(f"Wheel {path} cannot be read: {error.message}") from error
    target = folder / hashlib.sha256(content).hexdigest()[:16]
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder, prefix="unpack-"))
    try:
        with zipfile.ZipFile(workspace.local(path)) as wheel:
            wheel.extractall(staged)  # zipfile itself keeps members inside the folder
        os.replace(staged, target)  # noqa: PTH105 - a folder that appears whole
    except zipfile.BadZipFile as error:
        raise LibraryError(f"{path} is not a wheel: {error}") from error
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return target


def _needs(wheel: Path) -> list[str]:
    """What an unpacked wheel says that it depends on."""
    needed: list[str] = []
    for distribution in metadata.distributions(path=[str(wheel)]):
        needed += distribution.requires or []
    return needed


def _check_installed(text: str) -> None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise LibraryError(f"Dependency {text!r} is neither a .whl nor a requirement.") from error
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError as error:
        raise LibraryError(
            f"Dependency {text!r} is not installed where the local workspace runs, "
            "and it installs nothing by itself: add it with pip.",
        ) from error
    if not requirement.specifier.contains(version, prereleases=True):
        raise LibraryError(f"Dependency {text!r} is not met: {requirement.name} {version} is here.")
