"""A local data factory, lake and a service that records what pipelines ask of it, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.datafactory import DataFactoryManagementClient
from azure.storage.blob import BlobServiceClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.clock import Clock
from devcloud.config import CloudConfig, create
from devcloud.datafactory.app import create_app
from devcloud.lake.app import create_app as create_lake
from devcloud.platform.identity import Identity
from devcloud.serving import serve_in_thread

GROUP, FACTORY = "landfall", "landfall"
FINAL = ("Succeeded", "Failed", "Cancelled")


class HastyClock:
    """The machine's time; every wait is short, so that retries of 30 s do not hold up a test."""

    def now(self) -> datetime:
        """The machine's time."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep 10 ms at most."""
        await asyncio.sleep(min(seconds, 0.01))


class StaticCredential:
    """A token of the local identity, without asking for it over HTTP."""

    def __init__(self, config: CloudConfig) -> None:
        self._identity = Identity(config.identity_secret)

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        """A token of the local identity."""
        return AccessToken(*self._identity.issue(scopes[0].removesuffix("/.default")))

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Service:
    """Stands for the function app: answers from `replies`, keeps what it was asked.

    A reply is (status, JSON or text), or a list of them, given one after the other, the last one
    for ever.
    """

    replies: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        """The application that records and answers."""

        async def answer(request: Request) -> Response:
            raw = await request.body()
            path = request.url.path
            body = json.loads(raw) if raw else None
            self.asked.append((request.method, path, dict(request.headers), body))
            given = [reply for ending, reply in self.replies.items() if path.endswith(ending)]
            reply: Any = given[0] if given else (200, {})
            if isinstance(reply, list):
                reply = reply.pop(0) if len(reply) > 1 else reply[0]
            status, content = reply
            if isinstance(content, str):
                return Response(content, status)
            return JSONResponse(content, status)

        methods = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", answer, methods=methods)])

    def bodies(self, ending: str) -> list[Any]:
        """The bodies sent to paths with this ending."""
        return [body for _, path, _, body in self.asked if path.endswith(ending)]


@dataclass
class FactoryHost:
    """A factory to talk to, through the unmodified SDK."""

    config: CloudConfig
    client: DataFactoryManagementClient
    url: str
    service: Service
    service_url: str
    lake: BlobServiceClient | None = None

    def put(self, kind: str, name: str, properties: dict[str, Any]) -> Any:
        """Create or replace a resource."""
        operations = getattr(self.client, kind)
        return operations.create_or_update(GROUP, FACTORY, name, {"properties": properties})

    def pipeline(self, name: str, *activities: dict[str, Any], **properties: Any) -> None:
        """Create a pipeline of these activities."""
        self.put("pipelines", name, {"activities": list(activities), **properties})

    def start(self, pipeline: str, **parameters: Any) -> str:
        """Start a pipeline once; its run id."""
        created = self.client.pipelines.create_run(
            GROUP, FACTORY, pipeline, parameters=parameters, retry_total=0
        )
        return str(created.run_id)

    def status(self, run_id: str) -> str:
        """The status of a pipeline run."""
        return str(self.client.pipeline_runs.get(GROUP, FACTORY, run_id).status)

    def ended(self, run_id: str, seconds: float = 15) -> Any:
        """Wait for the end of a pipeline run."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run = self.client.pipeline_runs.get(GROUP, FACTORY, run_id)
            if run.status in FINAL:
                return run
            time.sleep(0.02)
        raise AssertionError(f"the run {run_id} is still {run.status}: {self.activities(run_id)}")

    def run(self, pipeline: str, **parameters: Any) -> Any:
        """Start a pipeline and wait for its end."""
        return self.ended(self.start(pipeline, **parameters))

    def activities(self, run_id: str) -> dict[str, Any]:
        """The activity runs of a pipeline run, by name."""
        query: Any = window()  # raw JSON is taken as well as models
        response = self.client.activity_runs.query_by_pipeline_run(GROUP, FACTORY, run_id, query)
        return {str(each.activity_name): each.as_dict() for each in response.value}

    def write(self, path: str, data: bytes) -> None:
        """Write a file of the lake."""
        container, _, key = path.partition("/")
        assert self.lake is not None
        self.lake.get_blob_client(container, key).upload_blob(data, overwrite=True)

    def read(self, path: str) -> bytes:
        """Read a file of the lake."""
        container, _, key = path.partition("/")
        assert self.lake is not None
        return self.lake.get_blob_client(container, key).download_blob().readall()


def window(**more: Any) -> dict[str, Any]:
    """A query's body: everything around now."""
    return {
        "lastUpdatedAfter": (datetime.now(UTC) - timedelta(days=1)).isoformat(),
        "lastUpdatedBefore": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        **more,
    }


def configure(root: Path) -> CloudConfig:
    """A configuration whose ports nobody uses but by `hosting`."""
    return create(root, root)


def client_of(config: CloudConfig, url: str, credential: Any = None) -> DataFactoryManagementClient:
    """The SDK's client, by default with a token that was not asked for over HTTP."""
    token: TokenCredential = credential or StaticCredential(config)
    return DataFactoryManagementClient(
        token,
        config.subscription,
        base_url=url,
        credential_scopes=["https://management.azure.com/.default"],
        per_call_policies=[_AllowPlainHttpPolicy()],
    )


class _AllowPlainHttpPolicy(SansIOHTTPPolicy[Any, Any]):
    """Lets the token travel over http."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.context.options["enforce_https"] = False


@contextlib.contextmanager
def hosting(
    config: CloudConfig, *, lake: bool = False, clock: Clock | None = None
) -> Iterator[FactoryHost]:
    """Serve a factory, a service, and a lake where it is wanted."""
    with contextlib.ExitStack() as stack:
        service = Service()
        service_url = stack.enter_context(serve_in_thread(service.app()))
        blobs = None
        if lake:
            lake_url = stack.enter_context(serve_in_thread(create_lake(config, subscribers=())))
            port = int(lake_url.rpartition(":")[2])
            config = replace(config, ports={**config.ports, "lake": port})
            blobs = BlobServiceClient.from_connection_string(config.lake_connection_string)
        app = create_app(config, clock or HastyClock())
        url = stack.enter_context(serve_in_thread(app, config.ports["datafactory"]))
        client = stack.enter_context(client_of(config, url))
        body: Any = {
            "location": "local",
            "properties": {
                "globalParameters": {"serviceUrl": {"type": "string", "value": service_url}}
            },
        }
        client.factories.create_or_update(GROUP, FACTORY, body)
        yield FactoryHost(config, client, url, service, service_url, blobs)
