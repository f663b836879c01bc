"""JSON Schema, as far as source files need it: written by these functions, checked on YAML nodes.

One schema is published for editors and decides here too, so the two cannot differ. A choice between
records (`either`) is decided by the first field that each of them requires, and by its constant
where it has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, cast

from landfall.contract.reader import Node

Schema = dict[str, Any]


class SourceError(ValueError):
    """A source file is wrong.

    Attributes:
        file: its name; line: where, counted from 1.
        path: the place in the document, such as `objects[0].mode`.
        reason: what is wrong there and what is expected.
    """

    def __init__(self, file: str, line: int, path: str, reason: str) -> None:
        super().__init__(f"{file}:{line}: {path or 'document'}: {reason}")
        self.file = file
        self.line = line
        self.path = path
        self.reason = reason


class SourceNode(Node):
    """A value of a source file with its place."""

    def error(self, reason: str) -> SourceError:  # type: ignore[override]
        """Return an error about this place."""
        return SourceError(self.file, self.line, self.path, reason)


def text(description: str, pattern: str = "", form: str = "", **more: Any) -> Schema:
    """Text; `form` says in words what the pattern asks for."""
    schema: Schema = {"type": "string", "description": description, **more}
    if pattern:
        schema |= {"pattern": f"^(?:{pattern})$", "patternErrorMessage": form}
    return schema


def constant(value: str, description: str = "") -> Schema:
    """One text and no other."""
    return {"const": value} | ({"description": description} if description else {})


def choice(description: str, *values: str, **more: Any) -> Schema:
    """One of some texts."""
    return {"type": "string", "enum": list(values), "description": description, **more}


def count(description: str, least: int = 0, most: int | None = None, **more: Any) -> Schema:
    """A whole number."""
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return {"type": "integer", "description": description, **bounds, **more}


def ratio(description: str, **more: Any) -> Schema:
    """A share between 0 and 1."""
    return {"type": "number", "minimum": 0, "maximum": 1, "description": description, **more}


def flag(description: str, **more: Any) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description, **more}


def moment(description: str, **more: Any) -> Schema:
    """A time with its offset."""
    return {"type": "string", "format": "date-time", "description": description, **more}


def listing(description: str, items: Schema) -> Schema:
    """A list with at least one item, none of them twice."""
    return {
        "type": "array",
        "description": description,
        "items": items,
        "minItems": 1,
        "uniqueItems": True,
    }


def texts(description: str, values: Schema) -> Schema:
    """Any names, each with a value."""
    return {"type": "object", "description": description, "additionalProperties": values}


def record(description: str, required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    """Named fields and no others."""
    schema: Schema = {"type": "object", "description": description, "additionalProperties": False}
    return schema | {"properties": fields} | ({"required": list(required)} if required else {})


def either(description: str, *alternatives: Schema) -> Schema:
    """One of some records."""
    return {"description": description, "oneOf": list(alternatives)}


def check(node: SourceNode, schema: Schema) -> Any:
    """Return the value of a node with defaults filled in.

    Raises:
        SourceError: it does not fit the schema.
    """
    if "oneOf" in schema:
        return check(node, _alternative(node, schema["oneOf"]))
    if "const" in schema:
        return node.one_of((schema["const"],))
    return _CHECKS[schema["type"]](node, schema)


def _alternative(node: SourceNode, alternatives: list[Schema]) -> Schema:
    values = node.mapping()
    marks = [(a["required"][0], a) for a in alternatives]
    for name, alternative in marks:
        wanted = alternative["properties"][name].get("const")
        if name in values and wanted in (None, values[name]):
            return alternative
    names = list(dict.fromkeys(name for name, _ in marks))
    if len(names) > 1:
        raise node.error(f"needs one of {', '.join(names)}")
    choices = [a["properties"][names[0]]["const"] for a in alternatives]
    node.require(names[0]).one_of(choices)
    raise AssertionError(choices)


def _record(node: SourceNode, schema: Schema) -> dict[str, Any]:
    values = node.mapping()
    fields: Mapping[str, Schema] = schema.get("properties", {})
    others = schema["additionalProperties"]
    for name in values:
        if name not in fields and others is False:
            raise node.at(name).error(f"is not known here; known: {', '.join(fields)}")
    for name in schema.get("required", ()):
        if values.get(name) is None:
            raise node.error(f"{name!r} is missing")
    checked = {
        name: check(node.at(name), fields.get(name, others)) for name in values if name is not None
    }
    defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
    return defaults | checked


def _list(node: SourceNode, schema: Schema) -> list[Any]:
    nodes = node.items()
    if len(nodes) < schema["minItems"]:
        raise node.error("is empty")
    values = [check(item, schema["items"]) for item in nodes]
    for index, value in enumerate(values):
        if value in values[:index]:
            raise node.item(index).error("is listed twice")
    return values


def _text(node: SourceNode, schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return _moment(node)
    value = node.text()
    if "enum" in schema and value not in schema["enum"]:
        raise node.error(f"is {value!r}; supported: {', '.join(schema['enum'])}")
    if "pattern" in schema and not re.search(schema["pattern"], value, re.ASCII):
        raise node.error(f"is {value!r}; {schema['patternErrorMessage']}")
    return value


def _moment(node: SourceNode) -> str:
    # YAML makes a time of an unquoted one: in UTC, without its offset where that was Z.
    value = node.value
    try:
        moment = (
            value if isinstance(value, datetime) else datetime.fromisoformat(cast("str", value))
        )
    except (TypeError, ValueError):
        shown = value.isoformat() if isinstance(value, date) else value
        raise node.error(f"is {shown!r}; write a time as 2026-01-31T06:00:00Z") from None
    return moment.astimezone(UTC).isoformat() if moment.tzinfo else f"{moment.isoformat()}+00:00"


def _number(node: SourceNode, schema: Schema) -> int | float:
    value = node.count() if schema["type"] == "integer" else node.number()
    low, high = schema["minimum"], schema.get("maximum")
    if value < low or (high is not None and value > high):
        bounds = f"{low} or more" if high is None else f"from {low} to {high}"
        raise node.error(f"is {value}; a number {bounds} is needed")
    return value


_CHECKS: dict[str, Callable[[SourceNode, Schema], Any]] = {
    "object": _record,
    "array": _list,
    "string": _text,
    "boolean": lambda node, _: node.flag(),
    "integer": _number,
    "number": _number,
}
