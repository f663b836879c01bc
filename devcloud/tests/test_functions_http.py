from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.functions.loader import AppLoadError, load
from devcloud.functions.routing import Endpoint, RouteError, Router, RouteTemplate
from devcloud.testing.functions import KEY, MASTER_KEY, SYSTEM_KEY, ServedApp, running, write_app

SOURCE = """
import json

@app.route(route="echo/{first}/{second:int?}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method, "url": req.url, "params": dict(req.params),
        "route": dict(req.route_params), "body": req.get_body().decode(),
        "agent": req.headers["X-Probe"],
    }
    return func.HttpResponse(
        json.dumps(seen), status_code=201, mimetype="application/json",
        headers={"X-Answer": "yes", "Retry-After": "2"},
    )

@app.route(route="open", auth_level=func.AuthLevel.ANONYMOUS)
def open_(req: func.HttpRequest) -> str:
    return "open"

@app.route(route="admins", auth_level=func.AuthLevel.ADMIN, methods=["GET"])
def admins(req: func.HttpRequest) -> str:
    return "admins"

@app.route(route="slow", auth_level=func.AuthLevel.ANONYMOUS)
async def slow(req: func.HttpRequest, context: func.Context) -> str:
    return f"{context.function_name} {len(context.invocation_id)}"

@app.route(route="broken", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise LookupError("no such thing")

@app.route(route="nothing", auth_level=func.AuthLevel.ANONYMOUS)
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None

@app.route(route="cookies", auth_level=func.AuthLevel.ANONYMOUS)
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("", headers={"Set-Cookie": "a=1; Path=/"})

@app.route(route="umlaut", auth_level=func.AuthLevel.ANONYMOUS)
def umlaut(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("", headers={"X-Umlaut": "ü"})

@app.route(route="late", auth_level=func.AuthLevel.ANONYMOUS)
def late(req: func.HttpRequest) -> str:
    time.sleep(5)
    return "late"

@app.route(route="exits", auth_level=func.AuthLevel.ANONYMOUS)
def exits(req: func.HttpRequest) -> str:
    raise SystemExit(3)
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """The app above, served."""
    host = {
        "extensions": {"http": {"routePrefix": "", "customHeaders": {"X-Custom": "always"}}},
        "functionTimeout": "00:00:01",
    }
    settings = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000"}
    with running(tmp_path_factory.mktemp("http"), SOURCE, host=host, settings=settings) as app:
        yield app


def test_request_and_response_pass_whole(served: ServedApp) -> None:
    """A function sees method, URL, query, route, headers and body; its answer arrives as given."""
    reply = served.http.post(
        "/ECHO/a%20b%2Fc/7?x=1&x=2&y=%C3%A4",
        headers={**served.keyed, "x-probe": "probe"},
        content="bödy",
    )
    expected = {
        "method": "POST",
        "url": str(served.http.base_url).rstrip("/") + "/ECHO/a%20b%2Fc/7?x=1&x=2&y=%C3%A4",
        "params": {"x": "1,2", "y": "ä"},
        "route": {"first": "a b%2Fc", "second": "7"},
        "body": "bödy",
        "agent": "probe",
    }
    assert (201, expected) == (reply.status_code, reply.json())
    assert (reply.headers["x-answer"], reply.headers["retry-after"]) == ("yes", "2")
    assert reply.headers["content-type"] == "application/json"


def test_optional_and_constrained_parameters(served: ServedApp) -> None:
    """An optional parameter may be left out; a value that breaks its constraint is not found."""
    headers = {**served.keyed, "x-probe": "p"}
    assert served.http.get("/echo/a", headers=headers).json()["route"] == {"first": "a"}
    assert served.http.get("/echo/a/b", headers=headers).status_code == 404


@pytest.mark.parametrize(("path", "key"), [("/echo/a", KEY), ("/admins", MASTER_KEY)])
def test_keys(served: ServedApp, path: str, key: str) -> None:
    """A level opens with its key, in a header or as `code`, and with the master key; else 401."""
    probe = {"x-probe": "p"}
    get = served.http.get
    assert get(path, headers=probe).status_code == 401
    assert get(path, headers={**probe, "x-functions-key": "wrong"}).status_code == 401
    assert get(path, headers={**probe, "x-functions-key": SYSTEM_KEY}).status_code == 401
    assert get(path, headers={**probe, "x-functions-key": key}).status_code in (200, 201)
    assert get(path, headers=probe, params={"code": key}).status_code in (200, 201)
    assert get(path, headers={**probe, **served.master}).status_code in (200, 201)


def test_an_admin_function_needs_the_master_key(served: ServedApp) -> None:
    """A host key opens none of level admin."""
    assert served.http.get("/admins", headers=served.keyed).status_code == 401


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """What the admin API has set is there after the host was started again."""
    source = '@app.route(route="f")\ndef f(req: func.HttpRequest) -> str:\n    return "f"\n'
    with running(tmp_path, source) as served:
        url = "/admin/functions/f/keys/mine"
        made = served.http.put(url, headers=served.master, json={"value": "my-own"})
        assert made.status_code == 201
        renewed = served.http.post(url, headers=served.master)
        assert renewed.status_code == 200
        key = renewed.json()["value"]
        assert served.http.get("/api/f?code=my-own").status_code == 401
    with running(tmp_path, source) as served:
        assert served.http.get(f"/api/f?code={key}").status_code == 200
        assert served.http.delete(url, headers=served.master).status_code == 204
        assert served.http.get(f"/api/f?code={key}").status_code == 401


def test_anonymous_needs_no_key(served: ServedApp) -> None:
    """A function of level anonymous answers anyone; a returned str is a 200 of text."""
    reply = served.http.get("/open")
    assert (reply.status_code, reply.text) == (200, "open")


def test_head_is_answered_where_all_methods_are(served: ServedApp) -> None:
    """HEAD has the headers of the answer without its body; where it is not declared, it is 404."""
    reply = served.http.head("/open")
    assert (reply.status_code, reply.content) == (200, b"")
    assert served.http.head("/admins", headers=served.keyed).status_code == 404
    assert served.http.options("/admins", headers=served.keyed).status_code == 404


def test_unknown_path_and_method_are_not_found(served: ServedApp) -> None:
    """The real host answers 404 for both."""
    assert served.http.get("/nowhere").status_code == 404
    assert served.http.delete("/echo/a", headers=served.keyed).status_code == 404


@pytest.mark.parametrize("path", ["/broken", "/nothing", "/exits"])
def test_failure_is_500_without_details(
    served: ServedApp, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception, or None where a response is due, is a 500 without body, and is logged."""
    reply = served.http.get(path)
    assert (reply.status_code, reply.content) == (500, b"")
    assert any("failed in" in record.getMessage() for record in caplog.records)


def test_async_function_and_context(served: ServedApp) -> None:
    """An async function is awaited; `context` tells function and invocation."""
    assert served.http.get("/slow").text == "slow 36"


def test_cookie_passes(served: ServedApp) -> None:
    """Set-Cookie arrives as a header of its own, written anew as the real host does."""
    assert served.http.get("/cookies").headers["set-cookie"] == "a=1; domain=; path=/"


def test_headers_of_host_json_and_of_other_characters(served: ServedApp) -> None:
    """`customHeaders` of host.json are on every answer; the server sends ASCII alone."""
    reply = served.http.get("/open")
    assert reply.headers["x-custom"] == "always"
    assert served.http.get("/umlaut").status_code == 500


def test_home_page(served: ServedApp) -> None:
    """The root tells that the app runs."""
    assert "up and running" in served.http.get("/").text


def test_function_timeout(served: ServedApp) -> None:
    """An invocation longer than functionTimeout has failed."""
    assert served.http.get("/late").status_code == 500


def test_body_limit(served: ServedApp) -> None:
    """A body beyond the limit is an error, announced or not."""
    post = served.http.post
    assert post("/open", content=b"x" * 1000).status_code == 200
    assert post("/open", content=b"x" * 1001).status_code == 500
    assert post("/open", content=iter([b"x" * 600, b"x" * 600])).status_code == 500


def test_admin_api(served: ServedApp) -> None:
    """The admin API lists functions and tells the state of the host, with the master key only."""
    assert served.http.get("/admin/functions").status_code == 401
    assert served.http.get("/admin/functions", headers=served.keyed).status_code == 403
    listed = served.http.get("/admin/functions", headers=served.master).json()
    assert "echo" in [each["name"] for each in listed]
    status = served.http.get("/admin/host/status", headers=served.master).json()
    assert status["state"] == "Running"


def test_health_and_counts(served: ServedApp) -> None:
    """The control routes name the function that a request was for."""
    served.http.delete("/_devcloud/requests")
    served.http.get("/open", headers={"user-agent": "probe/1"})
    counts = served.http.get("/_devcloud/requests").json()["by_operation"]
    assert counts == {"probe GET open_": 1}
    assert served.http.get("/_devcloud/health").json() == {"service": "functions", "ok": True}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/runs/new", ("literal", {})),
        ("/api/runs/7", ("number", {"id": "7"})),
        ("/api/runs/x", ("any", {"id": "x"})),
        ("/api/runs/a/b/c", ("rest", {"path": "a/b/c"})),
        ("/API/RUNS/New", ("literal", {})),
        ("/runs/x", None),
        ("/api/runs/", ("rest", {})),
    ],
)
def test_precedence(path: str, expected: object) -> None:
    """Literals win over constrained parameters, these over plain ones, these over catch-alls."""
    templates = {
        "rest": "runs/{*path}",
        "any": "runs/{id}",
        "number": "runs/{id:int:min(1)}",
        "literal": "runs/new",
    }
    router = Router(
        (Endpoint(name, RouteTemplate(each), None) for name, each in templates.items()), "api"
    )
    assert expected == router.find("GET", path)


@pytest.mark.parametrize("template", ["a/{b:weird}", "a/{b:length(x)}", "a-{b}"])
def test_unknown_templates_are_refused(template: str) -> None:
    """A template that is not understood is refused, not half served."""
    with pytest.raises(RouteError, match="not served here"):
        RouteTemplate(template)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_of_that_name", "importing .* failed: ModuleNotFoundError"),
        (
            "second = func.FunctionApp()",
            "more than one FunctionApp in function_app.py: app, second",
        ),
        (
            '@app.queue_trigger("m", "%ABSENT%", "C")\ndef f(m: func.QueueMessage): pass',
            "cannot load the f function: '%ABSENT%' does not resolve",
        ),
        (
            '@app.queue_trigger("m", "q", "C")\ndef f(m: func.HttpRequest): pass',
            "cannot load the f function: type of m binding 'queueTrigger'",
        ),
        (
            '@app.queue_trigger("m", "q", "C")\ndef f(m: "Absent"): pass',
            "cannot load the f function: name 'Absent' is not defined",
        ),
        (
            '@app.queue_trigger("m", "q", "C")\ndef f(m: str, other: int): pass',
            r"cannot load the f function: parameters without a binding: \['other'\]",
        ),
        (
            (
                '@app.queue_trigger("m", "q", "C")\n@app.queue_output("o", "r", "C")\n'
                "def f(m: str, o: func.Out[list[str]]): pass"
            ),
            r"typing.List\[str\] \(not list\[str\]\)",
        ),
        (
            '@app.blob_trigger("b", "landing/{n}", "C")\ndef f(b: func.InputStream): pass',
            "from Event Grid only",
        ),
        (
            (
                '@app.blob_trigger("b", "landing/{n}", "C", source="EventGrid")\n'
                "def f(b: func.InputStream): pass"
            ),
            "connection 'C' has no app setting C",
        ),
        (
            '@app.route(route="x")\ndef f(req: func.HttpRequest) -> func.HttpResponse | None: ...',
            "does not fit 'http'",
        ),
        (
            '@app.route(route="x")\ndef f(req: func.HttpRequest) -> bytes: return b""',
            "does not fit 'http'",
        ),
        (
            '@app.route(route="x")\ndef f(req: func.HttpRequest, context: str) -> str: ...',
            "the parameter context is a func.Context",
        ),
        (
            '@app.route(route="admin/x")\ndef f(req: func.HttpRequest) -> str: return ""',
            "conflicts with routes of the host",
        ),
        ('@app.timer_trigger("t", "every day")\ndef f(t: func.TimerRequest): pass', "NCRONTAB"),
        (
            '@app.event_hub_message_trigger("e", "c", "hub")\ndef f(e: func.EventHubEvent): pass',
            "eventHubTrigger is not served here",
        ),
        (
            (
                '@app.function_name("f")\n@app.queue_trigger("m", "q", "C")\ndef a(m: str): pass\n'
                '@app.function_name("f")\n@app.queue_trigger("m", "q", "C")\ndef b(m: str): pass'
            ),
            "unique function name|unique",
        ),
    ],
)
def test_broken_apps_say_why(tmp_path: Path, source: str, reason: str) -> None:
    """An app that the real worker would refuse or serve empty is refused with a reason."""
    app = write_app(tmp_path, source)
    with pytest.raises(AppLoadError, match=reason):
        load(app.folder, {})
