"""Reads `relationships`: columns whose values must be found in another dataset.

A reference is written as `users.id` or as `users.odcs.yaml#/schema/users/properties/id`; a
contract of ours has one table, so the table's name is the dataset's.
"""

import re
from collections.abc import Sequence

from landfall.contract.model import Column, Relationship
from landfall.contract.reader import Node

_SHORT = re.compile(r"(?P<table>[^./#]+)\.(?P<column>[^/#]+)")
_FULL = re.compile(r"(?:[^#]+#)?/?schema/(?P<table>[^/]+)/properties/(?P<column>[^/]+)")
_KNOWN = frozenset({"customProperties", "from", "id", "to", "type"})


def read_relationships(
    table: Node, dataset: str, nodes: Sequence[tuple[Node, Column]]
) -> tuple[Relationship, ...]:
    """All relationships of a table and of its columns, `nodes` being properties with columns.

    Raises:
        ContractError: one is wrong, or leads to the table itself.
    """
    names = [column.name for _, column in nodes]
    found = [
        _read(node, dataset, (column.name,), _sides(node.need("to"), many=False))
        for property_, column in nodes
        for node in property_.optional_items("relationships")
    ]
    for node in table.optional_items("relationships"):
        columns = []
        for side, of, name in _sides(node.need("from"), many=True):
            if of != dataset or name not in names:
                raise side.error(f"is {side.value!r}, which is no column of {dataset}")
            columns.append(name)
        found.append(_read(node, dataset, tuple(columns), _sides(node.need("to"), many=True)))
    for at, (node, one) in enumerate(found):
        if one in [other for _, other in found[:at]]:
            raise node.error("is given twice")
    return tuple(one for _, one in found)


def _read(
    node: Node, dataset: str, columns: tuple[str, ...], sides: list[tuple[Node, str, str]]
) -> tuple[Node, Relationship]:
    node.only(_KNOWN)
    node.refuse("customProperties", "custom properties of relationships are not supported")
    kind = node.get("type")
    if kind is not None:
        kind.one_of(("foreignKey",))
    to = node.at("to")
    if len(sides) != len(columns):
        raise to.error(f"names {len(sides)} columns for {len(columns)}")
    tables = {table for _, table, _ in sides}
    if len(tables) != 1:
        raise to.error(f"leads to several tables: {', '.join(sorted(tables))}")
    target = tables.pop()
    if target == dataset:
        raise to.error("leads to the table itself, which is not supported")
    return node, Relationship(columns, target, tuple(name for _, _, name in sides))


def _sides(node: Node, *, many: bool) -> list[tuple[Node, str, str]]:
    """Each reference with the table and the column that it names."""
    sides = node.items() if many and isinstance(node.value, list) else [node]
    if not sides:
        raise node.error("names no column")
    found = []
    for side in sides:
        match = _FULL.fullmatch(side.text()) or _SHORT.fullmatch(side.text())
        if match is None:
            raise side.error(
                f"is {side.value!r}; a reference is written table.column, "
                "or file.odcs.yaml#/schema/table/properties/column"
            )
        found.append((side, match["table"], match["column"]))
    return found
