"""Reads an Open Data Contract Standard document, 3.0 to 3.2, into a `Contract`.

Descriptive fields of the standard are ignored. A field that would change a verdict and is not
supported is an error: every check in an accepted contract runs.
"""

from __future__ import annotations

from landfall.contract.cleaning import CLEANING
from landfall.contract.columns import TWO_DIGIT_YEARS, read_column
from landfall.contract.delivery import DELIVERY, read_delivery
from landfall.contract.files import WRITTEN, read_hints
from landfall.contract.model import Column, Contract, Drift
from landfall.contract.names import meant
from landfall.contract.quality import read_quality
from landfall.contract.reader import Node
from landfall.contract.relationships import read_relationships

API_VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")


_CONTRACT = frozenset(
    {
        "apiVersion",
        "authoritativeDefinitions",
        "context",
        "contractCreatedTs",
        "customProperties",
        "dataProduct",
        "description",
        "domain",
        "id",
        "kind",
        "name",
        "price",
        "roles",
        "schema",
        "servers",
        "slaDefaultElement",
        "slaProperties",
        "status",
        "support",
        "tags",
        "team",
        "tenant",
        "version",
    }
)
_TABLE = frozenset(
    {
        "authoritativeDefinitions",
        "businessName",
        "context",
        "customProperties",
        "dataGranularityDescription",
        "deprecated",
        "description",
        "id",
        "logicalType",
        "name",
        "physicalName",
        "physicalType",
        "properties",
        "quality",
        "relationships",
        "synonyms",
        "tags",
    }
)
_CUSTOM = frozenset(
    {
        "maxRejectedRatio",
        "drift",
        "history",
        "deletedWhen",
        TWO_DIGIT_YEARS,
        *CLEANING,
        *DELIVERY,
        *WRITTEN,
    }
)


def parse(text: str, *, file: str) -> Contract:
    """Read the YAML `text` of one contract; `file` is its name in errors.

    Raises:
        ContractError: it is not YAML, not ODCS, or asks for an unsupported check.
    """
    root = Node.of_yaml(text, file)
    root.allow_only(_CONTRACT)
    root.require("kind").one_of(("DataContract",))
    root.require("apiVersion").one_of(API_VERSIONS)
    root.require("id").text()
    version = root.require("version").text()
    tables = root.require("schema").items()
    if len(tables) != 1:
        raise root.at("schema").error(
            f"has {len(tables)} objects; one contract describes one table"
        )
    table = tables[0]
    table.allow_only(_TABLE)
    table.forbid("customProperties", "custom properties belong to the whole contract")
    properties = table.require("properties").items()
    custom = _custom(root)
    columns = tuple(read_column(node, custom) for node in properties)
    _check_names(table, columns)
    dataset = table.require("name").text()
    pairs = list(zip(properties, columns, strict=True))
    return Contract(
        dataset=dataset,
        version=version,
        description=_description(root),
        columns=columns,
        key=_key(table, columns),
        max_rejected_ratio=_ratio(custom.get("maxRejectedRatio")),
        hints=read_hints(root, custom),
        sla=tuple(sla.mapping() for sla in root.optional_items("slaProperties")),
        rules=read_quality(table, dataset, columns, pairs),
        relationships=read_relationships(table, dataset, pairs),
        drift=_drift(custom.get("drift")),
        delivery=read_delivery(custom),
        history=_history(table, custom.get("history")),
        deleted_when=_deleted_when(columns, custom.get("deletedWhen")),
        table_id=None if table.get("id") is None else table.require("id").text(),
        text=text,
    )


def _deleted_when(columns: tuple[Column, ...], node: Node | None) -> str | None:
    """Return the column that says that a row was deleted."""
    if node is None:
        return None
    name = node.text()
    column = next((column for column in columns if column.name == name), None)
    if column is None:
        known = [column.name for column in columns]
        raise node.error(f"is {name!r}, which is no column{meant(name, known)}")
    if column.logical_type not in {"timestamp", "date", "boolean"}:
        raise node.error(f"is {name!r}, a {column.logical_type}; a time, date or boolean is needed")
    if column.required or column.key_position is not None:
        raise node.error(f"is {name!r}, which is required: rows that are there have nothing in it")
    return name


def _check_names(table: Node, columns: tuple[Column, ...]) -> None:
    if not columns:
        raise table.at("properties").error("a table needs at least one column")
    seen: dict[str, str] = {}
    for index, column in enumerate(columns):
        other = seen.get(column.name.casefold())
        seen[column.name.casefold()] = column.name
        if other is not None:
            node = table.at("properties").item(index)
            if other == column.name:
                raise node.error(f"a second column is called {column.name!r}")
            raise node.error(
                f"column {column.name!r} differs from {other!r} by letter case alone, which Delta "
                "and databases do not tell apart"
            )
    sources = {column.name: column.name for column in columns}
    for index, column in enumerate(columns):
        if column.physical_name is None:
            continue
        other = sources.get(column.source)
        if other is not None:
            place = table.at("properties").item(index).at("physicalName")
            raise place.error(f"is {column.source!r}, which column {other!r} is called already")
        sources[column.source] = column.name


def _key(table: Node, columns: tuple[Column, ...]) -> tuple[str, ...]:
    """Return the key columns by position; several key columns must have positions 1, 2, ..."""
    keyed = [c for c in columns if c.key_position is not None]
    positions = [c.key_position or 0 for c in keyed]
    if len(keyed) > 1 and sorted(positions) != list(range(1, len(keyed) + 1)):
        raise table.at("properties").error(
            f"the {len(keyed)} primary key columns need primaryKeyPosition 1 to {len(keyed)}, "
            f"each once; found {positions}"
        )
    return tuple(c.name for c in sorted(keyed, key=lambda c: c.key_position or 0))


def _history(table: Node, node: Node | None) -> bool:
    if node is None:
        return False
    if node.one_of(("none", "scd2")) == "none":
        return False
    if not any(p.get("primaryKey") for p in table.require("properties").items()):
        raise node.error("is 'scd2', but without a primary key nothing has versions")
    return True


def _description(root: Node) -> str:
    node = root.get("description")
    if node is None:
        return ""
    purpose = node.get("purpose")
    return "" if purpose is None else purpose.text()


def _custom(root: Node) -> dict[str, Node]:
    """Return our custom properties by name; those of other vendors are skipped."""
    properties: dict[str, Node] = {}
    for node in root.optional_items("customProperties"):
        vendor = node.get("vendor")
        if vendor is not None and vendor.text() != "landfall":
            continue
        name = node.require("property").text()
        if name not in _CUSTOM:
            known = ", ".join(sorted(_CUSTOM))
            raise node.at("property").error(
                f"{name!r} is not known; known: {known}; another tool's property names its vendor"
            )
        if name in properties:
            raise node.at("property").error(f"{name!r} is given twice")
        properties[name] = node.require("value")
    return properties


def _ratio(node: Node | None) -> float:
    if node is None:
        return 0.0
    ratio = node.number()
    if not 0 <= ratio <= 1:
        raise node.error(f"is {ratio}; a ratio lies between 0 and 1")
    return float(ratio)


_DRIFT = {
    "extraColumns": ("extra", ("discard", "evolve", "freeze")),
    "reorderedColumns": ("reordered", ("evolve", "freeze")),
    "missingColumns": ("missing", ("evolve", "freeze")),
    "renamedColumns": ("renamed", ("discard", "evolve", "freeze")),
    "changedTypes": ("changed", ("discard", "evolve", "freeze")),
}
"""Field in `Drift` and allowed policies by kind of drift. Missing and reordered columns have
nothing to discard."""


def _drift(node: Node | None) -> Drift:
    if node is None:
        return Drift()
    node.allow_only(_DRIFT)
    policies_by_field = {
        field: policy.one_of(policies)
        for kind, (field, policies) in _DRIFT.items()
        if (policy := node.get(kind)) is not None
    }
    return Drift(**policies_by_field)
