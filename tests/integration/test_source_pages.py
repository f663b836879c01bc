"""Pages of a source file, as compiled for Data Factory: every record comes once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcloud.datafactory.connectors.pagination import PageReply, PageRequest, Pagination
from landfall.contract.folder import parse
from landfall.sources import http, reader
from landfall.sources.model import SourceObject
from landfall.sources.ranges import Range, read_mark
from tests.shop_source import orders_contract

STEP = 3
WAYS: dict[str, dict[str, Any]] = {
    "offset": {"kind": "offset", "parameter": "n", "step": STEP, "until": {"empty": "data"}},
    "offset from 1": {"kind": "offset", "parameter": "n", "step": STEP, "start": 1,
                      "until": {"missing": "data[0]"}},
    "page": {"kind": "page", "parameter": "n", "until": {"empty": "data"}},
    "page to the last": {"kind": "page", "parameter": "n",
                         "until": {"path": "last", "equals": "true"}},
    "link": {"kind": "link", "next": "paging.next"},
    "rfc5988": {"kind": "rfc5988"},
    "cursor": {"kind": "cursor", "parameter": "n", "next": "paging.cursor"},
    "cursor in a header": {"kind": "cursor", "parameter": "n", "next": "header:X-Next"},
}  # fmt: skip
"""`pages` of a source file, by what it is about."""
FULL_PAGES = {"offset", "offset from 1", "page"}
"""Ways that end with the first page without a record."""


def entry_of(pages: dict[str, Any]) -> SourceObject:
    """The object of a source file with such pages."""
    document = {
        "apiVersion": "landfall/v1",
        "kind": "Source",
        "name": "api",
        "connector": "rest",
        "connection": {"url": "https://x.example/"},
        "objects": [
            {"name": "orders", "dataset": "orders", "mode": "full", "path": "items",
             "records": "data", "pages": pages}
        ],
    }  # fmt: skip
    contracts = {"orders": parse(orders_contract(), file="orders.odcs.yaml")}
    return reader.parse(json.dumps(document), file="api.yaml", contracts=contracts).objects[0]


@pytest.mark.parametrize("way", WAYS)
@given(sizes=st.lists(st.integers(0, STEP), max_size=8))
def test_any_split_gives_every_record_once(way: str, sizes: list[int]) -> None:
    """However N records are split into pages, the compiled rules read all of them."""
    entry = entry_of(WAYS[way])
    total = sum(sizes)
    if way in FULL_PAGES:
        sizes = [min(STEP, total - at) for at in range(0, total, STEP)]
    pages = sizes or [0]
    records = iter(range(total))
    contents = [[next(records) for _ in range(size)] for size in pages]
    start = int(entry.pages.get("start", 0))
    step = STEP if "offset" in way else 1
    extent = Range(None, read_mark("2026-06-01T00:00:00Z", counted=False), "full")
    base = PageRequest("https://x.example/" + http.relative_url(entry, extent), {})
    pagination = Pagination.read(http.pagination(entry))
    request = pagination.first(base.url, base.headers)
    seen: list[int] = []
    while request is not None:
        asked = int(request.url.partition("n=")[2] or start)
        number = (asked - start) // step
        content = contents[number] if number < len(contents) else []
        seen += content
        last = number >= len(contents) - 1
        body: dict[str, Any] = {"data": content, "last": last}
        headers: dict[str, str] = {}
        if not last:
            target = f"https://x.example/items?n={number + 1}"
            body["paging"] = {"next": target, "cursor": number + 1}
            headers = {"x-next": str(number + 1), "link": f'<{target}>; rel="next"'}
        request = pagination.next(base, request, PageReply(200, headers, body))
    assert seen == list(range(total))
