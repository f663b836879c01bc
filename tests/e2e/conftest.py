"""All services of the local cloud as processes, deployed to as `landfall up` does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.filedatalake import DataLakeServiceClient

from devcloud.config import CloudConfig, create
from devcloud.supervisor import Supervisor
from landfall.cli.deploy import deploy_all
from tests.e2e.values import CASES
from tests.ingest.harness import FOLDERS

REPOSITORY = Path(__file__).resolve().parents[2]
Json = dict[str, Any]
PATIENCE = 240.0
"""Seconds that a run may take on a loaded machine; the first load waits for Spark to be warm."""

FINAL = frozenset({"succeeded", "quarantined", "duplicate", "failed", "cancelled"})


@dataclass
class Cloud:
    """The whole of it, as a producer and an operator see it."""

    config: CloudConfig
    supervisor: Supervisor
    http: httpx.Client

    def land(self, path: str, content: bytes) -> str:
        """Upload to a lake path with the Data Lake SDK; returns the path."""
        container, _, key = path.partition("/")
        with DataLakeServiceClient.from_connection_string(
            self.config.lake_connection_string
        ) as service:
            file = service.get_file_client(container, key)
            if content:
                file.upload_data(content, overwrite=True)
            else:
                file.create_file()  # the SDK sends nothing at all for an empty upload
        return path

    def read(self, path: str) -> bytes:
        """A file of the lake."""
        container, _, key = path.partition("/")
        connection = self.config.lake_connection_string
        with BlobServiceClient.from_connection_string(connection) as service:
            content: bytes = service.get_blob_client(container, key).download_blob().readall()
            return content

    def ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request to the service, with its key."""
        return self.http.request(method, url, **options)

    def runs(self, **query: str) -> list[Json]:
        """Summaries of runs, newest first."""
        reply = self.ask("GET", "/runs", params={"limit": "500", **query})
        assert reply.status_code == 200, reply.text
        found: list[Json] = reply.json()["runs"]
        return found

    def run_of(self, path: str) -> Json | None:
        """The newest run of a landed path."""
        name = path.removeprefix("landing/").partition("/")[2]
        return next((run for run in self.runs() if run["name"] == name), None)

    def details(self, run_id: str) -> Json:
        """Everything known of a run."""
        reply = self.ask("GET", f"/runs/{run_id}")
        assert reply.status_code == 200, reply.text
        found: Json = reply.json()
        return found

    def ended(self, path: str, seconds: float = PATIENCE) -> Json:
        """The run of a landed path, once it is final."""

        def look() -> Json | None:
            run = self.run_of(path)
            return run if run and run["state"] in FINAL else None

        wait(look, seconds, lambda: f"{path}: {self.run_of(path)}")
        run = look()
        assert run is not None
        return self.details(run["run_id"])

    def fault(self, service: str, **rule: Any) -> None:
        """Let a service fail."""
        url = f"{self.config.url(service)}/_devcloud/faults"
        httpx.post(url, json=rule).raise_for_status()

    def reset_faults(self) -> None:
        """No more faults anywhere."""
        for service in ("lake", "datafactory", "databricks"):
            httpx.delete(f"{self.config.url(service)}/_devcloud/faults").raise_for_status()


def wait(look: Callable[[], object], seconds: float, state: Callable[[], str]) -> None:
    """Until `look` finds something; fails with the state when the time is up."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {state()}")
        time.sleep(0.1)


def start(root: Path, settings: Mapping[str, str], **overrides: Any) -> Iterator[Cloud]:
    """A cloud in a folder, deployed and running."""
    config = create(root, REPOSITORY, settings=dict(settings), **overrides)
    lines: list[str] = []
    with Supervisor(config, emit=lambda service, line: lines.append(f"{service}: {line}")) as up:
        deploy_all(config, lines.append)
        headers = {"x-functions-key": config.function_key}
        with httpx.Client(base_url=config.url("functions"), headers=headers, timeout=60) as http:
            yield Cloud(config, up, http)


@pytest.fixture(scope="session")
def whole_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One cloud for all tests of the session."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(REPOSITORY / "marketplace", project, dirs_exist_ok=True)
    (project / "contracts" / "readings.odcs.yaml").write_text(FOLDERS)
    for dataset, case in CASES.items():
        (project / "contracts" / f"{dataset}.odcs.yaml").write_text(case.contract(dataset))
    settings = {
        "LANDFALL_PROJECT": str(project),
        "LANDFALL_COPY_GRACE_SECONDS": "4",
        "LANDFALL_NUDGE_SECONDS": "4",
        "LANDFALL_VALIDATE_IN_SPARK_ABOVE": "100000",  # only what a test makes so large
        "LANDFALL_LEASE_SECONDS": "15",  # a killed worker's drop is taken over after so long
    }
    yield from start(tmp_path_factory.mktemp("cloud"), settings)


@pytest.fixture
def cloud(whole_cloud: Cloud) -> Iterator[Cloud]:
    """That cloud, without the faults of the test before."""
    whole_cloud.reset_faults()
    yield whole_cloud
    whole_cloud.reset_faults()
