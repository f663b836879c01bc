"""`python -m devcloud --root FOLDER` runs the local cloud of a folder until it is told to end.

`python -m devcloud functions APP_DIR` serves a function app by itself.
`landfall up --detach` starts this; the folder's configuration must be there already.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

from devcloud.config import load
from devcloud.pidfile import AlreadyRunningError, claim, orderly_end
from devcloud.supervisor import StartError, Supervisor


def main() -> int:
    """Run the services; the exit code is 2 when they could not be started."""
    if sys.argv[1:2] == ["functions"]:
        from devcloud.functions import standalone  # noqa: PLC0415 - the other way needs none of it

        return standalone.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="devcloud", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local cloud")
    root: Path = parser.parse_args().root
    try:
        with orderly_end(), claim(root), Supervisor(load(root), emit=emit):
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except (AlreadyRunningError, StartError, FileNotFoundError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line prints
        return 2
    return 0


def emit(service: str, line: str) -> None:
    """Print one line of a service's log."""
    print(f"{time.strftime('%H:%M:%S')} {service:<11} | {line}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
