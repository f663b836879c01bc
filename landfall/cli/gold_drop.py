"""Deletes a gold table that has no definition any more: in the lake, and where it is served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from landfall.cli.errors import CliError
from landfall.cli.target import home
from landfall.protocol import GOLD_DEFINITIONS

if TYPE_CHECKING:
    from landfall.cli.gold import Place


def drop_table(place: Place, path: str, data: Path | None, *, as_json: bool) -> None:
    """Delete a table of gold, and its copy in the database of a local cloud.

    Raises:
        CliError: it is of silver, is still defined, or does not exist.
    """
    layer, _, name = path.partition("/")
    if layer != "gold":
        raise CliError(f"{path} is not of gold: silver has what was delivered, and is not dropped")
    place.table(path)
    if name in _defined(place):
        raise CliError(
            f"{path} is still defined and would be built again: delete gold/{name}.sql of the "
            "project, and let a load of what it read go by"
        )
    if place.lake is None:
        shutil.rmtree(f"{place.root.format(layer='gold')}/{name}")
        served = _drop_served(name, data)
    else:
        from landfall.cli.lake import delete_folder  # noqa: PLC0415 - the SDK is slow to import

        delete_folder(place.lake, path)
        served = False
    if as_json:
        click.echo(json.dumps({"dropped": path, "served_dropped": served}))
        return
    click.echo(f"dropped {path}" + (", and its table in the database" if served else ""))
    if not served:
        click.echo(f'where it is served: DROP TABLE IF EXISTS gold."{name}"')


def _defined(place: Place) -> set[str]:
    """The tables of the definitions that jobs read now; none where there are none."""
    container, _, key = GOLD_DEFINITIONS.partition("/")
    if place.lake is None:
        file = Path(place.root.format(layer=container)) / key
        if not file.exists():
            return set()
        document = json.loads(file.read_text(encoding="utf-8"))
    else:
        from landfall.cli.lake import read_file  # noqa: PLC0415 - the SDK is slow to import

        text = read_file(place.lake, GOLD_DEFINITIONS)
        if text is None:
            return set()
        document = json.loads(text)
    return {table["name"] for table in document["tables"]}


def _drop_served(name: str, data: Path | None) -> bool:
    """Drop the table in the local database; whether that could be done."""
    import psycopg  # noqa: PLC0415 - only this needs it
    from psycopg import sql  # noqa: PLC0415

    from devcloud import config as devcloud_config  # noqa: PLC0415 - only local targets need it

    dsn = devcloud_config.load(home(data)).database_dsn
    statement = sql.SQL("DROP TABLE IF EXISTS gold.{}").format(sql.Identifier(name))
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            connection.execute(statement)
            known = connection.execute("SELECT to_regclass('landfall.served')").fetchone()
            if known and known[0]:
                connection.execute("DELETE FROM landfall.served WHERE table_name = %s", (name,))
    except psycopg.Error:
        return False
    return True
