"""Holds the models of analytics against their gates, on generated markets and on published data.

    python -m benchmarks.analytics [--seeds 1,2,3] [--only segments,forecasts]

Parts are segments, recommendations, forecasts, time and uci.
Each seed is another market. What a market was drawn from (`--truth`) gives oracles: how good a
method could be at most. Nothing of it is read by the models. `uci` needs the table of the UCI
Online Retail data beside the repository.

Prints a line a gate: id, seed, value, bar, passed; with `--json`, a document. Exits with 1 if one
fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from marketplace.generator.market import DATASETS, MarketPlan, write_market
from spark_jobs.analytics import inputs
from spark_jobs.analytics.forecasts import candidates as models
from spark_jobs.analytics.forecasts import forecast as forecasts
from spark_jobs.analytics.forecasts.series import Calendar, build
from spark_jobs.analytics.gates import Gate, at_least, at_most
from spark_jobs.analytics.recommendations import evaluation
from spark_jobs.analytics.recommendations.lists import by_user, rules_kept
from spark_jobs.analytics.recommendations.market import (
    Floats,
    Ints,
    Listings,
    acts_of,
    days,
    listings_of,
)
from spark_jobs.analytics.recommendations.ranking import Moment, train_second_stage
from spark_jobs.analytics.segments import clusters, customers
from spark_jobs.analytics.segments import segment as segments

EVENTS = (
    "black friday: 11-27, saturday after: 11-28, cyber monday: 11-30, winter sales: 01-08, "
    "summer sales: 06-25, christmas: 12-25"
)
PARTS = ("segments", "recommendations", "forecasts", "time", "uci")
LOOKS = MarketPlan(
    datasets=DATASETS, users=20_000, products=28_000, orders=8_400, visits=200_000, truth=True
)
"""A market for recommendations: many views."""
BUYS = MarketPlan(
    datasets=DATASETS, users=100_000, products=150_000, orders=50_000, visits=100_000, truth=True
)
"""A market for segments and forecasts: many orders."""
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "online-retail"


@dataclass(frozen=True)
class Market:
    """A generated market, as the models read it, and its truth."""

    folder: Path

    @cached_property
    def data(self) -> inputs.Inputs:
        """The cleaned frames."""
        frames = {path: pd.DataFrame(columns=list(names)) for path, names in inputs.COLUMNS.items()}
        for name in DATASETS:
            frame = pd.read_csv(self.folder / f"{name}.csv", keep_default_na=False)
            frame = frame.replace("", None)
            if name == "orders":
                frame["_landed_at"] = "2026-11-30"
            frames[f"silver/{name}"] = frame
        return inputs.clean(frames)

    def truth(self, name: str) -> pd.DataFrame:
        """A file of the truth."""
        return pd.read_csv(self.folder / "truth" / f"{name}.csv", keep_default_na=False)


def market(plan: MarketPlan, seed: int, folder: Path) -> Market:
    """Generate a market."""
    folder.mkdir()
    write_market(MarketPlan(**{**plan.__dict__, "seed": seed}), folder)
    return Market(folder)


def judge_segments(of: Market, seed: int) -> Iterator[Gate]:
    """S2 to S5."""
    history, at = of.data.history(), of.data.at
    first = segments.challenge(history, at - 30 * customers.DAY, seed, None)
    again = segments.challenge(history, at, seed + 1, first.model)
    yield from again.gates
    table = customers.features(history, at)
    buyers = table[table["orders"] > 0]
    kinds = of.truth("users").set_index("user_id")["type"].reindex(buyers.index)
    ours, rules, bound = planted(buyers, kinds, seed)
    yield at_least("S5", ours / bound, 0.50, "ARI with planted types, share of a supervised bound")
    # Where the bound itself is below 1.5 times the rules, no method can do it.
    says = f"the same relative to quintile rules; a supervised bound has {bound / rules:.2f}"
    yield at_least("S5b", ours / rules, 1.5, says, blocks=False)


def planted(buyers: pd.DataFrame, kinds: pd.Series[str], seed: int) -> tuple[float, float, float]:
    """Return the ARI of clusters, of quintile rules and of a forest that knows the types."""
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - slow to import
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415
    from sklearn.model_selection import cross_val_predict  # noqa: PLC0415

    rows = clusters.logs(buyers, clusters.FEATURES)
    forest = RandomForestClassifier(200, min_samples_leaf=5, random_state=seed)
    bound = adjusted_rand_score(kinds, cross_val_predict(forest, rows, kinds, cv=5))
    ours = adjusted_rand_score(kinds, segments.refit_at(buyers, 5, seed).assign(buyers))
    recency = clusters.quantile_groups(-buyers["recency_days"], 5).to_numpy()
    orders = clusters.quantile_groups(buyers["orders"], 5).to_numpy()
    amount = clusters.quantile_groups(buyers["amount"], 5).to_numpy()
    worth = (orders + amount) / 2
    rules = np.select(
        [
            (recency >= 3) & (worth >= 3), worth >= 3, (recency >= 3) & (worth < 1.5),
            (recency >= 2) & (worth >= 1.5), recency <= 1,
        ],
        [0, 1, 2, 3, 4],
        5,
    )  # fmt: skip
    return float(ours), float(adjusted_rand_score(kinds, rules)), float(bound)


def judge_recommendations(of: Market, seed: int) -> Iterator[Gate]:
    """R2 to R9."""
    data = of.data
    listings = listings_of(data.products)
    seen = data.interactions.rename(columns={"occurred_at": "at"})
    bought = data.purchases[["user_id", "product_id", "at"]].assign(kind="purchase")
    acts = acts_of(pd.concat([seen[["user_id", "product_id", "kind", "at"]], bought]), listings)
    at = float(days(pd.Series([data.at]))[0])
    oracle = Oracle(of, data)
    judged, _ = evaluation.evaluate(
        listings, acts, at, seed, {"oracle": oracle.scores, "item_knn": item_knn}
    )
    method, gates, _ = evaluation.choose(judged, seed)
    yield from gates
    mean = {name: float(rows.mean()) for name, rows in judged.ndcg.items()}
    gain = (mean[method] - mean["popularity"]) / (mean["oracle"] - mean["popularity"])
    yield at_least("R4", gain, 0.55, f"share of the oracle's gain, by {method}")
    knn = mean["item_knn"] / mean["popularity"]
    yield at_most(
        "R5", knn, 1.0, "item-to-item on listing ids relative to popularity", blocks=False
    )
    moment = Moment.of(listings, acts, at)
    second = train_second_stage(listings, acts, at, seed)
    users = np.unique(acts.users[acts.before(at)])
    table = by_user(moment, users, second, method)
    yield from rules_kept(table, listings, at, [int(n) for n in acts.user_ids[users]])
    many = Moment.of(repeated(listings, moment.live, MANY_LISTINGS), acts, at)
    began = time.process_time()
    by_user(many, users, second, method)
    minutes = (time.process_time() - began) / len(users) * MANY_USERS / 60
    yield at_most(
        "R8", minutes, 3.0,
        f"CPU minutes of {MANY_USERS:,} users x {len(many.live):,} listings, from {len(users):,}",
    )  # fmt: skip


MANY_USERS, MANY_LISTINGS = 100_000, 50_000


def repeated(listings: Listings, live: Ints, count: int) -> Listings:
    """Return the listings with those on sale repeated until there are so many on sale."""
    more = np.resize(live, max(count - len(live), 0))
    places = np.concatenate([np.arange(len(listings.ids)), more])
    ids = np.concatenate([listings.ids, listings.ids.max() + 1 + np.arange(len(more))])
    # Of other sellers, as three of a seller would be in a list.
    sellers = listings.seller[places]
    sellers[len(listings.ids) :] += (1 + np.arange(len(more)) // max(len(live), 1)) << 40
    return Listings(
        ids, sellers, listings.listed[places], listings.delisted[places],
        {facet: codes[places] for facet, codes in listings.facets.items()}, listings.names,
        listings.price[places], listings.level[places],
    )  # fmt: skip


class Oracle:
    """Scores by what the market was drawn from: what a method could know at most."""

    def __init__(self, of: Market, data: inputs.Inputs) -> None:
        users = of.truth("users").set_index("user_id")
        products = of.truth("products").set_index("product_id")
        sold = data.products.sort_values("product_id").set_index("product_id")
        known = products.loc[sold.index]
        self.users, self.appeal = users, known["appeal"].to_numpy()
        self.category = sold["category"].to_numpy()
        self.size = sold["size"].fillna("").astype(str).to_numpy()
        self.system = known["size_system"].to_numpy()
        self.tier = known["tier"].to_numpy()
        self.style = known.filter(like="style_").to_numpy(dtype=float)
        self.constants = of.truth("choice").set_index("name")["value"]
        weights = sold["category"].value_counts(normalize=True)
        self.weights = weights

    def scores(self, moment: Moment, users: Ints) -> Floats:
        """Return the logarithm of how likely each user looks at each listing on sale."""
        who = self.users.loc[moment.acts.user_ids[users]]
        live, c = moment.live, self.constants
        rank = np.zeros(len(live))
        for category in np.unique(self.category[live]):
            at = np.flatnonzero(self.category[live] == category)
            order = at[np.lexsort((live[at], -self.appeal[live[at]]))]
            edges = (np.arange(len(order) + 1) / len(order)) ** (1 / 3)
            rank[order] = np.diff(edges)
        first = (self.category[live][None, :] == who["favourite_1"].to_numpy()[:, None]) * 1.0
        second = (self.category[live][None, :] == who["favourite_2"].to_numpy()[:, None]) * 1.0
        any_ = self.weights.loc[self.category[live]].to_numpy()[None, :]
        one, two = c["favourite_1"], c["favourite_2"]
        drawn = two * second + (1 - two) * (one * first + (1 - one) * any_)
        half = len(live) // 2
        recent = np.where(np.arange(len(live)) >= len(live) - half, 1 / max(half, 1), 0)
        popular, newest = c["popular_candidates"], c["recent_candidates"]
        likely = (popular * drawn * rank[None, :] + newest * recent[None, :]) / (popular + newest)
        suits = who.filter(like="style_").to_numpy(dtype=float) @ self.style[live].T
        suits -= c["tier"] * np.abs(who["tier"].to_numpy()[:, None] - self.tier[live][None, :])
        for system in ("letters", "shoes", "men_shoes", "ages"):
            of_system = self.system[live] == system
            body = who[f"size_{system}"].astype(str).to_numpy()[:, None]
            wrong = of_system[None, :] & (body != self.size[live][None, :])
            suits -= c["wrong_size"] * wrong
        scores: np.ndarray[Any, np.dtype[np.float64]] = np.log(likely + 1e-12) + suits / c["unit"]
        return scores


def item_knn(moment: Moment, users: Ints) -> Floats:
    """Return item-to-item scores on listing ids: cosine over users, the tutorials' method."""
    from scipy import sparse  # noqa: PLC0415 - slow to import

    past = moment.acts.before(moment.at)
    shape = (len(moment.acts.user_ids), len(moment.listings.ids))
    ones = np.ones(len(moment.acts.users[past]), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, (moment.acts.users[past], moment.acts.listings[past])), shape)
    matrix.data[:] = 1
    norm = np.sqrt(np.maximum(matrix.sum(axis=0).A1, 1))
    scaled = matrix @ sparse.diags(1 / norm)
    live = scaled[:, moment.live]
    near = scaled.T @ live
    scores: Floats = np.asarray((scaled[users] @ near).todense(), dtype=float)
    return scores


def judge_forecasts(of: Market, seed: int) -> Iterator[Gate]:  # noqa: ARG001 - as the others
    """F2 to F8."""
    data = of.data
    sales = data.purchases[["category", "country", "amount"]].assign(
        day=data.purchases["at"].dt.date
    )
    if data.until is None:
        raise ValueError("the market has no orders")
    series = build(sales, data.until)
    calendar = Calendar.parse(EVENTS)
    test, _ = forecasts.backtest(series, calendar)
    made = forecasts.forecast(series, calendar)
    for gate in made.gates:
        bar = 0.85 if gate.id == "F2" else gate.bar
        yield (
            at_most(gate.id, gate.value, bar, gate.says.partition(":")[0])
            if (gate.id == "F2")
            else gate
        )
    intensity = of.truth("days")["intensity"].to_numpy(dtype=float)
    known = np.stack(
        [
            intensity[origin : origin + forecasts.HORIZON]
            * series.amounts[0, origin - 56 : origin].sum()
            / intensity[origin - 56 : origin].sum()
            for origin in test.origins
        ]
    )
    total = test.actual[:, 0]
    naive = float(np.abs(test.forecasts[models.SEASONAL_NAIVE][:, 0] - total).mean())
    ours = float(np.abs(test.forecasts[models.ENSEMBLE][:, 0] - total).mean())
    oracle = float(np.abs(known - total).mean())
    gain = (naive - ours) / (naive - oracle)
    yield at_least("F4", gain, 0.35, "share of the oracle's gain on the total")
    orders = data.purchases.drop_duplicates("order_id")
    counted = pd.Series(1, orders["at"].dt.normalize()).groupby(level=0).sum()
    counts: Floats = counted.reindex(series.days, fill_value=0).to_numpy().astype(np.float64)
    names = calendar.names(series.days)
    truth = of.truth("days")
    lifts = models.event_lifts(counts, series.days, names)
    planted_lifts = truth["event_percent"].to_numpy(dtype=float) / 100
    misses = [abs(lift / planted_lifts[names.index(name)] - 1) for name, lift in lifts.items()]
    yield at_most("F8b", max(misses), 0.12, "largest miss of an event's lift")
    week = truth["week_percent"].to_numpy(dtype=float)
    by_day = np.array([week[series.days.dayofweek == day][0] for day in range(7)])
    index = models.weekday_indices(counts, series.days, names)
    yield at_most("F8", float(np.abs(index - by_day / by_day.mean()).max()), 0.02,
                  "largest miss of a weekday's index")  # fmt: skip


def judge_uci() -> Iterator[Gate]:
    """S4 and F2 on the published table of a real shop, where it is there."""
    kinds: dict[str, Any] = {"InvoiceNo": str, "CustomerID": "Float64"}
    parts = [pd.read_csv(path, dtype=kinds) for path in sorted(_SHARED.glob("*.csv"))]
    frame: pd.DataFrame = pd.concat(parts)
    frame["at"] = pd.to_datetime(frame["InvoiceDate"], dayfirst=False, format="mixed")
    frame = frame[(frame["UnitPrice"] > 0) & (frame["Quantity"].abs() < 70_000)]
    bought = frame[frame["CustomerID"].notna() & (frame["Quantity"] > 0)]
    never = pd.Series(pd.NaT, bought.index, dtype="datetime64[us]")
    history = customers.History(
        pd.DataFrame(
            {
                "user_id": bought["CustomerID"].astype("int64"),
                "order_id": bought["InvoiceNo"].str.extract(r"(\d+)")[0].astype("int64"),
                "product_id": 1,
                "at": bought["at"],
                "amount": bought["Quantity"] * bought["UnitPrice"],
                "cancelled_at": never,
                "returned_at": never,
            }
        ),
        pd.DataFrame({"product_id": [], "seller_id": [], "listed_at": pd.to_datetime([])}),
        pd.DataFrame(
            {"user_id": [], "first_at": pd.to_datetime([]), "last_at": pd.to_datetime([])}
        ),
    )
    ratios = []
    for month in (5, 6, 7, 8, 9):
        origin = pd.Timestamp(2011, month, 1)
        buyers = customers.features(history, origin)
        spend = segments.spent_between(history, origin, origin + 90 * customers.DAY)
        future = spend.reindex(buyers.index).fillna(0.0)
        ours = clusters.eta_squared(segments.refit_at(buyers, 5).assign(buyers), future)
        theirs = clusters.eta_squared(clusters.quantile_groups(buyers["amount"], 5), future)
        ratios.append(ours / theirs)
    yield at_least("S4", float(np.mean(ratios)), 1.04, "UCI: eta squared relative to quintiles")
    june = segments.active(customers.features(history, pd.Timestamp(2011, 6, 1)))
    frozen = segments.refit_at(june, 5)
    moved = []
    for month in (6, 7, 8):
        then = segments.active(customers.features(history, pd.Timestamp(2011, month, 1)))
        now = segments.active(customers.features(history, pd.Timestamp(2011, month + 1, 1)))
        both = then.index.intersection(now.index)
        moved.append(float((frozen.assign(then.loc[both]) != frozen.assign(now.loc[both])).mean()))
    yield at_most("S7", max(moved), 0.40, "UCI: active buyers who move in a month, clusters frozen")
    yield from judge_intermittent(bought)
    day = bought["at"].dt.date
    sales = pd.DataFrame(
        {
            "day": day,
            "category": "all goods",
            "country": bought["Country"],
            "amount": bought["Quantity"] * bought["UnitPrice"],
        }
    )
    series = build(sales, max(day))
    made = forecasts.forecast(series, Calendar({}))
    for gate in made.gates:
        yield Gate(gate.id, gate.value, gate.bar, gate.passed, f"UCI: {gate.says}", gate.blocks)


def judge_intermittent(bought: pd.DataFrame) -> Iterator[Gate]:
    """F7 on the 300 products that sold most, most of whose days are empty: 4 origins x 14 days."""
    days = pd.date_range(bought["at"].min().normalize(), bought["at"].max().normalize())
    pieces = bought.pivot_table(
        index="StockCode", columns=bought["at"].dt.normalize(), values="Quantity", aggfunc="sum"
    ).reindex(columns=days)
    pieces = pieces.loc[pieces.sum(axis=1).nlargest(1500).index].fillna(0.0)
    # From the less regular of them: those that sell every day are no intermittent demand.
    table: Floats = pieces.to_numpy()[::5].astype(np.float64)
    weights = table.sum(axis=1) / table.sum()
    horizon, errors, bias = 14, dict.fromkeys(("naive", "zero", "ours"), 0.0), [0.0, 0.0]
    for number in range(4):
        origin = len(days) - horizon * (number + 1)
        for row, weight in zip(table, weights, strict=True):
            past, came = row[:origin], row[origin : origin + horizon]
            found = models.candidates_of(past)
            made = {name: each(past, days[:origin], horizon) for name, each in found.items()}
            published = models.ensemble(made)
            scale = float(np.sqrt(((past[7:] - past[:-7]) ** 2).mean())) or 1.0
            for name, values in (
                ("naive", made[models.SEASONAL_NAIVE]), ("zero", came * 0), ("ours", published)
            ):  # fmt: skip
                errors[name] += weight * float(np.sqrt(((values - came) ** 2).mean())) / scale
            bias[0] += float(published.sum() - came.sum())
            bias[1] += float(came.sum())
    empty = float((table == 0).mean())
    says = f"UCI, {len(table)} products, {empty:.0%} empty days: WRMSSE relative to seasonal naive"
    yield at_most("F7", errors["ours"] / errors["naive"], 0.85, says)
    yield at_most("F7b", abs(bias[0]) / bias[1], 0.10, "UCI: bias of the same")
    yield at_least("F7c", errors["zero"] / errors["ours"], 1.0, "UCI: forecasting nothing, to ours")


def judge_time() -> Iterator[Gate]:
    """F9: CPU of the nightly forecast, by 40 series of 730 days and 3,000 intermittent ones."""
    rng = np.random.default_rng(1)
    days = pd.date_range("2024-11-01", periods=730, freq="D")
    week = 1 + 0.3 * np.sin(2 * np.pi * np.arange(730) / 7)
    regular = rng.gamma(20, 5, (40, 730)) * week
    seldom = rng.poisson(0.2, (3_000, 730)).astype(float)
    forecasts.run_task(forecasts.Task(0, 730, regular[0], days[0]))  # compiles
    forecasts.run_task(forecasts.Task(0, 730, seldom[0], days[0]))
    for id_, table, many, bar in (("F9", regular, 1_000, 240.0), ("F9b", seldom, 30_000, 30.0)):
        began = time.process_time()
        for row, values in enumerate(table):
            forecasts.run_task(forecasts.Task(row, 730, values, days[0]))
        spent = (time.process_time() - began) / len(table) * many
        yield at_most(id_, spent, bar, f"CPU seconds for {many:,} series, from {len(table):,}")


def judge(parts: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, Gate]]:
    """Yield data and gate, as they are measured."""
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            if "recommendations" in parts:
                of = market(LOOKS, seed, Path(name) / f"looks-{seed}")
                yield from ((str(seed), gate) for gate in judge_recommendations(of, seed))
            if {"segments", "forecasts"} & set(parts):
                of = market(BUYS, seed, Path(name) / f"buys-{seed}")
                if "segments" in parts:
                    yield from ((str(seed), gate) for gate in judge_segments(of, seed))
                if "forecasts" in parts:
                    yield from ((str(seed), gate) for gate in judge_forecasts(of, seed))
    if "time" in parts:
        yield from (("time", gate) for gate in judge_time())
    if "uci" in parts and _SHARED.is_dir():
        yield from (("uci", gate) for gate in judge_uci())


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return 1 if a gate fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    seeds = [int(seed) for seed in given.seeds.split(",")]
    for data, gate in judge(given.only.split(","), seeds):
        rows.append({"data": data, **gate.to_json()})
        if not given.json:
            word = "passed" if gate.passed else "FAILED" if gate.blocks else "below"
            print(f"{gate.id:4} {data:>4} {gate.value:10.4f} {word:7} {gate.says}", flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))
    return int(any(row["blocks"] and not row["passed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
