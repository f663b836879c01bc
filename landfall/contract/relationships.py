"""Reads `relationships`: foreign keys from the table's columns to other datasets.

A reference is written as `users.id`, by names, or as
`users.odcs.yaml#/schema/users_tbl/properties/user_id`, by the ids of table and column; where there
is no such id, as by names. A contract has one table, so the name of the table is the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from landfall.contract.model import Column, Relationship
from landfall.contract.names import meant
from landfall.contract.reader import Node

_SHORT = re.compile(r"(?P<table>[^./#]+)\.(?P<column>[^/#]+)")
_FULL = re.compile(r"(?:[^#]+#)?/?schema/(?P<table>[^/]+)/properties/(?P<column>[^/]+)")
_KNOWN = frozenset({"customProperties", "from", "id", "to", "type"})


def read_relationships(
    table: Node, dataset: str, nodes: Sequence[tuple[Node, Column]]
) -> tuple[Relationship, ...]:
    """Read all relationships of a table and of its columns; `nodes` are properties with columns.

    Raises:
        ContractError: a relationship is wrong, or refers to the table itself.
    """
    names = {column.id or column.name: column.name for _, column in nodes}
    names |= {column.name: column.name for _, column in nodes}
    own = {dataset, *([] if table.get("id") is None else [table.require("id").text()])}
    parsed = [
        _read(node, own, (column.name,), _references(node.require("to"), many=False))
        for property_, column in nodes
        for node in property_.optional_items("relationships")
    ]
    for node in table.optional_items("relationships"):
        columns = []
        for side, of, name in _references(node.require("from"), many=True):
            if of not in own or name not in names:
                raise side.error(
                    f"is {side.value!r}, which is no column of {dataset}{meant(name, names)}"
                )
            columns.append(names[name])
        parsed.append(_read(node, own, tuple(columns), _references(node.require("to"), many=True)))
    for at, (node, relationship) in enumerate(parsed):
        if relationship in [other for _, other in parsed[:at]]:
            raise node.error("is given twice")
    return tuple(relationship for _, relationship in parsed)


def _read(
    node: Node, own: set[str], columns: tuple[str, ...], references: list[tuple[Node, str, str]]
) -> tuple[Node, Relationship]:
    node.allow_only(_KNOWN)
    node.forbid("customProperties", "custom properties of relationships are not supported")
    kind = node.get("type")
    if kind is not None:
        kind.one_of(("foreignKey",))
    to = node.at("to")
    if len(references) != len(columns):
        raise to.error(f"names {len(references)} columns for {len(columns)}")
    tables = {table for _, table, _ in references}
    if len(tables) != 1:
        raise to.error(f"refers to several tables: {', '.join(sorted(tables))}")
    target = tables.pop()
    if target in own:
        raise to.error("refers to the table itself, which is not supported")
    by_id = any(_FULL.fullmatch(side.text()) for side, _, _ in references)
    names = tuple(name for _, _, name in references)
    return node, Relationship(columns, target, names, by_id=by_id)


def _references(node: Node, *, many: bool) -> list[tuple[Node, str, str]]:
    """Return each reference node with the table and the column that it names."""
    nodes = node.items() if many and isinstance(node.value, list) else [node]
    if not nodes:
        raise node.error("names no column")
    references = []
    for side in nodes:
        match = _FULL.fullmatch(side.text()) or _SHORT.fullmatch(side.text())
        if match is None:
            raise side.error(
                f"is {side.value!r}; a reference is written table.column, "
                "or file.odcs.yaml#/schema/table/properties/column"
            )
        references.append((side, match["table"], match["column"]))
    return references
