"""Builds the compiled prefilter: `python -m landfall.validation.prefilter.kernel`.

Without a C compiler nothing is built; with `--if-possible` this is not an error.
"""

from __future__ import annotations

import argparse
import sys

from landfall.validation.prefilter.kernel.building import NotBuilt, build


def main() -> int:
    """Build the kernel; return 1 if it cannot be built."""
    parser = argparse.ArgumentParser(
        prog="python -m landfall.validation.prefilter.kernel", description=__doc__
    )
    parser.add_argument(
        "--if-possible", action="store_true", help="do not fail if it cannot be built"
    )
    arguments = parser.parse_args()
    try:
        path = build()
    except NotBuilt as error:
        print(f"the kernel is not built: {error}\nPolars prefilters instead", file=sys.stderr)  # noqa: T201
        return 0 if arguments.if_possible else 1
    print(f"built {path}")  # noqa: T201 - a command says what it did
    return 0


if __name__ == "__main__":
    sys.exit(main())
