"""Records of JSON documents: where they are in them, and what a mapping makes of each.

A `collectionReference` names the array of records in a document; a path that begins with `$` is
read from the root of the document, any other from the record.
Source: learn.microsoft.com/azure/data-factory/copy-activity-schema-and-type-mapping
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.translator import MappedColumn


@dataclass(frozen=True)
class JsonRecord:
    """One record with the document that it is in."""

    value: Any
    document: Any

    def at(self, column: MappedColumn) -> Any:
        """The value that a mapping names; None where there is none."""
        value = self.document if column.root else self.value
        for step in column.path or ():
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
        return value


def records(
    documents: Iterator[Any], collection: tuple[str, ...] | None, name: str
) -> Iterator[JsonRecord]:
    """The records of documents; a document without the collection has none.

    Raises:
        CopyError: what stands at the place of the collection is neither an array nor an object.
    """
    for document in documents:
        if collection is None:
            yield JsonRecord(document, document)
            continue
        value = document
        for step in collection:
            value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            continue
        if not isinstance(value, list | dict):
            raise CopyError(
                "UserErrorInvalidCollectionReference",
                f"'{name}': {''.join(f'[{step!r}]' for step in collection)} is neither an array "
                f"nor an object but {str(value)[:100]!r}",
            )
        for item in value if isinstance(value, list) else [value]:
            yield JsonRecord(item, document)


def mapped(record: JsonRecord, columns: list[MappedColumn], extra: dict[str, str]) -> Any:
    """The object that a JSON sink gets of a record; values keep their JSON types."""
    result: dict[str, Any] = {}
    for column in columns:
        if column.path is None:
            raise CopyError(
                "UserErrorInvalidTranslator",
                f"the mapping to {column.sink!r} needs source.path: JSON has no columns",
            )
        value = extra.get(column.path[-1]) if is_extra(record, column, extra) else record.at(column)
        inside = result
        *outer, last = column.sink_path or (column.sink,)
        for step in outer:
            inside = inside.setdefault(step, {})
        inside[last] = value
    return result


def is_extra(record: JsonRecord, column: MappedColumn, extra: dict[str, str]) -> bool:
    """Whether a mapping names an additional column, which the record itself does not have."""
    path = column.path or ()
    own = record.document if column.root else record.value
    return len(path) == 1 and path[0] in extra and not (isinstance(own, dict) and path[0] in own)
