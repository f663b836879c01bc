"""The worker process as the service sees it: started, spoken to, found dead, started again."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from devcloud.databricks.protocol import JVM_ENDED, TaskOutcome, TaskSpec

log = logging.getLogger("devcloud.databricks")

# A setting of the user's own Spark or workspace must not reach ours.
FOREIGN = ("DATABRICKS_CONFIG_PROFILE", "DATABRICKS_CONFIG_FILE", "SPARK_HOME", "SPARK_CONF_DIR",
           "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED",
           "PYSPARK_SUBMIT_ARGS", "PYTHONSTARTUP")  # fmt: skip
STOP_SECONDS = 5.0


class WorkerProcess:
    """One worker, replaced whenever it dies.

    Args:
        root: data folder of the local cloud.
        folder: the service's own folder; the worker's scratch lies in it.
        on_finished: told how each task ended, from a thread of its own.
        warm: start Spark at once, and again after a death.
    """

    def __init__(
        self, root: Path, folder: Path, on_finished: Callable[[TaskOutcome], None], *, warm: bool
    ) -> None:
        self._root = root
        self._scratch = folder / "driver"
        self._on_finished = on_finished
        self._warm = warm
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._running = 0
        self._closing = False
        self.problem = ""
        self.warmed = threading.Event()

    @property
    def pid(self) -> int:
        """Process id of the worker; 0 when there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the worker, unless it runs."""
        with self._lock:
            self._start()

    def run(self, spec: TaskSpec) -> None:
        """Run a task; `on_finished` will be told, whatever happens. One at a time."""
        with self._lock:
            self._start()
            self._running = spec.run_id
            self._tell({"op": "run", "task": asdict(spec)})

    def cancel(self, run_id: int) -> None:
        """Interrupt a task. It may take its time, or ignore it: then `kill`."""
        with self._lock:
            if self._running == run_id:
                self._tell({"op": "cancel", "run_id": run_id})

    def kill(self) -> None:
        """End the worker at once; its task is lost, the next task gets a new one."""
        with self._lock:
            if self._process:
                self._process.kill()

    def close(self) -> None:
        """End the worker for good."""
        with self._lock:
            self._closing = True
            process = self._process
        if process is None:
            return
        if process.stdin:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        if self._process or self._closing:
            return
        self._scratch.mkdir(parents=True, exist_ok=True)
        logs = self._root / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        code = str(Path(__file__).resolve().parents[2])
        environment = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [code, environment.get("PYTHONPATH")])
        )
        command = [
            sys.executable, "-P", "-m", "devcloud.databricks.worker",
            "--root", str(self._root), "--scratch", str(self._scratch),
            *(["--warm"] if self._warm else []),
        ]  # fmt: skip
        with (logs / "spark.log").open("w") as noise:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                env=environment,
                text=True,
            )
        self._process = process
        threading.Thread(target=self._follow, args=(process,), name="worker", daemon=True).start()

    def _tell(self, order: dict[str, object]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(BrokenPipeError):  # it has just died: its end will be noticed
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            message = json.loads(line)
            match message.pop("event"):
                case "finished":
                    with self._lock:
                        self._running = 0
                    self._on_finished(TaskOutcome(**message))
                case "warm":
                    log.info("Spark is warm after %s s", message["seconds"])
                    self.warmed.set()
                case "problem":
                    self.problem = message["message"]
                    log.error("%s", self.problem)
        code = process.wait()
        with self._lock:
            lost, self._running = self._running, 0
            self._process = None
            self.warmed.clear()
            if self._closing:
                return
            if self._warm:
                self._start()
        how = f"signal {-code}" if code < 0 else f"code {code}"
        if code == JVM_ENDED:
            how = "its Spark JVM (out of memory? logs/spark.log tells)"
        log.warning("the worker ended with %s%s", how, f" during task run {lost}" if lost else "")
        if lost:
            message = f"The process that ran the task ended with {how}."
            self._on_finished(TaskOutcome(lost, "lost", message))
