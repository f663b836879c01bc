"""The TabularTranslator: which source column becomes which typed sink column.

Source: learn.microsoft.com/azure/data-factory/copy-activity-schema-and-type-mapping
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from devcloud.datafactory.copy.failure import CopyError

TYPES = (
    "Boolean",
    "Byte",
    "Int16",
    "Int32",
    "Int64",
    "SByte",
    "UInt16",
    "UInt32",
    "UInt64",
    "Single",
    "Double",
    "Decimal",
    "String",
    "Guid",
    "Date",
    "DateTime",
    "DateTimeOffset",
)
_TRANSLATOR = {"type", "typeConversion", "typeConversionSettings", "mappings"}
_SETTINGS = {
    "allowDataTruncation",
    "treatBooleanAsNumber",
    "dateTimeFormat",
    "dateTimeOffsetFormat",
    "dateFormat",
    "culture",
}
_SOURCE = {"name", "ordinal", "path", "type", "format"}
_SINK = {"name", "type", "physicalType", "precision", "scale", "format"}
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\['((?:[^'\\]|\\.)*)'\]")


@dataclass(frozen=True)
class MappedColumn:
    """One mapping.

    Attributes:
        source: name of the source column; ordinal: its place from 1, where it has no name.
        path: property names from the root of a JSON object.
        sink: name of the sink column.
        kind: interim type of the sink, one of `TYPES`; None keeps what the source has.
        format: .NET format of its dates; None is ISO 8601.
        precision, scale: of Decimal.
    """

    source: str | None
    ordinal: int | None
    path: tuple[str, ...] | None
    sink: str
    kind: str | None
    format: str | None
    precision: int = 38
    scale: int = 18


def read(document: Any) -> list[MappedColumn] | None:
    """Read a translator; None means that there is none, and all columns go by name.

    Raises:
        CopyError: it is wrong, or asks for what is not supported.
    """
    if document is None:
        return None
    if not isinstance(document, dict) or document.get("type") != "TabularTranslator":
        raise _wrong("the translator must be an object of type TabularTranslator")
    _only("translator", document, _TRANSLATOR)
    settings = _settings(document.get("typeConversionSettings") or {})
    if "mappings" not in document:
        return None
    converts = document.get("typeConversion", False)
    columns = [_column(each, settings) for each in document["mappings"]]
    typed = [column for column in columns if column.kind not in (None, "String")]
    if typed and not converts:
        raise _wrong(f"the type of {typed[0].sink!r} needs typeConversion: true")
    if typed and settings.get("allowDataTruncation", True):
        raise _wrong("allowDataTruncation must be false: truncation is not supported")
    sinks = [column.sink for column in columns]
    for name in sinks:
        if sinks.count(name) > 1:
            raise _wrong(f"the sink column {name!r} is mapped twice")
    if not columns:
        raise _wrong("mappings must not be empty")
    return columns


def _settings(document: Any) -> dict[str, Any]:
    _only("typeConversionSettings", document, _SETTINGS)
    if document.get("culture", "en-us").lower() not in ("en-us", "invariant", ""):
        raise _wrong(f"the culture {document['culture']!r} is not supported")
    if document.get("treatBooleanAsNumber", False):
        raise _wrong("treatBooleanAsNumber is not supported")
    settings: dict[str, Any] = document
    return settings


def _column(mapping: Any, settings: dict[str, Any]) -> MappedColumn:
    _only("mapping", mapping, {"source", "sink"})
    source, sink = mapping.get("source", {}), mapping.get("sink", {})
    _only("mapping source", source, _SOURCE)
    _only("mapping sink", sink, _SINK)
    if not {"name", "ordinal", "path"} & source.keys() or not sink.get("name"):
        raise _wrong(f"a mapping needs a source and a sink name: {mapping}")
    kind = sink.get("type")
    if kind is not None and kind not in TYPES:
        raise _wrong(f"the type {kind!r} of {sink['name']!r} is not one of {TYPES}")
    general = {
        "DateTime": "dateTimeFormat",
        "DateTimeOffset": "dateTimeOffsetFormat",
        "Date": "dateFormat",
    }.get(str(kind), "")
    return MappedColumn(
        source=source.get("name"),
        ordinal=source.get("ordinal"),
        path=_path(source["path"]) if "path" in source else None,
        sink=sink["name"],
        kind=kind,
        format=source.get("format") or sink.get("format") or settings.get(general),
        precision=int(sink.get("precision", 38)),
        scale=int(sink.get("scale", 18)),
    )


def _path(text: str) -> tuple[str, ...]:
    steps: list[str] = []
    rest = text.removeprefix("$")
    while rest:
        match = _STEP.match(rest)
        if match is None:
            raise _wrong(f"the JSON path {text!r} is not supported: write $['a']['b']")
        steps.append(match[1] or re.sub(r"\\(.)", r"\1", match[2]))
        rest = rest[match.end() :]
    if not steps:
        raise _wrong(f"the JSON path {text!r} names no property")
    return tuple(steps)


def _only(place: str, document: Any, known: set[str]) -> None:
    if not isinstance(document, dict):
        raise _wrong(f"{place} must be an object, not {document!r}")
    unknown = sorted(document.keys() - known)
    if unknown:
        raise _wrong(f"{place}: the property {unknown[0]!r} is not supported")


def _wrong(message: str) -> CopyError:
    return CopyError("UserErrorInvalidTranslator", message)
