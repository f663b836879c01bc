"""Job task: let Databricks SQL see the lake: silver and gold as tables of a catalog, gold as views.

`<catalog>.landfall_silver.<dataset>` and `<catalog>.landfall_gold.<table>` are the Delta tables
where they lie. `<catalog>.landfall_live.<table>` is a view by the very statement that defines the
gold table, over the tables that it reads as they are now; its comment is the table's description.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from spark_jobs.arguments import parse_named
from spark_jobs.columns import quoted
from spark_jobs.gold.definitions import GoldDefinition, read_definitions, view_of
from spark_jobs.lake import SparkLake
from spark_jobs.result import say
from spark_jobs.session import job_session
from spark_jobs.tables import delta_tables

SCHEMAS = {"silver": "landfall_silver", "gold": "landfall_gold"}
LIVE = "landfall_live"


def main(argv: list[str] | None = None) -> None:
    """Publish every table; without `--catalog` there is nothing to do.

    Raises:
        JobError: the parameters are wrong.
    """
    given = parse_named(argv, "publish", required=("lake",), optional=("catalog",))
    if not given["catalog"]:
        say("No catalog is named: nothing is published.")
        return
    lake = SparkLake(job_session(), given["lake"])
    definitions = read_definitions(lake, None)
    for statement in statements(lake, given["catalog"], delta_tables(lake, *SCHEMAS), definitions):
        lake.spark.sql(statement)
        say(statement.partition("\n")[0])


def statements(
    lake: SparkLake, catalog: str, tables: Iterable[str], definitions: Iterable[GoldDefinition]
) -> Iterator[str]:
    """What makes these tables, and the views whose sources are among them, known to a catalog."""
    tables = list(tables)
    for schema in (*SCHEMAS.values(), LIVE):
        yield f"CREATE SCHEMA IF NOT EXISTS {quoted(catalog)}.{schema}"
    for path in tables:
        container, _, name = path.partition("/")
        yield (
            f"CREATE TABLE IF NOT EXISTS {_name(catalog, SCHEMAS[container], name)}\n"
            f"USING DELTA LOCATION {_text(lake.uri(path))}"
        )
    for definition in definitions:
        if set(definition.sources) <= set(tables):
            yield view_statement(catalog, definition)


def view_statement(catalog: str, definition: GoldDefinition) -> str:
    """The view that shows what a gold table would be if it were built now."""
    select = definition.sql
    for path in definition.sources:
        schema, _, name = path.partition("/")
        table = _name(catalog, SCHEMAS[schema], name)
        select = re.sub(rf"\b{view_of(path)}\b", table.replace("\\", r"\\"), select)
    return (
        f"CREATE OR REPLACE VIEW {_name(catalog, LIVE, definition.name)}\n"
        f"COMMENT {_text(definition.description)} AS\n{select}"
    )


def _name(catalog: str, schema: str, name: str) -> str:
    return f"{quoted(catalog)}.{schema}.{quoted(name.replace('/', '_'))}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


if __name__ == "__main__":
    main()
