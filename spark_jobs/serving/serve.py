"""Job task: load the gold tables of a batch into the database that reports read.

result document → newest version of each gold table → staging by JDBC → one transaction → result

Gold is correct whether the database is there or not. So a database that cannot be reached is
reported in the result document and does not fail the batch: the next load of the dataset, or
`landfall_maintain`, serves what is behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from spark_jobs.arguments import parse_named
from spark_jobs.errors import ServingError
from spark_jobs.lake import SparkLake, read_document, write_document
from spark_jobs.result import ORIGINS, result_folder, say
from spark_jobs.serving.credentials import is_token, read_password
from spark_jobs.serving.database import Database, locate
from spark_jobs.serving.tables import serve
from spark_jobs.session import job_session

_CONTAINER = "gold/"


def main(argv: list[str] | None = None) -> None:
    """Serve what a batch has built; without `--database` there is nothing to do.

    Raises:
        JobError: the parameters are wrong, or build_gold has not run.
    """
    given = parse_named(
        argv,
        "serve",
        required=("lake", "dataset", "batch-id"),
        optional=("database", "database-user", "database-secret", "database-connection"),
    )
    if not given["database"]:
        say("No database is named: nothing is served.")
        return
    lake = SparkLake(job_session(), given["lake"])
    folder = result_folder(given["dataset"], given["batch-id"])
    result = read_document(lake, folder)
    paths = [path for path in result["tables"] if path.startswith(_CONTAINER)]
    origins = result.get(ORIGINS, {})
    builds = {path: (result["tables"][path]["version"], origins[path]) for path in origins}
    result["served"] = served_tables(lake, reached(given), paths, given["batch-id"], builds)
    write_document(lake, folder, result)
    say(result)


def reached(given: dict[str, str]) -> Database:
    """The database that the job's parameters name, with the password or token by its reference."""
    return locate(
        given["database"],
        given["database-user"],
        read_password(given["database-secret"], given["database"]),
        given["database-connection"],
        token=is_token(given["database-secret"]),
    )


def served_tables(
    lake: SparkLake,
    database: Database,
    paths: list[str],
    batch_id: str,
    builds: Mapping[str, tuple[int, Mapping[str, Any]]] = MappingProxyType({}),
) -> dict[str, Any]:
    """How each table is served now; where the database did not take them, why."""
    try:
        served = serve(lake, database, paths, batch_id, builds)
    except Exception as error:  # noqa: BLE001 - whatever it is, gold is as it should be
        why = str(error).strip().partition("\n")[0]
        kind = "" if isinstance(error, ServingError) else f"{type(error).__name__}: "
        say(f"BEHIND: the database did not take the tables. {kind}{why}")
        return {"behind": f"{kind}{why}"}
    return {path: table.to_json() for path, table in served.items()}


if __name__ == "__main__":
    main()
