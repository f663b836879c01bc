"""What a contract says that no verdict depends on, named, so that nothing is ignored unseen."""

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
_PARENTS = {place.rpartition(".")[0] for place in _USED if "." in place} | {"schema[].properties[]"}
_OPENED_LISTS = frozenset(parent for parent in _PARENTS if parent.endswith("[]"))
_OPENED_MAPPINGS = frozenset(_PARENTS) - _OPENED_LISTS
_LATER = ("slaProperties", "slaDefaultElement")


@dataclass(frozen=True)
class Notes:
    """Fields by place, `[]` standing for every item of a list, with how often each is said.

    `later` are kept with the contract for what is to come; `described` only describe;
    `others` belong to another tool by their vendor, or ask for what is not checked.
    """

    later: Counter[str]
    described: Counter[str]
    others: Counter[str]


def notes(text: str, *, file: str) -> Notes:
    """The notes of a contract that `parse` reads."""
    found = Notes(Counter(), Counter(), Counter())
    for place, value in _places(Node.of_yaml(text, file).value, ""):
        if place.startswith(_LATER):
            found.later[place] += 1
        elif place == "customProperties[]":
            if value.get("vendor") not in {None, "landfall"}:
                found.others[f"{value['property']} of {value['vendor']}"] += 1
        elif place.endswith(".quality[]"):
            found.described[f"{place} of type text"] += 1
        elif place.endswith(".logicalTypeOptions"):
            if value.get("format") in UNCHECKED_TEXTS:
                found.others[f"{place}.format {value['format']}"] += 1
        elif place not in _USED:
            found.described[place] += 1
    return found


def _places(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every field that is said, down to where a place is looked at as a whole."""
    for key, below in value.items():
        inner = f"{place}.{key}" if place else key
        if below is None or below == []:
            continue
        if inner == "customProperties" or f"{inner}[]" in _OPENED_LISTS:
            for item in below:
                if inner == "customProperties" or item.get("type") == "text":
                    yield f"{inner}[]", item
                else:
                    yield from _places(item, f"{inner}[]")
        elif inner in _OPENED_MAPPINGS and isinstance(below, dict):
            yield from _places(below, inner)
        elif inner in _LATER and isinstance(below, list):
            yield from ((inner, item) for item in below)
        else:
            yield inner, below
