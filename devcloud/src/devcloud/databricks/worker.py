"""The process that runs tasks: one Python, one warm Spark session, one task at a time.

    python -m devcloud.databricks.worker --root FOLDER --scratch FOLDER [--warm]

Reads one JSON object a line from its standard input ({"op": "run"|"cancel", ...}), writes one a
line to its standard output ({"event": "ready"|"warm"|"problem"|"finished", ...}), and ends when
its input does: so it never outlives the service that started it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from pyspark import SparkContext

from devcloud.config import load
from devcloud.databricks.execution import TaskCancelled, execute
from devcloud.databricks.protocol import JVM_ENDED, TaskOutcome, TaskSpec
from devcloud.databricks.warm import WarmSession

LOOK_SECONDS = 1.0
SPARK_GONE_SECONDS = 0.3
SPARK_STOP_SECONDS = 2.0  # for a task to fail by itself when its Spark jobs are cancelled


class Worker:
    """Takes orders from a thread, runs tasks in the main one: only that one can be interrupted."""

    def __init__(self, warm: WarmSession, send: Callable[[dict[str, Any]], None]) -> None:
        self._warm = warm
        self._send = send
        self._orders: queue.Queue[TaskSpec] = queue.Queue()
        self._running = 0
        self._cancel = 0
        self._idle = threading.Event()
        signal.signal(signal.SIGUSR1, self._interrupt)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service to act on

    def serve(self) -> None:
        """Run tasks as they come, for ever."""
        self._send({"event": "ready", "pid": os.getpid()})
        while True:
            self._send({"event": "finished", **asdict(self._run(self._orders.get()))})

    def listen(self) -> None:
        """Take orders until the input ends, then end the process."""
        for line in sys.stdin:
            order = json.loads(line)
            if order["op"] == "run":
                self._orders.put(TaskSpec(**order["task"]))
            elif order["op"] == "cancel":
                threading.Thread(target=self._stop, args=[order["run_id"]], daemon=True).start()
        _end_spark()
        os._exit(0)

    def _stop(self, run_id: int) -> None:
        """Stop a task: by its Spark jobs if it has any, else by an exception where it is."""
        if _cancel_spark_jobs():
            self._idle.wait(SPARK_STOP_SECONDS)
        self._cancel = run_id
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _run(self, spec: TaskSpec) -> TaskOutcome:
        self._idle.clear()
        try:
            self._running = spec.run_id
            try:
                note = self._warm.lend()
                outcome = execute(spec)
            finally:
                self._running = 0
        except TaskCancelled:  # in the moment before or after the task itself
            outcome, note = TaskOutcome(spec.run_id, "cancelled"), ""
        if self._cancel == spec.run_id:
            _drop_connection()
        elif outcome.kind == "failed" and _spark_died():
            threading.Event().wait()  # `_follow_spark` ends this process, and the task with it
        self._idle.set()
        if note and outcome.kind == "failed":
            return TaskOutcome(spec.run_id, "failed", f"{outcome.error} ({note})", outcome.trace)
        return outcome

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._running and self._running == self._cancel:
            raise TaskCancelled


def _cancel_spark_jobs() -> bool:
    """Cancel what Spark does for the task; whether there was anything."""
    context = SparkContext._active_spark_context  # noqa: SLF001 - there is no public way to ask
    with suppress(Exception):  # a context that is going down has no jobs either
        if context is not None and context.statusTracker().getActiveJobsIds():
            context.cancelAllJobs()
            return True
    return False


def _drop_connection() -> None:
    """Close this thread's connection to the JVM, where an answer may be left that nobody read."""
    client = getattr(SparkContext._gateway, "_gateway_client", None)  # noqa: SLF001
    connection = client.get_thread_connection() if client else None
    if connection is not None:
        connection.close()  # the next call opens another


def _jvm() -> subprocess.Popen[bytes] | None:
    """The process that Spark runs in, once there is one."""
    return getattr(SparkContext._gateway, "proc", None)  # noqa: SLF001


def _spark_died() -> bool:
    """Whether the JVM is gone. A task may notice it a moment before the system tells."""
    process = _jvm()
    if process is None:
        return False
    with suppress(subprocess.TimeoutExpired):
        process.wait(SPARK_GONE_SECONDS)
    return process.poll() is not None


def _end_spark() -> None:
    """Kill the JVM, whatever it does: the service that wanted its work is gone."""
    process = _jvm()
    if process is not None:
        process.kill()


def _follow_spark() -> None:
    """End with the JVM: without it every later task would fail, so the service must notice."""
    while (process := _jvm()) is None:
        time.sleep(LOOK_SECONDS)
    code = process.wait()
    sys.stderr.write(f"The Spark JVM ended with code {code}.\n")
    os._exit(JVM_ENDED)


def main() -> None:
    """Run the worker."""
    parser = argparse.ArgumentParser(prog="devcloud.databricks.worker")
    parser.add_argument("--root", type=Path, required=True, help="data folder of the local cloud")
    parser.add_argument("--scratch", type=Path, required=True, help="folder the tasks start in")
    parser.add_argument("--warm", action="store_true", help="start Spark at once")
    options = parser.parse_args()

    # What others print on descriptor 1 must not mix with what we tell the service.
    wire = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with lock:
            wire.write(json.dumps(message) + "\n")

    os.chdir(options.scratch)
    config = load(options.root)
    # By these a task's own client finds the workspace that runs it, as it does in Databricks.
    os.environ["DATABRICKS_HOST"] = config.url("databricks")
    os.environ["DATABRICKS_TOKEN"] = config.databricks_token
    warm = WarmSession(config, options.scratch, send, clock=time.monotonic)
    worker = Worker(warm, send)
    threading.Thread(target=worker.listen, name="orders", daemon=True).start()
    threading.Thread(target=_follow_spark, name="jvm", daemon=True).start()
    if options.warm:
        threading.Thread(target=warm.start, name="warm-up", daemon=True).start()
    worker.serve()


if __name__ == "__main__":
    main()
