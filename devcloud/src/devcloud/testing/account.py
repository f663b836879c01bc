"""`python -m devcloud.testing.account` serves a lake with the account of Azurite.

Suites of storage clients expect that account with its well-known key, mostly on port 10000. What is
written is gone when it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from devcloud.config import create
from devcloud.lake.app import create_app
from devcloud.pidfile import orderly_end
from devcloud.serving import serve_in_thread

ACCOUNT = "devstoreaccount1"
# Published by Microsoft for the emulators of its storage: no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextlib.contextmanager
def serving(port: int | None = None, containers: tuple[str, ...] = ()) -> Iterator[str]:
    """Serve the account, with these containers and nothing in them; its connection string."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = create(root, root, account=ACCOUNT, account_key=KEY, containers=containers)
        if port is not None:
            config = replace(config, ports={**config.ports, "lake": port})
        with serve_in_thread(create_app(config, subscribers=()), config.ports["lake"]):
            yield config.lake_connection_string


def main(arguments: list[str] | None = None) -> int:
    """Serve until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m devcloud.testing.account")
    parser.add_argument("--port", type=int, default=10000)
    parser.add_argument("--container", action="append", default=[], help="to be there already")
    options = parser.parse_args(arguments)
    with (
        contextlib.suppress(KeyboardInterrupt),
        orderly_end(),
        serving(options.port, tuple(options.container)) as text,
    ):
        print(text, flush=True)  # noqa: T201 - a command line prints
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
