"""`python -m devcloud.lake --root <data folder>`: serve the lake in the foreground."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from devcloud import serving
from devcloud.config import load
from devcloud.lake.app import create_app


def main() -> None:
    """Read the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="devcloud.lake", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local Azure")
    config = load(parser.parse_args().root)
    durable = os.environ.get(serving.FSYNC, "").lower() == "on"
    seconds = serving.deletion_seconds(os.environ)
    app = create_app(config, durable=durable, deletion_seconds=seconds)
    serving.run(app, config, "lake")


if __name__ == "__main__":
    main()
