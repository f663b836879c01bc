"""Where the kernel's library and its C sources stand, and the hash of these.

The package is built with the library (see setup.py), which is told the hash. A checkout whose C
files have changed since has an outdated one, which is not used.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

HERE = Path(__file__).parent
PATH = HERE / "_kernel.abi3.so"
"""One library for all versions of Python: it uses nothing of theirs."""


def c_files() -> list[Path]:
    """Return the C files and headers; none in an installed package, which has the library alone."""
    return sorted([*HERE.glob("*.c"), *HERE.glob("*.h")])


def sources_hash() -> str:
    """Return the hash of the C files and headers; empty if there are none."""
    files = c_files()
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest() if files else ""
