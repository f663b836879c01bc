"""The batch document: which drops one job run loads together, and into what shape."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from spark_jobs.columns import BOUNDS, RESERVED, TYPES, SilverColumn
from spark_jobs.errors import BatchError, BatchNotCurrentError

SCHEMA = 1


@dataclass(frozen=True)
class BatchDrop:
    """One copied drop.

    Attributes:
        run_id: its run.
        bronze: lake path of the folder of its Parquet files.
        landed_at: ISO 8601 with offset; the later drop wins.
        rows: how many the copy wrote, where the batch says it.
        missing: columns that it came without, as its contract allows.
        rejected: how many validation had split off before the copy.
    """

    run_id: str
    bronze: str
    landed_at: str
    rows: int | None = None
    missing: frozenset[str] = frozenset()
    rejected: int = 0

    @property
    def landed_micros(self) -> int:
        """When it landed, in microseconds since 1970."""
        since = datetime.fromisoformat(self.landed_at) - datetime.fromtimestamp(0, UTC)
        return since // timedelta(microseconds=1)

    @property
    def folder(self) -> str:
        """The last part of the bronze path."""
        return self.bronze.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class BatchReference:
    """Values of `columns` should be found in columns `to` of another dataset's silver table."""

    columns: tuple[str, ...]
    dataset: str
    to: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is called in the result document."""
        return f"{','.join(self.columns)} -> {self.dataset}.{','.join(self.to)}"


@dataclass(frozen=True)
class LoadBatch:
    """A frozen batch.

    Attributes:
        key: the columns that together identify a row of the dataset; none where nothing does.
        drops: what is loaded.
        history: whether statements that others have superseded are kept.
        references: what of other datasets the rows speak of.
        gold: lake path of the definitions of gold tables; None for the current ones.
    """

    batch_id: str
    dataset: str
    key: tuple[SilverColumn, ...]
    columns: tuple[SilverColumn, ...]
    drops: tuple[BatchDrop, ...]
    history: bool = False
    references: tuple[BatchReference, ...] = ()
    gold: str | None = None


def parse(text: str, *, dataset: str, batch_id: str) -> LoadBatch:
    """Read a batch document that should be the given batch's.

    Raises:
        BatchNotCurrentError: it is another batch's.
        BatchError: it is not a batch document of this dataset; the message names the field.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BatchError(f"The batch document is not JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BatchError(f"The batch document is not of schema {SCHEMA}.")
    current_id = document.get("batch_id")
    if current_id != batch_id:
        raise BatchNotCurrentError(
            f"Batch {batch_id} is no longer current: the batch document is {current_id}'s.",
        )
    if document.get("dataset") != dataset:
        raise BatchError(
            f"Batch {batch_id} is of dataset {document.get('dataset')!r}, not of {dataset!r}.",
        )
    try:
        columns = tuple(_column(item) for item in document["table"]["columns"])
        batch = LoadBatch(
            batch_id,
            dataset,
            _key(document["table"]["key"], columns),
            columns,
            tuple(_drop(item) for item in document["drops"]),
            history=bool(document["table"].get("history")),
            references=tuple(_reference(i) for i in document["table"].get("references", ())),
            gold=document.get("gold"),
        )
    except (KeyError, TypeError) as error:
        raise BatchError(f"Batch {batch_id}: field {error} is missing or malformed.") from error
    _check(batch)
    return batch


def _column(item: dict[str, Any]) -> SilverColumn:
    column = SilverColumn(
        str(item["name"]),
        str(item["type"]),
        bool(item.get("required", False)),
        tuple(item.get("enum", ())),
        tuple((name, item[name]) for name in BOUNDS if item.get(name) is not None),
    )
    if column.type not in TYPES:
        raise BatchError(
            f"Column {column.name!r} is of type {column.type!r}; the load knows {sorted(TYPES)}.",
        )
    return column


def _reference(item: dict[str, Any]) -> BatchReference:
    return BatchReference(tuple(item["columns"]), str(item["dataset"]), tuple(item["to"]))


def _key(names: list[str], columns: tuple[SilverColumn, ...]) -> tuple[SilverColumn, ...]:
    by_name = {column.name: column for column in columns}
    if not by_name.keys() >= set(names):
        raise BatchError(f"Key {names} is not made of the columns {sorted(by_name)}.")
    return tuple(by_name[name] for name in names)


def _drop(item: dict[str, Any]) -> BatchDrop:
    rows = item.get("rows")
    drop = BatchDrop(
        str(item["run_id"]),
        str(item["bronze"]),
        str(item["landed_at"]),
        None if rows is None else int(rows),
        frozenset(map(str, item.get("missing", ()))),
        int(item.get("rejected") or 0),
    )
    try:
        aware = datetime.fromisoformat(drop.landed_at).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise BatchError(
            f"Run {drop.run_id}: landed_at {drop.landed_at!r} is not an ISO 8601 time with offset.",
        )
    return drop


def _check(batch: LoadBatch) -> None:
    # Spark resolves names without regard to case: two that differ only in it would be one.
    _refuse_twice("column", (column.name.casefold() for column in batch.columns))
    _refuse_twice("run", (drop.run_id for drop in batch.drops))
    _refuse_twice("bronze folder", (drop.folder for drop in batch.drops))
    names = {column.name for column in batch.columns}
    reserved = sorted(name for name in names if name.casefold() in RESERVED)
    if reserved:
        raise BatchError(f"Columns {reserved} have names that silver keeps for itself.")


def _refuse_twice(what: str, names: Iterable[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise BatchError(f"The batch names each {what} once, but {twice} come more often.")
