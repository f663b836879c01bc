"""`python -m tests.docs.line_ends FILE...`: each file ends with exactly one line end."""

from __future__ import annotations

import sys
from pathlib import Path


def wrong(paths: list[Path]) -> list[Path]:
    """The files that end otherwise; an empty file is right."""
    return [
        path
        for path in paths
        if (data := path.read_bytes()) and (not data.endswith(b"\n") or data.endswith(b"\n\n"))
    ]


if __name__ == "__main__":
    bad = wrong([Path(name) for name in sys.argv[1:]])
    for path in bad:
        sys.stderr.write(f"{path} does not end with exactly one line end\n")
    sys.exit(bool(bad))
