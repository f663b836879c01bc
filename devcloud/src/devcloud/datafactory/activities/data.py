"""Activities on data: Copy, Lookup, GetMetadata, Delete."""

from __future__ import annotations

import threading
from itertools import islice
from typing import Any

from devcloud.clock import stamp
from devcloud.datafactory import shapes
from devcloud.datafactory.activities.frame import Activity, ActivityError, Effect, Frame, wrong
from devcloud.datafactory.azure_error import AzureError
from devcloud.datafactory.copy.failure import CopyError, CopyStoppedError
from devcloud.datafactory.copy.job import CopyJob, End, matches
from devcloud.datafactory.copy.json_text import objects
from devcloud.datafactory.copy.lake import CopyLake
from devcloud.datafactory.copy.tabular import CopyTable
from devcloud.datafactory.expressions.arguments import to_text

_MOST_ROWS = 5000  # of a Lookup, as in Azure


async def copy(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Copy."""
    inside = activity["typeProperties"]
    values = frame.evaluate(inside)
    effect.input = values
    source = resolve(frame, activity["inputs"][0])
    sink = resolve(frame, activity["outputs"][0])
    _belongs(values["source"]["type"], shapes.FORMATS[source.kind][0], source.kind)
    _belongs(values["sink"]["type"], shapes.FORMATS[sink.kind][1], sink.kind)
    if (source.kind == "Binary") != (sink.kind == "Binary"):
        raise wrong("a Binary dataset", "copied to a Binary dataset", sink.kind)
    extra = {
        each["name"]: to_text(each["value"])
        for each in values["source"].get("additionalColumns", [])
    }
    skip = values.get("enableSkipIncompatibleRow", False) is True
    reading = values["source"].get("storeSettings", {})
    behaviour = values["sink"].get("storeSettings", {}).get("copyBehavior", "")
    if behaviour not in ("", "MergeFiles"):
        raise wrong("copyBehavior", "MergeFiles or left out", behaviour)
    job = CopyJob(
        source,
        sink,
        extra,
        values.get("translator"),
        skip,
        wildcard=to_text(reading.get("wildcardFileName") or ""),
        merge=behaviour == "MergeFiles",
        format_settings=values["sink"].get("formatSettings", {}),
    )
    effect.output = await _in_thread(frame, job.run)


async def lookup(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Lookup: the first row, or all of at most 5000."""
    inside = frame.evaluate(
        {key: value for key, value in activity["typeProperties"].items() if key != "dataset"}
    )
    effect.input = inside
    end = resolve(frame, activity["typeProperties"]["dataset"])
    _belongs(inside["source"]["type"], shapes.FORMATS[end.kind][0], end.kind)
    first_only = inside.get("firstRowOnly", True)
    rows = await _in_thread(frame, _rows, end, 1 if first_only else _MOST_ROWS + 1)
    if len(rows) > _MOST_ROWS:
        raise ActivityError("2100", f"the lookup found more than {_MOST_ROWS} rows")
    if not first_only:
        effect.output = {"count": len(rows), "value": rows}
    else:
        effect.output = {"firstRow": rows[0]} if rows else {}


async def get_metadata(activity: Activity, frame: Frame, effect: Effect) -> None:
    """GetMetadata of a file or folder."""
    fields = activity["typeProperties"]["fieldList"]
    effect.input = {"fieldList": fields}
    end = resolve(frame, activity["typeProperties"]["dataset"])
    effect.output = await _in_thread(frame, _metadata, end, fields)


async def delete(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Delete of a file, or of the files in a folder, of it alone or all below."""
    inside = frame.evaluate(
        {key: value for key, value in activity["typeProperties"].items() if key != "dataset"}
    )
    effect.input = inside
    end = resolve(frame, activity["typeProperties"]["dataset"])
    settings = inside.get("storeSettings", {})
    recursive = settings.get("recursive", False) is True
    wildcard = to_text(settings.get("wildcardFileName") or "")
    deleted = await _in_thread(frame, _delete, end, recursive, wildcard)
    effect.output = {
        "datasetName": activity["typeProperties"]["dataset"]["referenceName"],
        "relativePath": end.place[1],
        "recursive": recursive,
        "filesDeleted": deleted,
    }


def resolve(frame: Frame, reference: dict[str, Any]) -> End:
    """The dataset that a reference names, with its linked service, evaluated.

    Raises:
        ActivityError: a parameter without a value, or a definition that is gone.
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
    kind = linked["properties"]["type"]
    if kind != "AzureBlobFS":
        raise wrong("the linked service of a dataset", "an AzureBlobFS", kind)
    service = frame.evaluate(linked["properties"]["typeProperties"], linkedservice=bound)
    return End(properties["type"], values, service)


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


async def _in_thread(frame: Frame, work: Any, *arguments: Any) -> Any:
    try:
        return await frame.in_thread(work, *arguments)
    except CopyStoppedError:
        raise ActivityError("Cancelled", "the activity was stopped") from None
    except CopyError as error:
        raise ActivityError(error.code, error.message, kind=error.kind) from error


def _rows(stop: threading.Event, end: End, most: int) -> list[dict[str, Any]]:
    file = end.file(stop)
    if end.kind == "Json":
        return [_plain(row) for row in islice(objects(file, end.properties), most)]
    rows: list[dict[str, Any]] = []
    for batch in CopyTable(file, end.kind, end.properties).batches(None):
        rows += [_plain(row) for row in batch.slice(0, most - len(rows)).to_pylist()]
        if len(rows) >= most:
            break
    return rows


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "as_tuple"):  # Decimal
        return float(value)
    return value.isoformat()


def _delete(stop: threading.Event, end: End, recursive: bool, wildcard: str) -> int:
    container, path = end.place
    named = bool(end.properties["location"].get("fileName")) and not wildcard
    lake = CopyLake(end.service)
    if named:
        return int(lake.delete(container, path))
    folder = end.folder[1]
    names = [
        name
        for name in lake.files(container, folder, recursive=recursive)
        if not wildcard or matches(name.rpartition("/")[2], wildcard)
    ]
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
