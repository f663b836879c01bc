"""Extraction as it runs: the committed factory and the service over HTTP, beside a real lake.

What was extracted is read where validation has put the accepted records; nothing is loaded.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from devcloud.config import CloudConfig
from devcloud.platform.vault import VaultSecrets
from devcloud.testing.factory import FACTORY, GROUP, FactoryHost, hosting, window
from ingest.azure.datafactory import DataFactory
from ingest.http import web
from ingest.runs.messages import Advance
from ingest.runs.run import Run
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.deploy.factory import Overrides, deploy_factory
from landfall.protocol import State
from tests.ingest.served_api import FACTORY_ROUTES, served

ADF = Path(__file__).resolve().parents[2] / "adf"
Json = dict[str, Any]
OBJECT = "rows"
"""The one object that each source of a test has."""
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: items
version: 1.0.0
status: active
schema:
  - name: items
    properties:
      - {name: id, logicalType: integer, primaryKey: true, required: true}
      - {name: name, logicalType: string}
      - {name: amount, logicalType: number, physicalType: 'decimal(28,2)'}
"""
_EARLY = frozenset({State.RECEIVED, State.CLAIMED, State.VALIDATING})


@dataclass
class ShiftedClock:
    """The machine's time, and how far this process is from it."""

    shift: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass
class Extraction:
    """The product between its sources and its lake, as an operator sees it.

    Attributes:
        after_begin: done once a pipeline run was let through, before it hears of that; each once.
    """

    host: FactoryHost
    service: Landfall
    project: Path
    clock: ShiftedClock
    http: httpx.Client
    runs: list[str] = field(default_factory=list)
    asked: list[tuple[str, Json]] = field(default_factory=list)
    after_begin: list[Callable[[], object]] = field(default_factory=list)
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    def secret(self, name: str, value: str) -> None:
        """Put a secret into the key vault."""
        VaultSecrets(self.host.config).put(name, value)

    def source(self, connector: str, connection: Mapping[str, Any], **entry: Any) -> str:
        """Write a source file with one object; returns the name of the source."""
        name = f"s{next(self._names)}"
        self.write(name, connector, connection, **entry)
        return name

    def write(self, name: str, connector: str, connection: Mapping[str, Any], **entry: Any) -> None:
        """Write a source file anew."""
        document = {
            "apiVersion": "landfall/v1",
            "kind": "Source",
            "name": name,
            "connector": connector,
            "connection": connection,
            "objects": [{"name": OBJECT, "dataset": "items", **entry}],
        }
        (self.project / "sources" / f"{name}.yaml").write_text(json.dumps(document, indent=1))
        folder = self.service.extraction.catalog.files.current
        assert name in folder.sources, folder.errors

    def start(self, source: str, **body: Any) -> list[str]:
        """Extract by hand; returns the pipeline runs."""
        reply = self.http.post(f"/sources/{source}/{OBJECT}/extract", json=body)
        assert reply.status_code == 202, reply.text
        return [run["adf_run_id"] for run in reply.json()["pipeline_runs"]]

    def extract(self, source: str, **body: Any) -> Any:
        """Extract by hand and wait; returns the pipeline run."""
        (run_id,) = self.start(source, **body)
        return self.host.ended(run_id, 120)

    def delivered(self, source: str, **body: Any) -> Json:
        """Extract by hand, which succeeds; returns the object as it is then shown."""
        run = self.extract(source, **body)
        assert (run.status, run.message) == ("Succeeded", ""), self.state(source)
        state = self.state(source)
        assert (state["failure"], state["running"]) == (None, [])
        return state

    def failed(self, source: str, **body: Any) -> str:
        """Extract by hand, which fails; returns the reason that the object is shown with."""
        run = self.extract(source, **body)
        assert run.status == "Failed", self.state(source)
        state = self.state(source)
        assert state["running"] == []
        error: str = state["failure"]["error"]
        assert error[:80] in run.message
        return error

    def state(self, source: str) -> Json:
        """The object as `GET /sources/{source}/{object}` shows it."""
        reply = self.http.get(f"/sources/{source}/{OBJECT}")
        assert reply.status_code == 200, reply.text
        document: Json = reply.json()
        return document

    def tries(self, run_id: str, activity: str) -> int:
        """How often a pipeline run has tried an activity."""
        query: Any = window()  # raw JSON is taken as well as models
        runs = self.host.client.activity_runs.query_by_pipeline_run(GROUP, FACTORY, run_id, query)
        return sum(run.activity_name == activity for run in runs.value)

    def drops(self, source: str) -> list[Run]:
        """The runs of a source's drops, validated, the oldest first."""
        runs = []
        for run_id in self.runs:
            run = self.service.manifest.get(run_id, fresh=True).run
            if not run.source.path.startswith(f"landing/items/{source}-"):
                continue
            while run.state in _EARLY:
                self.service.handle(Advance(run_id))
                run = self.service.manifest.get(run_id, fresh=True).run
            runs.append(run)
        return runs

    def rows(self, source: str) -> dict[int, tuple[Any, ...]]:
        """What silver would have: of each key the record that came last."""
        rows: dict[int, tuple[Any, ...]] = {}
        for run in self.drops(source):
            rows |= {row[0]: row for row in self.accepted(run)}
        return rows

    def accepted(self, run: Run) -> list[tuple[Any, ...]]:
        """The accepted records of a drop, in the contract's types."""
        if run.state is State.DUPLICATE:
            return []
        assert run.verdict is not None, run
        assert (run.verdict.verdict, run.verdict.rejected) == ("accepted", 0), run.verdict
        assert run.verdict.parquet is not None
        lake, records = self.service.lake, []
        for entry in lake.list(f"{run.verdict.parquet['folder']}/"):
            if entry.version.path.endswith(".parquet"):
                frame = pl.read_parquet(io.BytesIO(lake.get(entry.version.path)[0]))
                records += frame.select("id", "name", "amount").rows()
        return records


@contextmanager
def extracting(config: CloudConfig, project: Path) -> Iterator[Extraction]:
    """Serve lake, factory and service, with the committed factory deployed."""
    (project / "contracts").mkdir(parents=True)
    (project / "sources").mkdir()
    (project / "contracts" / "items.odcs.yaml").write_text(CONTRACT)
    with ExitStack() as stack:
        host = stack.enter_context(hosting(config, lake=True))
        clock = ShiftedClock()
        service = build(
            read(_environment(host, project), app=project),
            clock=clock,
            copier=_pipeline(host, "ingest_drop"),
            pipelines=lambda name: _pipeline(host, name),
        )
        client = stack.enter_context(httpx.Client(timeout=60))
        extraction = Extraction(host, service, project, clock, client)

        def heard(endpoint: web.Endpoint, asked: web.ApiRequest, reply: web.ApiResponse) -> None:
            if "source" in asked.route:
                extraction.runs += [m.run_id for m in reply.messages if isinstance(m, Advance)]
            extraction.asked.append((endpoint.__name__, dict(asked.route)))
            if reply.body.get("granted") and extraction.after_begin:
                extraction.after_begin.pop(0)()

        environment = stack.enter_context(served(service, FACTORY_ROUTES, heard))
        client.base_url = environment["LANDFALL_URL"]
        overrides = Overrides(
            service_url=environment["LANDFALL_URL"],
            key_vault_url=host.config.vault_url,
            lake_url=host.config.lake_url,
            lake_key=host.config.account_key,
        )
        deploy_factory(ADF, host.client, GROUP, FACTORY, overrides)
        yield extraction


def _pipeline(host: FactoryHost, name: str) -> DataFactory:
    return DataFactory(host.client, GROUP, FACTORY, name)


def _environment(host: FactoryHost, project: Path) -> dict[str, str]:
    return {
        "LANDFALL_LAKE": host.config.lake_connection_string,
        "LANDFALL_ADF_SUBSCRIPTION": host.config.subscription,
        "LANDFALL_ADF_RESOURCE_GROUP": GROUP,
        "LANDFALL_ADF_FACTORY": FACTORY,
        "DATABRICKS_HOST": "http://localhost",
        "LANDFALL_PROJECT": str(project),
    }
