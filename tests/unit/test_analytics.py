"""The models of analytics on frames: what is found, what is left out, what bad input does."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml

from marketplace.generator.market import DATASETS, MarketPlan, write_market
from spark_jobs.analytics import drift, inputs, outputs, tasks
from spark_jobs.analytics.forecasts import candidates, forecast
from spark_jobs.analytics.forecasts.reconcile import reconcile, to_cents
from spark_jobs.analytics.forecasts.series import Calendar, build, closed_ahead, complete_until
from spark_jobs.analytics.gates import at_least
from spark_jobs.analytics.recommendations.market import acts_of, listings_of
from spark_jobs.analytics.recommendations.ranking import Moment, most_touched, recommend
from spark_jobs.analytics.recommendations.ranking import candidates as candidates_for
from spark_jobs.analytics.recommendations.taste import taste
from spark_jobs.analytics.recommendations.trees import RATE, TREES, Boosting, train
from spark_jobs.analytics.registry import EXPERIMENT, Registry, tell
from spark_jobs.analytics.segments import clusters, customers
from tests.realdata import C2C

RNG = np.random.default_rng(3)
DAYS = pd.date_range("2025-01-01", periods=420, freq="D")


def sales(values: np.ndarray[Any, Any], days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    """Two categories in two countries, three to one."""
    rows = [
        pd.DataFrame({"day": days.date, "category": c, "country": k, "amount": values * part})
        for c, k, part in (("bags", "fr", 0.5), ("shoes", "de", 0.25), ("bags", "de", 0.25))
    ]
    return pd.concat(rows, ignore_index=True)


def demand(length: int = 420) -> np.ndarray[Any, Any]:
    """Sales with a week, some noise and an event."""
    days = DAYS[:length]
    week = np.array([1.0, 0.9, 0.9, 1.0, 1.1, 1.3, 1.5])[days.dayofweek]
    noise = np.exp(np.random.default_rng(1).normal(0, 0.08, length))
    event = np.where((days.month == 11) & (days.day == 27), 2.4, 1.0)
    return 1000 * week * noise * event


def test_forecasts_beat_the_naive_one_and_add_up() -> None:
    """On a series with a week the median wins; sums meet to the cent; bounds are in order."""
    series = build(sales(demand()), DAYS[-1].date())

    made = forecast.forecast(series, Calendar.parse("black friday: 11-27"))

    assert {gate.id: gate.passed for gate in made.gates}["F2"]
    wide = made.table.pivot_table(index="day", columns="level", values="forecast", aggfunc="sum")
    assert ((wide["total"] - wide["category"]).abs() < 0.005).all()
    assert ((wide["total"] - wide["country"]).abs() < 0.005).all()
    table = made.table
    assert (table["lo95"] <= table["lo80"]).all()
    assert (table["hi80"] <= table["hi95"]).all()
    outputs.check(
        "sales_forecast", outputs.arranged("sales_forecast", table.assign(model_version="v"))
    )
    assert set(table["fallback"]) == {""}


def test_a_new_category_begins_with_a_baseline() -> None:
    """It says so; the others keep the median."""
    new = pd.DataFrame({"day": DAYS[-20:].date, "category": "hats", "country": "de", "amount": 9.0})
    series = build(pd.concat([sales(demand()), new], ignore_index=True), DAYS[-1].date())

    table = forecast.forecast(series, Calendar({})).table.drop_duplicates(["level", "key"])

    fallbacks = table.set_index(["level", "key"])["fallback"]
    assert fallbacks[("category", "hats")] == "baseline"
    assert fallbacks[("category", "bags")] == ""


@pytest.mark.parametrize(("length", "said"), [(3, "too little data"), (60, "too little data")])
def test_a_short_history_gets_a_baseline(length: int, said: str) -> None:
    """And says so."""
    series = build(sales(demand(length), DAYS[:length]), DAYS[length - 1].date())

    made = forecast.forecast(series, Calendar({}))

    assert made.gates == []
    assert set(made.table["fallback"]) == {said}
    assert made.table["forecast"].ge(0).all()


def test_events_and_weekdays_are_recovered() -> None:
    """The lift of an event within 12 %, the index of each weekday within 0.02."""
    names = Calendar.parse("black friday: 11-27").names(DAYS)
    values = demand()

    lifts = candidates.event_lifts(values, DAYS, names)
    index = candidates.weekday_indices(values, DAYS, names)

    assert lifts["black friday"] == pytest.approx(2.4, rel=0.12)
    week = np.array([1.0, 0.9, 0.9, 1.0, 1.1, 1.3, 1.5])
    assert np.abs(index - week / week.mean()).max() < 0.03


@pytest.mark.parametrize(
    ("text", "said"), [("sale", "has no days"), ("sale: 13-40", "'13-40' is neither MM-DD nor")]
)
def test_a_malformed_calendar_is_refused(text: str, said: str) -> None:
    """With the event and the day that are wrong."""
    with pytest.raises(ValueError, match=said):
        Calendar.parse(text)


def test_closed_days_are_no_lack_of_demand() -> None:
    """A shop that never opens on Saturdays is forecast 0 on them and as usual on other days."""
    values = np.where(DAYS.dayofweek == 5, 0.0, 100.0)
    series = build(sales(values), DAYS[-1].date())
    ahead = pd.date_range(DAYS[-1] + pd.Timedelta(days=1), periods=14)

    assert closed_ahead(series, ahead).tolist() == (ahead.dayofweek == 5).tolist()
    made = forecast.forecast(series, Calendar({}))
    total = made.table[made.table["level"] == "total"].set_index("day")["forecast"]
    saturdays = [day.weekday() == 5 for day in total.index]
    assert (total[saturdays] == 0).all()
    assert total[~np.array(saturdays)].to_numpy() == pytest.approx(100, rel=0.02)


def test_incomplete_days_are_cut() -> None:
    """A day counts when it had ended before the newest delivery."""
    assert complete_until(date(2026, 5, 3), date(2026, 5, 2)) == date(2026, 5, 2)
    assert complete_until(date(2026, 4, 1), date(2026, 5, 2)) == date(2026, 4, 1)


def test_zero_is_not_the_best_forecast_of_seldom_sales() -> None:
    """TSB beats the forecast of nothing by the squared error in use, with little bias."""
    values = np.where(RNG.random(400) < 0.25, RNG.gamma(2.0, 10.0, 400), 0.0)
    assert candidates.candidates_of(values) is candidates.INTERMITTENT
    actual = values[-28:]
    ours = candidates.tsb(values[:-28], DAYS[:372], 28)
    assert ((ours - actual) ** 2).mean() < (actual**2).mean()
    assert abs(ours.sum() - values[:-28].mean() * 28) < 0.6 * values[:-28].mean() * 28


def test_reconciled_forecasts_meet_without_going_below_zero() -> None:
    """The nearest that add up; cents too."""
    keys = [("total", "all"), ("category", "a"), ("category", "b"), ("country", "x")]
    raw = np.array([[100.0, 5.0], [70.0, 9.0], [20.0, 0.0], [99.0, 4.0]])

    summed = to_cents(reconcile(raw, keys, np.array([5.0, 3.0, 2.0, 5.0])), keys)

    assert summed.min() >= 0
    assert summed[0] == pytest.approx(summed[1] + summed[2])
    assert summed[0] == pytest.approx(summed[3])


def test_measures_of_a_series_that_never_changes_are_none() -> None:
    """No division by zero."""
    flat = np.zeros(7)
    said = forecast.measures(flat, flat, flat, np.zeros(60))
    assert said == dict.fromkeys(said)


def test_drift_is_seen_and_natural_change_is_not() -> None:
    """Amounts in cents instead of euros stop; another sample of the same does not warn."""
    frame = pd.DataFrame({"amount": RNG.lognormal(4, 1, 4000)})
    known = drift.reference(frame)

    again = pd.DataFrame({"amount": np.random.default_rng(9).lognormal(4, 1, 4000)})
    assert drift.compare(again, known)["amount"] < 0.02
    assert drift.compare(frame * 100, known)["amount"] > drift.STOP
    assert drift.compare(frame.assign(other=1), known).keys() == {"amount"}


def buyers(count: int = 900) -> pd.DataFrame:
    """Active buyers of three kinds that are far apart."""
    kind = RNG.integers(0, 3, count)
    spread = np.exp(RNG.normal(0, 0.15, (count, 3)))
    centres = np.array([[5, 30, 3000], [60, 6, 400], [200, 1, 50]], dtype=float)
    rows = centres[kind] * spread
    return pd.DataFrame(rows, columns=list(clusters.FEATURES), index=np.arange(count))


def test_clusters_are_stable_named_and_keep_their_names() -> None:
    """A refit with another seed keeps the names, although its clusters have other numbers."""
    table = buyers()
    first, again = clusters.fit(table, 1).model, clusters.fit(table, 7).model
    assert first is not None
    assert again is not None
    assert first.names[0] in ("champions", "loyal")

    matched = clusters.matched(again, first)

    assert (matched.assign(table) == first.assign(table)).mean() > 0.8
    shuffled = replace(again, centres=again.centres[::-1])
    assert (clusters.matched(shuffled, first).assign(table) == first.assign(table)).mean() > 0.8
    document = json.loads(json.dumps(first.to_json()))
    assert clusters.ClusterModel.from_json(document).assign(table).equals(first.assign(table))


def test_a_feature_without_variance_is_dropped_by_name() -> None:
    """And all values equal give no clusters."""
    model = clusters.fit(buyers().assign(orders=1.0), 1).model
    assert model is not None
    assert model.dropped == ["orders"]
    alike = buyers().assign(orders=1.0, amount=1.0, recency_days=1.0)
    assert clusters.fit(alike, 1).model is None


def test_what_came_later_is_not_known_earlier() -> None:
    """An order cancelled after the moment still counts at it."""
    at = pd.Timestamp("2026-05-01")
    purchases = pd.DataFrame(
        {
            "user_id": [1, 1, 2],
            "order_id": [10, 11, 12],
            "product_id": [5, 6, 7],
            "at": pd.to_datetime(["2026-04-01", "2026-04-20", "2026-05-02"]),
            "amount": [10.0, 20.0, 30.0],
            "cancelled_at": pd.Series([pd.NaT, pd.Timestamp("2026-05-03"), pd.NaT]),
            "returned_at": pd.Series([pd.Timestamp("2026-04-10"), pd.NaT, pd.NaT]),
        }
    )
    listings = pd.DataFrame(
        {
            "product_id": [5, 6, 7],
            "seller_id": [1, 9, 9],
            "listed_at": pd.to_datetime(["2026-01-01"] * 3),
        }
    )
    interests = pd.DataFrame(
        {
            "user_id": [4],
            "first_at": pd.to_datetime(["2026-04-30"]),
            "last_at": pd.to_datetime(["2026-06-01"]),
        }
    )
    history = customers.History(purchases, listings, interests)

    table = customers.features(history, at)

    assert table.index.tolist() == [1, 4, 9]
    assert table["role"].tolist() == ["trader", "prospect", "seller"]
    assert table["orders"].tolist()[0] == 2
    assert table["amount"].tolist()[0] == 20.0
    later = customers.features(history, pd.Timestamp("2026-06-01"))
    assert later.loc[1, "amount"] == 0.0
    assert later.loc[2, "orders"] == 1


@pytest.mark.skipif(C2C is None, reason="the published tables are not here")
def test_the_lifecycle_of_the_published_users_is_exact() -> None:
    """Ten counts, and an independent query of the files gives the same."""
    columns = {
        "productsBought": "bought", "productsSold": "sold", "productsListed": "listed",
        "productsWished": "wished", "socialProductsLiked": "liked", "daysSinceLastLogin": "offline",
    }  # fmt: skip
    files = sorted(Path(C2C or "").glob("users-*.csv"))
    parts = [pd.read_csv(file, usecols=list(columns)) for file in files]
    users = pd.concat(parts, ignore_index=True).rename(columns=columns)

    counts = customers.lifecycle(users).value_counts().to_dict()

    assert counts == {
        "trader": 691, "top_buyer": 179, "repeat_buyer": 1_498, "one_time_buyer": 3_051,
        "top_seller": 83, "seller": 1_391, "lister": 554, "window_shopper": 14_192,
        "recent_visitor": 2_474, "dormant": 74_800,
    }  # fmt: skip
    (buyers, sellers, traders, idle) = duckdb.execute(
        """
        SELECT count(*) FILTER (productsBought > 0 AND productsSold + productsListed = 0),
               count(*) FILTER (productsBought = 0 AND productsSold > 0),
               count(*) FILTER (productsBought > 0 AND productsSold + productsListed > 0),
               count(*) FILTER (productsBought + productsSold + productsListed + productsWished
                   + socialProductsLiked = 0 AND daysSinceLastLogin > 180)
        FROM read_csv(?)
        """,
        [[str(file) for file in files]],
    ).fetchall()[0]
    assert buyers == counts["top_buyer"] + counts["repeat_buyer"] + counts["one_time_buyer"]
    assert sellers == counts["top_seller"] + counts["seller"]
    assert (traders, idle) == (counts["trader"], counts["dormant"])


def products(count: int = 60, sellers: int = 4) -> pd.DataFrame:
    """Listings on sale since the start, the first five of which are sold where there are more."""
    gone = 5 if count > 5 else 0
    return pd.DataFrame(
        {
            "product_id": np.arange(1, count + 1),
            "seller_id": 100 + np.arange(count) % sellers,
            "category": np.where(np.arange(count) % 2, "bags", "shoes"),
            "brand": ["Kestrel", None, "Kip"] * (count // 3),
            "size": None,
            "price": 10.0 + np.arange(count),
            "currency": "EUR",
            "listed_at": pd.Timestamp("2026-01-01"),
            "delisted_at": [pd.Timestamp("2026-02-01")] * gone + [pd.NaT] * (count - gone),
            "status": ["sold"] * gone + ["live"] * (count - gone),
        }
    )


def test_lists_hold_what_can_be_bought_and_three_of_a_seller() -> None:
    """Never sold, own or seen pieces; as many as four sellers allow."""
    listings = listings_of(products())
    events = pd.DataFrame(
        {"user_id": [100, 7, 7], "product_id": [9, 10, 999], "kind": ["view", "like", "view"],
         "at": pd.Timestamp("2026-03-01")}
    )  # fmt: skip
    acts = acts_of(events, listings)
    assert acts.unknown == 1
    moment = Moment.of(listings, acts, 20_600.0)

    chosen, _, _ = recommend(moment, np.array([0, 1]), None)

    ids = {
        int(user): listings.ids[row[row >= 0]]
        for user, row in zip(acts.user_ids, chosen, strict=True)
    }
    sellers = {user: pd.Series(100 + (each - 1) % 4) for user, each in ids.items()}
    assert len(ids[7]) == 12
    assert len(ids[100]) == 9
    assert 100 not in set(sellers[100])
    assert 10 not in set(ids[7])
    assert min(ids[7].min(), ids[100].min()) > 5
    assert all(each.value_counts().max() == 3 for each in sellers.values())


def busy(users: int = 40, acts: int = 900) -> Moment:
    """A market of 300 listings of 150 sellers, some of whom look at things too."""
    rng = np.random.default_rng(8)
    listings = listings_of(products(300, 150).assign(seller_id=rng.integers(1, 150, 300)))
    events = pd.DataFrame(
        {
            "user_id": rng.integers(1, users + 1, acts),
            "product_id": rng.integers(1, 301, acts),
            "kind": rng.choice(["view", "like", "wish"], acts),
            "at": pd.Timestamp("2026-05-01") + pd.to_timedelta(rng.integers(0, 1400, acts), "h"),
        }
    )
    return Moment.of(listings, acts_of(events, listings), 20_600.0)


def test_few_are_looked_at_and_the_best_are_among_them() -> None:
    """Candidates and popular lists are what scoring everything on sale gives."""
    moment = busy()
    users = np.arange(len(moment.acts.user_ids))
    past = moment.acts.before(moment.at)
    known = taste(moment.listings, moment.acts, moment.base, moment.at, users)
    category = moment.listings.facets["category"]
    scores = known.lifts["category"][:, category] + moment.popular[None, :]
    counts = np.tile(moment.count, (len(users), 1))
    barred = np.ones(scores.shape, dtype=bool)
    barred[:, moment.live] = False
    barred[moment.acts.users[past], moment.acts.listings[past]] = True
    barred |= moment.listings.seller[None, :] == moment.acts.user_ids[:, None]
    scores[barred], counts[barred] = -np.inf, -np.inf
    every = np.arange(len(category))

    found = candidates_for(moment, users, 30)
    popular, _ = most_touched(moment, users, moment.count)

    for row, user in enumerate(users):
        best = np.sort(scores[row])[::-1][:30]
        assert found.scores[row].tolist() == best.tolist(), user
        assert scores[row, found.listings[row]].tolist() == best.tolist(), user
        assert len(set(found.listings[row])) == 30
        ranked = np.lexsort((every, -counts[row]))
        sellers = pd.Series(moment.listings.seller[ranked])
        kept = ranked[sellers.groupby(sellers).cumcount() < 3][:20]
        assert popular[row].tolist() == kept.tolist(), user
    assert len(np.unique(found.acts.users)) == len(users)


def test_a_facet_that_nobody_has_seen_says_nothing() -> None:
    """A new brand has lift 0 for everybody, and its pieces are candidates."""
    moment = busy()
    fresh = products(3, 2).iloc[:2].assign(product_id=[900, 901], brand="New", seller_id=500)
    known = products(300, 150).assign(seller_id=np.random.default_rng(8).integers(1, 150, 300))
    fresh["delisted_at"] = pd.NaT
    parts: list[pd.DataFrame] = [known, fresh]
    listings = listings_of(pd.concat(parts))
    later = Moment.of(listings, moment.acts, moment.at)
    users = np.arange(len(moment.acts.user_ids))

    found = candidates_for(later, users, 302)

    code = listings.names["brand"].index("New")
    assert not found.taste.lifts["brand"][:, code].any()
    assert np.isin([300, 301], found.listings).all()


def test_trees_in_json_score_as_scikit_learn_does() -> None:
    """The document is the model."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import

    rows = RNG.normal(size=(3000, 3))
    labels = (rows[:, 0] + rows[:, 1] ** 2 + RNG.normal(size=3000) > 1).astype(float)
    ours = train(rows, labels, ["a", "b", "c"], 4)
    theirs = HistGradientBoostingClassifier(
        max_iter=TREES, max_leaf_nodes=8, learning_rate=RATE, min_samples_leaf=40,
        l2_regularization=1.0, early_stopping=False, random_state=4,
    ).fit(rows, labels)  # fmt: skip

    again = Boosting.from_json(json.loads(json.dumps(ours.to_json())))

    assert again.score(rows) == pytest.approx(theirs.decision_function(rows), abs=1e-9)


def frames(**changed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Silver with one listing, one order, one user, or what is given."""
    when = pd.Timestamp("2026-05-01 10:00")
    tables = {
        "products": products(3, 2).assign(listed_at=pd.Timestamp("2026-01-01")),
        "orders": pd.DataFrame(
            {"order_id": [1], "buyer_id": [5], "ordered_at": [when], "status": ["placed"],
             "cancelled_at": [pd.NaT], "country_code": ["fr"], "currency": ["EUR"],
             "_landed_at": [pd.Timestamp("2026-05-02 04:00")]}
        ),
        "order_lines": pd.DataFrame(
            {"order_id": [1], "line_number": [1], "product_id": [1], "amount": [12.5],
             "status": ["sold"], "returned_on": [None]}
        ),
        "interactions": pd.DataFrame(
            {"user_id": [5], "product_id": [2], "kind": ["view"], "occurred_at": [when]}
        ),
        "users": pd.DataFrame({"identifierHash": [5, 6], "countryCode": ["fr", None]}),
        "objections": pd.DataFrame({"user_id": [], "withdrawn_at": []}),
    } | changed  # fmt: skip
    return {f"silver/{name}": table for name, table in tables.items()}


def empty(name: str) -> pd.DataFrame:
    """A silver table without rows."""
    return pd.DataFrame(columns=list(inputs.COLUMNS[f"silver/{name}"]))


def built(data: inputs.Inputs, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The verdicts of all models on these inputs; each table keeps its contract."""
    monkeypatch.setattr(outputs, "read", lambda *_: None)
    verdicts = {}
    for name, builder in (
        ("segments", tasks.build_segments),
        ("recommendations", tasks.build_recommendations),
        ("forecasts", tasks.build_forecasts),
    ):
        nowhere: Any = None  # few series need no session
        verdict = builder(tasks.BuildContext(nowhere, data, 1, "v1", ""))
        for table, rows in verdict.tables.items():
            outputs.check(table, outputs.arranged(table, rows))
        verdicts[name] = verdict
    return verdicts


def test_nothing_gives_empty_tables_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No orders, no listings, no users: the job succeeds."""
    names = ("products", "orders", "order_lines", "interactions", "users")
    verdicts = built(inputs.clean(frames(**{name: empty(name) for name in names})), monkeypatch)

    assert {each.verdict for each in verdicts.values()} == {"too_little_data"}
    assert all("too little data" in each.reason for each in verdicts.values())


def test_one_of_everything_is_served_by_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """One order, one customer: a segment by rule, popular listings, no forecast."""
    verdicts = built(inputs.clean(frames()), monkeypatch)

    assert {each.verdict for each in verdicts.values()} == {"too_little_data"}
    segments = verdicts["segments"].tables["customer_segments"].set_index("user_id")["segment"]
    assert segments[5] == "new"
    lists = verdicts["recommendations"].tables["recommendations_by_user"]
    assert set(lists["source"]) <= {"popular", "one_stage"}


def test_the_order_of_rows_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restated drop, or another order of Spark's rows, gives the same tables to the last bit."""
    plan = MarketPlan(
        datasets=DATASETS, users=1_500, products=3_000, orders=900, visits=12_000, days=260, seed=3
    )
    write_market(plan, tmp_path)
    tables = {
        name: pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False).replace("", None)
        for name in DATASETS
    }
    tables["orders"]["_landed_at"] = "2026-11-30"
    shuffled = {name: table.sample(frac=1, random_state=5) for name, table in tables.items()}

    first = built(inputs.clean(frames(**tables)), monkeypatch)
    again = built(inputs.clean(frames(**shuffled)), monkeypatch)

    assert len(first["recommendations"].tables["recommendations_by_user"]) > 1_000
    for model, verdict in first.items():
        assert json.dumps(verdict.figures) == json.dumps(again[model].figures)
        for name, rows in verdict.tables.items():
            assert arranged_alike(name, rows, again[model].tables[name]), name


def arranged_alike(name: str, one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two frames would be written as the same table."""
    return bool(outputs.arranged(name, one).equals(outputs.arranged(name, other)))


def test_broken_rows_are_left_out_counted_and_stop_the_publication(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Null and negative amounts, price 0, other currencies, the future, before the listing."""
    base = frames()
    lines = pd.concat([base["silver/order_lines"]] * 4, ignore_index=True)
    lines["order_id"], lines["amount"] = [1, 1, 2, 3], [12.5, None, -3.0, 9.0]
    orders = pd.concat([base["silver/orders"]] * 4, ignore_index=True)
    orders["order_id"] = [1, 3, 4, 5]
    orders["ordered_at"] = pd.to_datetime(["2026-05-01", "2025-01-01", "2027-01-01", "2026-04-01"])
    orders["currency"] = ["EUR", "EUR", "EUR", "USD"]
    goods = base["silver/products"].assign(price=[10.0, 0.0, 5.0])

    data = inputs.clean(frames(order_lines=lines, orders=orders, products=goods))

    assert data.excluded == {
        "price_not_positive": 1, "foreign_currency": 1, "in_the_future": 1,
        "amount_not_positive": 2, "before_the_listing": 1,
    }  # fmt: skip
    assert data.purchases["order_id"].tolist() == [1]
    assert not data.gates()[0].passed
    every = inputs.clean(frames(order_lines=lines.assign(amount=-1.0)))
    for broken in (data, every):
        verdicts = built(broken, monkeypatch)
        assert {each.verdict for each in verdicts.values()} == {"not_published"}
        assert not any(each.tables for each in verdicts.values())


def test_unknown_users_and_listings_are_kept_and_counted() -> None:
    """A buyer that nobody knows, a piece that nobody knows."""
    base = frames()
    data = inputs.clean(
        frames(
            users=base["silver/users"].iloc[1:],
            order_lines=base["silver/order_lines"].assign(product_id=77),
        )
    )
    assert data.told == {"buyers_not_in_users": 1, "lines_of_unknown_products": 1}
    assert data.purchases["category"].tolist() == ["(unknown)"]


def test_a_feed_that_stopped_warns_and_counts_from_its_last_day() -> None:
    """Recency is counted from the newest complete day."""
    base = frames()
    late = base["silver/orders"].assign(_landed_at=pd.Timestamp("2026-05-09"))

    data = inputs.clean(frames(orders=late))

    assert data.until == date(2026, 5, 1)
    gate = data.gates()[1]
    assert (gate.passed, gate.blocks) == (False, False)


def test_who_objects_is_gone_from_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a segment nor a list; sales still count. A withdrawn objection holds no more."""
    objections = pd.DataFrame(
        {"user_id": [5, 6], "withdrawn_at": [pd.NaT, pd.Timestamp("2026-04-01")]}
    )
    data = inputs.clean(frames(objections=objections))
    verdicts = built(data, monkeypatch)

    assert 5 not in set(verdicts["segments"].tables["customer_segments"]["user_id"])
    assert verdicts["recommendations"].tables["recommendations_by_user"].empty
    assert len(data.purchases) == 1
    assert data.objectors == {5}


def test_a_table_that_breaks_its_contract_is_not_written() -> None:
    """The engine that validates drops says which rule, column and how many rows."""
    row = {"country": "fr", "category": "bags", "rank": 0, "product_id": 5, "score": 1.0}
    table = outputs.arranged("popular_listings", pd.DataFrame([row]).assign(model_version="v"))

    with pytest.raises(outputs.OutputError, match=r"popular_listings.*minimum of rank: 1 rows"):
        outputs.check("popular_listings", table)
    with pytest.raises(outputs.OutputError, match="lacks model_version"):
        outputs.arranged("popular_listings", pd.DataFrame([row]))


def test_models_never_read_the_truth() -> None:
    """Nothing below spark_jobs names the generator's files or imports it."""
    folder = Path(tasks.__file__).parent
    texts = [path.read_text() for path in folder.rglob("*.py")]
    assert not [text for text in texts if "marketplace" in text or "truth/" in text]


def ledger_row(**changed: Any) -> dict[str, Any]:
    """A row of the ledger of a model that froze its clusters."""
    clusters_ = {"features": ["recency_days", "orders"], "centres": [[0.0, 1.0]], "names": ["new"]}
    return {
        "model": "segments", "version": "segments-1", "run": "7", "verdict": "published",
        "reason": "", "baseline": "rules", "seed": 1, "code": "abc", "inputs": "[]", "params": "{}",
        "as_of": date(2026, 5, 1), "metrics": json.dumps({"k": 5, "psi": {"orders": 0.1}}),
        "gates": json.dumps([at_least("S2", 0.9, 0.8, "stability").to_json()]),
        "document": json.dumps({"clusters": clusters_}),
    } | changed  # fmt: skip


def test_mlflow_is_told_and_keeps_the_champion(tmp_path: Path) -> None:
    """Two published versions: both are there, and the alias points to the newer one."""
    mlflow = pytest.importorskip("mlflow")
    store = Registry(f"sqlite:///{tmp_path}/mlflow.db", "shop.")

    tell(store, ledger_row())
    tell(store, ledger_row(version="segments-2"))
    tell(store, ledger_row(version="segments-3", verdict="not_published", document=None))

    client = mlflow.MlflowClient(store.tracking, store.tracking)
    champion = client.get_model_version_by_alias("shop.landfall_segments", "champion")
    assert str(champion.version) == "2"
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["segments-1", "segments-2", "segments-3"]
    assert runs[0].data.metrics == {"S2": 0.9, "k": 5.0}
    document = next(tmp_path.glob(f"mlflow-artifacts/{champion.run_id}/**/document.json"))
    assert json.loads(document.read_text())["clusters"]["names"] == ["new"]


def test_a_store_that_is_down_or_missing_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said; the ledger has everything."""
    tell(Registry(""), ledger_row())
    assert capsys.readouterr().out == ""
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as where it is not installed
    tell(Registry(f"sqlite:///{tmp_path}/mlflow.db"), ledger_row())
    assert "not installed" in capsys.readouterr().out
    monkeypatch.delitem(sys.modules, "mlflow")
    (tmp_path / "file").touch()
    tell(Registry(f"sqlite:///{tmp_path}/file/mlflow.db"), ledger_row())
    assert "MLflow" in capsys.readouterr().out


def test_a_load_needs_none_of_what_the_models_import() -> None:
    """The tasks of a load run where scikit-learn, statsforecast and jinja2 are not installed."""
    script = """
import sys
for name in ("sklearn", "statsforecast", "scipy", "numba", "jinja2", "mlflow"):
    sys.modules[name] = None
import spark_jobs.silver.load, spark_jobs.gold.build, spark_jobs.serving.serve
import spark_jobs.validate, spark_jobs.maintain, spark_jobs.serving.serve_behind
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_bundle_gives_the_models_an_environment_of_their_own() -> None:
    """What they import is named there, as in the extra of the wheel, and nowhere else."""
    root = Path(tasks.__file__).parents[2]
    jobs = yaml.safe_load((root / "databricks.yml").read_text())["targets"]["dev"]["resources"]
    installed = {
        name: {
            package
            for environment in job["environments"]
            for package in environment["spec"]["dependencies"]
            if not package.endswith(".whl")
        }
        for name, job in jobs["jobs"].items()
    }
    extra = tomllib.loads((root / "spark_jobs" / "pyproject.toml").read_text())["project"]
    wanted = set(extra["optional-dependencies"]["analytics"]) - {"pandas<3"}  # Databricks has it

    assert installed.pop("landfall_analytics") == wanted
    assert set(map(len, installed.values())) == {0}
