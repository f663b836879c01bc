"""Data Factory's triggers, compiled from the schedules of source files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from landfall.sources.durations import dotnet, duration
from landfall.sources.model import Source

PREFIX = "extract_"
_FREQUENCIES = {"m": "Minute", "h": "Hour", "d": "Day", "w": "Week", "mo": "Month"}
_SCOPE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/landfall"
    "/providers/Microsoft.Storage/storageAccounts/landfall"
)
"""The deployer puts the account of the environment in its place."""


def pipeline_of(source: Source) -> str:
    """Return the name of the pipeline that extracts a source."""
    return f"{PREFIX}{source.connector}"


def trigger_of(source: Source) -> dict[str, Any] | None:
    """Return the definition of a source's trigger; None for one without a schedule."""
    schedule = source.schedule
    if schedule is None:
        return None
    reference = {"referenceName": pipeline_of(source), "type": "PipelineReference"}
    properties: dict[str, Any] = {
        "description": schedule["description"] or f"Extracts the source {source.name}.",
        "annotations": [],
        "runtimeState": "Started" if schedule["enabled"] else "Stopped",
    }
    if "window" in schedule:
        parameters = {
            "source": source.name,
            "windowStart": "@trigger().outputs.windowStartTime",
            "windowEnd": "@trigger().outputs.windowEndTime",
        }
        properties |= {
            "pipeline": {"pipelineReference": reference, "parameters": parameters},
            "type": "TumblingWindowTrigger",
            "typeProperties": _windows(schedule),
        }
    else:
        properties["pipelines"] = [
            {"pipelineReference": reference, "parameters": {"source": source.name}}
        ]
        properties |= _recurrence(schedule) if "every" in schedule else _event(schedule["event"])
    return {"name": f"{PREFIX}{source.name}", "properties": properties}


def _recurrence(schedule: Mapping[str, Any]) -> dict[str, Any]:
    number, unit = re.fullmatch(r"([0-9]+)([a-z]+)", schedule["every"]).groups()  # type: ignore[union-attr]
    recurrence: dict[str, Any] = {
        "frequency": _FREQUENCIES[unit],
        "interval": int(number),
        "startTime": _zoned(schedule["start"], schedule["timeZone"]),
        "timeZone": schedule["timeZone"],
    }
    if "end" in schedule:
        recurrence["endTime"] = _zoned(schedule["end"], schedule["timeZone"])
    if details := _details(schedule):
        recurrence["schedule"] = details
    return {"type": "ScheduleTrigger", "typeProperties": {"recurrence": recurrence}}


def _details(schedule: Mapping[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if "at" in schedule:
        times = {tuple(int(part) for part in text.split(":")) for text in schedule["at"]}
        hours, minutes = (sorted(set(values)) for values in zip(*times, strict=True))
        details |= {"hours": hours, "minutes": minutes}
    if "weekDays" in schedule:
        details["weekDays"] = list(schedule["weekDays"])
    if "monthDays" in schedule:
        details["monthDays"] = [int(day) for day in schedule["monthDays"]]
    return details


def _windows(schedule: Mapping[str, Any]) -> dict[str, Any]:
    number, unit = int(schedule["window"][:-1]), schedule["window"][-1]
    size = dotnet(duration(schedule["window"]))
    depends: list[dict[str, Any]] = [
        {
            "type": "TumblingWindowTriggerDependencyReference",
            "referenceTrigger": {"referenceName": f"{PREFIX}{name}", "type": "TriggerReference"},
        }
        for name in schedule.get("after", ())
    ]
    if schedule["inOrder"]:
        depends.append(
            {
                "type": "SelfDependencyTumblingWindowTriggerReference",
                "offset": f"-{size}",
                "size": size,
            }
        )
    windows: dict[str, Any] = {
        "frequency": _FREQUENCIES[unit],
        "interval": number,
        "startTime": _utc(schedule["start"]),
        "delay": dotnet(duration(schedule["delay"])) if "delay" in schedule else "00:00:00",
        "maxConcurrency": schedule["atOnce"],
        "retryPolicy": {
            "count": schedule["retries"],
            "intervalInSeconds": int(duration(schedule["retryAfter"]).total_seconds()),
        },
        "dependsOn": depends,
    }
    return windows | ({"endTime": _utc(schedule["end"])} if "end" in schedule else {})


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    if event["kind"] == "custom":
        begins = {"subjectBeginsWith": event["subject"]} if event["subject"] else {}
        return {
            "type": "CustomEventsTrigger",
            "typeProperties": {"scope": event["topic"], "events": list(event["types"]), **begins},
        }
    folder = event["folder"].strip("/")
    path = f"/{event['container']}/blobs/" + (f"{folder}/" if folder else "")
    ends = {"blobPathEndsWith": event["suffix"]} if event["suffix"] else {}
    return {
        "type": "BlobEventsTrigger",
        "typeProperties": {
            "blobPathBeginsWith": path,
            **ends,
            "ignoreEmptyBlobs": True,
            "scope": _SCOPE,
            "events": ["Microsoft.Storage.BlobCreated"],
        },
    }


def _utc(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%dT%H:%M:%SZ}"


def _zoned(text: str, zone: str) -> str:
    """Return a start as Data Factory takes it: with Z in UTC, in another zone as local time."""
    return _utc(text) if zone == "UTC" else _utc(text).removesuffix("Z")


def written(sources: Iterable[Source]) -> dict[str, str]:
    """Return the files of `adf/trigger` that the sources make, by name."""
    documents = (trigger_of(source) for source in sources)
    return {
        f"{document['name']}.json": json.dumps(document, indent=2) + "\n"
        for document in documents
        if document is not None
    }


def stale(sources: Iterable[Source], folder: Path) -> dict[str, str]:
    """Return what is wrong with the triggers of a folder, by file."""
    expected = written(sources)
    present = {path.name: path for path in folder.glob(f"{PREFIX}*.json")}
    wrong = dict.fromkeys(present.keys() - expected.keys(), "is of no source")
    for name, text in expected.items():
        if name not in present:
            wrong[name] = "is missing"
        elif present[name].read_text(encoding="utf-8") != text:
            wrong[name] = "differs from its source file"
    return dict(sorted(wrong.items()))


def write(sources: Iterable[Source], folder: Path) -> list[str]:
    """Make the triggers of a folder those of the sources; return the names that changed."""
    sources = list(sources)
    expected, changed = written(sources), list(stale(sources, folder))
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in expected:
            (folder / name).write_text(expected[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed
