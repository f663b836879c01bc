"""How a silver table is made, and how it follows a contract that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql.types import DateType, StructField, StructType, TimestampType

from spark_jobs.columns import RUN_ID, SilverColumn, quoted
from spark_jobs.errors import SilverError
from spark_jobs.silver.constraints import PREFIX, text

# Characters that Delta takes in a column's name only when it maps names to others.
_NEED_MAPPING = frozenset(" ,;{}()\n\t=")
_CONSTRAINT = "delta.constraints."
_OURS = _CONSTRAINT + PREFIX


def create_statement(table: str, schema: StructType, properties: Mapping[str, str]) -> str:
    """CREATE TABLE of a silver table; what a contract requires, Delta enforces as NOT NULL."""
    listed = ", ".join(f"'{name}' = {text(value)}" for name, value in properties.items())
    declared = ", ".join(_declared(field) for field in schema)
    suffix = f" TBLPROPERTIES ({listed})" if listed else ""
    return f"CREATE TABLE {table} ({declared}) USING DELTA{suffix}"


def require_statement(table: str, schema: StructType) -> str:
    """The same requirement for a table that was not made by `create_statement`."""
    required = [field.name for field in schema if not field.nullable]
    condition = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in required)
    return f"ALTER TABLE {table} ADD CONSTRAINT required CHECK ({condition})"


def table_properties(schema: StructType) -> dict[str, str]:
    """What a table must be created with; name mapping only where a column's name asks for it."""
    mapped = any(_NEED_MAPPING.intersection(name) for name in schema.names)
    return {"delta.columnMapping.mode": "name"} if mapped else {}


def statistics(schema: StructType, key: Sequence[SilverColumn]) -> dict[str, str]:
    """Of which columns Delta keeps statistics: those by which files of a table can be skipped.

    A load names keys, and a reader days. Of other columns every file has much the same values, and
    their statistics would take a quarter of the time in which silver is written.
    """
    keys = {column.name for column in key} or {RUN_ID}  # without a key a run's rows are replaced
    chosen = [
        field.name
        for field in schema
        if field.name in keys or isinstance(field.dataType, (DateType, TimestampType))
    ]
    return {"delta.dataSkippingStatsColumns": ",".join(map(quoted, chosen))}


def evolution_statements(table: str, present: StructType, contract_schema: StructType) -> list[str]:
    """ALTER TABLEs that make room for columns that the contract has gained.

    A column that the contract has lost stays, and is empty in new rows.

    Raises:
        SilverError: a column has another type than before, which no ALTER can fix.
    """
    have = {field.name.casefold(): field for field in present}
    changed = [
        f"column {field.name!r} is {have[field.name.casefold()].dataType.simpleString()} "
        f"in silver and {field.dataType.simpleString()} by the contract"
        for field in contract_schema
        if field.name.casefold() in have and have[field.name.casefold()].dataType != field.dataType
    ]
    if changed:
        raise SilverError(
            f"{table}: {'; '.join(changed)}. "
            "Give the column a new name in the contract, or rebuild the table from bronze.",
        )
    gained = [field for field in contract_schema if field.name.casefold() not in have]
    # Rows that are there already have no value for it, whatever the contract requires of new ones.
    added = ", ".join(_declared(StructField(field.name, field.dataType)) for field in gained)
    kept = {field.name.casefold() for field in contract_schema if not field.nullable}
    relaxed = [f for f in present if not f.nullable and f.name.casefold() not in kept]
    return [
        *([f"ALTER TABLE {table} ADD COLUMNS ({added})"] if gained else []),
        *(
            f"ALTER TABLE {table} ALTER COLUMN {quoted(field.name)} DROP NOT NULL"
            for field in relaxed
        ),
    ]


def _declared(field: StructField) -> str:
    suffix = "" if field.nullable else " NOT NULL"
    return f"{quoted(field.name)} {field.dataType.simpleString()}{suffix}"


def constraint_statements(
    table: str, present: Mapping[str, str], constraint: tuple[str, str] | None
) -> tuple[list[str], str | None]:
    """ALTER TABLEs for the contract's constraint: those that take away, and the one that adds.

    Args:
        table: SQL name of the Delta table.
        present: the table's properties; Delta keeps constraints among them.
        constraint: name and condition, None where the contract asks for none.
    """
    ours = [name.removeprefix(_CONSTRAINT) for name in present if name.startswith(_OURS)]
    if constraint and ours == [constraint[0]]:
        return [], None
    dropped = [f"ALTER TABLE {table} DROP CONSTRAINT {name}" for name in ours]
    if constraint is None:
        return dropped, None
    return dropped, f"ALTER TABLE {table} ADD CONSTRAINT {constraint[0]} CHECK ({constraint[1]})"
