from __future__ import annotations

from pathlib import Path

import httpx

from devcloud.functions.relay import create_relay
from devcloud.serving import serve_in_thread
from devcloud.testing.functions import KEY, running

SOURCE = """
@app.route(route="echo/{name}", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    text = f"{req.route_params['name']} {req.params['x']} {len(req.get_body())}"
    return func.HttpResponse(text, status_code=202, headers={"Location": "/runs/1"})
"""


def test_relay_passes_requests_and_answers(tmp_path: Path) -> None:
    """Path, query, key, body, status, headers arrive at and come back from the other host."""
    with (
        running(tmp_path, SOURCE) as served,
        serve_in_thread(create_relay(str(served.http.base_url))) as url,
    ):
        reply = httpx.post(f"{url}/api/echo/a%2Fb?x=1&code={KEY}", content=b"y" * 100_000)
        assert (reply.status_code, reply.text) == (202, "a%2Fb 1 100000")
        assert reply.headers["location"] == "/runs/1"
        assert httpx.post(f"{url}/api/echo/a?x=1").status_code == 401
        assert httpx.get(f"{url}/_devcloud/health").json()["service"] == "functions"


def test_relay_without_the_other_host() -> None:
    """While the other host is not there the answer is 502, and events are delivered again later."""
    with serve_in_thread(create_relay("http://127.0.0.1:9")) as url:
        assert httpx.get(f"{url}/health").status_code == 502
