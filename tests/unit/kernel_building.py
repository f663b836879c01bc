"""Builds the kernel from its current sources beside the tests, with other options than a package.

The package's own library may be missing or outdated in a checkout, and has no sanitizers.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from landfall.validation.prefilter.kernel.sources import c_files, sources_hash

_FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden")


class NoCompiler(Exception):
    """There is no C compiler here."""


def build(path: Path, extra: Sequence[str] = ()) -> Path:
    """Build the library at `path` with `cc`, or what CC names.

    Raises:
        NoCompiler: there is none.
        subprocess.CalledProcessError: it cannot build the kernel.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if sys.platform == "win32" or shutil.which(compiler[0]) is None:
        raise NoCompiler(f"no C compiler {compiler[0]} on the PATH")
    files = [str(file) for file in c_files() if file.suffix == ".c"]
    built_from = f'-DBUILT_FROM="{sources_hash()}"'
    command = [*compiler, *_FLAGS, *extra, built_from, "-o", str(path), *files, "-lm"]
    subprocess.run(command, check=True)
    return path
