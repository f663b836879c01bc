"""Copy from a REST service that a real HTTP server plays, through the unmodified SDK."""

from __future__ import annotations

import base64
import gzip
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.datafactory.connectors.pagination import PageReply, PageRequest, Pagination
from devcloud.serving import serve_in_thread
from devcloud.testing.factory import FactoryHost, configure, hosting

Answer = Callable[[Request], Response]


@dataclass
class Api:
    """A service whose answer each test gives; it keeps what it was asked."""

    answer: Answer = lambda _: Response(status_code=204)
    asked: list[Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    def app(self) -> Starlette:
        """The application."""

        async def handle(request: Request) -> Response:
            self.bodies.append(await request.body())
            self.asked.append(request)
            return self.answer(request)

        return Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])

    def serve(self, answer: Answer) -> None:
        """From now on answer so, and forget what was asked."""
        self.answer = answer
        self.asked.clear()
        self.bodies.clear()


@dataclass
class World:
    """A factory with its lake, the service, and another host."""

    host: FactoryHost
    api: Api
    other: Api

    def service(self, **more: Any) -> None:
        """Define the linked service of the API."""
        inside = {"url": self.api.url, "authenticationType": "Anonymous", **more}
        self.host.put("linked_services", "api", {"type": "RestService", "typeProperties": inside})

    def copy(self, path: str = "items", **more: Any) -> Any:
        """Run one Copy; the activity run. The rules are `rules`, the rest goes to the activity."""
        source: dict[str, Any] = {
            "type": "RestSource",
            "requestInterval": "00:00:00.010",
            **more.pop("source", {}),
        }
        if "rules" in more:
            source["paginationRules"] = more.pop("rules")
        sink = more.pop("sink", "Json")
        activity = {
            "name": "C",
            "type": "Copy",
            "inputs": [reference("resource", path=path)],
            "outputs": [reference(sink.lower())],
            "policy": more.pop("policy", {}),
            "typeProperties": {
                "source": source,
                "sink": {
                    "type": f"{sink}Sink",
                    "formatSettings": {
                        "type": f"{sink}WriteSettings",
                        **({"filePattern": "setOfObjects"} if sink == "Json" else {}),
                    },
                },
                **more,
            },
        }
        self.host.pipeline("fetching", activity)
        run = self.host.ended(self.host.start("fetching"), 120)
        return self.host.activities(run.run_id)["C"]

    def lines(self) -> list[Any]:
        """The objects that were written."""
        text = self.host.read("bronze/out/out").decode()
        return [json.loads(line) for line in text.splitlines()]

    def ids(self) -> list[int]:
        """Their ids."""
        return [line["id"] for line in self.lines()]


def reference(name: str, **parameters: Any) -> dict[str, Any]:
    """A reference to a dataset."""
    return {"referenceName": name, "type": "DatasetReference", "parameters": parameters}


def linked(name: str) -> dict[str, Any]:
    """A reference to a linked service."""
    return {"referenceName": name, "type": "LinkedServiceReference"}


RECORDS = {"type": "TabularTranslator", "collectionReference": "$['data']"}
"""Records in `data`, as they are."""


def define(host: FactoryHost) -> None:
    """Linked services and datasets beside the API's."""
    inside: dict[str, Any] = {
        "url": host.config.lake_url,
        "accountKey": {"type": "SecureString", "value": host.config.account_key},
    }
    host.put("linked_services", "lake", {"type": "AzureBlobFS", "typeProperties": inside})
    vault = {"type": "AzureKeyVault", "typeProperties": {"baseUrl": host.config.vault_url}}
    host.put("linked_services", "vault", vault)
    place = {"type": "AzureBlobFSLocation", "fileSystem": "bronze", "folderPath": "out"}
    for kind in ("Parquet", "Json", "DelimitedText", "Binary"):
        location: dict[str, Any] = {"location": {**place, "fileName": "out"}}
        if kind == "DelimitedText":
            location["firstRowAsHeader"] = True
        dataset = {"type": kind, "linkedServiceName": linked("lake"), "typeProperties": location}
        host.put("datasets", kind.lower(), dataset)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One factory and one service for all tests here."""
    api, other = Api(), Api()
    with (
        hosting(configure(tmp_path_factory.mktemp("cloud")), lake=True) as host,
        serve_in_thread(api.app()) as api.url,
        serve_in_thread(other.app()) as other.url,
    ):
        define(host)
        world = World(host, api, other)
        world.service()
        dataset = {
            "type": "RestResource",
            "linkedServiceName": linked("api"),
            "parameters": {"path": {"type": "String"}},
            "typeProperties": {"relativeUrl": "@dataset().path"},
        }
        host.put("datasets", "resource", dataset)
        yield world


@pytest.fixture(autouse=True)
def _anonymous(world: World) -> None:
    world.service()


def page(ids: range | list[int], **more: Any) -> JSONResponse:
    """A page of records."""
    return JSONResponse({"data": [{"id": n} for n in ids], **more})


def by_offset(total: int, size: int) -> Answer:
    """A service that gives `size` records from `offset` on."""

    def answer(request: Request) -> Response:
        start = int(request.query_params.get("offset") or 0)
        return page(range(start, min(start + size, total)))

    return answer


@pytest.mark.parametrize("key", ["QueryParameters.{offset}", "AbsoluteUrl.{offset}"])
def test_example_1_variables_in_query_parameters(world: World, key: str) -> None:
    """The range runs over the placeholder in the URL, its end included."""
    world.api.serve(by_offset(100, 10))
    run = world.copy("items?offset={offset}", rules={key: "RANGE:0:40:10"}, translator=RECORDS)
    assert run["status"] == "Succeeded", run["error"]
    assert world.ids() == list(range(50))
    assert [each.query_params["offset"] for each in world.api.asked] == [
        "0",
        "10",
        "20",
        "30",
        "40",
    ]
    assert (run["output"]["rowsRead"], run["output"]["rowsCopied"]) == (50, 50)


def test_example_2_variables_in_the_url(world: World) -> None:
    """The path changes with each request."""
    world.api.serve(lambda request: page([int(request.url.path.removeprefix("/table/t"))]))
    rules = {"AbsoluteUrl.{id}": "RANGE:1:5:1"}
    assert world.copy("table/t{id}", rules=rules, translator=RECORDS)["status"] == "Succeeded"
    assert world.ids() == [1, 2, 3, 4, 5]


def test_example_3_variables_in_headers(world: World) -> None:
    """The value stands in an additional header."""
    world.api.serve(lambda request: page([int(request.headers["id"])]))
    run = world.copy(
        rules={"Headers.{id}": "RANGE:0:40:10"},
        source={"additionalHeaders": {"id": "{id}"}},
        translator=RECORDS,
    )
    assert run["status"] == "Succeeded", run["error"]
    assert world.ids() == [0, 10, 20, 30, 40]


OPEN_RANGE = {"AbsoluteUrl.{offset}": "RANGE:0::2"}


@pytest.mark.parametrize(
    ("end", "last", "records"),
    [
        ({"EndCondition:$.data": "Empty"}, lambda: page([]), [0, 1, 2, 3]),
        ({"EndCondition:$.data": "NonExist"}, lambda: JSONResponse({}), [0, 1, 2, 3]),
        (
            {"EndCondition:$.Complete": "Exist"},
            lambda: page([4, 5], Complete=1),
            [0, 1, 2, 3, 4, 5],
        ),
        (
            {"EndCondition:$.Complete": "Const:true"},
            lambda: page([4, 5], Complete=True),
            [0, 1, 2, 3, 4, 5],
        ),
        (
            {"EndCondition:headers.Complete": "Const:1"},
            lambda: JSONResponse({"data": [{"id": 4}]}, headers={"Complete": "1"}),
            [0, 1, 2, 3, 4],
        ),
        (
            {"EndCondition:headers['CompleteTime']": "Exist"},
            lambda: JSONResponse({"data": [{"id": 4}]}, headers={"CompleteTime": "20220920"}),
            [0, 1, 2, 3, 4],
        ),
        ({"EndCondition:$.data[0]": "NonExist"}, lambda: page([]), [0, 1, 2, 3]),
        ({}, lambda: Response(status_code=204), [0, 1, 2, 3]),
    ],
    ids=["4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "index", "no content"],
)
def test_example_4_the_end_is_told_by_the_reply(
    world: World, end: dict[str, str], last: Callable[[], Response], records: list[int]
) -> None:
    """The records of the page that ends it count, too."""

    def answer(request: Request) -> Response:
        offset = int(request.query_params["offset"])
        if offset == 4:
            return last()
        more = {"Complete": False} if "Const:true" in end.values() else {}
        return page([offset, offset + 1], **more)

    world.api.serve(answer)
    run = world.copy("items?offset={offset}", rules={**OPEN_RANGE, **end}, translator=RECORDS)
    assert run["status"] == "Succeeded", run["error"]
    assert world.ids() == records
    assert len(world.api.asked) == 3


@pytest.mark.parametrize("form", ["absolute", "path", "query", "relative"])
def test_example_5_the_reply_has_the_next_url(world: World, form: str) -> None:
    """An absolute or relative link in the body is followed until it is null or absent."""

    def answer(request: Request) -> Response:
        number = int(request.query_params.get("page", "1"))
        text = {"absolute": f"{world.api.url}/v2/items", "path": "/v2/items", "query": ""}
        link = f"{text.get(form, 'v2/items')}?page={number + 1}&size=2"
        return page([number], paging={"next": link if number < 3 else None})

    world.api.serve(answer)
    # Microsoft's own templates write a dot before brackets, which JSONPath does not.
    rules = {"AbsoluteUrl": "$.['paging'].next" if form == "path" else "$.paging.next"}
    run = world.copy("v2/items?size=2", rules=rules, translator=RECORDS)
    assert run["status"] == "Succeeded", run["error"]
    assert world.ids() == [1, 2, 3]
    assert {each.url.path for each in world.api.asked} == {"/v2/items"}


def test_example_6_the_most_requests(world: World) -> None:
    """MaxRequestNumber ends pages that would go on."""
    world.api.serve(by_offset(1000, 1))
    rules = {"AbsoluteUrl.{offset}": "RANGE:0::1", "MaxRequestNumber": "7"}
    assert world.copy("items?offset={offset}", rules=rules, translator=RECORDS)["status"] == (
        "Succeeded"
    )
    assert world.ids() == list(range(7))


@pytest.mark.parametrize(("rules", "pages"), [(None, 3), ({}, 3), ({"supportRFC5988": "false"}, 1)])
def test_example_7_link_headers(world: World, rules: Any, pages: int) -> None:
    """Without a rule the link with rel="next" is followed, unless that is switched off."""

    def answer(request: Request) -> Response:
        number = int(request.query_params.get("page", "1"))
        links = [f'<{world.api.url}/items?page=1>; rel="first"']
        if number < 3:
            links.append(f'</items?page={number + 1}>; title="a, b"; rel="next last"')
        return JSONResponse({"data": [{"id": number}]}, headers={"Link": ", ".join(links)})

    world.api.serve(answer)
    more = {} if rules is None else {"rules": rules}
    assert world.copy(translator=RECORDS, **more)["status"] == "Succeeded"
    assert world.ids() == list(range(1, pages + 1))


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ({"QueryParameters.after": "$.meta['next']"}, "query"),
        ({"QueryParameters['after']": "Headers.X-Next"}, "query"),
        ({"Headers.after": "$.meta.next"}, "header"),
        ({"Headers['after']": "Headers['x-next']"}, "header"),
    ],
)
def test_cursors(world: World, rules: dict[str, str], place: str) -> None:
    """A cursor of body or header goes into a parameter or header of the next request."""

    def answer(request: Request) -> Response:
        given = request.query_params if place == "query" else request.headers
        number = int(given.get("after", "c0").removeprefix("c"))
        body: dict[str, Any] = {"data": [{"id": number}], "meta": {}}
        headers = {}
        if number < 3:
            body["meta"]["next"] = headers["X-Next"] = f"c{number + 1}"
        return JSONResponse(body, headers=headers)

    world.api.serve(answer)
    run = world.copy("items?size=1&after=c0" if place == "query" else "items", rules=rules,
                     translator=RECORDS)  # fmt: skip
    assert run["status"] == "Succeeded", run["error"]
    assert world.ids() == [0, 1, 2, 3]
    if place == "query":
        assert {each.query_params["size"] for each in world.api.asked} == {"1"}


def test_posts_with_a_body(world: World) -> None:
    """POST sends the body with each request."""
    world.api.serve(lambda _: page([1]))
    source = {"requestMethod": "POST", "requestBody": '{"q": "x"}', "additionalHeaders": {"A": "b"}}
    assert world.copy(source=source, translator=RECORDS)["status"] == "Succeeded"
    [asked] = world.api.asked
    assert (asked.method, world.api.bodies) == ("POST", [b'{"q": "x"}'])
    assert asked.headers["content-type"] == "application/json"
    assert (asked.headers["accept"], asked.headers["a"]) == ("application/json", "b")
    assert asked.headers["user-agent"] == "azure-data-factory/2.0"


def test_pages_as_they_are(world: World) -> None:
    """Without a mapping each object is a line; numbers keep their digits, arrays are opened."""
    world.api.serve(lambda _: Response(b'{"a": 1.10, "b": [12345678901234567890.5, {"c": null}]}'))
    assert world.copy()["status"] == "Succeeded"
    expected = b'{"a":1.10,"b":[12345678901234567890.5,{"c":null}]}\r\n'
    assert expected == world.host.read("bronze/out/out")
    world.api.serve(lambda _: JSONResponse([{"id": 1}, {"id": 2}]))
    assert world.copy()["output"]["rowsCopied"] == 2
    assert world.ids() == [1, 2]


MAPPED = {
    "type": "TabularTranslator",
    "collectionReference": "$['data']['rows']",
    "mappings": [
        {"source": {"path": "['id']"}, "sink": {"path": "$['parcel']['id']"}},
        {"source": {"path": "['to']['city']"}, "sink": {"path": "$['city']"}},
        {"source": {"path": "$['as_of']"}, "sink": {"path": "$['as_of']"}},
        {"source": {"path": "['tags']"}, "sink": {"path": "$['tags']"}},
    ],
}
ENVELOPE = {
    "as_of": "2026-01-01",
    "data": {"rows": [{"id": 1, "to": {"city": "Bonn"}, "tags": ["a"]}, {"id": 2}]},
}


def test_records_are_mapped_from_record_and_root(world: World) -> None:
    """Relative paths are of the record, paths from `$` of the page; values keep their types."""
    world.api.serve(lambda _: JSONResponse(ENVELOPE))
    assert world.copy(translator=MAPPED)["status"] == "Succeeded"
    assert world.lines() == [
        {"parcel": {"id": 1}, "city": "Bonn", "as_of": "2026-01-01", "tags": ["a"]},
        {"parcel": {"id": 2}, "city": None, "as_of": "2026-01-01", "tags": None},
    ]


@pytest.mark.parametrize("sink", ["Parquet", "DelimitedText"])
def test_records_go_to_columns(world: World, sink: str) -> None:
    """To Parquet and delimited text, typed; an array becomes text where that is asked for."""
    columns = [
        {"source": {"path": "['id']"}, "sink": {"name": "id", "type": "Int64"}},
        {"source": {"path": "$['as_of']"}, "sink": {"name": "as_of"}},
        {"source": {"path": "['tags']"}, "sink": {"name": "tags"}},
    ]
    translator = {
        **MAPPED,
        "mappings": columns,
        "mapComplexValuesToString": True,
        "typeConversion": True,
        "typeConversionSettings": {"allowDataTruncation": False},
    }
    world.api.serve(lambda _: JSONResponse(ENVELOPE))
    run = world.copy(translator=translator, sink=sink)
    assert run["status"] == "Succeeded", run["error"]
    data = world.host.read("bronze/out/out")
    if sink == "DelimitedText":
        assert data == b'id,as_of,tags\r\n1,2026-01-01,"[\\"a\\"]"\r\n2,2026-01-01,\r\n'
    else:
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        assert rows == [
            {"id": 1, "as_of": "2026-01-01", "tags": '["a"]'},
            {"id": 2, "as_of": "2026-01-01", "tags": None},
        ]
    complex_value = {**translator, "mapComplexValuesToString": False}
    error = world.copy(translator=complex_value, sink=sink)["error"]
    assert error["errorCode"] == "UserErrorJsonComplexValue"


def secret(value: str) -> dict[str, str]:
    """A secret that stands in the definition."""
    return {"type": "SecureString", "value": value}


def test_basic_and_api_key(world: World) -> None:
    """Both go with each request, and never come back from the factory."""
    world.api.serve(lambda _: page([1]))
    headers = {"X-Api-Key": secret("k3y")}
    world.service(
        authenticationType="Basic", userName="me", password=secret("pw"), authHeaders=headers
    )
    assert world.copy(translator=RECORDS)["status"] == "Succeeded"
    [asked] = world.api.asked
    expected = "Basic " + base64.b64encode(b"me:pw").decode()
    assert (asked.headers["authorization"], asked.headers["x-api-key"]) == (expected, "k3y")
    shown = world.host.client.linked_services.get("landfall", "landfall", "api")
    assert shown is not None
    assert not {"k3y", "pw"} & set(json.dumps(shown.as_dict()).split('"'))


def test_a_managed_identity(world: World) -> None:
    """The token is one of the factory for the resource."""
    world.api.serve(lambda _: page([1]))
    world.service(authenticationType="ManagedServiceIdentity", aadResourceId="api://shop")
    assert world.copy(translator=RECORDS)["status"] == "Succeeded"
    claims = world.api.asked[0].headers["authorization"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["aud"] == "api://shop"


def oauth(world: World, valid: Callable[[str], bool], answer: Answer) -> list[str]:
    """Serve a token endpoint and an API that takes only tokens that are valid; the tokens."""
    tokens: list[str] = []

    def serve(request: Request) -> Response:
        if request.url.path == "/token":
            tokens.append(f"t{len(tokens)}")
            return JSONResponse({"access_token": tokens[-1], "expires_in": 3600})
        if not valid(request.headers.get("authorization", "").removeprefix("Bearer ")):
            return Response("expired", 401)
        return answer(request)

    world.api.serve(serve)
    world.service(
        authenticationType="OAuth2ClientCredential",
        clientId="id",
        clientSecret=secret("s3cret"),
        tokenEndpoint=f"{world.api.url}/token",
        scope="read all",
        resource="r",
    )
    return tokens


def test_client_credentials(world: World) -> None:
    """One token serves all pages; the form has what RFC 6749 asks for."""
    tokens = oauth(world, lambda token: token == "t0", by_offset(6, 2))
    rules = {"AbsoluteUrl.{offset}": "RANGE:0:4:2"}
    run = world.copy("items?offset={offset}", rules=rules, translator=RECORDS)
    assert run["status"] == "Succeeded", run["error"]
    assert (world.ids(), tokens) == (list(range(6)), ["t0"])
    form = world.api.bodies[0].decode()
    assert "grant_type=client_credentials" in form
    assert "scope=read+all" in form


def test_a_token_that_expires_in_the_middle(world: World) -> None:
    """A 401 gets a new token once and goes on with the same page; no page comes twice."""
    used: list[str] = []

    def valid(token: str) -> bool:
        used.append(token)
        return token == "t0" if len(used) < 3 else token == "t1"

    tokens = oauth(world, valid, by_offset(8, 2))
    rules = {"AbsoluteUrl.{offset}": "RANGE:0:6:2"}
    run = world.copy("items?offset={offset}", rules=rules, translator=RECORDS)
    assert run["status"] == "Succeeded", run["error"]
    assert (world.ids(), tokens) == (list(range(8)), ["t0", "t1"])


def test_a_token_that_is_never_valid(world: World) -> None:
    """It is renewed once, then the page has failed."""
    tokens = oauth(world, lambda _: False, by_offset(8, 2))
    error = world.copy(translator=RECORDS)["error"]
    assert (error["errorCode"], len(tokens)) == ("RestSourceCallFailed", 2)
    assert "401" in error["message"]
    world.service(
        authenticationType="OAuth2ClientCredential",
        clientId="id",
        clientSecret=secret("s3cret"),
        tokenEndpoint=f"{world.api.url}/elsewhere",
    )
    error = world.copy(translator=RECORDS)["error"]
    assert error["errorCode"] == "UserErrorRestTokenFailed"
    assert "s3cret" not in json.dumps(error)


def test_a_link_to_another_host_gets_no_credentials(world: World) -> None:
    """The link is followed; token, key and additional headers stay with their host."""
    world.other.serve(lambda _: page([2]))
    tokens = oauth(
        world, lambda _: True, lambda _: page([1], next=f"{world.other.url}/items?page=2")
    )
    run = world.copy(
        rules={"AbsoluteUrl": "$.next"},
        source={"additionalHeaders": {"X-Key": "k3y"}},
        translator=RECORDS,
    )
    assert run["status"] == "Succeeded", run["error"]
    assert (world.ids(), tokens) == ([1, 2], ["t0"])
    [asked] = world.other.asked
    assert "authorization" not in asked.headers
    assert "x-key" not in asked.headers


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(world: World, status: int) -> None:
    """A reply with Retry-After is asked for again, five times at most."""
    refusals = 3

    def answer(_: Request) -> Response:
        if len(world.api.asked) <= refusals:
            return Response("slow down", status, headers={"Retry-After": "1"})
        return page([1])

    world.api.serve(answer)
    assert world.copy(translator=RECORDS)["status"] == "Succeeded"
    refusals = 100
    world.api.serve(answer)
    error = world.copy(translator=RECORDS)["error"]
    assert str(status) in error["message"]
    assert len(world.api.asked) == 6


def test_a_failure_on_page_7(world: World) -> None:
    """A 500 fails the copy with URL and payload; sourceRetryCount asks for that page again."""
    failures = [1000]

    def answer(request: Request) -> Response:
        offset = int(request.query_params["offset"])
        if offset == 7 and failures[0] > 0:
            failures[0] -= 1
            return Response("out of order", 500)
        return page([offset])

    world.api.serve(answer)
    rules = {"AbsoluteUrl.{offset}": "RANGE:1:9:1"}
    world.host.write("bronze/out/out", b"before")
    error = world.copy("items?offset={offset}", rules=rules, translator=RECORDS)["error"]
    assert error["errorCode"] == "RestSourceCallFailed"
    assert "offset=7" in error["message"]
    assert "out of order" in error["message"]
    assert error["failureType"] == "SystemError"
    assert world.host.read("bronze/out/out") == b"before"
    failures[0] = 2
    source = {"sourceRetryCount": 2, "sourceRetryWait": "00:00:01"}
    run = world.copy("items?offset={offset}", rules=rules, translator=RECORDS, source=source)
    assert run["status"] == "Succeeded", run["error"]
    assert world.ids() == list(range(1, 10))


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (lambda: Response("<html>Log in</html>", media_type="text/html"), "JsonInvalid", "<html>"),
        (lambda: Response('{"data": [{"id": 1}, {"i'), "JsonInvalid", "data"),
        (lambda: Response(b'{"a": "\xff"}'), "JsonInvalid", "utf-8"),
        (lambda: Response("7"), "JsonInvalid", "neither an object nor an array"),
        (lambda: Response("NaN"), "JsonInvalid", "NaN"),
        (lambda: JSONResponse({"data": "text"}), "UserErrorInvalidCollection", "neither"),
        (lambda: Response(status_code=302, headers={"Location": "/x"}), "RestSource", "302"),
        (lambda: Response("no such thing", 404), "RestSource", "no such thing"),
    ],
)
def test_replies_that_are_no_pages(
    world: World, reply: Callable[[], Response], code: str, words: str
) -> None:
    """Each has a code and says what came."""
    world.api.serve(lambda _: reply())
    error = world.copy(translator=RECORDS)["error"]
    assert error["errorCode"].startswith(code), error
    assert words in error["message"]


def test_a_link_that_repeats_for_ever(world: World) -> None:
    """The first repetition fails the copy, in whatever circle the links lead."""

    def answer(request: Request) -> Response:
        number = int(request.query_params.get("page", "1"))
        return page([number], next=f"/items?page={number % 3 + 1}")

    world.api.serve(answer)
    error = world.copy("items?page=1", rules={"AbsoluteUrl": "$.next"}, translator=RECORDS)["error"]
    assert error["errorCode"] == "UserErrorRestPaginationLoop"
    assert len(world.api.asked) == 3


def test_nobody_answers(world: World) -> None:
    """A refused connection and a reply that takes too long have failed, with the URL."""
    held = threading.Event()

    def answer(_: Request) -> Response:
        held.wait(5)
        return page([1])

    world.api.serve(answer)
    error = world.copy(source={"httpRequestTimeout": "00:00:01"})["error"]
    held.set()
    assert error["errorCode"] == "RestSourceCallFailed"
    assert "did not answer in time" in error["message"]
    world.service(url="http://127.0.0.1:1")
    assert "ConnectError" in world.copy()["error"]["message"]


def test_ten_thousand_pages(world: World) -> None:
    """All of them, in order."""
    world.api.serve(by_offset(10_000, 1))
    rules = {"AbsoluteUrl.{offset}": "RANGE:0::1", "EndCondition:$.data": "Empty"}
    source = {"requestInterval": "00:00:00"}
    run = world.copy("items?offset={offset}", rules=rules, translator=RECORDS, source=source)
    assert run["status"] == "Succeeded", run["error"]
    assert world.ids() == list(range(10_000))


def test_a_record_of_50_megabytes(world: World) -> None:
    """It arrives whole; a page of more than 100 MB is refused."""
    text = "x" * (50 * 1024 * 1024)
    world.api.serve(lambda _: Response(f'{{"data":[{{"id":1,"text":"{text}"}}]}}'))
    assert world.copy(translator=RECORDS)["status"] == "Succeeded"
    assert len(world.host.read("bronze/out/out")) == len(text) + len('{"id":1,"text":""}\r\n')
    packed = gzip.compress(b'{"data":"' + b"x" * (101 * 1024 * 1024) + b'"}', 1)
    world.api.serve(lambda _: Response(packed, headers={"Content-Encoding": "gzip"}))
    error = world.copy(translator=RECORDS)["error"]
    assert error["errorCode"] == "UserErrorRestResponseTooLarge"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"Absolute": "$.next"}, "not known"),
        ({"AbsoluteUrl.next": "$.next"}, "AbsoluteUrl.{next}"),
        ({"QueryParameters": "$.next"}, "names no parameter"),
        ({"AbsoluteUrl": "next"}, "JSONPath"),
        ({"AbsoluteUrl": "$..next"}, "JSONPath"),
        ({"AbsoluteUrl.{a}": "RANGE:1:5:0"}, "step"),
        ({"AbsoluteUrl.{a}": "RANGE:1:5:1", "Headers.{b}": "RANGE:1:5:1"}, "several RANGE"),
        ({"EndCondition:$.a": "Never"}, "Empty"),
        ({"MaxRequestNumber": "0"}, "MaxRequestNumber"),
        ({"supportRFC5988": "perhaps"}, "supportRFC5988"),
    ],
)
def test_rules_that_are_refused_at_deployment(
    world: World, rules: dict[str, str], words: str
) -> None:
    """A rule that is not documented never gets as far as a run."""
    with pytest.raises(Exception, match=words.replace("{", r"\{")):
        world.copy(rules=rules)


def test_a_file_over_http(world: World) -> None:
    """Binary is copied byte by byte, delimited text is read; a reply that breaks off has failed."""
    inside = {"url": world.api.url, "authenticationType": "Anonymous"}
    headers = {"authHeaders": {"X-Key": secret("k3y")}}
    host = world.host
    host.put(
        "linked_services", "files", {"type": "HttpServer", "typeProperties": {**inside, **headers}}
    )
    location = {"location": {"type": "HttpServerLocation", "relativeUrl": "day.csv"}}
    for kind, more in (("Binary", {}), ("DelimitedText", {"firstRowAsHeader": True})):
        dataset = {
            "type": kind,
            "linkedServiceName": linked("files"),
            "typeProperties": {**location, **more},
        }
        host.put("datasets", f"http_{kind.lower()}", dataset)
    read = {"type": "HttpReadSettings", "requestMethod": "GET", "additionalHeaders": "A: b\nC: d"}

    def copied(source: str, sink: str) -> Any:
        activity = {
            "name": "C",
            "type": "Copy",
            "inputs": [reference(f"http_{source.lower()}")],
            "outputs": [reference(sink.lower())],
            "typeProperties": {
                "source": {"type": f"{source}Source", "storeSettings": read},
                "sink": {"type": f"{sink}Sink"},
            },
        }
        host.pipeline("file", activity)
        return host.activities(host.run("file").run_id)["C"]

    world.api.serve(lambda _: Response(b"id,name\r\n1,\xc3\xa9\r\n"))
    assert copied("Binary", "Binary")["status"] == "Succeeded"
    assert host.read("bronze/out/out") == b"id,name\r\n1,\xc3\xa9\r\n"
    [asked] = world.api.asked
    given = [asked.headers[name] for name in ("a", "c", "x-key")]
    assert (asked.url.path, given) == ("/day.csv", ["b", "d", "k3y"])
    assert copied("DelimitedText", "Parquet")["output"]["rowsCopied"] == 1
    world.api.serve(lambda _: Response("gone", 410))
    error = copied("Binary", "Binary")["error"]
    assert (error["errorCode"], "410" in error["message"]) == ("UserErrorHttpRequestFailed", True)


SPLITS = st.lists(st.integers(0, 4), max_size=8)
"""How many records each page has."""
WAYS = {
    "range": {"AbsoluteUrl.{n}": "RANGE:0::1", "EndCondition:$.last": "Const:true"},
    "range to the end": {"QueryParameters.{n}": "RANGE:0:{end}:1"},
    "header range": {"Headers.{n}": "RANGE:0:{end}:1"},
    "link": {"AbsoluteUrl": "$.next"},
    "cursor": {"QueryParameters.n": "$.cursor"},
    "header cursor": {"Headers.n": "Headers.X-Next"},
    "variable": {"AbsoluteUrl.{n}": "$.cursor"},
    "rfc5988": {},
    "most": {"AbsoluteUrl": "$.next", "MaxRequestNumber": "{pages}"},
}


@pytest.mark.parametrize("way", WAYS)
@given(sizes=SPLITS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_split_gives_every_record_once(way: str, sizes: list[int]) -> None:
    """However N records are split into pages, empty ones included, every rule gives them all."""
    pages = sizes or [0]
    records = iter(range(sum(pages)))
    contents = [[next(records) for _ in range(size)] for size in pages]
    rules = {
        key: value.replace("{end}", str(len(pages) - 1)).replace("{pages}", str(len(pages)))
        for key, value in WAYS[way].items()
    }
    pagination = Pagination.read(rules)
    url = (
        "https://x.example/items?n={n}" if "{n}" in json.dumps(rules) else "https://x.example/items"
    )
    base = PageRequest(url, {"n": "{n}"} if way == "header range" else {})
    request = pagination.first(base.url, base.headers)
    seen: list[int] = []
    while request is not None:
        given_number = request.headers.get("n") or request.url.partition("n=")[2] or "0"
        number = int(given_number)
        last = number == len(contents) - 1
        seen += contents[number]
        body: dict[str, Any] = {"data": contents[number], "last": last}
        headers: dict[str, str] = {}
        if not last:
            target = f"https://x.example/items?n={number + 1}"
            body |= {"next": target, "cursor": number + 1}
            headers = {"x-next": str(number + 1), "link": f'<{target}>; rel="next"'}
        request = pagination.next(base, request, PageReply(200, headers, body))
    assert seen == list(range(sum(pages)))
