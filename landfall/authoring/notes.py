"""Lists the fields of a contract that do not affect a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from landfall.contract.columns import UNCHECKED_TEXTS
from landfall.contract.quality import OPERATORS
from landfall.contract.reader import Node

_QUALITY = (*OPERATORS, "arguments", "id", "metric", "name", "query", "rule", "type", "unit")
_RELATIONSHIP = ("from", "to", "type")
_USED = frozenset(
    {
        *("apiVersion", "id", "kind", "version", "description.purpose"),
        *(f"servers[].{name}" for name in ("delimiter", "encoding", "format")),
        "schema[].name",
        *(
            f"schema[].properties[].{name}"
            for name in (
                *("name", "logicalType", "logicalTypeOptions", "required", "unique"),
                *("primaryKey", "primaryKeyPosition", "classification", "description"),
                *("physicalName", "semanticType", "enum[].value"),
            )
        ),
        *(f"schema[].quality[].{name}" for name in (*_QUALITY, "validValues")),
        *(f"schema[].properties[].quality[].{name}" for name in (*_QUALITY, "validValues")),
        *(f"schema[].relationships[].{name}" for name in _RELATIONSHIP),
        *(f"schema[].properties[].relationships[].{name}" for name in _RELATIONSHIP),
    }
)
_PARENTS = {path.rpartition(".")[0] for path in _USED if "." in path} | {"schema[].properties[]"}
_NESTED_LISTS = frozenset(parent for parent in _PARENTS if parent.endswith("[]"))
_NESTED_MAPPINGS = frozenset(_PARENTS) - _NESTED_LISTS
_LATER = ("slaProperties", "slaDefaultElement")


@dataclass(frozen=True)
class Notes:
    """Fields by path, with `[]` for all items of a list, and how often each is given.

    `later` are stored with the contract but not used yet; `described` are descriptive; `unchecked`
    belong to another tool, or are not checked.
    """

    later: Counter[str]
    described: Counter[str]
    unchecked: Counter[str]


def notes(text: str, *, file: str) -> Notes:
    """Return the notes of a valid contract."""
    collected = Notes(Counter(), Counter(), Counter())
    for path, value in _fields(Node.of_yaml(text, file).value, ""):
        if path.startswith(_LATER):
            collected.later[path] += 1
        elif path == "customProperties[]":
            if value.get("vendor") not in {None, "landfall"}:
                collected.unchecked[f"{value['property']} of {value['vendor']}"] += 1
        elif path.endswith(".quality[]"):
            collected.described[f"{path} of type text"] += 1
        elif path.endswith(".logicalTypeOptions"):
            if value.get("format") in UNCHECKED_TEXTS:
                collected.unchecked[f"{path}.format {value['format']}"] += 1
        elif path not in _USED:
            collected.described[path] += 1
    return collected


def _fields(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every given field with its path."""
    for key, below in value.items():
        inner = f"{path}.{key}" if path else key
        if below is None or below == []:
            continue
        if inner == "customProperties" or f"{inner}[]" in _NESTED_LISTS:
            for item in below:
                if inner == "customProperties" or item.get("type") == "text":
                    yield f"{inner}[]", item
                else:
                    yield from _fields(item, f"{inner}[]")
        elif inner in _NESTED_MAPPINGS and isinstance(below, dict):
            yield from _fields(below, inner)
        elif inner in _LATER and isinstance(below, list):
            yield from ((inner, item) for item in below)
        else:
            yield inner, below
