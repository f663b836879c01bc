"""The marketplace's trade: references hold, dirt is counted, the same seed gives the same bytes."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.__main__ import main, parser
from marketplace.generator.dirt import DIRT
from marketplace.generator.market import DATASETS, TRADE, MarketPlan, write_market
from tests.unit.validation import CONTRACTS, run_validation

PLAN = MarketPlan(datasets=DATASETS, users=8_000, seed=11, start=date(2024, 11, 1), days=730)


TIMES = ("ordered_at", "cancelled_at", "listed_at", "delisted_at", "occurred_at")


def read(folder: Path, dataset: str) -> pl.DataFrame:
    """All files of a table."""
    paths = sorted(folder.glob(f"{dataset}.csv")) or sorted(folder.glob(f"{dataset}-*.csv"))
    header = paths[0].read_bytes().split(b"\n", 1)[0]
    records = b"".join(path.read_bytes().split(b"\n", 1)[1] for path in paths)
    times = {name: pl.Datetime for name in TIMES if name in header.decode().split(",")}
    # Said, not tried: a column of which every value is missing would be text.
    return pl.read_csv(header + b"\n" + records, try_parse_dates=True, schema_overrides=times)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """One marketplace for all questions of shape."""
    folder = tmp_path_factory.mktemp("market")
    write_market(PLAN, folder)
    return {name: read(folder, name) for name in DATASETS}


def assert_references_hold(tables: dict[str, pl.DataFrame]) -> None:
    """Every reference is of something that was there before it was spoken of."""
    users, products, orders, lines, interactions = (tables[name] for name in DATASETS)
    known = set(users["identifierHash"])
    for table, column in ((products, "seller_id"), (orders, "buyer_id"), (interactions, "user_id")):
        assert set(table[column]) <= known
    assert set(lines["order_id"]) == set(orders["order_id"])
    assert set(interactions["product_id"]) <= set(products["product_id"])
    assert orders["order_id"].is_unique().all()
    assert products["product_id"].is_unique().all()
    assert interactions["interaction_id"].is_unique().all()
    assert lines.select("order_id", "line_number").is_unique().all()

    whole = lines.join(orders, on="order_id", suffix="_of_order")
    whole = whole.join(products, on="product_id", suffix="_right")
    assert len(whole) == len(lines)
    assert (whole["ordered_at"] > whole["listed_at"]).all()
    assert (whole["buyer_id"] != whole["seller_id"]).all()
    assert (whole["unit_price"] <= whole["price"]).all()
    seen = interactions.join(products, on="product_id")
    assert (seen["occurred_at"] > seen["listed_at"]).all()
    assert (seen["user_id"] != seen["seller_id"]).all()
    assert_pieces_are_sold_once(whole, seen)

    sums = lines.group_by("order_id").agg(pl.col("amount").sum(), pl.col("quantity").sum())
    checked = orders.join(sums, on="order_id", suffix="_of_lines")
    assert ((checked["amount"] - checked["amount_of_lines"]).abs() < 0.005).all()
    assert (checked["items"] == checked["quantity"]).all()
    assert ((checked["status"] == "cancelled") == checked["cancelled_at"].is_not_null()).all()
    assert ((whole["status"] == "cancelled") == (whole["status_of_order"] == "cancelled")).all()


def assert_pieces_are_sold_once(lines: pl.DataFrame, seen: pl.DataFrame) -> None:
    """A piece is gone when it is sold, unless the order is cancelled; nobody sees it afterwards."""
    kept = lines.filter(pl.col("status") != "cancelled")
    assert kept["product_id"].is_unique().all()
    assert (lines["quantity"] == 1).all()
    assert (kept["status_right"] == "sold").all()
    assert (kept["ordered_at"] == kept["delisted_at"]).all()
    gone = seen.filter(pl.col("delisted_at").is_not_null())
    assert (gone["occurred_at"] <= gone["delisted_at"]).all()
    assert ((seen["status"] == "live") == seen["delisted_at"].is_null()).all()
    again = lines.filter(pl.col("delisted_at").is_not_null())
    assert (again["ordered_at"] <= again["delisted_at"]).all()


def test_references_hold(market: dict[str, pl.DataFrame]) -> None:
    """Users, listings, orders, lines and interactions are one story."""
    assert_references_hold(market)


def plans() -> st.SearchStrategy[MarketPlan]:
    """Tiny, lopsided, cut by day."""
    some = st.integers(1, 300)
    return st.builds(
        MarketPlan,
        datasets=st.just(DATASETS),
        users=st.integers(2, 400),
        products=st.integers(2, 300),
        orders=some,
        visits=some,
        seed=st.integers(0, 2**40),
        days=st.integers(1, 40),
        split=st.sampled_from(["whole", "month", "day"]),
    )


@settings(max_examples=12, deadline=None)
@given(plan=plans())
def test_references_hold_at_any_size(
    tmp_path_factory: pytest.TempPathFactory, plan: MarketPlan
) -> None:
    """Nothing refers to what is not there, and the manifest counts what is."""
    folder = tmp_path_factory.mktemp("any")

    write_market(plan, folder)

    tables = {name: read(folder, name) for name in DATASETS}
    assert [len(tables[name]) for name in DATASETS[:2]] == [plan.users, plan.products]
    # Orders end where there is nothing left to buy.
    assert 0 < len(tables["orders"]) <= plan.orders
    assert_references_hold(tables)
    manifest = json.loads((folder / "manifest.json").read_text())
    written = Counter[str]()
    for file in manifest["files"]:
        written[file["dataset"]] += file["rows"]
        assert len((folder / file["name"]).read_text().splitlines()) == file["rows"] + 1
    assert {name: len(table) for name, table in tables.items()} == written


def test_same_plan_same_bytes(tmp_path: Path) -> None:
    """The bytes follow from the plan, on every Python, processor and release of numpy."""
    plan = MarketPlan(datasets=DATASETS, users=500, seed=3, days=60, dirt=0.02)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    first = write_market(plan, tmp_path / "a")
    second = write_market(plan, tmp_path / "b")

    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in first}
    assert digests == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in second
    }
    assert {name: digests[f"{name}.csv"] for name in DATASETS} == KNOWN_BYTES


KNOWN_BYTES = {
    "users": "c0f7157599db7e66",
    "products": "7c0bac9796328166",
    "orders": "b6895d4aaa66bcfa",
    "order_lines": "1c5c745f27989d6c",
    "interactions": "0260eb766789adf5",
}
"""Of the plan above, as they were first made: a change here changes everybody's data."""


@pytest.mark.parametrize("dataset", DATASETS)
def test_clean_files_are_accepted_and_dirt_is_found_in_its_counts(
    dataset: str, tmp_path: Path
) -> None:
    """Of every kind that a rule of the contract names, exactly the records injected break it.

    What a single file cannot show, references into nothing and blanks at the end, is accepted.
    """
    contract, path = CONTRACTS[dataset], tmp_path / f"{dataset}.csv"
    plan = MarketPlan(datasets=(dataset,), users=3_000, seed=5, days=90)
    write_market(plan, tmp_path)
    assert run_validation(path.read_bytes(), contract)[0].verdict == "accepted"

    write_market(replace(plan, dirt=0.04), tmp_path)

    (stated,) = json.loads((tmp_path / "manifest.json").read_text())["files"]
    report, findings = run_validation(path.read_bytes(), contract)
    assert int(0.04 * stated["rows"]) == sum(stated["damaged"].values()) == len(stated["injected"])
    assert set(DIRT[dataset]) == set(stated["damaged"])
    hidden = {"foreignKey", "trimmed"}
    visible = [fault for fault in stated["injected"] if fault["rule"] not in hidden]
    reasons = [json.loads(line) for line in (findings["reasons"] or b"").splitlines()]
    assert [fault["line"] for fault in visible] == [reason["line"] for reason in reasons]
    detected = {(r["line"], f["rule"], f["column"]) for r in reasons for f in r["faults"]}
    assert {(f["line"], f["rule"], f["column"]) for f in visible} <= detected
    assert report.rejected == len(visible)


def test_sales_grow_and_have_a_week_and_a_year(market: dict[str, pl.DataFrame]) -> None:
    """Trend, weekdays and seasons are in the orders, so that a forecast has something to find."""
    daily = market["orders"].group_by(pl.col("ordered_at").dt.date().alias("day")).len()

    def mean(keep: pl.Expr) -> float:
        return float(daily.filter(keep)["len"].mean() or 0)  # type: ignore[arg-type]

    day = pl.col("day")
    first = mean(day < date(2025, 11, 1))
    assert 1.2 < mean(day >= date(2025, 11, 1)) / first < 1.5
    assert mean(day.dt.weekday() == 7) > 1.2 * mean(day.dt.weekday() == 2)
    assert mean(day.dt.month().is_in([11, 12])) > 1.25 * mean(day.dt.month() == 8)
    assert mean((day.dt.month() == 11) & (day.dt.day() == 27)) > 1.6 * mean(day.dt.month() == 11)

    lines = market["order_lines"].join(market["orders"].drop("status"), on="order_id")
    lines = lines.join(market["products"], on="product_id")
    summer = lines.filter(pl.col("ordered_at").dt.month().is_in([6, 7]))
    winter = lines.filter(pl.col("ordered_at").dt.month().is_in([12, 1]))

    def part(of: pl.DataFrame, category: str) -> float:
        return len(of.filter(pl.col("category") == category)) / len(of)

    assert part(winter, "coats") > 1.3 * part(summer, "coats")
    assert part(summer, "swimwear") > 1.3 * part(winter, "swimwear")


def test_tails_are_heavy_and_some_comes_back(market: dict[str, pl.DataFrame]) -> None:
    """A tenth of the products has a third of the views; a few percent are cancelled, returned."""
    lines, orders, products = market["order_lines"], market["orders"], market["products"]
    assert len(orders) == PLAN.users
    assert 0.5 < (products["status"] == "sold").mean() < 0.7  # type: ignore[operator]
    assert 0.05 < (products["status"] == "withdrawn").mean() < 0.25  # type: ignore[operator]
    views = market["interactions"]["product_id"].value_counts(sort=True)["count"]
    assert int(views.head(len(products) // 10).sum()) > 0.33 * int(views.sum())
    assert 0.02 < (orders["status"] == "cancelled").mean() < 0.05  # type: ignore[operator]
    assert 0.05 < (lines["status"] == "returned").mean() < 0.15  # type: ignore[operator]
    prices = products.group_by("category").agg(pl.col("price").median())
    median = dict(prices.iter_rows())
    assert median["watches"] > 2 * median["shoes"] > 4 * median["children"]


def test_interactions_carry_taste(market: dict[str, pl.DataFrame]) -> None:
    """Users come back to categories and brands: what they liked early tells of what comes late."""
    seen = market["interactions"].join(market["products"], on="product_id")
    seen = seen.filter(pl.col("kind") == "view").with_columns(
        late=pl.col("interaction_id") > pl.len() // 2
    )
    for column, lift in (("category", 2.0), ("brand", 1.3)):
        favourite = (
            seen.filter(~pl.col("late"))
            .group_by("user_id", column)
            .len()
            .sort("len", column, descending=True)
            .group_by("user_id", maintain_order=True)
            .first()
            .select("user_id", favourite=column)
        )
        later = seen.filter(pl.col("late")).join(favourite, on="user_id")
        hit = float((later[column] == later["favourite"]).mean())  # type: ignore[arg-type]
        shuffled = later["favourite"].shuffle(seed=1)
        by_chance = float((later[column] == shuffled).mean())  # type: ignore[arg-type]
        assert hit > lift * by_chance


def test_recency_tells_of_the_future(market: dict[str, pl.DataFrame]) -> None:
    """Customers come and go: who bought lately buys again, who has long not bought seldom does."""
    orders, origin = market["orders"], date(2026, 7, 1)
    before = orders.filter(pl.col("ordered_at").dt.date() < origin)
    after = set(orders.filter(pl.col("ordered_at").dt.date() >= origin)["buyer_id"])
    last = before.group_by("buyer_id").agg(pl.col("ordered_at").max().dt.date().alias("last"))
    again = last.with_columns(again=pl.col("buyer_id").is_in(list(after)))
    recent = again.filter(pl.col("last") >= date(2026, 5, 1))["again"].mean()
    long_ago = again.filter(pl.col("last") < date(2025, 12, 1))["again"].mean()
    assert float(recent) > 0.5 > 5 * float(long_ago)  # type: ignore[arg-type]


def test_truth_is_written_apart(tmp_path: Path) -> None:
    """Types, tastes, sizes and demand, for tests alone: the tables are what they are without."""
    plan = replace(PLAN, users=400, days=60)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    without, told = (
        write_market(plan, tmp_path / "a"),
        write_market(replace(plan, truth=True), tmp_path / "b"),
    )

    truth = {path.stem: path for path in told if path.parent.name == "truth"}
    assert set(truth) == {"users", "products", "days", "choice"}
    for path in without[:-1]:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    users = pl.read_csv(truth["users"], try_parse_dates=True)
    assert set(users["user_id"]) == set(read(tmp_path / "b", "users")["identifierHash"])
    assert (users["joined"] < users["ended"]).all()
    assert len(pl.read_csv(truth["days"])) == plan.days


def test_wrong_sizes_are_seldom_bought(market: dict[str, pl.DataFrame], tmp_path: Path) -> None:
    """A piece of the buyer's own size sells more often than its share of what is listed."""
    write_market(replace(PLAN, datasets=("orders",), truth=True), tmp_path)
    truth = pl.read_csv(tmp_path / "truth" / "users.csv")
    lines = market["order_lines"].join(market["orders"].drop("status"), on="order_id")
    products = market["products"].filter(pl.col("category") == "shoes").drop("status")
    shoes = lines.join(products, on="product_id")
    shoes = shoes.join(truth, left_on="buyer_id", right_on="user_id")
    own = (shoes["size"] == shoes["size_shoes"].cast(pl.String)).mean()
    by_chance = (shoes["size"].shuffle(seed=1) == shoes["size_shoes"].cast(pl.String)).mean()
    assert own > 1.7 * by_chance  # type: ignore[operator]


def test_only_who_has_it_on_record_takes_part(market: dict[str, pl.DataFrame]) -> None:
    """Buyers have bought, sellers have sold or listed, by the users' own counters."""
    users = market["users"]
    bought = set(users.filter(pl.col("productsBought") > 0)["identifierHash"])
    selling = set(
        users.filter(pl.col("productsSold") + pl.col("productsListed") > 0)["identifierHash"]
    )
    assert set(market["orders"]["buyer_id"]) <= bought
    assert set(market["products"]["seller_id"]) <= selling
    codes = dict(users.select("identifierHash", "countryCode").iter_rows())
    for buyer, code in market["orders"].select("buyer_id", "country_code").iter_rows():
        assert codes[buyer] == code


def test_command_splits_by_month_and_prints_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file a month, the manifest last; a table alone is the same as among the others."""
    arguments = ["--rows", "300", "--start", "2025-01-15", "--days", "40", "--by", "month"]
    every, some = tmp_path / "every", tmp_path / "some"

    assert main([*arguments, "--datasets", "all", "--out", str(every)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert main([*arguments, "--datasets", "orders", "--out", str(some)]) == 0

    names = [Path(line).name for line in printed]
    assert names[-1] == "manifest.json"
    months = ["orders-2025-01.csv", "orders-2025-02.csv"]
    assert [name for name in names if name.startswith("orders")] == months
    assert sorted(path.name for path in every.iterdir()) == sorted(names)
    for path in some.glob("orders*.csv"):
        assert path.read_bytes() == (every / path.name).read_bytes()
    assert sorted(path.name for path in some.iterdir()) == ["manifest.json", *months]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--datasets", "users,shoes"], "'shoes' is not one of users, products"),
        (["--rows", "0"], "must be 1 or more"),
        (["--dirt", "0.9"], "between 0 and 0.5"),
        (["--start", "soon"], "invalid"),
    ],
)
def test_wrong_use_is_said(
    wrong: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be made is refused before anything is written."""
    with pytest.raises(SystemExit) as stopped:
        main([*wrong, "--out", str(tmp_path / "none")])

    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_help_tells_of_every_table() -> None:
    """Who asks for help learns what there is."""
    text = parser().format_help()

    for name in (*TRADE, "manifest.json", "--dirt", "examples"):
        assert name in text
