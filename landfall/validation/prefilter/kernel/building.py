"""Where the kernel's library stands, what it is built from, and how."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("kernel.h", "records.h", "known.h", "cells.c", "sets.c", "scan.c")
PATH = HERE / "_kernel.so"

_FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden")
_COMPILERS = ("cc", "gcc", "clang")


class NotBuilt(Exception):
    """The kernel cannot be built; says why, and what the compiler said."""


class NoCompiler(NotBuilt):
    """There is no compiler here that could build it."""


def sources_hash() -> str:
    """Of the sources as they stand here; empty if one is not here."""
    found = hashlib.sha256()
    try:
        for name in SOURCES:
            found.update((HERE / name).read_bytes())
    except OSError:
        return ""
    return found.hexdigest()


def build(path: Path = PATH, extra: Sequence[str] = ()) -> Path:
    """Build the library at `path` for this machine's kind of processor, on Linux or macOS.

    It is put in place whole: a process that has loaded an older one keeps that. The name ends in
    `.so` on macOS too, where `ctypes` does not mind.

    Raises:
        NotBuilt: see there; on Windows always, for the C files ask for POSIX.
    """
    compiler = _compiler()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        files = [str(HERE / name) for name in SOURCES if name.endswith(".c")]
        built_from = f'-DBUILT_FROM="{sources_hash()}"'
        command = [*compiler, *_FLAGS, *extra, built_from, "-o", str(made), *files, "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise NotBuilt(f"{shlex.join(compiler)} cannot build the kernel:\n{done.stderr}")
        made.replace(path)
    return path


def _compiler() -> list[str]:
    if sys.platform == "win32":
        raise NoCompiler("the kernel is not for Windows")
    said = os.environ.get("CC")
    if said:
        return shlex.split(said)
    for name in _COMPILERS:
        if found := shutil.which(name):
            return [found]
    raise NoCompiler(f"no C compiler is on the PATH ({', '.join(_COMPILERS)}); CC may name one")
