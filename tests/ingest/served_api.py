"""The HTTP API of a service in memory, on a port: commands are tested on the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devcloud.serving import serve_in_thread
from ingest.http import api, contracts, web
from ingest.service import Landfall

ROUTES = {
    ("GET", "/runs"): api.list_runs,
    ("GET", "/runs/{run_id}"): api.get_run,
    ("GET", "/runs/{run_id}/report"): api.get_report,
    ("GET", "/datasets"): api.list_datasets,
    ("GET", "/datasets/{dataset}/contract"): contracts.get_contract,
    ("PUT", "/datasets/{dataset}/contract"): contracts.put_contract,
    ("DELETE", "/datasets/{dataset}/contract"): contracts.delete_contract,
}


@contextmanager
def served(service: Landfall) -> Iterator[dict[str, str]]:
    """Serve the API; yield the environment by which the command finds it."""

    def route(method: str, path: str, endpoint: web.Endpoint) -> Route:
        async def call(request: Request) -> Response:
            asked = web.ApiRequest(
                body=await request.body(),
                content_type=request.headers.get("content-type", ""),
                query=web.given(request.query_params),
                route=dict(request.path_params),
                accept=request.headers.get("accept", ""),
            )
            reply = await run_in_threadpool(web.answer, endpoint, lambda: service, asked)
            return Response(
                reply.text(), reply.status, dict(reply.headers), media_type=reply.content_type
            )

        return Route(path, call, methods=[method])

    app = Starlette(routes=[route(*at, endpoint) for at, endpoint in ROUTES.items()])
    with serve_in_thread(app) as url:
        yield {"LANDFALL_URL": url, "LANDFALL_KEY": "any", "LANDFALL_HOME": "/nonexistent"}
