"""Runs a service that dies with its supervisor, even when the supervisor was killed.

`python -m devcloud.parent_watch MODULE ARGS...` runs a module as `python -m MODULE ARGS...` would,
and ends when its standard input does: the supervisor holds the other end of that pipe, and the
kernel closes it however the supervisor ends. The process leads a group of its own, so that what the
service started (a JVM) goes with it.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

GRACE_SECONDS = 5.0


def main() -> None:
    """Run the module that the first argument names."""
    module, *arguments = sys.argv[1:]
    threading.Thread(target=_follow, name="parent-watch", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _follow() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
