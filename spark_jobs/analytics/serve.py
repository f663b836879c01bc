"""Job task: serve the tables of analytics, and the view of recommendations that still hold.

`recommendations_live` leaves out what was sold or withdrawn since the lists were made, and users
who have objected since: it reads `live_listings` and `profiling_objections`, which each load of
products, orders or objections brings up to date.
"""

from __future__ import annotations

from spark_jobs.analytics.outputs import TABLES, path_of
from spark_jobs.arguments import parse_named
from spark_jobs.lake import SparkLake
from spark_jobs.result import say
from spark_jobs.serving.database import Database
from spark_jobs.serving.dialects import GOLD
from spark_jobs.serving.serve import reached
from spark_jobs.serving.tables import serve
from spark_jobs.session import job_session
from spark_jobs.tables import delta_table, overwrite

VIEW = "recommendations_live"
LIVE, OBJECTIONS = "live_listings", "profiling_objections"


def main(argv: list[str] | None = None) -> None:
    """Serve every table of analytics that is there; without `--database` there is nothing to do.

    Raises:
        JobError: the parameters are wrong, or the database does not answer.
    """
    given = parse_named(
        argv,
        "serve_analytics",
        required=("lake",),
        optional=("run", "database", "database-user", "database-secret", "database-connection"),
    )
    if not given["database"]:
        say("No database is named: nothing is served.")
        return
    lake, database = SparkLake(job_session(), given["lake"]), reached(given)
    if delta_table(lake, path_of(OBJECTIONS)) is None:
        # Before the first objection came: the view must know of the table, or it would miss it.
        nobody = lake.spark.createDataFrame([], "user_id bigint")
        overwrite(lake, path_of(OBJECTIONS), nobody, {"sources": []})
    names = [*TABLES, LIVE, OBJECTIONS]
    there = [name for name in names if delta_table(lake, path_of(name)) is not None]
    for path, table in serve(
        lake, database, [path_of(name) for name in there], f"run {given['run']}"
    ).items():
        say({"table": path, **table.to_json()})
    if "recommendations_by_user" in there:
        create_view(database, there)


def create_view(database: Database, served: list[str]) -> None:
    """Make the view anew; a filter whose table is not served is left out."""
    name = database.dialect.name
    conditions = []
    if LIVE in served:
        conditions.append(
            f"EXISTS (SELECT 1 FROM {name(GOLD, LIVE)} AS l WHERE l.product_id = r.product_id)"  # noqa: S608
        )
    if OBJECTIONS in served:
        conditions.append(
            f"NOT EXISTS (SELECT 1 FROM {name(GOLD, OBJECTIONS)} AS o WHERE o.user_id = r.user_id)"  # noqa: S608
        )
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    view = name(GOLD, VIEW)
    with database.transaction() as work:
        work.run(f"DROP VIEW IF EXISTS {view}")
        table = name(GOLD, "recommendations_by_user")
        work.run(f"CREATE VIEW {view} AS SELECT r.* FROM {table} AS r{where}")  # noqa: S608
    say({"view": f"{GOLD}.{VIEW}", "leaves_out": conditions})
