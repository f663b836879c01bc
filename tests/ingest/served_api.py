"""The HTTP API of a service in memory, on a port: commands are tested on the real thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devcloud.serving import serve_in_thread
from ingest.http import api, contracts, routes, sources, web
from ingest.service import Landfall

Routes = Mapping[tuple[str, str], web.Endpoint]
Heard = Callable[[web.Endpoint, web.ApiRequest, web.ApiResponse], None]

ROUTES: Routes = {
    ("GET", "/runs"): api.list_runs,
    ("GET", "/runs/{run_id}"): api.get_run,
    ("GET", "/runs/{run_id}/report"): api.get_report,
    ("GET", "/datasets"): api.list_datasets,
    ("GET", "/datasets/{dataset}/contract"): contracts.get_contract,
    ("PUT", "/datasets/{dataset}/contract"): contracts.put_contract,
    ("DELETE", "/datasets/{dataset}/contract"): contracts.delete_contract,
}

_FACTORY: Mapping[str, web.Endpoint] = {
    "fence": api.fence,
    "callback": api.callback,
    "list_sources": sources.list_sources,
    "get_source": sources.get_source,
    "get_source_object": sources.get_object,
    "get_source_run": sources.get_run,
    "plan_extracts": sources.plan,
    "extract_source": sources.extract,
    "begin_extract": sources.begin,
    "finish_extract": sources.finish,
    "fail_extract": sources.fail,
    "extract_object": sources.extract,
    "rewind_object": sources.rewind,
    "pause_object": sources.pause,
    "resume_object": sources.resume,
}
FACTORY_ROUTES: Routes = {
    (routes.ROUTES[name].method, f"/{routes.ROUTES[name].path}"): endpoint
    for name, endpoint in _FACTORY.items()
}
"""What Data Factory asks, and what people ask of sources."""


def _nothing(_endpoint: web.Endpoint, _asked: web.ApiRequest, _reply: web.ApiResponse) -> None:
    """Do nothing with what was asked and answered."""


@contextmanager
def served(
    service: Landfall, served_routes: Routes = ROUTES, heard: Heard = _nothing
) -> Iterator[dict[str, str]]:
    """Serve the API; yield the environment by which the command finds it.

    `heard` is called after each request, before its answer goes out.
    """

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
            await run_in_threadpool(heard, endpoint, asked, reply)
            return Response(
                reply.text(), reply.status, dict(reply.headers), media_type=reply.content_type
            )

        return Route(path, call, methods=[method])

    app = Starlette(routes=[route(*at, endpoint) for at, endpoint in served_routes.items()])
    with serve_in_thread(app) as url:
        yield {"LANDFALL_URL": url, "LANDFALL_KEY": "any", "LANDFALL_HOME": "/nonexistent"}
