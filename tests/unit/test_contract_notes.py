"""Every field of a contract is used, listed in the notes, or named in an error."""

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from landfall.authoring.notes import _USED, notes
from landfall.contract.folder import ContractError, parse

SCHEMA = json.loads(
    (resources.files("open_data_contract_standard") / "schema.json").read_text(encoding="utf-8")
)
DEFINED = SCHEMA["$defs"]


def fields(*definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that the standard has at a place."""
    return {
        name: spec
        for definition in definitions
        for name, spec in definition.get("properties", {}).items()
    }


PLACES = {
    "": fields(SCHEMA),
    "schema[].": fields(DEFINED["SchemaElement"], DEFINED["SchemaObject"]),
    "schema[].properties[].": fields(
        DEFINED["SchemaElement"], DEFINED["SchemaBaseProperty"], DEFINED["SchemaProperty"]
    ),
    "schema[].properties[].quality[].": fields(
        DEFINED["DataQuality"], DEFINED["DataQualityLibrary"]
    ),
    "schema[].properties[].relationships[].": fields(DEFINED["RelationshipBase"]),
    "servers[].": fields(DEFINED["Server"], DEFINED["ServerSource"]["AzureServer"]),
}


def sample(spec: dict[str, Any]) -> Any:
    """Return a valid value of a field."""
    kind = spec.get("type", "string")
    return {"array": ["x"], "object": {"x": "y"}, "boolean": True, "integer": 1}.get(kind, "x")


def with_field(place: str, name: str, value: Any) -> str:
    """Return a contract with the field at a place."""
    column: dict[str, Any] = {"name": "c", "logicalType": "integer"}
    quality: dict[str, Any] = {"metric": "nullValues", "mustBe": 0}
    link: dict[str, Any] = {"to": "o.id"}
    server: dict[str, Any] = {"server": "l", "type": "local"}
    table: dict[str, Any] = {"name": "t", "properties": [column]}
    root: dict[str, Any] = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "t",
        "version": "1",
        "schema": [table],
    }
    target = {
        "": root,
        "schema[].": table,
        "schema[].properties[].": column,
        "schema[].properties[].quality[].": quality,
        "schema[].properties[].relationships[].": link,
        "servers[].": server,
    }[place]
    if "quality" in place:
        column["quality"] = [quality]
    if "relationships" in place:
        column["relationships"] = [link]
    if "servers" in place:
        root["servers"] = [server]
    target.setdefault(name, value)
    return json.dumps(root)


def every_field() -> Iterator[tuple[str, str]]:
    """Yield each field of the standard with its place."""
    for place, place_fields in PLACES.items():
        yield from ((place, name) for name in place_fields)


def error_of(text: str) -> ContractError | None:
    """Return the error of a contract, if there is one."""
    try:
        parse(text, file="t.odcs.yaml")
    except ContractError as error:
        return error
    return None


@pytest.mark.parametrize(("place", "name"), list(every_field()))
def test_every_field_of_the_standard_is_accounted_for(place: str, name: str) -> None:
    """All fields of the standard's JSON schema are used, noted or refused."""
    text = with_field(place, name, sample(PLACES[place][name]))
    refusal = error_of(text)

    if refusal is not None:
        assert name in refusal.path or name in refusal.reason
    else:
        collected = notes(text, file="t.odcs.yaml")
        known = [
            *collected.later,
            *collected.described,
            *collected.unchecked,
            *_USED,
            "customProperties",
        ]
        assert any(field.startswith(f"{place}{name}") for field in known)


def test_there_are_fields_at_every_place() -> None:
    """The test above has fields at every place."""
    assert min(map(len, PLACES.values())) >= 5
    assert len(list(every_field())) > 90


def test_notes_count_fields() -> None:
    """Text rules, properties of other vendors and unchecked formats are counted."""
    text = json.dumps(
        {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": "t",
            "version": "1",
            "slaProperties": [{"property": "latency", "value": 4}, {"property": "x", "value": 1}],
            "customProperties": [
                {"property": "retention", "value": 1, "vendor": "acme"},
                {"property": "maxRejectedRatio", "value": 0},
            ],
            "schema": [
                {
                    "name": "t",
                    "tags": ["a", "b"],
                    "properties": [
                        {
                            "name": "c",
                            "logicalType": "string",
                            "logicalTypeOptions": {"format": "password", "maxLength": 3},
                            "quality": [{"type": "text", "description": "is nice"}],
                            "businessName": "C",
                        }
                    ],
                }
            ],
        }
    )

    collected = notes(text, file="t.odcs.yaml")

    assert collected.later == {"slaProperties": 2}
    assert collected.unchecked == {
        "retention of acme": 1,
        "schema[].properties[].logicalTypeOptions.format password": 1,
    }
    assert collected.described == {
        "schema[].tags": 1,
        "schema[].properties[].businessName": 1,
        "schema[].properties[].quality[] of type text": 1,
    }
