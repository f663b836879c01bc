"""Builds the kernel's shared library from its C sources."""

from __future__ import annotations

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
SOURCES = (
    *("kernel.h", "records.h", "known.h", "values.h"),
    *("cells.c", "cleaning.c", "values.c", "sets.c", "scan.c"),
)
PATH = HERE / "_kernel.so"

_FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden")
_COMPILERS = ("cc", "gcc", "clang")


class NotBuilt(Exception):
    """The kernel cannot be built; the message has the output of the compiler."""


class NoCompiler(NotBuilt):
    """No C compiler was found."""


def sources_hash() -> str:
    """Return the hash of the C sources; empty if one of them is missing."""
    digest = hashlib.sha256()
    try:
        for name in SOURCES:
            digest.update((HERE / name).read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def build(path: Path = PATH, extra: Sequence[str] = ()) -> Path:
    """Build the library at `path` for this machine's kind of processor, on Linux or macOS.

    The file is replaced atomically: a process that has loaded an older one keeps it. The name ends
    in `.so` also on macOS, where `ctypes` accepts it.

    Raises:
        NotBuilt: it cannot be built; always on Windows, because the C files need POSIX.
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
    command = os.environ.get("CC")
    if command:
        return shlex.split(command)
    for name in _COMPILERS:
        if path := shutil.which(name):
            return [path]
    raise NoCompiler(f"no C compiler is on the PATH ({', '.join(_COMPILERS)}); CC may name one")
