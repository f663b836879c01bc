"""`python -m devcloud.functions --root FOLDER` serves the app that its configuration names.

With the environment variable DEVCLOUD_FUNCTIONS_HOST it relays to the host at that URL instead.
Either way it serves the queues of the storage account, on a port of their own.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from starlette.types import ASGIApp

from devcloud.config import QUEUES, CloudConfig, load
from devcloud.functions import logs
from devcloud.functions.app import create_app
from devcloud.functions.host import DATABASE, FolderInUseError, claim, options_of
from devcloud.functions.hostjson import HostJsonError
from devcloud.functions.loader import AppLoadError
from devcloud.functions.relay import SETTING, create_relay
from devcloud.functions.store import QueueStore
from devcloud.queues.app import create_app as create_queues
from devcloud.serving import deletion_seconds, run, serve_in_thread


def main() -> int:
    """Serve until told to stop; 1 if the app cannot be served."""
    parser = argparse.ArgumentParser(prog="devcloud.functions", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local cloud")
    root: Path = parser.parse_args().root.resolve()
    config = load(root)
    try:
        if other := os.environ.get(SETTING):
            with closing(claim(root / "functions")):
                store = QueueStore(root / "functions" / DATABASE, time.time)
                serve_all(create_relay(other), store, config)
            return 0
        os.chdir(config.app)
        logs.configure(options_of(config.app))
        app = create_app(config)
    except (AppLoadError, HostJsonError, FolderInUseError) as error:
        # our own exceptions say it all; the traceback that helps is that of the app
        logging.getLogger("devcloud").error("%s", error, exc_info=error.__cause__)  # noqa: TRY400
        return 1
    serve_all(app, app.state.host.store, config)
    return 0


def serve_all(app: ASGIApp, store: QueueStore, config: CloudConfig) -> None:
    """Serve an application as the functions service, and its store as queue storage beside."""
    queues = create_queues(config, store, deletion_seconds=deletion_seconds(os.environ))
    with serve_in_thread(queues, config.ports[QUEUES]):
        run(app, config, "functions")


if __name__ == "__main__":
    sys.exit(main())
