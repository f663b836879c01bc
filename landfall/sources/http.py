"""The requests by which Data Factory reads an API or a server, built in this one place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any
from urllib.parse import quote

from landfall.contract.model import Contract
from landfall.sources.model import SourceObject
from landfall.sources.ranges import Mark, Range, mark_text

DEFAULT_MOST = 100_000
"""Pages after which a reading ends where the source file does not say: a loop that never ends."""


def relative_url(entry: SourceObject, extent: Range) -> str:
    """Return the path and query of the first page.

    Ends of the range are percent-encoded. A parameter that pages advance stays a placeholder, as
    Data Factory fills it in; it is added where the path does not have it.
    """
    path = str(entry.path)
    low = extent.low if extent.low is not None else None
    path = path.replace("{low}", _written(low, entry.time_format))
    path = path.replace("{high}", _written(extent.high, entry.time_format))
    if entry.pages["kind"] in {"offset", "page"}:
        parameter = entry.pages["parameter"]
        if f"{{{parameter}}}" not in path:
            path += f"{'&' if '?' in path else '?'}{parameter}={{{parameter}}}"
    return path


def _written(mark: Mark | None, time_format: str) -> str:
    """Return an end of a range for a URL; an open low end is the beginning of Unix time."""
    if isinstance(mark, int):
        return str(mark)
    seconds = 0.0 if mark is None else mark.timestamp()
    if time_format == "unix":
        return str(int(seconds))
    if time_format == "unix_ms":
        return str(int(seconds * 1000))
    if mark is None:
        return "1970-01-01" if time_format == "date" else quote("1970-01-01T00:00:00Z", safe="")
    if time_format == "date":
        return f"{mark.astimezone(UTC):%Y-%m-%d}"
    return quote(mark_text(mark), safe="")


def pagination(entry: SourceObject) -> dict[str, str]:
    """Return Data Factory's `paginationRules` of an object."""
    pages = entry.pages
    rules = {"supportRFC5988": "true" if pages["kind"] == "rfc5988" else "false"}
    if pages["kind"] == "link":
        rules["AbsoluteUrl"] = _json_path(pages["next"])
    elif pages["kind"] in {"offset", "page"}:
        step = pages.get("step", 1)
        rules[f"AbsoluteUrl.{{{pages['parameter']}}}"] = f"RANGE:{pages['start']}::{step}"
    elif pages["kind"] == "cursor":
        header = pages["next"].removeprefix("header:")
        found = header != pages["next"]
        rules[f"QueryParameters['{pages['parameter']}']"] = (
            f"Headers['{header}']" if found else _json_path(pages["next"])
        )
    rules |= _end(pages.get("until"))
    if pages["kind"] != "none":
        rules["MaxRequestNumber"] = str(pages.get("most", DEFAULT_MOST))
    return rules


def _end(until: Mapping[str, str] | None) -> dict[str, str]:
    if until is None:
        return {}
    if "empty" in until:
        return {f"EndCondition:{_json_path(until['empty'])}": "Empty"}
    if "missing" in until:
        return {f"EndCondition:{_json_path(until['missing'])}": "NonExist"}
    return {f"EndCondition:{_json_path(until['path'])}": f"Const:{until['equals']}"}


def _json_path(path: str) -> str:
    if path.startswith("$"):
        return path
    return f"$.{path}"


def translator(entry: SourceObject, contract: Contract) -> dict[str, Any]:
    """Return the `TabularTranslator` that makes flat records of an API's pages."""
    mappings = [
        {
            "source": {"path": _inside(entry.fields.get(column.name, column.name))},
            "sink": {"path": f"$['{column.name}']"},
        }
        for column in contract.columns
    ]
    document: dict[str, Any] = {
        "type": "TabularTranslator",
        "mappings": mappings,
        "mapComplexValuesToString": False,
    }
    if entry.records:
        steps = entry.records.removeprefix("$").removeprefix(".").split(".")
        document["collectionReference"] = "$" + "".join(f"['{step}']" for step in steps)
    return document


def _inside(path: str) -> str:
    """Return the path of a value in a record; one that begins with `$` is from the page's root."""
    if path.startswith("$"):
        return path
    return "".join(f"['{step}']" for step in path.split("."))


def suffix(entry: SourceObject) -> str:
    """Return what the name of the file has after its first dot, with the dot."""
    name = str(entry.path).partition("?")[0].rsplit("/", 1)[-1]
    return "".join(name.partition(".")[1:])
