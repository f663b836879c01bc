"""The Web activity.

The reply must be a JSON object; a 202 with a Location is followed until another status answers,
unless `turnOffAsync` is set.
Source: learn.microsoft.com/azure/data-factory/control-flow-web-activity
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from devcloud.datafactory.activities.frame import Activity, ActivityError, Effect, Frame, wrong
from devcloud.datafactory.policy import parse_span

_ACCEPTED = 202
_OK = range(200, 300)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_MOST_BYTES = 4 * 1024 * 1024  # what an activity's output may have in Azure
_POLL_SECONDS = 15


async def web(activity: Activity, frame: Frame, effect: Effect) -> None:
    """WebActivity."""
    values = frame.evaluate(activity["typeProperties"])
    effect.input = values
    method = str(values["method"]).upper()
    if method not in _METHODS:
        raise wrong("method", f"one of {_METHODS}", values["method"])
    headers = {name: str(value) for name, value in (values.get("headers") or {}).items()}
    headers.setdefault("User-Agent", "devcloud-datafactory")
    _authenticate(values.get("authentication"), headers, frame)
    content = _content(values.get("body"), method, headers)
    timeout = parse_span(values.get("httpRequestTimeout", "00:01:00")).total_seconds()
    request: dict[str, Any] = {"headers": headers, "timeout": timeout}
    reply = await _send(frame, str(values["url"]), method=method, content=content, **request)
    while reply.status_code == _ACCEPTED and not values.get("turnOffAsync", False):
        location = reply.headers.get("Location")
        if location is None:
            break
        await frame.services.clock.sleep(float(reply.headers.get("Retry-After", _POLL_SECONDS)))
        reply = await _send(frame, str(reply.url.join(location)), method="GET", **request)
    effect.output = _output(reply)


async def _send(frame: Frame, url: str, **request: Any) -> httpx.Response:
    try:
        reply = await frame.services.http.request(url=url, **request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ActivityError(
            "2108",
            f"Error calling the endpoint '{url}'. Response status code: ''. More details: "
            f"{type(error).__name__}: {error}",
        ) from error
    if reply.status_code not in _OK:
        raise ActivityError(
            "2108",
            f"Error calling the endpoint '{url}'. Response status code: "
            f"'{reply.status_code}'. More details: {reply.text[:1000]}",
        )
    return reply


def _authenticate(document: Any, headers: dict[str, str], frame: Frame) -> None:
    if document is None:
        return
    if not isinstance(document, dict) or document.keys() != {"type", "resource"}:
        raise wrong("authentication", "of type MSI with a resource", document)
    if document["type"] not in ("MSI", "ManagedServiceIdentity"):
        raise wrong("authentication.type", "MSI", document["type"])
    headers["Authorization"] = f"Bearer {frame.services.token(document['resource'])}"


def _content(body: Any, method: str, headers: dict[str, str]) -> bytes | None:
    if body is None:
        return None
    if method in ("GET", "HEAD"):
        raise wrong("body", f"absent with {method}", body)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _output(reply: httpx.Response) -> dict[str, Any]:
    if len(reply.content) > _MOST_BYTES:
        raise ActivityError("2001", f"the reply of {reply.url} is larger than {_MOST_BYTES} bytes")
    try:
        document = reply.json() if reply.content else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ActivityError(
            "2108",
            f"Error calling the endpoint '{reply.url}'. Response status code: "
            f"'{reply.status_code}'. More details: Response Content is not a valid JObject",
        )
    document["ADFWebActivityResponseHeaders"] = dict(reply.headers)
    return document
