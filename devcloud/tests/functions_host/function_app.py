"""The app that Microsoft's host was asked with: a function for each thing that a host decides."""

import json
import time
from typing import Any, List  # noqa: UP035 - the worker knows no other

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
STORAGE = "AzureWebJobsStorage"
SHOWN = ("x-foo", "x-two", "cookie", "accept", "x-ms", "x-forw", "traceparent", "host")
COOKIE = "sid=abc.def-_~; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"


def answer(document: object, **more: Any) -> func.HttpResponse:
    """A document as the body of a reply."""
    return func.HttpResponse(json.dumps(document), **more)


def echo(req: func.HttpRequest) -> func.HttpResponse:
    """What the function sees of its request."""
    seen = {
        "method": req.method,
        "url": req.url.split("/", 3)[-1],
        "params": dict(req.params),
        "route": dict(req.route_params),
        "n": len(req.get_body()),
    }
    return answer(seen, mimetype="application/json")


def echoes(name: str, route: str, methods: list[str] | None = None) -> Any:
    """Declare a function that echoes."""

    @app.function_name(name=name)
    @app.route(route=route, methods=methods)
    def function(req: func.HttpRequest) -> func.HttpResponse:
        return echo(req)

    return function


echoes("getonly", "getonly", ["GET"])
echoes("allmethods", "allmethods")
echoes("p", "p/{id:int}/{name?}")
echoes("anyrest", "any/{*rest}")


@app.route(route="postonly", methods=["POST"])
def postonly(req: func.HttpRequest) -> func.HttpResponse:
    """Tell how long the body is."""
    return answer({"n": len(req.get_body()), "params": dict(req.params)}, status_code=201)


@app.route(route="fn", auth_level=func.AuthLevel.FUNCTION)
def fn(req: func.HttpRequest) -> str:
    """Need a key."""
    return "ok-string"


@app.route(route="adm", auth_level=func.AuthLevel.ADMIN)
def adm(req: func.HttpRequest) -> func.HttpResponse:
    """Need the master key."""
    return func.HttpResponse("admin")


@app.route(route="none")
def none(req: func.HttpRequest) -> func.HttpResponse:
    """Return nothing."""
    return None  # type: ignore[return-value]


@app.route(route="boom")
def boom(req: func.HttpRequest) -> func.HttpResponse:
    """Fail."""
    raise ValueError("kaputt äö")


@app.route(route="hdr")
def hdr(req: func.HttpRequest) -> func.HttpResponse:
    """Tell some headers; set two."""
    seen = {k: v for k, v in sorted(req.headers.items()) if k.lower().startswith(SHOWN)}
    return answer(seen, headers={"X-Out": "a", "Set-Cookie": "a=b; Path=/"})


@app.route(route="hdrs")
def hdrs(req: func.HttpRequest) -> func.HttpResponse:
    """Tell all headers."""
    return answer(dict(sorted(req.headers.items())))


@app.route(route="form")
def form(req: func.HttpRequest) -> func.HttpResponse:
    """Tell what a form held."""
    files = {name: file.filename for name, file in (req.files or {}).items()}
    return answer({"form": dict((req.form or {}).items()), "files": files})


@app.function_name(name="dr")
@app.route()
def defaultroute(req: func.HttpRequest) -> func.HttpResponse:
    """Have no route of its own."""
    return echo(req)


@app.route(route="status/{code:int}")
def status(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a status."""
    code = int(req.route_params["code"])
    body = b"" if code in (204, 304) else b"body"
    return func.HttpResponse(body, status_code=code, headers={"Retry-After": "3"})


@app.route(route="bytes")
def bytes_(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with every byte."""
    return func.HttpResponse(bytes(range(256)), mimetype="application/octet-stream")


@app.route(route="tuple")
def tuple_(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with text beyond ASCII."""
    return func.HttpResponse("täxt", charset="utf-8")


@app.route(route="sleep")
def sleep(req: func.HttpRequest) -> func.HttpResponse:
    """Take a while."""
    time.sleep(float(req.params.get("s", "1")))
    return func.HttpResponse("slept")


@app.route(route="enq")
@app.queue_output(arg_name="out", queue_name="work", connection=STORAGE)
def enq(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    """Put a message."""
    out.set([req.params["m"]])
    return func.HttpResponse("queued")


@app.queue_trigger(arg_name="msg", queue_name="work", connection=STORAGE)
def work(msg: func.QueueMessage) -> None:
    """Take a message."""


@app.queue_trigger(arg_name="msg", queue_name="work-poison", connection=STORAGE)
def poison(msg: func.QueueMessage) -> None:
    """Take one that was given up on."""


@app.blob_trigger(
    arg_name="b",
    path="landing/{name}",
    connection="LANDFALL_LAKE",
    source=func.BlobSource.EVENT_GRID,
)
def onblob(b: func.InputStream) -> None:
    """Take a blob."""


@app.timer_trigger(arg_name="t", schedule="*/5 * * * * *", run_on_startup=False)
def tick(t: func.TimerRequest) -> None:
    """Tick."""


@app.route(route="cookie")
def cookie(req: func.HttpRequest) -> func.HttpResponse:
    """Set headers that matter to browsers, or the cookie that is asked for."""
    given = {
        "Set-Cookie": COOKIE,
        "Content-Security-Policy": "default-src 'self'",
        "ETag": '"x1"',
        "Cache-Control": "no-store",
        "Last-Modified": "Mon, 30 Nov 2026 10:00:00 GMT",
        "Location": "/x?y=1",
    }
    plain = req.params.get("plain")
    return func.HttpResponse("c", headers={"Set-Cookie": plain} if plain else given)


@app.route(route="big")
def big(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with so many megabytes."""
    size = int(req.params["mb"]) << 20
    return func.HttpResponse(b"x" * size, mimetype="application/octet-stream")


@app.route(route="trace")
def trace(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Tell of the invocation."""
    about = context.trace_context
    return answer(
        {
            "tp": about.trace_parent,
            "ts": about.trace_state,
            "attrs": dict(about.attributes or {}),
            "retry": str(context.retry_context and context.retry_context.retry_count),
            "dir": context.function_directory,
            "name": context.function_name,
        }
    )
