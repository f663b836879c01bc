"""Reads source files: by the schema, then what a schema cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from landfall.contract.model import Contract
from landfall.sources.durations import duration
from landfall.sources.model import (
    DEFAULT_LAG,
    Deletes,
    Partition,
    Source,
    SourceObject,
    Watermark,
    keys_object,
)
from landfall.sources.schema import SOURCE
from landfall.sources.shape import SourceError, SourceNode, check
from landfall.sources.sql import WhereError, condition

SUFFIX = ".yaml"
_LEAST_WINDOW = timedelta(minutes=5)
_TIMES = frozenset({"timestamp", "timestamptz"})


@dataclass(frozen=True)
class SourceFolder:
    """The sources of a folder by name, and the files that are wrong by the name they would have."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    errors: Mapping[str, SourceError] = field(default_factory=dict)


def load_folder(
    folder: Path,
    contracts: Mapping[str, Contract],
    connections: Mapping[str, Mapping[str, Any]] | None = None,
) -> SourceFolder:
    """Read the source files of a folder; one that is wrong keeps no other from being used.

    `connections` has, by source, values of an environment that replace those of its connection.
    """
    connections = connections or {}
    sources: dict[str, Source] = {}
    errors: dict[str, SourceError] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            errors[path.stem] = SourceError(path.name, 1, "", f"cannot be read: {error}")
            continue
        try:
            sources[path.stem] = parse(
                text,
                file=path.name,
                contracts=contracts,
                connection=connections.get(path.stem, {}),
            )
        except SourceError as error:
            errors[path.stem] = error
    for name, source in list(sources.items()):
        missing = [n for n in (source.schedule or {}).get("after", ()) if n not in sources]
        if missing:
            reason = f"waits for {missing[0]!r}, and there is no such source"
            errors[name] = SourceError(source.file, 1, "schedule.after", reason)
            del sources[name]
    return SourceFolder(sources, errors)


def parse(
    text: str,
    *,
    file: str,
    contracts: Mapping[str, Contract],
    connection: Mapping[str, Any] | None = None,
) -> Source:
    """Read the text of one source file; `file` is its name, by which the source is called.

    `connection` has values that replace those of the file.

    Raises:
        SourceError: it is not YAML or not a source, or does not fit the contracts.
    """
    root = SourceNode.of_yaml(text, file)
    if connection:
        root.mapping()["connection"] = {**root.require("connection").mapping(), **connection}
    values = check(root, SOURCE)
    if values["name"] != file.removesuffix(SUFFIX):
        raise root.at("name").error(f"is {values['name']!r}, but the file is called {file}")
    source = Source(
        name=values["name"],
        description=values["description"],
        connector=values["connector"],
        connection=values["connection"],
        schedule=values.get("schedule"),
        objects=tuple(
            _object(node, entry, contracts)
            for node, entry in zip(root.at("objects").items(), values["objects"], strict=True)
        ),
        file=file,
    )
    _check_schedule(root, source)
    seen: set[str] = set()
    for index, entry in enumerate(source.objects):
        if entry.name in seen:
            raise root.at("objects").item(index).at("name").error("is the name of another object")
        seen.add(entry.name)
        _check_object(root.at("objects").item(index), source, entry, contracts[entry.dataset])
    keys = (keys_object(entry) for entry in source.objects if entry.deletes.kind == "compare")
    return replace(source, objects=(*source.objects, *keys))


def _object(
    node: SourceNode, values: Mapping[str, Any], contracts: Mapping[str, Contract]
) -> SourceObject:
    contract = contracts.get(values["dataset"])
    if contract is None:
        known = ", ".join(sorted(contracts))
        raise node.at("dataset").error(
            f"is {values['dataset']!r}, which has no contract; there are: {known}"
        )
    watermark, partition = values.get("watermark"), values.get("partition")
    return SourceObject(
        name=values["name"],
        dataset=values["dataset"],
        mode=values["mode"],
        lag=_lag(node, values),
        overlap=_overlap(node, values),
        columns=tuple(values.get("columns") or _columns(values, contract)),
        key=contract.key,
        order=values["order"],
        every=duration(values["every"]) if "every" in values else None,
        enabled=values["enabled"],
        table=values.get("table"),
        watermark=Watermark(**watermark) if watermark else None,
        where=values.get("where"),
        deletes=_deletes(values.get("deletes")),
        partition=Partition(**partition) if partition else None,
        path=values.get("path"),
        records=values.get("records"),
        fields=values.get("fields", {}),
        pages=values.get("pages", {"kind": "none"}),
        headers=values.get("headers", {}),
        time_format=values.get("timeFormat", "iso"),
    )


def _columns(values: Mapping[str, Any], contract: Contract) -> list[str]:
    """The contract's columns; one that a comparison fills in is not in the table."""
    compared = values.get("deletes", {}).get("kind") == "compare"
    left_out = contract.deleted_when if compared else None
    return [column.name for column in contract.columns if column.name != left_out]


def _counted(values: Mapping[str, Any]) -> bool:
    return bool(values.get("watermark", {}).get("type") == "integer")


def _lag(node: SourceNode, values: Mapping[str, Any]) -> timedelta:
    if "lag" not in values:
        return DEFAULT_LAG
    if _counted(values):
        raise node.at("lag").error("is of no use: an integer watermark has no time; use overlap")
    return duration(values["lag"])


def _overlap(node: SourceNode, values: Mapping[str, Any]) -> timedelta | int:
    counted, text = _counted(values), values.get("overlap")
    if text is None:
        return 0 if counted else timedelta()
    if text.isdigit() != counted:
        wanted = "a number in quotes, as its watermark is an integer" if counted else "a time"
        raise node.at("overlap").error(f"is {text!r}; {wanted} is needed")
    return int(text) if counted else duration(text)


def _deletes(values: Mapping[str, Any] | None) -> Deletes:
    if values is None:
        return Deletes()
    return Deletes(
        kind=values["kind"],
        column=values.get("column"),
        every=duration(values["every"]) if "every" in values else None,
        max_deleted_ratio=values.get("maxDeletedRatio", 0.2),
    )


def _check_schedule(root: SourceNode, source: Source) -> None:
    schedule, node = source.schedule, root.at("schedule")
    if schedule is None:
        return
    if "window" in schedule:
        if duration(schedule["window"]) < _LEAST_WINDOW:
            raise node.at("window").error("is too short: Data Factory's windows have 5m or more")
        if duration(schedule["retryAfter"]) < timedelta(seconds=30):
            raise node.at("retryAfter").error("is too short: 30s is the least")
        if source.name in schedule.get("after", ()):
            raise node.at("after").error("names the source itself: say inOrder: true")
    if "every" in schedule:
        _check_interval(node, schedule)


def _check_interval(node: SourceNode, schedule: Mapping[str, Any]) -> None:
    unit = schedule["every"].lstrip("0123456789")
    for name, units in (("at", "d w mo"), ("weekDays", "w"), ("monthDays", "mo")):
        if name in schedule and unit not in units.split():
            raise node.at(name).error(f"does not go with every: {schedule['every']}")
    times = [text.split(":") for text in schedule.get("at", ())]
    if len(times) != len({hour for hour, _ in times}) * len({minute for _, minute in times}):
        raise node.at("at").error("needs the same minutes in each of its hours")
    if any(day == 0 or day != int(day) for day in schedule.get("monthDays", ())):
        raise node.at("monthDays").error("must have whole numbers other than 0")


def _check_object(
    node: SourceNode, source: Source, entry: SourceObject, contract: Contract
) -> None:
    windows = source.schedule is not None and "window" in source.schedule
    if windows and entry.mode == "incremental":
        raise node.at("mode").error(
            "is 'incremental', but the schedule has windows: say mode: window or full"
        )
    if entry.every is not None and entry.mode != "full":
        raise node.at("every").error("is for mode: full; others follow the schedule")
    if source.database:
        _check_table(node, source, entry, contract)
    else:
        _check_path(node, source, entry, contract)


def _check_table(node: SourceNode, source: Source, entry: SourceObject, contract: Contract) -> None:
    if entry.mode != "full" and entry.watermark is None:
        raise node.error(f"mode {entry.mode} needs a watermark")
    if entry.mode == "full" and entry.watermark is not None:
        raise node.at("watermark").error("has no meaning in mode full: leave it out")
    if entry.mode == "window" and entry.counted:
        raise node.at("watermark").at("type").error("is 'integer'; windows are of time")
    if entry.where is not None:
        try:
            condition(entry.where, source.connector)
        except WhereError as error:
            raise node.at("where").error(str(error)) from error
    _check_rows(node, entry, contract)


def _check_rows(node: SourceNode, entry: SourceObject, contract: Contract) -> None:
    required = [c.name for c in contract.columns if c.required and c.name not in entry.columns]
    if required:
        raise node.at("columns").error(f"leaves out {required[0]!r}, which the contract requires")
    if contract.delivery.kind == "folder":
        raise node.at("dataset").error("has drops that are folders; an extract is one file")
    if entry.deletes.kind != "none":
        _check_deletes(node.at("deletes"), entry, contract)


def _check_deletes(node: SourceNode, entry: SourceObject, contract: Contract) -> None:
    if contract.deleted_when is None:
        raise node.error(f"needs deletedWhen in the contract of {entry.dataset}")
    if entry.deletes.kind == "flag" and entry.deletes.column != contract.deleted_when:
        raise node.at("column").error(
            f"is {entry.deletes.column!r}; the contract says {contract.deleted_when!r}"
        )
    if entry.deletes.kind == "flag" and entry.deletes.column not in entry.columns:
        raise node.at("column").error("is not among the columns that are read")
    if entry.deletes.kind == "compare" and not contract.key:
        raise node.error("needs a key to compare; the contract has none")


def _check_path(node: SourceNode, source: Source, entry: SourceObject, contract: Contract) -> None:
    path = str(entry.path)
    if path.startswith("/") or "://" in path:
        raise node.at("path").error("is not relative to the connection's url")
    for name in ("low", "high"):
        if entry.mode == "full" and f"{{{name}}}" in path:
            raise node.at("path").error(f"has {{{name}}}, but mode full has no range")
    if entry.mode != "full" and "{low}" not in path:
        raise node.at("path").error(f"mode {entry.mode} needs {{low}} in the path")
    if source.connector == "http" and entry.mode == "incremental":
        raise node.at("mode").error(
            "is 'incremental'; a file is read whole, or one for each window"
        )
    unknown = set(entry.fields) - {column.name for column in contract.columns}
    if unknown:
        raise node.at("fields").at(min(unknown)).error("is no column of the contract")
    if contract.delivery.kind == "folder":
        raise node.at("dataset").error("has drops that are folders; an extract is one file")


__all__ = ["SourceError", "SourceFolder", "load_folder", "parse"]
