"""Gold tables as the service wrote them down for the jobs: what each is built from, and its SQL.

The document is made from the team's folder `gold/` by the service, which checks it: each table
stands after those that it reads. A statement reads the silver table of a dataset as
`silver_<dataset>` and another gold table as `gold_<table>`. A table that is refreshed by parts has
a second statement that finds the parts that changed rows reach.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from landfall.gold import SCHEMA, GoldParts
from spark_jobs.errors import BatchError
from spark_jobs.lake import SparkLake, read_text

CURRENT = "manifest/definitions/gold.json"
"""The definitions of the app that was deployed last; a batch names its own."""

# The name by which a statement reads the rows of a dataset's silver that changed.
CHANGED_VIEW = "changed_{dataset}"


def view_of(path: str) -> str:
    """The name by which statements read the table at a lake path: `silver/x` is `silver_x`."""
    return path.replace("/", "_")


@dataclass(frozen=True)
class GoldDefinition:
    """A gold table.

    Attributes:
        sql: one SELECT.
        sources: lake paths of the silver and gold tables that it reads.
        description: for readers.
        parts: how it is refreshed by parts; None where it is always made as a whole.
        deleted: by lake path of a source, the column that says that a row was deleted; the
            statement sees no such rows.
    """

    name: str
    sql: str
    sources: tuple[str, ...]
    description: str = ""
    parts: GoldParts | None = None
    deleted: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Its lake path."""
        return f"gold/{self.name}"

    @property
    def digest(self) -> str:
        """Changes when the statements do: what was built by others is built again."""
        touched = self.parts.touched if self.parts else ""
        deleted = json.dumps(dict(self.deleted), sort_keys=True) if self.deleted else ""
        return hashlib.sha256(f"{self.sql}{touched}{deleted}".encode()).hexdigest()[:16]


def read_definitions(lake: SparkLake, path: str | None) -> list[GoldDefinition]:
    """Read a document of definitions, or the current one where none is named.

    Returns:
        All gold tables, each after those that it reads; none where there is no document.

    Raises:
        BatchError: it is not a document of this schema, or one that is named does not exist.
    """
    text = read_text(lake, path or CURRENT)
    if text is None:
        if path:
            raise BatchError(f"The batch is to build gold by {path}, which does not exist.")
        return []
    return parse(text)


def parse(text: str) -> list[GoldDefinition]:
    """The definitions of a document.

    Raises:
        BatchError: it is not a document of this schema.
    """
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise BatchError(f"The gold definitions are of schema {document['schema']!r}.")
        deleted = dict(document.get("deleted") or {})
        return [_definition(item, deleted) for item in document["tables"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BatchError(f"The gold definitions are malformed: {error}.") from error


def _definition(item: Mapping[str, Any], deleted: Mapping[str, str]) -> GoldDefinition:
    sources = (
        *(f"silver/{dataset}" for dataset in item["datasets"]),
        *(f"gold/{table}" for table in item["tables"]),
    )
    texts = (item["description"], item["grain"] and f"Grain: {item['grain']}")
    parts = GoldParts(**item["parts"]) if item["parts"] else None
    return GoldDefinition(
        item["name"],
        item["sql"],
        sources,
        "\n".join(filter(None, texts)),
        parts,
        {f"silver/{each}": deleted[each] for each in item["datasets"] if each in deleted},
    )


def reached(definitions: Iterable[GoldDefinition], dataset: str) -> list[GoldDefinition]:
    """The tables that rest on a dataset, directly or through other gold tables, in their order."""
    paths = {f"silver/{dataset}"}
    result = []
    for definition in definitions:
        if paths & set(definition.sources):
            paths.add(definition.path)
            result.append(definition)
    return result


def levels(definitions: Iterable[GoldDefinition]) -> list[list[GoldDefinition]]:
    """The tables in groups: those of a group read none of the same or a later one."""
    level_of: dict[str, int] = {}
    groups: list[list[GoldDefinition]] = []
    for definition in definitions:
        level = 1 + max((level_of.get(path, -1) for path in definition.sources), default=-1)
        level_of[definition.path] = level
        groups += [[]] * (level + 1 - len(groups))
        groups[level] = [*groups[level], definition]
    return groups
