"""`landfall analytics` against the job of the bundle, on the local Databricks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from devcloud import pidfile
from marketplace.generator.market import DATASETS, MarketPlan
from spark_jobs.analytics.outputs import TABLES
from tests.spark.analytics_lake import AnalyticsLake, frames_of

pytestmark = [pytest.mark.spark, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]
PLAN = MarketPlan(
    datasets=DATASETS, users=6_000, products=14_000, orders=5_000, visits=60_000, days=400, seed=4
)


class LocalCloud:
    """A local cloud with silver tables, and the command."""

    def __init__(self, root: Path, market: dict[str, pl.DataFrame]) -> None:
        self.root, self.market = root, market
        up = self.landfall("up", "--detach", "--json")
        assert up.returncode == 0, up.stderr
        self.dsn = json.loads(up.stdout)["database"]["url"]
        self.lake = AnalyticsLake(root / "lake")
        self.lake.silver(market)

    def landfall(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command against it."""
        environ = {key: value for key, value in os.environ.items() if "LANDFALL" not in key}
        return subprocess.run(
            [sys.executable, "-c", "from landfall.cli.main import main; main()", *arguments],
            capture_output=True, text=True, check=False, cwd=self.root.parent, timeout=900,
            env=environ | {"PYTHONPATH": str(REPOSITORY), "LANDFALL_HOME": str(self.root)},
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the document that `run --json` ends with."""
        done = self.landfall("analytics", "run", *arguments, "--json")
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return done.returncode, document


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """One for all tests here, which follow each other."""
    folder = tmp_path_factory.mktemp("analytics")
    market = frames_of(PLAN, folder / "files")
    try:
        yield LocalCloud(folder / "cloud", market)
    finally:
        pidfile.stop(folder / "cloud")


def test_the_job_publishes_serves_and_shows(cloud: LocalCloud) -> None:
    """Gates, tables and page are told; rows are shown, and stand in the database."""
    code, document = cloud.run()

    assert code == 0
    assert document["ok"]
    assert [gate for gate in document["gates"] if gate["blocks"] and not gate["passed"]] == []
    assert set(document["tables"]) == set(TABLES)
    assert {"id", "value", "bar", "passed"} <= set(document["gates"][0])
    for table in document["tables"].values():
        assert len(pl.read_delta(table["path"])) == table["rows"] > 0
    assert "<svg" in Path(document["page"]).read_text()
    shown = json.loads(cloud.landfall("analytics", "show", "--json").stdout)
    assert shown["models"]["recommendations"].startswith("published recommendations-")
    assert shown["models"]["segments"].startswith("too_little_data")
    assert shown["page"] == document["page"]
    assert all(len(rows) == 6 for rows in shown["tables"].values())
    with psycopg.connect(cloud.dsn) as database:
        counted = database.execute("SELECT count(*) FROM gold.recommendations_live").fetchone()
        objecting = database.execute("SELECT count(*) FROM gold.profiling_objections").fetchone()
        user = database.execute("SELECT min(user_id) FROM gold.recommendations_live").fetchone()
        # As a load of objections leaves it: the lists are gone at once.
        database.execute("INSERT INTO gold.profiling_objections SELECT %s::bigint", user)
        left = database.execute(
            "SELECT count(*) FROM gold.recommendations_live WHERE user_id = %s", user
        ).fetchone()
        database.rollback()
    assert (objecting, left) == ((0,), (0,))
    assert counted == (document["tables"]["recommendations_by_user"]["rows"],)


def test_one_model_runs_alone_and_an_objection_counts(cloud: LocalCloud) -> None:
    """Who objects is gone from the lists; the other models are as they were."""
    user = cloud.lake.gold("recommendations_by_user")["user_id"][0]
    segments = cloud.lake.version("customer_segments")
    when = pl.lit("2026-01-05 10:00:00").str.to_datetime(time_unit="us")
    gone = pl.lit(None, pl.Datetime("us"))
    cloud.lake.silver(
        {
            "objections": pl.DataFrame({"user_id": [user]}).with_columns(
                when.alias("objected_at"), gone.alias("withdrawn_at")
            )
        }
    )

    code, document = cloud.run("recommendations")

    assert code == 0
    assert {gate["id"][0] for gate in document["gates"]} == {"B", "R"}
    lists = cloud.lake.gold("recommendations_by_user")
    assert len(lists)
    assert user not in set(lists["user_id"])
    assert cloud.lake.version("customer_segments") == segments


def test_what_fails_its_gates_is_not_published(cloud: LocalCloud) -> None:
    """Exit code 1 and the reason; yesterday's tables stand."""
    standing = cloud.lake.version("sales_forecast")
    lines = cloud.market["order_lines"]
    cloud.lake.silver({"order_lines": lines.with_columns(pl.col("amount") * -1)})

    code, document = cloud.run("forecasts")

    assert code == 1
    assert not document["ok"]
    assert document["models"]["forecasts"]["verdict"] == "not_published"
    assert "B1" in document["models"]["forecasts"]["reason"]
    assert cloud.lake.version("sales_forecast") == standing
