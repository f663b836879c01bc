"""The description of the API against the app that runs: examples, answers, anything else."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import hypothesis
import jsonschema
import pytest
from azure.storage.blob import BlobServiceClient

from devcloud.config import CloudConfig
from ingest.http.openapi.document import OPERATIONS, document
from ingest.http.openapi.parts import RUN
from ingest.http.routes import ROUTES
from tests.console import seeded

DIALECT = jsonschema.Draft202012Validator


def test_each_route_is_described_and_nothing_else() -> None:
    """What the app serves and what is said of it are the same."""
    api = {name for name, route in ROUTES.items() if not route.page}
    assert set(OPERATIONS) == api
    operations = [op for path in document()["paths"].values() for op in path.values()]
    assert {op["operationId"] for op in operations} == api


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that can be used on its own."""
    return {**schema, "components": document()["components"]}


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Each example of a body, with its schema and where it is."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            parts = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for name, part in parts.items():
                for content in part.get("content", {}).values():
                    if "example" in content:
                        yield f"{method} {path} {name}", content["schema"], content["example"]
            for parameter in operation.get("parameters", ()):
                if "example" in parameter:
                    where = f"{method} {path} {parameter['name']}"
                    yield where, parameter["schema"], parameter["example"]


@pytest.mark.parametrize(
    ("schema", "example"), [pytest.param(s, e, id=name) for name, s, e in examples()]
)
def test_examples_are_what_they_are_examples_of(schema: dict[str, Any], example: Any) -> None:
    """Each fits its schema."""
    DIALECT(resolved(schema)).validate(example)


def test_the_document_is_one_of_openapi() -> None:
    """Names are there once, every reference leads somewhere, parameters are those of the path."""
    whole = document()
    text = json.dumps(whole)
    for name in {ref.split('"')[0] for ref in text.split("#/components/schemas/")[1:]}:
        DIALECT.check_schema(whole["components"]["schemas"][name])
    for path, methods in whole["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


@dataclass
class App:
    """The app as it is served, and runs that it has."""

    config: CloudConfig
    named: dict[str, str]
    http: httpx.Client


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Over a lake that has been at work; ticks do not come."""
    with seeded.cloud(tmp_path_factory.mktemp("cloud"), days=5) as (config, named):
        headers = {"x-functions-key": config.function_key}
        with httpx.Client(base_url=config.url("functions"), headers=headers, timeout=60) as http:
            yield App(config, named, http)


ANSWERED = {"get_replay": 404, "get_erasure": 404}  # there is none of the example's id
NEEDS_A_FACTORY = {"extract_source", "extract_object", "get_source_run"}
"""Data Factory does not answer here: 503, as it is described."""
ASKED_OF = {
    "cancel_run": "validated",
    "retry_run": "users-wrong-export.csv",
    "replay_run": "users-again.csv",
}
"""Which run a verb is asked of: one that allows it."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_can_be_sent(app: App, name: str) -> None:
    """As it stands, but for the run that it names; the answer is as it is described."""
    route, whole = ROUTES[name], document()
    operation = whole["paths"][f"/{route.path}"][route.method.lower()]
    run = app.named[ASKED_OF.get(name, "users-with-rejects.csv")]
    url = route.path
    for p in operation.get("parameters", ()):
        if p["in"] == "path":
            url = url.replace(f"{{{p['name']}}}", str(p["example"]).replace(RUN, run))
    query = {
        p["name"]: str(p["example"]).replace(RUN, run)
        for p in operation.get("parameters", ())
        if p["in"] == "query"
    }
    kinds = operation.get("requestBody", {}).get("content", {})
    given = [kind["example"] for kind in kinds.values() if "example" in kind]
    body = json.dumps(given[0]).encode() if given else None
    if "application/octet-stream" in kinds:
        body = b"identifierHash\n1\n"
    if name == "ingest":
        _land(app.config, "users/may.csv")  # the file that the example names
    kind = next(iter(kinds), "application/json")
    reply = app.http.request(
        route.method, f"/{url}", params=query, content=body, headers={"content-type": kind}
    )
    expected = 503 if name in NEEDS_A_FACTORY else ANSWERED.get(name, reply.status_code)
    assert reply.status_code == expected, reply.text
    assert reply.status_code < 400 or expected >= 400, reply.text
    _as_described(operation, reply)


def _land(config: CloudConfig, key: str) -> None:
    with BlobServiceClient.from_connection_string(config.lake_connection_string) as blobs:
        blobs.get_blob_client("landing", key).upload_blob(b"identifierHash\n1\n", overwrite=True)


def _as_described(operation: dict[str, Any], reply: httpx.Response) -> None:
    said = operation["responses"][str(reply.status_code)]
    kind = reply.headers["content-type"].partition(";")[0]
    DIALECT(resolved(said["content"][kind]["schema"])).validate(reply.json())


def test_lists_answer_304_while_nothing_has_changed(app: App) -> None:
    """By the ETag of the answer before; another one gets the whole again."""
    for url in ("/runs?dataset=orders", "/datasets", "/backlog", "/openapi.json"):
        first = app.http.get(url)
        tag = first.headers["etag"]
        again = app.http.get(url, headers={"If-None-Match": f'"x", {tag}'})
        assert (again.status_code, again.content) == (304, b""), url
        assert app.http.get(url, headers={"If-None-Match": '"x"'}).content == first.content


def test_anonymous_gets_no_description(app: App) -> None:
    """The document needs a key, its page a session."""
    url = app.config.url("functions")
    assert httpx.get(f"{url}/openapi.json").status_code == 401
    assert httpx.get(f"{url}/docs").status_code == 401


@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_comes_is_answered_as_described(app: App, name: str) -> None:
    """Schemathesis makes up requests from the document: no 5xx, every answer as it says."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    checks = importlib.import_module("schemathesis.specs.openapi.checks")
    schema = schemathesis.openapi.from_dict(document())
    operation = schema.find_operation_by_id(name)
    key = {"x-functions-key": app.config.function_key}
    held = [
        *(() if name in NEEDS_A_FACTORY else [schemathesis.checks.not_a_server_error]),
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]

    @hypothesis.settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        reply = case.call(base_url=app.config.url("functions"), headers=key)
        case.validate_response(reply, checks=held)

    ask()
