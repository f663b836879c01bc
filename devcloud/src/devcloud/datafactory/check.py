"""Whether a definition is one that the local data factory can carry out to the letter.

Called when a definition is stored, so that an unknown word is refused before anything runs. Each
function raises `AzureError` 400 that names the place, and yields the references it found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from devcloud.datafactory import shapes
from devcloud.datafactory.azure_error import bad_request
from devcloud.datafactory.expressions.errors import ExpressionSyntaxError
from devcloud.datafactory.expressions.evaluate import check as check_expressions
from devcloud.datafactory.expressions.syntax import Call
from devcloud.datafactory.shapes import Shape


@dataclass(frozen=True)
class ResourceReference:
    """One definition that another needs: kind is "linkedservices", "datasets" or "pipelines"."""

    kind: str
    name: str


_GLOBAL_TYPES = ("string", "int", "float", "bool", "array", "object")
_REFERENCE_TYPES = {
    "LinkedServiceReference": "linkedservices",
    "DatasetReference": "datasets",
    "PipelineReference": "pipelines",
    "TriggerReference": "triggers",
}


def fits(place: str, document: Any, shape: Shape) -> dict[str, Any]:
    """Refuse what is missing or unknown in an object; give it back."""
    if not isinstance(document, dict):
        raise bad_request(f"{place} must be an object", place)
    missing = sorted(shape.needs - document.keys())
    if missing:
        raise bad_request(f"{place}: the property {missing[0]!r} is missing", place)
    unknown = sorted(document.keys() - shape.known)
    if unknown:
        raise bad_request(
            f"{place}: the property {unknown[0]!r} is not known to the local data factory; "
            f"it knows {sorted(shape.known)}",
            place,
        )
    for name, value in shape.off.items():
        if document.get(name, value) not in (value, str(value).lower()):
            raise bad_request(
                f"{place}: the local data factory takes {name!r} only as {value!r}, which "
                "switches it off",
                place,
            )
    return document


def typed(place: str, document: Any, table: dict[str, Shape]) -> Shape:
    """The shape that goes with an object's `type`."""
    kind = document.get("type") if isinstance(document, dict) else None
    if kind not in table:
        raise bad_request(
            f"{place}: the type {kind!r} is not known to the local data factory; "
            f"it knows {sorted(table)}",
            place,
        )
    return table[str(kind)]


def expressions(place: str, value: Any) -> list[Call]:
    """Read all expressions in a value; the calls they make."""
    try:
        return list(check_expressions(value))
    except ExpressionSyntaxError as error:
        raise bad_request(f"{place}: {error}", place) from error


def reference(place: str, document: Any, expected_type: str) -> ResourceReference:
    """Read a reference object; `expected_type` is its type, such as "DatasetReference"."""
    fits(place, document, Shape(frozenset(("referenceName", "type")), frozenset(("parameters",))))
    if document["type"] != expected_type:
        raise bad_request(f"{place}: the type must be {expected_type!r}", place)
    expressions(place, document.get("parameters", {}))
    return ResourceReference(_REFERENCE_TYPES[expected_type], str(document["referenceName"]))


def parameters(place: str, document: Any, types: Iterable[str] = shapes.PARAMETER_TYPES) -> None:
    """Check a table of parameter or variable definitions."""
    if not isinstance(document, dict):
        raise bad_request(f"{place} must be an object", place)
    if len(document) > shapes.MOST_PARAMETERS:
        raise bad_request(f"{place}: more than {shapes.MOST_PARAMETERS}", place)
    known = {name.lower() for name in types}
    for name, definition in document.items():
        kind = definition.get("type") if isinstance(definition, dict) else None
        if str(kind).lower() not in known:
            raise bad_request(f"{place}.{name}: the type {kind!r} is not one of {sorted(types)}")


def linked_service(properties: dict[str, Any]) -> Iterator[ResourceReference]:
    """Check a linked service.

    Yields:
        The key vaults it refers to.
    """
    fits("linkedService", properties, shapes.LINKED_SERVICE)
    shape = typed("linkedService", properties, shapes.LINKED_SERVICES)
    kind, inside = properties["type"], properties["typeProperties"]
    if kind == "AzurePostgreSql" and "connectionString" in inside:
        raise bad_request(
            "typeProperties.connectionString is that of version 1.0: here AzurePostgreSql is of "
            "version 2.0, with server, port, database and username",
            "connectionString",
        )
    fits("typeProperties", inside, shape)
    parameters("parameters", properties.get("parameters", {}))
    expressions("typeProperties", inside)
    authentication = inside.get("authenticationType")
    known = shapes.AUTHENTICATIONS.get(kind, ())
    if is_literal(authentication) and authentication not in (None, *known):
        raise bad_request(
            f"typeProperties.authenticationType must be one of {list(known)}, "
            f"not {authentication!r}",
            "authenticationType",
        )
    if kind == "AzureSqlDatabase" and not (
        "connectionString" in inside or {"server", "database"} <= inside.keys()
    ):
        raise bad_request("typeProperties needs server and database, or connectionString", "server")
    yield from _secrets(kind, inside)


def _secrets(kind: str, inside: dict[str, Any]) -> Iterator[ResourceReference]:
    """Check the secrets of a linked service, and the headers that may hold some."""
    secret = {*shapes.SECRETS, *({"connectionString"} if kind == "AzureBlobStorage" else ())}
    headers = inside.get("authHeaders")
    if headers is not None and not isinstance(headers, dict):
        raise bad_request("typeProperties.authHeaders must be an object", "authHeaders")
    for name, value in {**inside, **(headers or {})}.items():
        form = value.get("type") if isinstance(value, dict) else None
        if form == "AzureKeyVaultSecret":
            fits(f"typeProperties.{name}", value, shapes.VAULT_SECRET)
            yield reference(f"typeProperties.{name}", value["store"], "LinkedServiceReference")
        elif form == "SecureString":
            fits(f"typeProperties.{name}", value, shapes.SECURE_STRING)
        elif name in secret or name in (headers or {}):
            raise bad_request(
                f"typeProperties.{name} must be a SecureString or an AzureKeyVaultSecret", name
            )


def is_literal(value: Any) -> bool:
    """Whether a value is what it says, without an expression in it."""
    if isinstance(value, dict):
        return value.get("type") != "Expression" and all(map(is_literal, value.values()))
    if isinstance(value, list):
        return all(map(is_literal, value))
    return not isinstance(value, str) or not (value.startswith("@") or "@{" in value)


def dataset(properties: dict[str, Any]) -> Iterator[ResourceReference]:
    """Check a dataset."""
    fits("dataset", properties, shapes.DATASET)
    shape = typed("dataset", properties, shapes.DATASETS)
    inside = fits("typeProperties", properties["typeProperties"], shape)
    if "location" in shape.needs:
        location = inside["location"]
        fits("location", location, typed("location", location, shapes.LOCATIONS))
    parameters("parameters", properties.get("parameters", {}))
    expressions("typeProperties", inside)
    yield reference("linkedServiceName", properties["linkedServiceName"], "LinkedServiceReference")


def trigger(properties: dict[str, Any]) -> Iterator[ResourceReference]:
    """Check a trigger; its times are checked where they are computed.

    Yields:
        The pipelines it starts, and the triggers it depends on.
    """
    fits("trigger", properties, shapes.TRIGGER)
    shape = typed("trigger", properties, shapes.TRIGGERS)
    inside = fits("typeProperties", properties["typeProperties"], shape)
    windows = properties["type"] == "TumblingWindowTrigger"
    other = "pipelines" if windows else "pipeline"
    if other in properties:
        needed = "pipeline, and one" if windows else "pipelines"
        raise bad_request(f"a {properties['type']} has the property {needed}, not {other}", other)
    for number, entry in enumerate(started_by(properties)):
        place = f"pipelines[{number}]"
        fits(place, entry, Shape(frozenset(("pipelineReference",)), frozenset(("parameters",))))
        expressions(place, entry.get("parameters", {}))
        yield reference(place, entry["pipelineReference"], "PipelineReference")
    for entry in inside.get("dependsOn") or []:
        if isinstance(entry, dict) and "referenceTrigger" in entry:
            yield reference("dependsOn", entry["referenceTrigger"], "TriggerReference")
    if "events" in inside:
        _events(properties["type"], inside)


def started_by(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """What a trigger starts: each with `pipelineReference` and `parameters`."""
    if properties["type"] == "TumblingWindowTrigger":
        entry = properties.get("pipeline")
        return [] if entry is None else [entry]
    return list(properties.get("pipelines") or [])


def _events(kind: str, inside: dict[str, Any]) -> None:
    events = inside["events"]
    if not isinstance(events, list) or not events or not all(isinstance(e, str) for e in events):
        raise bad_request("typeProperties.events must be an array of types of events", "events")
    if kind != "BlobEventsTrigger":
        return
    unknown = [event for event in events if event not in shapes.BLOB_EVENTS]
    if unknown:
        raise bad_request(f"events: {unknown[0]!r} is not one of {shapes.BLOB_EVENTS}", "events")
    begins, ends = inside.get("blobPathBeginsWith"), inside.get("blobPathEndsWith")
    if not begins and not ends:
        raise bad_request(
            "typeProperties needs blobPathBeginsWith or blobPathEndsWith", "blobPathBeginsWith"
        )
    if begins and "/blobs/" not in str(begins) and str(begins).strip("/").count("/"):
        raise bad_request(
            "blobPathBeginsWith: between container and folder there must be /blobs/, such as "
            "/landing/blobs/orders/",
            "blobPathBeginsWith",
        )


def factory(properties: dict[str, Any]) -> Iterator[ResourceReference]:
    """Check a factory's global parameters."""
    for name, parameter in properties.get("globalParameters", {}).items():
        place = f"globalParameters.{name}"
        fits(place, parameter, Shape(frozenset(("type", "value"))))
        if str(parameter["type"]).lower() not in (
            "string",
            "int",
            "float",
            "bool",
            "array",
            "object",
        ):
            raise bad_request(f"{place}: the type {parameter['type']!r} is not known", place)
    yield from ()
