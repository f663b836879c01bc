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
_TRANSLATOR = {
    "type",
    "typeConversion",
    "typeConversionSettings",
    "mappings",
    "collectionReference",
    "mapComplexValuesToString",
}
_SETTINGS = {
    "allowDataTruncation",
    "treatBooleanAsNumber",
    "dateTimeFormat",
    "dateTimeOffsetFormat",
    "dateFormat",
    "culture",
}
_SOURCE = {"name", "ordinal", "path", "type", "format"}
_SINK = {"name", "path", "type", "physicalType", "precision", "scale", "format"}
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\['((?:[^'\\]|\\.)*)'\]")


@dataclass(frozen=True)
class MappedColumn:
    """One mapping.

    Attributes:
        source: name of the source column; ordinal: its place from 1, where it has no name.
        path: property names from a record of JSON, or from the root of its document.
        sink: name of the sink column.
        kind: interim type of the sink, one of `TYPES`; None keeps what the source has.
        format: .NET format of its dates; None is ISO 8601.
        precision, scale: of Decimal.
        root: whether the path begins at the root of the document, not at the record.
        sink_path: property names in a JSON sink.
    """

    source: str | None
    ordinal: int | None
    path: tuple[str, ...] | None
    sink: str
    kind: str | None
    format: str | None
    precision: int = 38
    scale: int = 18
    root: bool = False
    sink_path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Translator:
    """A checked translator.

    Attributes:
        columns: of the sink, in their order; None means that all go by name.
        collection: where in a JSON document the array of records is; None takes the document.
        complex_as_text: whether an object or array becomes its JSON text in a column.
    """

    columns: list[MappedColumn] | None = None
    collection: tuple[str, ...] | None = None
    complex_as_text: bool = False


def read(document: Any) -> Translator:
    """Read a translator; without one all columns go by name.

    Raises:
        CopyError: it is wrong, or asks for what is not supported.
    """
    if document is None:
        return Translator()
    if not isinstance(document, dict) or document.get("type") != "TabularTranslator":
        raise _wrong("the translator must be an object of type TabularTranslator")
    _only("translator", document, _TRANSLATOR)
    settings = _settings(document.get("typeConversionSettings") or {})
    reference = document.get("collectionReference")
    collection = json_path(reference) if reference not in (None, "", "$") else None
    as_text = document.get("mapComplexValuesToString", False) in (True, "true", "True")
    if "mappings" not in document:
        return Translator(None, collection, as_text)
    columns = [_column(each, settings) for each in document["mappings"]]
    _check(columns, document.get("typeConversion", False), settings)
    return Translator(columns, collection, as_text)


def _check(columns: list[MappedColumn], converts: Any, settings: dict[str, Any]) -> None:
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
    if not {"name", "ordinal", "path"} & source.keys() or not {"name", "path"} & sink.keys():
        raise _wrong(f"a mapping needs a source and a sink, each by name or path: {mapping}")
    sink_path = json_path(sink["path"]) if "path" in sink else (str(sink["name"]),)
    name = ".".join(sink_path)
    kind = sink.get("type")
    if kind is not None and kind not in TYPES:
        raise _wrong(f"the type {kind!r} of {name!r} is not one of {TYPES}")
    general = {
        "DateTime": "dateTimeFormat",
        "DateTimeOffset": "dateTimeOffsetFormat",
        "Date": "dateFormat",
    }.get(str(kind), "")
    return MappedColumn(
        source=source.get("name"),
        ordinal=source.get("ordinal"),
        path=json_path(source["path"]) if "path" in source else None,
        sink=name,
        kind=kind,
        format=source.get("format") or sink.get("format") or settings.get(general),
        precision=int(sink.get("precision", 38)),
        scale=int(sink.get("scale", 18)),
        root=str(source.get("path", "")).startswith("$"),
        sink_path=sink_path,
    )


def json_path(text: Any) -> tuple[str, ...]:
    """The property names of a JSON path such as `$['a']['b']`.

    Raises:
        CopyError: it is another kind of path.
    """
    if not isinstance(text, str):
        raise _wrong(f"a JSON path is a text, not {text!r}")
    return _path(text)


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
