"""The local Databricks workspace as an ASGI application."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.clock import Clock, SystemClock
from devcloud.config import CloudConfig
from devcloud.databricks import nothing
from devcloud.databricks.errors import ApiError, invalid, unsupported
from devcloud.databricks.files import FilesApi
from devcloud.databricks.job_runs import RunsApi
from devcloud.databricks.jobs import JobsApi
from devcloud.databricks.parameters import number
from devcloud.databricks.principals import PrincipalsApi
from devcloud.databricks.process import WorkerProcess
from devcloud.databricks.scheduler import Scheduler
from devcloud.databricks.schedules import Schedules
from devcloud.databricks.secrets_api import SecretsApi
from devcloud.databricks.store import WorkspaceStore
from devcloud.databricks.tasks import WORKSPACE_ID, TaskPreparer
from devcloud.databricks.unity_catalog import CatalogApi
from devcloud.databricks.workspace import Workspace
from devcloud.faults import install
from devcloud.platform.vault import VaultSecrets
from devcloud.serving import killer

log = logging.getLogger("devcloud.databricks")
USER = "landfall@localhost"

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def create_app(config: CloudConfig, *, warm: bool = True, clock: Clock | None = None) -> Starlette:
    """The workspace of a local cloud; its state lies in `<root>/databricks`.

    Args:
        config: where the cloud stands, and the token that it accepts.
        warm: start Spark at once; else the first task that asks for a session starts it.
        clock: for runs and schedules; by default the machine's.
    """
    clock = clock or SystemClock()
    now = _milliseconds(clock)
    folder = config.root / "databricks"
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    store = WorkspaceStore(folder / "workspace.db")
    workspace = Workspace(folder / "files")
    workspace.mkdirs(f"/Users/{USER}")
    scheduler = Scheduler(store, now, folder / "logs")
    worker = WorkerProcess(config.root, folder, scheduler.finished, warm=warm)
    runs = RunsApi(store, scheduler, now, USER, config.url("databricks"), folder / "logs")
    schedules = Schedules(store, runs.run_on_schedule, clock)
    jobs = JobsApi(store, now, USER, schedules.changed)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        worker.start()
        scheduler.start(worker, TaskPreparer(workspace, folder, config.url("databricks")))
        schedules.start()
        try:
            yield
        finally:
            await schedules.close()
            await run_in_threadpool(scheduler.stop)
            await run_in_threadpool(worker.close)
            store.close()

    app = Starlette(
        routes=[
            Route("/.well-known/databricks-config", _discovery(config)),
            *_job_routes(jobs, runs),
            *FilesApi(workspace).routes(),
            *PrincipalsApi(folder / "principals.json", store).routes(),
            *CatalogApi(folder / "catalog.json").routes(),
            *_secret_routes(SecretsApi(VaultSecrets(config), config.vault_url)),
            Route("/api/2.0/preview/scim/v2/Me", _call(_me, "")),
            Route("/api/2.0/preview/scim/v2/Users", _call(_users, "*")),
            Route("/api/2.1/clusters/spark-versions", _call(nothing.spark_versions, "")),
            Route("/api/2.0/workspace-conf", _call(nothing.configuration, "keys")),
            *(Route(path, _constant(answer)) for path, answer in nothing.EMPTY_LISTS.items()),
        ],
        exception_handlers={
            ApiError: _refuse,
            404: _no_endpoint,
            405: _no_endpoint,
            Exception: _internal,
        },
        lifespan=lifespan,
    )
    app.state.worker = worker
    app.add_middleware(TokenMiddleware, token=config.databricks_token)
    install(app, "databricks", kill=killer(config))
    return app


class TokenMiddleware:
    """Lets through only requests with the workspace's token; discovery needs none."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Check the token of one request."""
        if scope["type"] != "http" or scope["path"].startswith("/.well-known/"):
            await self._app(scope, receive, send)
            return
        kind, _, given = Request(scope).headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not given:
            error = ApiError(401, "UNAUTHENTICATED", "Credential was not sent: use a bearer token.")
        elif not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            error = ApiError(403, "PERMISSION_DENIED", "Invalid access token.")
        else:
            await self._app(scope, receive, send)
            return
        await JSONResponse(error.to_json(), error.status)(scope, receive, send)


def _job_routes(jobs: JobsApi, runs: RunsApi) -> list[Route]:
    """The calls of the Jobs API, each with all the parameters that it knows."""
    table: list[tuple[str, str, Handler, str]] = [
        ("POST", "create", jobs.create, "*"),
        ("GET", "get", jobs.get, "job_id page_token include_trigger_state"),
        ("GET", "list", jobs.list, "limit page_token name expand_tasks"),
        ("POST", "reset", jobs.reset, "job_id new_settings"),
        ("POST", "update", jobs.update, "job_id new_settings fields_to_remove"),
        ("POST", "delete", jobs.delete, "job_id"),
        ("POST", "run-now", runs.run_now, "job_id idempotency_token job_parameters queue only"),
        ("GET", "runs/get", runs.get,
         "run_id include_history include_resolved_values page_token"),
        ("GET", "runs/list", runs.list,
         "job_id active_only completed_only expand_tasks limit page_token run_type"),
        ("POST", "runs/cancel", runs.cancel, "run_id"),
        ("POST", "runs/cancel-all", runs.cancel_all, "job_id all_queued_runs"),
        ("POST", "runs/submit", runs.submit, "*"),
        ("POST", "runs/repair", runs.repair, """run_id latest_repair_id job_parameters
         rerun_tasks rerun_all_failed_tasks rerun_dependent_tasks"""),
        ("GET", "runs/get-output", runs.get_output, "run_id"),
        ("POST", "runs/delete", runs.delete, "run_id"),
    ]  # fmt: skip
    return [
        Route(f"/api/2.2/jobs/{path}", _call(handler, known), methods=[method])
        for method, path, handler, known in table
    ]


def _secret_routes(secrets: SecretsApi) -> list[Route]:
    base = "/api/2.0/secrets"
    return [
        Route(f"{base}/get", _call(secrets.get, "scope key")),
        Route(f"{base}/list", _call(secrets.list, "scope")),
        Route(f"{base}/scopes/list", _call(secrets.scopes, "")),
        *(
            Route(f"{base}/{verb}", _call(secrets.refuse, "*"), methods=["POST"])
            for verb in ("put", "delete")
        ),
    ]


def _call(handler: Handler, known: str) -> Callable[[Request], Any]:
    """An endpoint that takes its parameters from the query or the JSON body.

    A parameter outside `known` is refused ("*" leaves that to the handler).
    """
    names = set(known.split())

    async def endpoint(request: Request) -> Response:
        if request.method == "GET":
            parameters: dict[str, Any] = dict(request.query_params)
        else:
            parameters = _body(await request.body())
        if known != "*":
            for name, value in parameters.items():
                if name not in names and value not in (None, "", [], {}):
                    raise unsupported(f"{name!r} in {request.url.path}")
        return JSONResponse(await run_in_threadpool(handler, parameters))

    return endpoint


def _body(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content or b"{}")
    except ValueError as error:
        raise ApiError(400, "MALFORMED_REQUEST", f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid("The body must be a JSON object.")
    return document


def _me(_parameters: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "userName": USER, "displayName": "Landfall", "active": True}


def _users(query: dict[str, Any]) -> dict[str, Any]:
    start = number(query, "startIndex", 1)
    return {"Resources": [_me({})][start - 1 :], "totalResults": 1, "startIndex": start}


def _constant(answer: dict[str, Any]) -> Callable[[Request], Any]:
    async def endpoint(_request: Request) -> Response:
        return JSONResponse(answer)

    return endpoint


def _discovery(config: CloudConfig) -> Callable[[Request], Any]:
    async def discovery(_request: Request) -> Response:
        return JSONResponse(
            {
                "host_type": "workspace",
                "workspace_id": WORKSPACE_ID,
                "oidc_endpoint": f"{config.url('databricks')}/oidc",
            },
        )

    return discovery


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class only
    return JSONResponse(error.to_json(), error.status)


async def _no_endpoint(request: Request, _error: Exception) -> Response:
    message = f"No API found for '{request.method} {request.url.path}' in the local workspace."
    return JSONResponse(ApiError(404, "ENDPOINT_NOT_FOUND", message).to_json(), 404)


async def _internal(request: Request, error: Exception) -> Response:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse(
        ApiError(500, "INTERNAL_ERROR", "The local workspace failed: see its log.").to_json(), 500
    )


def _milliseconds(clock: Clock) -> Callable[[], int]:
    """The clock's time since the epoch."""
    return lambda: int(clock.now().timestamp() * 1000)
