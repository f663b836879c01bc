"""The tasks of landfall_analytics on silver tables of a generated market."""

from __future__ import annotations

import json
from datetime import date

import polars as pl
import pytest
from pyspark.sql import SparkSession

from spark_jobs.analytics import page, tasks
from spark_jobs.analytics.outputs import TABLES
from spark_jobs.errors import ResultError
from tests.spark.analytics_lake import PLAN, AnalyticsLake, frames_of

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """One market for all tests."""
    return frames_of(PLAN, tmp_path_factory.mktemp("market") / "files")


@pytest.fixture(scope="module")
def ran(
    spark: SparkSession, market: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> AnalyticsLake:
    """A lake on which all tasks have run once."""
    assert spark
    analytics = AnalyticsLake(tmp_path_factory.mktemp("analytics"))
    analytics.silver(market)
    for task in (tasks.segment, tasks.recommend, tasks.forecast):
        task(analytics.arguments())
    return analytics


def test_all_tables_are_published_and_the_summary_says_so(
    ran: AnalyticsLake, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gates pass, tables have rows, the page and the cards are there."""
    page.main([f"--lake=file://{ran.root}/{{container}}", "--run=7"])

    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [gate for gate in summary["gates"] if gate["blocks"] and not gate["passed"]] == []
    assert summary["ok"]
    assert set(summary["tables"]) == set(TABLES)
    assert all(table["rows"] > 0 for table in summary["tables"].values())
    text = (ran.root / summary["page"]).read_text()
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<svg") == 4
    assert "nan" not in text.lower().replace("finance", "")
    cards = sorted(path.name for path in (ran.root / page.CARDS).iterdir())
    assert cards == ["forecasts.md", "recommendations.md", "segments.md"]


def test_nothing_is_recommended_that_cannot_be_bought(
    ran: AnalyticsLake, market: dict[str, pl.DataFrame]
) -> None:
    """Only what is on sale, never one's own or seen, three of a seller at most, 20 a user."""
    lists = ran.gold("recommendations_by_user")
    products, seen = market["products"], market["interactions"]
    joined = lists.join(products, on="product_id", how="left")
    assert (joined["status"] == "live").all()
    assert (joined["seller_id"] != joined["user_id"]).all()
    assert lists.select("user_id", "product_id").is_unique().all()
    assert joined.group_by("user_id", "seller_id").len()["len"].max() <= 3  # type: ignore[operator]
    assert lists.join(seen, on=["user_id", "product_id"], how="semi").is_empty()
    acted = set(seen["user_id"]) | set(market["orders"]["buyer_id"])
    assert set(lists["user_id"]) == acted
    assert (lists.group_by("user_id").len()["len"] == 20).mean() > 0.99  # type: ignore[operator]
    assert set(lists["source"]) <= {"two_stages", "one_stage"}


def test_forecasts_add_up_and_bands_hold(ran: AnalyticsLake) -> None:
    """To the cent, from the day after the newest complete one, for 28 days."""
    table = ran.gold("sales_forecast")
    sums = table.group_by("level", "day").agg(pl.col("forecast").sum())
    wide = sums.pivot(on="level", index="day", values="forecast")
    assert len(wide) == 28
    assert ((wide["total"] - wide["category"]).abs() < 0.005).all()
    assert ((wide["total"] - wide["country"]).abs() < 0.005).all()
    assert table["day"].min() == date(2025, 12, 6)
    assert (table["lo95"] <= table["lo80"]).all()
    assert (table["lo80"] <= table["forecast"]).all()
    assert table["hi95"].is_finite().all()


def test_every_user_with_an_act_has_a_segment_and_a_reason(
    ran: AnalyticsLake, market: dict[str, pl.DataFrame]
) -> None:
    """Those without are counted."""
    customers, profile = ran.gold("customer_segments"), ran.gold("segment_profile")
    acted = (
        set(market["interactions"]["user_id"])
        | set(market["orders"]["buyer_id"])
        | set(market["products"]["seller_id"])
    )
    assert set(customers["user_id"]) == acted
    assert customers["reason"].str.len_chars().min() > 10  # type: ignore[operator]
    idle = profile.filter(pl.col("segment") == "no_act")["customers"].sum()
    assert idle == PLAN.users - len(acted)
    assert profile["customers"].sum() == PLAN.users
    assert profile["share_of_amount"].sum() == pytest.approx(1)


@pytest.mark.slow
def test_the_same_silver_gives_the_same_rows_and_a_replay_the_same_figures(
    ran: AnalyticsLake,
) -> None:
    """Byte for byte but for the time of the ledger; the clusters stay frozen."""
    names = ("recommendations_by_user", "sales_forecast", "popular_listings", "similar_listings")
    before = {name: ran.gold(name) for name in names}
    segments = ran.gold("customer_segments")
    version = ran.latest("recommendations")["version"]

    tasks.segment(ran.arguments())
    tasks.recommend(ran.arguments())
    tasks.forecast(ran.arguments())

    for name, rows in before.items():
        assert rows.equals(ran.gold(name)), name
    assert segments.equals(ran.gold("customer_segments"))
    standing = ran.version("recommendations_by_user")
    tasks.recommend(ran.arguments(f"--replay={version}"))
    tasks.segment(ran.arguments(f"--replay={ran.latest('segments')['version']}"))
    assert ran.version("recommendations_by_user") == standing
    with pytest.raises(ResultError, match="no version nothing"):
        tasks.recommend(ran.arguments("--replay=nothing"))


def test_half_of_the_orders_lost_stops_publishing(
    ran: AnalyticsLake, market: dict[str, pl.DataFrame]
) -> None:
    """Drift: what was published stands, and the ledger says why."""
    standing = ran.version("customer_segments")
    broken = market["order_lines"].with_columns(pl.col("amount") / 100)
    ran.silver({"order_lines": broken})
    try:
        tasks.segment(ran.arguments())
    finally:
        ran.silver({"order_lines": market["order_lines"]})

    said = ran.latest("segments")
    assert said["verdict"] == "not_published"
    assert "O1" in said["reason"]
    assert ran.version("customer_segments") == standing


def test_an_error_leaves_what_stands_and_is_written_down(
    ran: AnalyticsLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task fails, the ledger has the reason, the tables are those of before."""
    standing = ran.version("sales_forecast")

    def broken(*_: object) -> None:
        raise ArithmeticError("no such luck")

    monkeypatch.setattr(tasks, "build", broken)
    with pytest.raises(ArithmeticError):
        tasks.forecast(ran.arguments())

    assert ran.version("sales_forecast") == standing
    ledger = ran.gold("model_ledger").filter(pl.col("verdict") == "failed")
    assert ledger["reason"].to_list() == ["ArithmeticError: no such luck"]


@pytest.mark.slow
def test_many_series_are_forecast_by_workers_alike(
    ran: AnalyticsLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Spark's workers forecast is what this process does."""
    before = ran.gold("sales_forecast")
    monkeypatch.setattr(tasks, "DISTRIBUTED_FROM", 1)

    tasks.forecast(ran.arguments())

    assert before.drop("model_version").equals(ran.gold("sales_forecast").drop("model_version"))
