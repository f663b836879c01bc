"""Who runs the local cloud of a folder: one supervisor at a time, found and stopped by others.

The claim is a lock on the pid file, which the kernel lets go of however its holder ends: a pid file
left over by a power cut claims nothing.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PID_NAME = "devcloud.pid"
_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class AlreadyRunningError(Exception):
    """Another supervisor runs the cloud of this folder."""

    def __init__(self, root: Path, pid: int) -> None:
        super().__init__(
            f"a local cloud is already running in {root} (process {pid}); "
            "stop it with `landfall down`, or choose another folder with --data"
        )
        self.pid = pid


@contextmanager
def claim(root: Path) -> Iterator[None]:
    """Hold a folder for this process.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / PID_NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunningError(root, _read_pid(root)) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(root: Path) -> int | None:
    """The pid of the supervisor that runs a folder's cloud; None where nobody does."""
    try:
        with (root / PID_NAME).open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return _read_pid(root)
    except OSError:
        return None
    return None


def stop(root: Path, seconds: float = 30.0) -> int | None:
    """End the supervisor of a folder and wait until its process is gone.

    Returns its pid, or None where none ran. After `seconds` it is killed; its services follow it
    by `parent_watch`.
    """
    pid = holder(root)
    while pid == 0:  # its holder has not written it yet
        time.sleep(0.05)
        pid = holder(root)
    if pid is None:
        return None
    for sign, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            # It lets go of the folder a moment before it is gone.
            if holder(root) is None and _gone(pid):
                return pid
            time.sleep(0.05)
    return pid


def _gone(pid: int) -> bool:
    """Whether a process has ended; one whose end nobody has taken note of yet has, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # just now, or this system has no /proc
        return False
    return status.rpartition(")")[2].split()[0] == "Z"


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn the first signal to end into a KeyboardInterrupt, and ignore those that follow.

    Impatience must not cut short the stopping of what was started. Main thread only.
    """

    def end(*_: object) -> None:
        for sign in _END_SIGNALS:
            signal.signal(sign, signal.SIG_IGN)
        raise KeyboardInterrupt

    earlier = {sign: signal.signal(sign, end) for sign in _END_SIGNALS}
    try:
        yield
    finally:
        for sign, handler in earlier.items():
            signal.signal(sign, handler)


def _read_pid(root: Path) -> int:
    """The pid in the file; 0 in the instant between its holder's lock and its first write."""
    return int((root / PID_NAME).read_text().strip() or 0)
