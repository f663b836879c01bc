"""Activities on data: Copy, Lookup, GetMetadata, Delete."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from devcloud.clock import stamp
from devcloud.datafactory import shapes
from devcloud.datafactory.activities.frame import Activity, ActivityError, Effect, Frame, wrong
from devcloud.datafactory.activities.sources import source_of
from devcloud.datafactory.azure_error import AzureError
from devcloud.datafactory.connectors.partition import DEFAULT_PARTS
from devcloud.datafactory.connectors.secrets import VAULT, from_vault, resolved
from devcloud.datafactory.copy.failure import CopyError, CopyStoppedError
from devcloud.datafactory.copy.job import CopyJob, CopySource, End
from devcloud.datafactory.copy.lake import CopyLake
from devcloud.datafactory.copy.selection import FileSelection
from devcloud.datafactory.copy.tabular import CopyTable
from devcloud.datafactory.copy.translator import read as read_translator
from devcloud.datafactory.expressions.arguments import to_text

_MOST_ROWS = 5000  # of a Lookup, as in Azure
_MOST_BYTES = 4 * 1024 * 1024  # likewise
_MOST_COPIES = 50


async def copy(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Copy."""
    values = frame.evaluate(activity["typeProperties"])
    effect.input = values
    source = await resolve(frame, activity["inputs"][0])
    sink = await _of_the_lake(frame, activity["outputs"][0])
    _belongs(values["sink"]["type"], shapes.FORMATS[sink.kind][1], sink.kind)
    if (source.kind == "Binary") != (sink.kind == "Binary"):
        raise wrong("a Binary dataset", "copied to a Binary dataset", sink.kind)
    behaviour = values["sink"].get("storeSettings", {}).get("copyBehavior", "")
    if behaviour not in ("", "MergeFiles", "PreserveHierarchy"):
        raise wrong("copyBehavior", "MergeFiles, PreserveHierarchy or left out", behaviour)
    at_once = values.get("parallelCopies")
    if at_once is not None and (not isinstance(at_once, int) or not 1 <= at_once <= _MOST_COPIES):
        raise wrong("parallelCopies", f"an integer from 1 to {_MOST_COPIES}", at_once)
    skip = values.get("enableSkipIncompatibleRow", False) is True
    with copy_errors():
        job = CopyJob(
            source_of(
                frame,
                source,
                values["source"],
                several=behaviour == "MergeFiles" or (sink.kind == "Binary" and sink.is_folder),
                skip_faults=skip,
                parts=at_once,
            ),
            sink,
            {
                each["name"]: to_text(each["value"])
                for each in values["source"].get("additionalColumns", [])
            },
            read_translator(values.get("translator")),
            skip,
            values["sink"].get("formatSettings", {}),
            at_once or DEFAULT_PARTS,
        )
    effect.output = await _in_thread(frame, job.run)


async def lookup(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Lookup: the first row, or all; of more than 5000 the first 5000, as in Azure."""
    inside = frame.evaluate(
        {key: value for key, value in activity["typeProperties"].items() if key != "dataset"}
    )
    effect.input = inside
    end = await resolve(frame, activity["typeProperties"]["dataset"])
    first_only = inside.get("firstRowOnly", True)
    with copy_errors():
        source = source_of(frame, end, inside["source"])
    rows = await _in_thread(frame, _rows, source, 1 if first_only else _MOST_ROWS)
    if not first_only:
        effect.output = {"count": len(rows), "value": rows}
    else:
        effect.output = {"firstRow": rows[0]} if rows else {}
    if len(json.dumps(effect.output)) > _MOST_BYTES:
        effect.output = None
        raise ActivityError(
            "2100", f"the lookup's result is larger than {_MOST_BYTES} bytes: ask for less"
        )


async def get_metadata(activity: Activity, frame: Frame, effect: Effect) -> None:
    """GetMetadata of a file or folder."""
    fields = activity["typeProperties"]["fieldList"]
    effect.input = {"fieldList": fields}
    end = await _of_the_lake(frame, activity["typeProperties"]["dataset"])
    effect.output = await _in_thread(frame, _metadata, end, fields)


async def delete(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Delete of a file, or of the files in a folder, of it alone or all below."""
    inside = frame.evaluate(
        {key: value for key, value in activity["typeProperties"].items() if key != "dataset"}
    )
    effect.input = inside
    end = await _of_the_lake(frame, activity["typeProperties"]["dataset"])
    settings = inside.get("storeSettings", {})
    selection = FileSelection.read(settings, recursive=False)
    deleted = await _in_thread(frame, _delete, end, selection)
    effect.output = {
        "datasetName": activity["typeProperties"]["dataset"]["referenceName"],
        "relativePath": end.place[1],
        "recursive": selection.recursive,
        "filesDeleted": deleted,
    }


async def resolve(frame: Frame, reference: dict[str, Any]) -> End:
    """The dataset that a reference names, with its linked service, evaluated, secrets resolved.

    Raises:
        ActivityError: a parameter without a value, a definition that is gone, or a secret that
            cannot be had.
    """
    resources = frame.services.resources
    try:
        dataset = resources.get(frame.run.factory, "datasets", reference["referenceName"])
        properties = dataset["properties"]
        given = frame.evaluate(reference.get("parameters", {}))
        known = _parameters(f"the dataset {dataset['name']!r}", properties, given)
        values = frame.evaluate(properties["typeProperties"], dataset=known)
        link = properties["linkedServiceName"]
        linked = resources.get(frame.run.factory, "linkedservices", link["referenceName"])
    except AzureError as error:
        raise ActivityError(error.code, error.message, final=True) from error
    given = frame.evaluate(link.get("parameters", {}), dataset=known)
    bound = _parameters(f"the linked service {linked['name']!r}", linked["properties"], given)
    store, kind = linked["properties"]["type"], properties["type"]
    if store not in shapes.STORES[kind]:
        raise wrong(f"the linked service of a {kind}", " or ".join(shapes.STORES[kind]), store)
    location = shapes.LAKE_STORES.get(store)
    if location is not None and (given_location := values["location"]["type"]) != location:
        raise wrong(f"the location of a dataset of an {store}", location, given_location)
    service = frame.evaluate(linked["properties"]["typeProperties"], linkedservice=bound)
    with copy_errors():
        service = await resolved(service, lambda secret: _secret(frame, secret))
    return End(kind, values, service, store)


async def _secret(frame: Frame, reference: dict[str, Any]) -> str:
    name = reference["store"]["referenceName"]
    try:
        vault = frame.services.resources.get(frame.run.factory, "linkedservices", name)
    except AzureError as error:
        raise ActivityError(error.code, error.message, final=True) from error
    base = str(frame.evaluate(vault["properties"]["typeProperties"]["baseUrl"]))
    return await from_vault(frame.services.http, base, frame.services.token(VAULT), reference)


async def _of_the_lake(frame: Frame, reference: dict[str, Any]) -> End:
    end = await resolve(frame, reference)
    if end.store not in shapes.LAKE_STORES:
        known = " or ".join(shapes.LAKE_STORES)
        raise wrong("the linked service of the dataset", f"an {known}", end.store)
    return end


def _parameters(what: str, properties: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    declared = properties.get("parameters", {})
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        raise wrong(what, "without the parameter", unknown[0])
    values = {
        name: given.get(name, definition.get("defaultValue"))
        for name, definition in declared.items()
    }
    for name, value in values.items():
        if value is None:
            raise wrong(f"the parameter {name!r} of {what}", "given", value)
    return values


def _belongs(given: str, expected: str | None, kind: str) -> None:
    if given != expected:
        raise wrong(f"the end of a copy with a {kind} dataset", f"a {expected}", given)


@contextmanager
def copy_errors() -> Iterator[None]:
    """Turn the errors of a copy into those of its activity."""
    try:
        yield
    except CopyStoppedError:
        raise ActivityError("Cancelled", "the activity was stopped") from None
    except CopyError as error:
        raise ActivityError(error.code, error.message, kind=error.kind) from error


async def _in_thread(frame: Frame, work: Any, *arguments: Any) -> Any:
    with copy_errors():
        return await frame.in_thread(work, *arguments)


def _rows(stop: threading.Event, source: CopySource, most: int) -> list[Any]:
    rows: list[Any] = []
    for part in source.parts(stop):
        if part.hierarchical:
            rows += [_plain(row) for row in islice(part.documents(), most - len(rows))]
            continue
        with closing(CopyTable(part).batches()) as batches:
            for batch in batches:
                rows += [_plain(row) for row in batch.slice(0, most - len(rows)).to_pylist()]
                if len(rows) >= most:
                    return rows
    return rows


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return _number(value) if isinstance(value, Decimal) else _moment(value)


def _number(value: Decimal) -> int | float | str:
    """A number of JSON is a double to most readers: a text is better than lost digits."""
    number = int(value) if value == value.to_integral_value() else float(value)
    return number if Decimal(str(number)) == value else str(value)


def _moment(value: Any) -> str:
    if not isinstance(value, datetime):
        return str(value.isoformat())
    fraction = f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""
    return f"{value:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _delete(stop: threading.Event, end: End, selection: FileSelection) -> int:
    container, path = end.place
    lake = CopyLake(end.service)
    if not end.is_folder and not selection.is_wild:
        return int(lake.delete(container, path))
    names = selection.paths(lake, container, end.folder[1])
    for name in names:
        if stop.is_set():
            raise CopyStoppedError
        lake.delete(container, name)
    return len(names)


def _metadata(stop: threading.Event, end: End, fields: list[str]) -> dict[str, Any]:
    container, path = end.place
    lake = CopyLake(end.service)
    properties: dict[str, Any] | None = {"isFolder": True}
    if path:
        properties = lake.file(container, path, stop).properties()
    if properties is None:
        if "exists" not in fields:
            raise CopyError("UserErrorFileNotFound", f"'{container}/{path}' does not exist")
        return {"exists": False}
    folder = properties["isFolder"]
    answers: dict[str, Any] = {
        "exists": True,
        "itemName": path.rpartition("/")[2] or container,
        "itemType": "Folder" if folder else "File",
    }
    if not folder:
        answers["size"] = properties["size"]
    if "lastModified" in properties:
        answers["lastModified"] = stamp(properties["lastModified"])
    if folder and "childItems" in fields:
        answers["childItems"] = lake.children(container, path)
    for name in fields:
        if name not in answers:
            raise CopyError("UserErrorMetadata", f"{name!r} is not known of '{container}/{path}'")
    return {name: answers[name] for name in fields}
