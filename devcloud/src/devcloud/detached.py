"""Starts a local cloud that goes on when whoever started it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from devcloud import pidfile
from devcloud.config import PROCESSES, CloudConfig
from devcloud.supervisor import StartError, healthy

_CODE = Path(__file__).resolve().parents[1]
_TAIL_LINES = 20


def start(config: CloudConfig, seconds: float = 120.0) -> int:
    """Start the supervisor of a configured folder in the background and wait until all is ready.

    Its output goes to `<root>/logs/landfall.log`.

    Returns its pid.

    Raises:
        StartError: it ended, or some service did not answer within `seconds`; nothing is left.
    """
    log = config.root / "logs" / "landfall.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, [str(_CODE), os.environ.get("PYTHONPATH")]))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "devcloud", "--root", str(config.root)],
            cwd=config.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        )
    try:
        _wait(config, process, log, time.monotonic() + seconds)
    except BaseException:
        pidfile.stop(config.root)
        raise
    return process.pid


def _wait(
    config: CloudConfig, process: subprocess.Popen[bytes], log: Path, deadline: float
) -> None:
    while not all(healthy(config, service) for service in PROCESSES):
        if process.poll() is not None:
            raise StartError("supervisor", f"ended with code {process.returncode}", _tail(log))
        if time.monotonic() > deadline:
            raise StartError("supervisor", "was not ready in time", _tail(log))
        time.sleep(0.1)


def _tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
