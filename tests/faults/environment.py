"""A local cloud for harming: real services as processes, short patience, and everything counted.

Nothing ticks by itself, so a journey that nothing disturbs always sends the same requests in the
same order. What a drop came to is read from the lake's folder and from what the services were
asked, never from what the product says of itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import JobParameterDefinition, SparkPythonTask, Task
from databricks.sdk.service.workspace import ImportFormat

from devcloud.config import CloudConfig, app_settings, create
from devcloud.supervisor import Supervisor
from landfall.cli.deploy import deploy_all, deploy_local_factory

REPOSITORY = Path(__file__).resolve().parents[2]
FINAL = frozenset({"succeeded", "quarantined", "duplicate", "failed", "cancelled"})
OUTSIDE = ("lake", "datafactory", "databricks")
FOREIGN = "^(?!python-httpx|devcloud|azsdk-python-storage)"
"""Callers that are the product: neither the harness, nor the cloud itself, nor a producer."""
SETTINGS = {
    "LANDFALL_TICK": "0 0 0 1 1 *",
    "LANDFALL_SETTLE_SECONDS": "2",
    "LANDFALL_NUDGE_SECONDS": "1",
    "LANDFALL_COPY_GRACE_SECONDS": "2",
    "LANDFALL_LEASE_SECONDS": "4",
}
Json = dict[str, Any]


@dataclass
class FaultEnvironment:
    """The cloud, its producer, and what can be seen of it from outside."""

    config: CloudConfig
    supervisor: Supervisor
    http: httpx.Client
    spark: bool
    patience: float = field(init=False)
    _files: BlobServiceClient = field(init=False)

    def __post_init__(self) -> None:
        self.patience = 300 if self.spark else 60  # seconds from an upload to the end of its run
        connection = self.config.lake_connection_string
        self._files = BlobServiceClient.from_connection_string(connection)

    def land(self, path: str, content: bytes) -> None:
        """Upload to a lake path, in one request."""
        container, _, key = path.partition("/")
        self._files.get_blob_client(container, key).upload_blob(content, overwrite=True)

    def tick(self) -> None:
        """What the timer would do; a host that is dead or is being started does nothing."""
        with suppress(httpx.HTTPError):
            self.http.post(
                "/admin/functions/reconcile",
                json={"input": ""},
                headers={"x-functions-key": self.config.master_key},
            )

    # -- faults and journals ----------------------------------------------------------------

    def arm(self, service: str, **rule: Any) -> None:
        """Let a request of a service meet a fault."""
        httpx.post(self._control(service, "faults"), json=rule).raise_for_status()

    def struck(self) -> int:
        """How often the rules in force have struck."""
        found = [httpx.get(self._control(service, "faults")).json() for service in OUTSIDE]
        return sum(rule["hits"] for each in found for rule in each["rules"])

    def reset_faults(self) -> None:
        """No faults any more, and a clean journal."""
        for service in OUTSIDE:
            httpx.delete(self._control(service, "faults")).raise_for_status()
            httpx.delete(self._control(service, "requests")).raise_for_status()

    def journal(self, service: str) -> list[dict[str, str]]:
        """What the service was asked since it was calm, in order."""
        found: Json = httpx.get(self._control(service, "requests/log")).json()
        requests: list[dict[str, str]] = found["requests"]
        return requests

    def _control(self, service: str, what: str) -> str:
        return f"{self.config.url(service)}/_devcloud/{what}"

    def jobs_ended(self) -> int:
        """How many job runs have come to their end."""
        token = {"Authorization": f"Bearer {self.config.databricks_token}"}
        url = f"{self.config.url('databricks')}/api/2.2/jobs/runs/list"
        runs = httpx.get(url, headers=token, params={"completed_only": "true"}).json()
        return len(runs.get("runs", []))

    # -- what became of it ------------------------------------------------------------------

    def documents(self, *, active: bool) -> Iterator[Json]:
        """The run documents among the active ones, or the filed ones."""
        folder = self.config.lake_folder / "manifest" / ("active" if active else "runs")
        for path in folder.rglob("*.json"):
            with suppress(FileNotFoundError, ValueError):  # moved, or being replaced, just now
                yield json.loads(path.read_text())

    def runs_of(self, path: str) -> list[Json]:
        """All runs of a landed path, wherever their documents stand."""
        found = [*self.documents(active=True), *self.documents(active=False)]
        return [run for run in found if run["source"]["path"] == path]

    def exists(self, path: str) -> bool:
        """Whether something stands at a lake path."""
        return (self.config.lake_folder / path).exists()

    def copies(self, run_id: str) -> int:
        """How often a copy wrote the bronze file of a run, since the journal was cleared."""
        return sum(
            f"/{run_id}." in each["target"]
            and "/data.parquet" in each["target"]
            and each["operation"] in _COMMITS
            for each in self.journal("lake")
            if "/bronze/" in each["target"] and each["method"] in ("PUT", "PATCH")
        )

    def loads(self, dataset: str) -> list[Json]:
        """What each job run did to silver: its `runs` where known, and the rows it changed."""
        folder = self.config.lake_folder / "silver" / dataset
        if not self.spark:
            ledger = folder / "ledger.jsonl"
            return [json.loads(each) for each in _lines(ledger)]
        commits = sorted((folder / "_delta_log").glob("*.json"))
        return [change for path in commits for change in _merges(path)]


_COMMITS = frozenset({"PutBlob", "PutBlockList", "FlushPath", "FlushFile"})


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _merges(path: Path) -> Iterator[Json]:
    for line in _lines(path):
        commit = json.loads(line).get("commitInfo", {})
        metrics = commit.get("operationMetrics", {})
        if commit.get("operation") == "MERGE":
            yield {
                "inserted": int(metrics["numTargetRowsInserted"]),
                "updated": int(metrics["numTargetRowsUpdated"]),
            }


def wait(look: Callable[[], object], seconds: float, pause: float = 0.05) -> bool:
    """Whether `look` finds something before the time is up."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


@contextmanager
def fault_environment(
    root: Path, *, spark: bool = False, settings: Mapping[str, str] = SETTINGS
) -> Iterator[FaultEnvironment]:
    """A cloud in a folder, deployed and running; with true Spark, or with a load that is light."""
    config = create(root, REPOSITORY, settings=dict(settings), warm=spark)
    headers = {"x-functions-key": config.function_key}
    with (
        Supervisor(config, max_backoff=0.2) as supervisor,
        httpx.Client(base_url=config.url("functions"), headers=headers, timeout=60) as http,
    ):
        if spark:
            deploy_all(config, lambda _: None)
        else:
            deploy_local_factory(config)
            _deploy_light_job(config)
        yield FaultEnvironment(config, supervisor, http, spark)


def _deploy_light_job(config: CloudConfig) -> None:
    """A job of the name that the service asks for, with `merge_task` as its one task."""
    names = ("lake", "dataset", "batch_id", "batch")
    client = WorkspaceClient(host=config.url("databricks"), token=config.databricks_token)
    script = "/Workspace/Shared/merge_task.py"
    client.workspace.mkdirs("/Workspace/Shared")
    content = Path(__file__).with_name("merge_task.py").read_bytes()
    client.workspace.upload(script, content, format=ImportFormat.AUTO, overwrite=True)
    arguments = [f"--{n.replace('_', '-')}={{{{job.parameters.{n}}}}}" for n in names]
    client.jobs.create(
        name=app_settings(config).get("LANDFALL_JOB", "landfall_load"),
        max_concurrent_runs=20,
        parameters=[JobParameterDefinition(name=name, default="") for name in names],
        tasks=[
            Task(
                task_key="load",
                spark_python_task=SparkPythonTask(python_file=script, parameters=arguments),
            )
        ],
    )
