"""`python -m devcloud.datafactory --root FOLDER`: serve the data factory of a local cloud.

DEVCLOUD_FACTORY_SPEED=10 makes the waits of activities and between their tries ten times shorter:
in Azure a try waits at least 30 s for the next.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pyarrow as pa

from devcloud import serving
from devcloud.clock import SystemClock
from devcloud.config import load
from devcloud.datafactory.app import SERVICE, create_app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local cloud")
    config = load(parser.parse_args().root)
    # Arrow's own pool keeps what copies have given back, and with several parts that adds up.
    pa.set_memory_pool(pa.system_memory_pool())
    speed = float(os.environ.get("DEVCLOUD_FACTORY_SPEED", "1"))
    serving.run(create_app(config, SystemClock(speed)), config, SERVICE)


if __name__ == "__main__":
    main()
