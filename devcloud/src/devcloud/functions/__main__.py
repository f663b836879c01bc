"""`python -m devcloud.functions --root FOLDER` serves the app that its configuration names.

With the environment variable DEVCLOUD_FUNCTIONS_HOST it relays to the host at that URL instead.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from devcloud.config import load
from devcloud.functions import logs
from devcloud.functions.app import create_app
from devcloud.functions.host import FolderInUseError, options_of
from devcloud.functions.hostjson import HostJsonError
from devcloud.functions.loader import AppLoadError
from devcloud.functions.relay import SETTING, create_relay
from devcloud.serving import run


def main() -> int:
    """Serve until told to stop; 1 if the app cannot be served."""
    parser = argparse.ArgumentParser(prog="devcloud.functions", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local cloud")
    root: Path = parser.parse_args().root.resolve()
    config = load(root)
    if other := os.environ.get(SETTING):
        run(create_relay(other), config, "functions")
        return 0
    os.chdir(config.app)
    try:
        logs.configure(options_of(config.app))
        app = create_app(config)
    except (AppLoadError, HostJsonError, FolderInUseError) as error:
        # our own exceptions say it all; the traceback that helps is that of the app
        logging.getLogger("devcloud").error("%s", error, exc_info=error.__cause__)  # noqa: TRY400
        return 1
    run(app, config, "functions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
