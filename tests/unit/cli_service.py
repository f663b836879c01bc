"""An HTTP service with predefined answers, for tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from devcloud.serving import serve_in_thread

KEY = "right-key"


@contextmanager
def serving(answers: dict[str, Any]) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Answer `METHOD /path` with (status, document), or with the documents of a list in turn.

    Yield the environment for the command, and the list of requests.
    """
    requests: list[str] = []

    async def answer(request: Request) -> JSONResponse:
        query = f"?{request.url.query}" if request.url.query else ""
        requests.append(f"{request.method} {request.url.path}{query}")
        if request.headers.get("x-functions-key") != KEY:
            return JSONResponse({"title": "Unauthorized"}, 401)
        response = answers.get(f"{request.method} {request.url.path}")
        if isinstance(response, list):
            response = response.pop(0) if len(response) > 1 else response[0]
        status, document = response or (
            404,
            {"title": "Not found", "detail": "there is no such run"},
        )
        return JSONResponse(document, status, media_type="application/problem+json")

    route = Route("/{path:path}", answer, methods=["GET", "POST"])
    with serve_in_thread(Starlette(routes=[route])) as url:
        yield {"LANDFALL_URL": url, "LANDFALL_KEY": KEY, "LANDFALL_HOME": "/nonexistent"}, requests


def run(state: str, **more: Any) -> dict[str, Any]:
    """Return the summary of a run, as the service lists it."""
    return {
        "run_id": "20261122T130114Z-users-1f3a9c20",
        "dataset": "users",
        "name": "may.csv",
        "state": state,
        "cause": f"it is {state}",
        "rows": 1200,
        "accepted": 1198,
        "rejected": 2,
        "size": 2_159_161,
        "landed_at": "2026-11-22T13:01:14+00:00",
        "created": "2026-11-22T13:01:15+00:00",
        "updated": "2026-11-22T13:01:21.500000+00:00",
        **more,
    }
