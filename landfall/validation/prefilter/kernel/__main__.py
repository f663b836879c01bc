"""`python -m landfall.validation.prefilter.kernel`: build the compiled prefilter of delimited text.

Without a C compiler nothing is built, which is no error with `--if-possible`.
"""

import argparse
import sys

from landfall.validation.prefilter.kernel.building import NotBuilt, build


def main() -> int:
    """Build it; 1 if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m landfall.validation.prefilter.kernel", description=__doc__
    )
    parser.add_argument(
        "--if-possible", action="store_true", help="say why it cannot be built, and go on"
    )
    said = parser.parse_args()
    try:
        path = build()
    except NotBuilt as error:
        print(f"the kernel is not built: {error}\nPolars prefilters instead", file=sys.stderr)  # noqa: T201
        return 0 if said.if_possible else 1
    print(f"built {path}")  # noqa: T201 - a command says what it did
    return 0


if __name__ == "__main__":
    sys.exit(main())
