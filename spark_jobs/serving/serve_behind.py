"""Job task: serve every gold table that the database is behind with, and fail if it cannot be done.

A load does not fail for a database that is down. This one, by schedule, does: somebody should know.
"""

from __future__ import annotations

from spark_jobs.arguments import parse_named
from spark_jobs.lake import SparkLake
from spark_jobs.result import say
from spark_jobs.serving.serve import reached
from spark_jobs.serving.tables import serve
from spark_jobs.session import job_session
from spark_jobs.tables import delta_tables


def main(argv: list[str] | None = None) -> None:
    """Bring all served tables to the newest gold.

    Raises:
        JobError: the parameters are wrong, or the database does not answer.
    """
    given = parse_named(
        argv,
        "serve_behind",
        required=("lake", "run"),
        optional=("database", "database-user", "database-secret", "database-connection"),
    )
    if not given["database"]:
        say("No database is named: nothing is served.")
        return
    lake = SparkLake(job_session(), given["lake"])
    tables = delta_tables(lake, "gold")
    for path, table in serve(lake, reached(given), tables, f"run {given['run']}").items():
        say({"table": path, **table.to_json()})


if __name__ == "__main__":
    main()
