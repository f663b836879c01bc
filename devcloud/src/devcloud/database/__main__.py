"""`python -m devcloud.database --root FOLDER` runs the database of that local cloud."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from devcloud.config import load
from devcloud.database.server import DatabaseError, serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="devcloud.database")
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local cloud")
    try:
        sys.exit(serve(load(parser.parse_args().root)))
    except DatabaseError as error:
        sys.exit(str(error))
