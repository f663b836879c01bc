"""`python -m devcloud.databricks --root FOLDER` serves the workspace of that local cloud."""

from __future__ import annotations

import argparse
from pathlib import Path

from devcloud.config import load
from devcloud.databricks.app import create_app
from devcloud.serving import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="devcloud.databricks")
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local cloud")
    parser.add_argument("--cold", action="store_true", help="start Spark when it is first needed")
    options = parser.parse_args()
    settings = load(options.root)
    warm = settings.warm and not options.cold
    run(create_app(settings, warm=warm), settings, "databricks")
