"""The local host answers 120 requests as Microsoft's host does, or it has a reason.

`functions_host/answers.json` holds the requests and what Microsoft's host 4.1037 answered them,
with the app beside it and fresh keys. In it `{KEY}`, `{MASTER}` and `{SYSTEM}` are keys, `{x9000}`
is 9,000 times x, `BASE` the URL of the host, and `<...>` what differs from host to host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devcloud.testing.functions import KEY, MASTER_KEY, SYSTEM_KEY, PreparedApp

FOLDER = Path(__file__).parent / "functions_host"
EXCHANGES: list[dict[str, Any]] = json.loads((FOLDER / "answers.json").read_text())
KEYS = {"KEY": KEY, "MASTER": MASTER_KEY, "SYSTEM": SYSTEM_KEY}
CLIENT = {  # as the recorded requests were sent
    "User-Agent": "python-requests/2.28.1",
    "Accept-Encoding": "gzip, deflate",
    "Accept": "*/*",
    "Connection": "keep-alive",
}
NOT_COMPARED = {"date", "server", "content-length", "transfer-encoding", "connection"}
LONG = re.compile(r"x{1000,}")
HIDDEN = (
    (re.compile(r'("value": ?)"[A-Za-z0-9_-]{40,}={0,2}"'), r'\1"<generated>"'),
    (re.compile(r'BASE/admin/vfs[^"]*/'), "BASE/admin/vfs/.../"),
    (re.compile(r'("functionDirectory"|"dir")(: ?)"[^"]*"'), r'\1\2"<app>"'),
    (re.compile(r'"processUptime":\d+'), '"processUptime":0'),
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What the local host answered, by name; asked in order, since some requests set keys."""
    lake = "AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:9/a;"
    settings = {"LANDFALL_LAKE": lake}
    with PreparedApp(FOLDER).running(tmp_path_factory.mktemp("host"), settings) as served:
        base = str(served.http.base_url).rstrip("/")
        yield {each["name"]: ask(base, each) for each in EXCHANGES}


def fill(text: str) -> str:
    """A text with its keys, and its long parts in full."""
    text = re.sub(r"\{x(\d+)\}", lambda match: "x" * int(match[1]), text)
    return re.sub(r"\{(KEY|MASTER|SYSTEM)\}", lambda match: KEYS[match[1]], text)


def ask(base: str, exchange: dict[str, Any]) -> dict[str, Any]:
    """Send a request; the reply as the file has it."""
    method, _, path = exchange["request"].partition(" ")
    given = {**CLIENT, **exchange.get("headers", {})}
    headers = [(name.encode(), fill(value).encode("latin-1")) for name, value in given.items()]
    with httpx.Client(timeout=60) as client:
        client.headers.clear()
        reply = client.request(method, base + fill(path), headers=headers, **content(exchange))
    text = reply.content.decode("latin-1" if "octet-stream" in str(reply.headers) else "utf-8")
    found = {
        name: tidy(value, base) for name, value in reply.headers.items() if name not in NOT_COMPARED
    }
    return {"status": reply.status_code, "headers": found, "body": body(tidy(text, base))}


def content(exchange: dict[str, Any]) -> dict[str, Any]:
    """The body of a request as httpx takes it."""
    given = exchange.get("body", {})
    sent: dict[str, Any] = {}
    if "json" in given:
        sent["json"] = given["json"]
    if "text" in given:
        sent["content"] = given["text"]
    if "size" in given:
        sent["content"] = b"x" * given["size"]
    if "chunks" in given:
        size, times = given["chunks"]
        sent["content"] = (b"x" * size for _ in range(times))
    if "form" in given:
        sent["data"] = given["form"]
    if "files" in given:
        sent["files"] = {name: tuple(file) for name, file in given["files"].items()}
    return sent


def tidy(text: str, base: str) -> str:
    """A text without what differs from host to host."""
    text = text.replace(base, "BASE").replace(base.removeprefix("http://"), "HOST")
    for name, value in KEYS.items():
        text = text.replace(value, f"<{name}>")
    text = LONG.sub(lambda match: f"{{x{len(match[0])}}}", text)
    for pattern, instead in HIDDEN:
        text = pattern.sub(instead, text)
    return text


def body(text: str) -> Any:
    """JSON as what it says; a page as `a page`; every byte once as that."""
    if text == bytes(range(256)).decode("latin-1"):
        return {"base64": "all"}
    if text.startswith("<!DOCTYPE html>"):
        return "a page"
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda each: each["name"])
def test_answer(answers: dict[str, dict[str, Any]], exchange: dict[str, Any]) -> None:
    """As Microsoft's host; else as the file says, with the reason beside it."""
    answer = answers[exchange["name"]]
    expected = {"headers": {}, "body": "", **exchange["microsoft"], **exchange.get("here", {})}
    if exchange["name"] == "admin functions":
        answer = {
            **answer,
            "body": {
                each["name"]: [each["invoke_url_template"], each["config"]["bindings"]]
                for each in answer["body"]
            },
        }
    assert answer == expected


def test_differences_are_few_and_have_their_reasons() -> None:
    """At least 105 of 120 are alike."""
    different = [each for each in EXCHANGES if "here" in each]
    assert len(EXCHANGES) == 120
    assert len(different) <= 15
    assert all(each["why"] for each in different)
