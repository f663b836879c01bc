"""What goes wrong with an API or a server of files, through the committed pipelines and real HTTP.

Each ends in a state that says why, and afterwards what was extracted is what the API has.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.serving import close_connection, serve_in_thread
from devcloud.testing.factory import configure
from ingest import paths
from landfall.protocol import State
from tests.integration.extraction import Extraction, extracting

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("api_faults")]
SECRET = "the-secret-of-the-api"
STAMPED = datetime(2026, 6, 1, tzinfo=UTC)
RECORDS, PAGE = 20, 2
Fault = Callable[["Api", Request], Response | None]


@dataclass
class Api:
    """A service with records, by pages of every kind; `fault` may answer in its place."""

    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    fault: Fault = lambda _api, _request: None
    asked: list[Request] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    tests: int = 0
    url: str = ""

    def reset(self, count: int = RECORDS) -> None:
        """Have that many records, as no test before had, a second apart; no fault, no token."""
        self.tests += 1
        self.records = {
            n: {"id": n, "name": f"{self.tests}: {n}", "amount": n / 4, "at": _written(n)}
            for n in range(1, count + 1)
        }
        self.fault = lambda _api, _request: None
        self.asked.clear()
        self.tokens.clear()
        self.refused.clear()

    def change(self, record: int, at: datetime) -> None:
        """Give a record another name."""
        stamp = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        self.records[record] = {**self.records[record], "name": f"changed {at}", "at": stamp}

    def app(self) -> Starlette:
        """The application."""

        async def handle(request: Request) -> Response:
            self.asked.append(request)
            faulty = self.fault(self, request)
            if faulty is not None:
                return faulty
            if request.url.path == "/token":
                return self._token((await request.body()).decode())
            if not self._allowed(request):
                return JSONResponse({"error": "who are you?"}, 401)
            if "/files/" in request.url.path:
                lines = [f"{r['id']},{r['name']},{r['amount']}" for r in self.records.values()]
                return Response("\n".join(["id,name,amount", *lines, ""]), media_type="text/csv")
            return self._list(request)

        return Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])

    def _token(self, form: str) -> Response:
        if f"client_secret={SECRET}" not in form:
            return JSONResponse({"error": "invalid_client"}, 401)
        self.tokens.append(f"t{len(self.tokens)}")
        return JSONResponse({"access_token": self.tokens[-1], "expires_in": 3600})

    def _allowed(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        basic = base64.b64encode(f"landfall:{SECRET}".encode()).decode()
        kind = request.url.path.split("/")[1]
        if kind == "basic":
            return given == f"Basic {basic}"
        if kind == "api_key":
            return request.headers.get("x-api-key") == SECRET
        if kind == "oauth2":
            token = given.removeprefix("Bearer ")
            return token in self.tokens and token not in self.refused
        return not given

    def _list(self, request: Request) -> Response:
        query = request.query_params
        since = datetime.fromisoformat(query.get("since", "1970-01-01T00:00:00Z"))
        before = datetime.fromisoformat(query.get("before", "9999-01-01T00:00:00Z"))
        found = [
            record
            for record in self.records.values()
            if since <= datetime.fromisoformat(record["at"]) < before
        ]
        start, size = int(query.get("offset", 0)), int(query.get("size", PAGE))
        body: dict[str, Any] = {"data": found[start : start + size]}
        more = start + size < len(found)
        if more and "linked" in request.url.path:
            path = f"{request.url.path}?{request.url.query}"
            following = re.sub(r"[?&]offset=\d+", "", path) + f"&offset={start + size}"
            body["next"] = self.url + following
        return JSONResponse(body)


def _written(second: int) -> str:
    return f"{STAMPED + timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class Carrier:
    """The product, the API that it extracts, and another host."""

    extraction: Extraction
    api: Api
    other: Api

    def connection(self, auth: str = "none", **changes: Any) -> dict[str, Any]:
        """How the product reaches the API."""
        kinds: dict[str, dict[str, Any]] = {
            "none": {},
            "basic": {"username": "landfall", "secret": "api-secret"},
            "api_key": {"secret": "api-secret"},
            "oauth2": {
                "tokenEndpoint": f"{self.api.url}/token",
                "clientId": "landfall",
                "secret": "api-secret",
                "scope": "read",
            },
        }
        return {
            "url": f"{self.api.url}/{auth}/",
            "auth": {"kind": auth, **kinds[auth]},
            "interval": "1ms",
            **changes,
        }

    def source(self, auth: str = "none", **entry: Any) -> str:
        """A source that reads the API by offsets, or as `entry` says; returns its name."""
        return self.extraction.source("rest", self.connection(auth), **{**OFFSETS, **entry})

    def compare(self, source: str) -> None:
        """What was extracted is what the API has."""
        rows = {
            key: (record["name"], float(record["amount"]))
            for key, record in self.api.records.items()
        }
        mine = {row[0]: (row[1], float(row[2])) for row in self.extraction.rows(source).values()}
        assert mine == rows

    def catch_up(self, source: str) -> None:
        """Extract once more, and compare."""
        self.extraction.delivered(source)
        self.compare(source)


OFFSETS: dict[str, Any] = {
    "mode": "incremental",
    "path": f"items?since={{low}}&before={{high}}&size={PAGE}",
    "records": "data",
    "lag": "1s",
    "pages": {"kind": "offset", "parameter": "offset", "step": PAGE, "until": {"empty": "data"}},
}
LINKS: dict[str, Any] = {
    "path": f"linked?since={{low}}&before={{high}}&size={PAGE}",
    "pages": {"kind": "link", "next": "next"},
}


@pytest.fixture(scope="module")
def whole_carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carrier]:
    """One API, another host, one factory and one service for all tests here."""
    api, other = Api(), Api()
    config = configure(tmp_path_factory.mktemp("cloud"))
    with (
        extracting(config, tmp_path_factory.mktemp("project") / "project") as extraction,
        serve_in_thread(api.app()) as api.url,
        serve_in_thread(other.app()) as other.url,
    ):
        extraction.secret("api-secret", SECRET)
        extraction.secret("wrong-secret", "not-" + SECRET)
        yield Carrier(extraction, api, other)


@pytest.fixture
def carrier(whole_carrier: Carrier) -> Carrier:
    """That API, without the faults and records of the test before."""
    whole_carrier.api.reset()
    whole_carrier.other.reset()
    whole_carrier.extraction.clock.shift = timedelta()
    return whole_carrier


# -- who asks -------------------------------------------------------------------------------

AUTHS = ("none", "basic", "api_key", "oauth2")


@pytest.mark.parametrize("auth", AUTHS)
def test_an_api_by_each_way_to_say_who_asks(carrier: Carrier, auth: str) -> None:
    """All records, page by page; then what changed, and nothing of it is asked for twice."""
    source = carrier.source(auth)
    state = carrier.extraction.delivered(source)
    assert state["last"]["rows"] == RECORDS
    carrier.compare(source)
    assert len(carrier.api.tokens) == (auth == "oauth2")
    carrier.api.change(3, datetime.now(UTC) + timedelta(seconds=1))
    carrier.extraction.clock.shift = timedelta(seconds=10)
    assert carrier.extraction.delivered(source)["last"]["rows"] == 1
    carrier.compare(source)


@pytest.mark.parametrize("auth", AUTHS[1:])
def test_a_wrong_secret(carrier: Carrier, auth: str) -> None:
    """401 with what the API said, never with a secret; put right, all records come."""
    extraction, connection = carrier.extraction, carrier.connection(auth)
    wrong = {**connection, "auth": {**connection["auth"], "secret": "wrong-secret"}}
    source = extraction.source("rest", wrong, **OFFSETS)
    error = extraction.failed(source)
    assert "401" in error
    assert "invalid_client" in error if auth == "oauth2" else "who are you?" in error
    assert SECRET not in error
    assert extraction.state(source)["watermark"] is None
    extraction.write(source, "rest", connection, **OFFSETS)
    carrier.catch_up(source)


@pytest.mark.parametrize("auth", ["none", "basic"])
def test_a_file_of_a_server(carrier: Carrier, auth: str) -> None:
    """Byte for byte; without the right to read it, or without a file, it says so."""
    extraction, connection = carrier.extraction, carrier.connection(auth)
    del connection["interval"]
    entry = {"mode": "full", "path": "files/items.csv"}
    source = extraction.source("http", connection, **entry)
    carrier.api.fault = lambda _api, _request: Response("no such file", 404)
    error = extraction.failed(source)
    assert "404" in error
    carrier.api.fault = lambda _api, _request: None
    carrier.catch_up(source)


# -- what one more try makes good -----------------------------------------------------------


def some_times(number: int, answer: Callable[[Request], Response], *, offset: int = 12) -> Fault:
    """Answer so a page that many times."""
    left = [number]

    def fault(_api: Api, request: Request) -> Response | None:
        if request.query_params.get("offset") != str(offset) or not left[0]:
            return None
        left[0] -= 1
        return answer(request)

    return fault


def cut_off(_: Request) -> Response:
    """The head of an answer whose connection then breaks."""

    class Cut(Response):
        async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"data": [', "more_body": True})
            close_connection(scope, reset=False)

    return Cut()


PAGE_FAULTS: dict[str, tuple[Callable[[Request], Response], str]] = {
    "500 on page 7": (lambda _: Response("out of order", 500), "out of order"),
    "503": (lambda _: Response("in maintenance", 503), "in maintenance"),
    "429": (lambda _: Response("slow down", 429), "429"),
    "429 with Retry-After": (
        lambda _: Response("slow down", 429, headers={"Retry-After": "2"}), "429",
    ),
    "truncated JSON": (lambda _: Response('{"data": [{"id": 1}, {"i'), "valid JSON"),
    "HTML": (
        lambda _: Response("<html>Please log in</html>", media_type="text/html"),
        "<html>Please log in",
    ),
    "a broken connection": (cut_off, "peer closed connection"),
    "no list": (lambda _: JSONResponse({"data": "see you tomorrow"}), "data"),
    "a redirect": (lambda _: Response(status_code=302, headers={"Location": "/login"}), "302"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGE_FAULTS)
def test_a_page_that_fails_once(carrier: Carrier, name: str) -> None:
    """The activity is tried again from the first page: each record is delivered once."""
    answer, _ = PAGE_FAULTS[name]
    source = carrier.source()
    carrier.api.fault = some_times(1, answer)
    state = carrier.extraction.delivered(source)
    assert state["last"]["rows"] == RECORDS
    carrier.compare(source)


@pytest.mark.parametrize("name", PAGE_FAULTS)
def test_a_page_that_keeps_failing(carrier: Carrier, name: str) -> None:
    """The object says which URL answered what; nothing of the pages before it is delivered."""
    answer, words = PAGE_FAULTS[name]
    source = carrier.source()
    carrier.api.fault = some_times(1000, answer)
    error = carrier.extraction.failed(source)
    assert words in error
    assert "offset=12" in error or name == "no list"
    assert carrier.extraction.drops(source) == []
    assert carrier.extraction.state(source)["watermark"] is None
    carrier.api.fault = lambda _api, _request: None
    carrier.catch_up(source)


def test_nobody_answers(carrier: Carrier) -> None:
    """A refused connection says where; once somebody does, all records come."""
    extraction = carrier.extraction
    refusing = carrier.connection(url="http://127.0.0.1:1/")
    source = extraction.source("rest", refusing, **OFFSETS)
    error = extraction.failed(source)
    assert "http://127.0.0.1:1/items" in error
    assert "refused" in error
    extraction.write(source, "rest", carrier.connection(), **OFFSETS)
    carrier.catch_up(source)


def test_a_token_that_expires_in_the_middle(carrier: Carrier) -> None:
    """A new one is asked for once, and the page again; each record is delivered once."""
    source = carrier.source("oauth2")

    def expire(api: Api, request: Request) -> None:
        if request.query_params.get("offset") == "12":
            api.refused.add("t0")

    carrier.api.fault = expire
    assert carrier.extraction.delivered(source)["last"]["rows"] == RECORDS
    assert carrier.api.tokens == ["t0", "t1"]
    carrier.compare(source)


def test_nobody_gives_tokens(carrier: Carrier) -> None:
    """The failure names the endpoint and what it said; with tokens again, all records come."""
    source = carrier.source("oauth2")
    carrier.api.fault = lambda _api, request: (
        Response("closed", 503) if request.url.path == "/token" else None
    )
    error = carrier.extraction.failed(source)
    assert f"{carrier.api.url}/token" in error
    assert "503 closed" in error
    carrier.api.fault = lambda _api, _request: None
    carrier.catch_up(source)


# -- links ----------------------------------------------------------------------------------


def linked(carrier: Carrier, offset: int, following: str) -> None:
    """Have the page at an offset lead elsewhere."""

    def fault(api: Api, request: Request) -> Response | None:
        if request.query_params.get("offset", "0") != str(offset):
            return None
        page = list(api.records.values())[offset : offset + PAGE]
        return JSONResponse({"data": page, "next": following})

    carrier.api.fault = fault


def test_links(carrier: Carrier) -> None:
    """The pages lead from one to the next."""
    source = carrier.source(**LINKS)
    assert carrier.extraction.delivered(source)["last"]["rows"] == RECORDS
    carrier.compare(source)


def test_a_link_that_repeats_for_ever(carrier: Carrier) -> None:
    """It ends at the first repetition, and nothing is delivered; the circle mended, all is."""
    source = carrier.source(**LINKS)
    linked(carrier, 8, f"{carrier.api.url}/none/linked?offset=8")
    error = carrier.extraction.failed(source)
    assert "the pages do not end" in error
    assert carrier.extraction.drops(source) == []
    carrier.api.fault = lambda _api, _request: None
    carrier.catch_up(source)


@pytest.mark.parametrize("auth", AUTHS[1:])
def test_a_link_to_another_host(carrier: Carrier, auth: str) -> None:
    """It is followed, as the API asks for; neither token, key nor password goes there."""
    source = carrier.source(auth, **LINKS, headers={"X-Team": "shop"})
    carrier.other.fault = lambda _api, _request: JSONResponse(
        {"data": list(carrier.api.records.values())[10:]}
    )
    linked(carrier, 8, f"{carrier.other.url}/linked?size=2&offset=10")
    assert carrier.extraction.delivered(source)["last"]["rows"] == RECORDS
    carrier.compare(source)
    (asked,) = carrier.other.asked
    sent = {name.lower() for name in asked.headers}
    assert not sent & {"authorization", "x-api-key", "x-team"}, sent
    assert SECRET not in str(asked.headers)


# -- sizes ----------------------------------------------------------------------------------


def test_a_record_of_50_megabytes(carrier: Carrier) -> None:
    """It comes whole; validation refuses it with its limit, and keeps it."""
    carrier.api.records = {1: {"id": 1, "name": "x" * 50_000_000, "amount": 1, "at": _written(1)}}
    source = carrier.source()
    state = carrier.extraction.delivered(source)
    assert state["last"]["size"] > 50_000_000
    (run,) = carrier.extraction.drops(source)
    assert (run.state, run.verdict and run.verdict.problem) == (
        State.QUARANTINED,
        "the record that begins on line 1 is longer than 8 MiB",
    )
    kept = carrier.extraction.service.lake.head(
        paths.quarantined_file("items", run.run_id, run.source.path)
    )
    assert kept is not None
    assert kept.size == state["last"]["size"]


@pytest.mark.slow
def test_ten_thousand_pages(carrier: Carrier) -> None:
    """All of them, each record once, as one drop."""
    carrier.api.reset(10_000)
    path = "items?since={low}&before={high}&size=1"
    pages = {"kind": "offset", "parameter": "offset", "step": 1, "until": {"empty": "data"}}
    source = carrier.source(path=path, pages=pages)
    run_id = carrier.extraction.start(source)[0]
    assert carrier.extraction.host.ended(run_id, 200).status == "Succeeded"
    assert len(carrier.api.asked) == 10_001
    assert len(carrier.extraction.drops(source)) == 1
    carrier.compare(source)


def test_more_pages_than_the_file_allows(carrier: Carrier) -> None:
    """`most` ends a list that never does, and what came until then is delivered."""
    pages = {**OFFSETS["pages"], "most": 3}
    source = carrier.source(pages=pages)
    assert carrier.extraction.delivered(source)["last"]["rows"] == 3 * PAGE


# -- time -----------------------------------------------------------------------------------

WINDOW = {"from": _written(1), "to": _written(11)}


def test_no_record(carrier: Carrier) -> None:
    """It succeeds without a drop, and the watermark moves: that time has been looked at."""
    carrier.api.records.clear()
    source = carrier.source()
    state = carrier.extraction.delivered(source)
    assert state["last"]["rows"] == 0
    assert state["watermark"] is not None
    assert carrier.extraction.drops(source) == []


def test_windows_again_and_at_once(carrier: Carrier) -> None:
    """One that is delivered is not read; asked for `again` it is; two at once do not mix."""
    extraction = carrier.extraction
    source = carrier.source(mode="window")
    second: list[Any] = []
    extraction.after_begin = [lambda: second.append(extraction.extract(source, **WINDOW))]
    assert extraction.delivered(source, **WINDOW)["last"]["rows"] == 10
    assert [run.status for run in second] == ["Failed"]
    assert "is at it" in second[0].message
    carrier.api.records[3]["name"] = "changed"
    assert extraction.delivered(source, **WINDOW)["extracts"] == 1
    assert extraction.delivered(source, **WINDOW, again=True)["extracts"] == 2
    assert extraction.rows(source)[3][1] == "changed"


@pytest.mark.parametrize("seconds", [-20, 20])
def test_a_service_whose_clock_is_wrong(carrier: Carrier, seconds: int) -> None:
    """An API is asked up to the service's own time: lag and overlap cover what that is off."""
    extraction = carrier.extraction
    source = carrier.source(overlap="60s")
    extraction.clock.shift = timedelta(seconds=seconds)
    for number in range(1, 4):
        carrier.api.change(number, datetime.now(UTC))
        extraction.delivered(source)
        extraction.clock.shift += timedelta(seconds=30)  # a later start
    carrier.api.fault = lambda _api, _request: None
    extraction.clock.shift += timedelta(seconds=30)
    carrier.catch_up(source)


def test_two_pipeline_runs_at_once(carrier: Carrier) -> None:
    """The second has nothing to do; each record is delivered once."""
    extraction = carrier.extraction
    source = carrier.source()
    second: list[Any] = []
    extraction.after_begin = [lambda: second.append(extraction.extract(source))]
    assert extraction.delivered(source)["extracts"] == 1
    assert [run.status for run in second] == ["Succeeded"]
    assert len(extraction.drops(source)) == 1
    carrier.compare(source)


def test_secrets_are_in_no_activity(carrier: Carrier) -> None:
    """Neither the function key nor the API's secret is shown with a pipeline run."""
    source = carrier.source("basic")
    (run_id,) = carrier.extraction.start(source)
    host = carrier.extraction.host
    assert host.ended(run_id, 60).status == "Succeeded"
    shown = json.dumps(host.activities(run_id), default=str)
    assert SECRET not in shown
    assert host.config.function_key not in shown
