"""Job tasks: segment, recommend, forecast.

silver at one version each → model → gates → contract → gold → ledger

A gate that fails, or an error, leaves what was published before as it stands; the ledger and the
run's page say why. A task ends in an error only where the model itself did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spark_jobs.analytics import drift, inputs, ledger, outputs, registry
from spark_jobs.analytics.forecasts import forecast as forecasts
from spark_jobs.analytics.forecasts.candidates import SEASONAL_MEAN
from spark_jobs.analytics.forecasts.series import Calendar, build, fill_closed
from spark_jobs.analytics.gates import failures, reason
from spark_jobs.analytics.ledger import BASELINE, FAILED, KEPT, PUBLISHED, TOO_LITTLE, ModelVerdict
from spark_jobs.analytics.recommendations import evaluation, lists
from spark_jobs.analytics.recommendations.market import KINDS, acts_of, days, listings_of
from spark_jobs.analytics.recommendations.ranking import Moment, train_second_stage
from spark_jobs.analytics.segments import segment as segments
from spark_jobs.analytics.segments.clusters import FEATURES, ClusterModel
from spark_jobs.analytics.segments.customers import features
from spark_jobs.arguments import parse_named
from spark_jobs.errors import ArgumentError, ResultError
from spark_jobs.lake import SparkLake, write_document
from spark_jobs.result import say
from spark_jobs.session import job_session
from spark_jobs.tables import delta_table

SEED = 1
REFIT_DAYS = 28
"""The clusters are refitted when they are so old, and where drift warns."""
DISTRIBUTED_FROM = 600
"""So many series and origins are forecast by Spark's workers; fewer here."""
_GROUPS = 32

Builder = Callable[["BuildContext"], ModelVerdict]


class BuildContext:
    """What a builder needs.

    Attributes:
        lake, data, seed: where, what, and the seed.
        version: of the model that is built.
        calendar: the shop's events.
        champion: version and document of what is frozen.
        standing: whether the model's first table has been published before.
    """

    def __init__(
        self, lake: SparkLake, data: inputs.Inputs, seed: int, version: str, events: str
    ) -> None:
        self.lake, self.data, self.seed, self.version = lake, data, seed, version
        self.events = events
        self.champion: tuple[str, dict[str, Any]] | None = None
        self.standing = False

    def calendar(self) -> Calendar:
        """Return the events that the shop knows of.

        Raises:
            ArgumentError: they are malformed.
        """
        try:
            return Calendar.parse(self.events)
        except ValueError as error:
            raise ArgumentError(f"--events: {error}") from None


def latest_folder(model: str) -> str:
    """Where the document of a model's last run is."""
    return f"manifest/analytics/latest/{model}"


def segment(argv: list[str] | None = None) -> None:
    """Job task: give each user a segment."""
    run(argv, ledger.SEGMENTS, build_segments, "customer_segments")


def recommend(argv: list[str] | None = None) -> None:
    """Job task: find listings for each user."""
    run(argv, ledger.RECOMMENDATIONS, build_recommendations, "recommendations_by_user")


def forecast(argv: list[str] | None = None) -> None:
    """Job task: forecast sales."""
    run(argv, ledger.FORECASTS, build_forecasts, "sales_forecast")


def run(argv: list[str] | None, model: str, builder: Builder, first_table: str) -> None:
    """Build a model, publish what passes its gates, and write down what happened.

    With `--replay VERSION` a version of the ledger is built again from the table versions and the
    seed that it names; its figures are compared, and nothing is published.

    Raises:
        JobError: the parameters are wrong, or a replay gives other figures.
    """
    given = parse_named(
        argv,
        model,
        required=("lake",),
        optional=("run", "seed", "events", "replay", "mlflow", "mlflow-models"),
    )
    lake = SparkLake(job_session(), given["lake"])
    seed = _seed(given["seed"])
    if given["replay"]:
        replay(lake, builder, given["replay"])
        return
    data = None
    version = f"{model}-unread"
    try:
        data = inputs.read(lake, inputs.snapshot(lake))
        params = {"events": given["events"]}
        version = ledger.version_of(model, data.sources, seed, params)
        context = BuildContext(lake, data, seed, version, given["events"])
        context.champion = ledger.champion(lake, model)
        context.standing = delta_table(lake, outputs.path_of(first_table)) is not None
        verdict = builder(context)
        verdict.params = {**params, **verdict.params}
        rows = _publish(lake, verdict, data, version)
    except Exception as error:
        failed = ModelVerdict(FAILED, f"{type(error).__name__}: {str(error).strip()[:500]}")
        _finish(lake, model, version, given, seed=seed, verdict=failed, data=data, rows={})
        raise
    _finish(lake, model, version, given, seed=seed, verdict=verdict, data=data, rows=rows)


def _seed(text: str) -> int:
    if text and not text.isdigit():
        raise ArgumentError(f"--seed must be a whole number, not {text!r}.")
    return int(text or SEED)


def _publish(
    lake: SparkLake, verdict: ModelVerdict, data: inputs.Inputs, version: str
) -> dict[str, int]:
    """Write the tables of a verdict; all are checked before the first is written."""
    for name, rows in verdict.tables.items():
        outputs.check(name, outputs.arranged(name, rows))
    origin = {"model_version": version, "sources": [each.to_json() for each in data.sources]}
    written = {}
    for name, rows in verdict.tables.items():
        only = ""
        if name == "forecast_history" and len(rows):
            only = f"origin = DATE'{rows['origin'].iloc[0]}'"
        written[name] = outputs.write(lake, name, rows, origin, only=only)
    return written


def _finish(
    lake: SparkLake,
    model: str,
    version: str,
    given: Mapping[str, str],
    *,
    seed: int,
    verdict: ModelVerdict,
    data: inputs.Inputs | None,
    rows: Mapping[str, int],
) -> None:
    run_id = given["run"]
    row = ledger.write(
        lake, model, version=version, run=run_id or "none", seed=seed, verdict=verdict, inputs=data
    )
    document = {
        "model": model,
        "version": version,
        "run": run_id,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "gates": [gate.to_json() for gate in verdict.gates],
        "tables": {name: {"rows": count, "path": outputs.path_of(name)}
                   for name, count in rows.items()},
        "figures": json.loads(json.dumps(dict(verdict.figures), default=float)),
        "as_of": str(data.until) if data and data.until else None,
        "excluded": data.excluded if data else {},
    }  # fmt: skip
    write_document(lake, latest_folder(model), document)
    say({key: document[key] for key in ("model", "version", "verdict", "reason", "tables")})
    registry.tell(registry.Registry(given["mlflow"], given["mlflow-models"]), row)


def replay(lake: SparkLake, builder: Builder, version: str) -> None:
    """Build a version of the ledger again; say whether its figures are the same to six digits.

    Raises:
        ResultError: there is no such version, its tables are gone, or the figures differ.
    """
    row = ledger.entry(lake, version)
    if row is None:
        raise ResultError(f"The ledger has no version {version}.")
    if row["code"] != ledger.code_digest():
        say(f"{version} was made by other code ({row['code']}): the figures may differ.")
    sources = [
        inputs.InputTable(item["table"], item["id"], int(item["version"]))
        for item in json.loads(row["inputs"])
    ]
    params = json.loads(row["params"])
    data = inputs.read(lake, sources)
    context = BuildContext(lake, data, int(row["seed"]), version, params["events"])
    context.standing = bool(params.get("standing"))
    if params.get("champion"):
        frozen = ledger.document_of(lake, params["champion"])
        if frozen is None:
            raise ResultError(f"The ledger has no document of version {params['champion']}.")
        context.champion = params["champion"], frozen
    again = [gate.to_json() for gate in builder(context).gates]
    before = json.loads(row["gates"])
    differ = [
        f"{old['id']} {old['value']} / {new['value']}"
        for old, new in zip(before, again, strict=False)
        if old["value"] != new["value"]
    ]
    if differ or len(before) != len(again):
        raise ResultError(f"The replay of {version} gives other figures: {', '.join(differ)}.")
    say({"replayed": version, "gates": again})


def build_segments(context: BuildContext) -> ModelVerdict:
    """Build the segments: frozen clusters, refitted once a month as a challenger."""
    data = context.data
    history, at, gates = data.history(), data.at, data.gates()
    buyers = segments.active(features(history, at))
    version, model, refitted_at = _frozen(context)
    figures: dict[str, Any] = {"active_buyers": len(buyers)}
    document: Mapping[str, Any] | None = None
    said = ""
    if model is not None:
        index = drift.compare(buyers[list(FEATURES)], (context.champion or ("", {}))[1]["bins"])
        figures["psi"] = index
        gates += segments.drift_gates(index)
    old = refitted_at is None or (at - refitted_at).days >= REFIT_DAYS
    if old and not failures(gates):
        challenge = segments.challenge(history, at, context.seed, model)
        figures |= challenge.figures
        lost = failures(challenge.gates)
        if challenge.model is not None and not lost:
            model, version = challenge.model, context.version
            document = {
                "clusters": model.to_json(),
                "bins": drift.reference(buyers[list(FEATURES)]),
                "fitted_at": str(at.date()),
            }
        elif lost:
            said = reason(challenge.gates)
        gates += [*challenge.gates]
    params = {"champion": context.champion[0] if context.champion else "",
              "standing": context.standing}  # fmt: skip
    blocked = failures([gate for gate in gates if gate.id.startswith(("B", "O"))])
    if blocked:
        return ModelVerdict(KEPT, reason(blocked), gates, figures, params, baseline="rules")
    made = segments.segment(
        history, at, model, version=version or "rules", accounts=len(data.countries)
    )
    tables = {
        "customer_segments": made.customers,
        "segment_profile": made.profile,
        "segment_moves": made.moves,
    }
    if "too_little_data" in figures:
        says = f"too little data: {figures['too_little_data']}; segments are by rules"
        verdict = ModelVerdict(TOO_LITTLE, says, gates, figures, params, tables, "rules")
    elif model is None:
        verdict = ModelVerdict(
            BASELINE, f"by rules: {said}", gates, figures, params, tables, "rules"
        )
    else:
        says = f"the clusters of {version} stay: {said}" if said else ""
        verdict = ModelVerdict(
            PUBLISHED, says, gates, figures, params, tables, "quantiles of spend"
        )
    verdict.document, verdict.champion = document, version
    return verdict


def _frozen(context: BuildContext) -> tuple[str, ClusterModel | None, pd.Timestamp | None]:
    if context.champion is None:
        return "", None, None
    version, document = context.champion
    fitted = pd.Timestamp(document["fitted_at"])
    return version, ClusterModel.from_json(document["clusters"]), fitted


def build_recommendations(context: BuildContext) -> ModelVerdict:
    """Build the recommendations: judged on four weeks, then trained on the newest."""
    data = context.data
    listings = listings_of(data.products)
    acts = acts_of(_events(data), listings)
    at = float(days(pd.Series([data.at]))[0])
    gates = data.gates()
    params = {"standing": context.standing}
    if broken := failures(gates):
        return ModelVerdict(KEPT, reason(broken), gates, params=params, baseline="popularity")
    if not len(listings.ids) or not len(acts.at):
        says = f"too little data: {len(listings.ids)} listings and {len(acts.at)} acts, needs both"
        empty = {name: pd.DataFrame() for name in
                 ("recommendations_by_user", "popular_listings", "similar_listings")}  # fmt: skip
        return ModelVerdict(TOO_LITTLE, says, gates, params=params, tables=empty)
    judged, _ = evaluation.evaluate(listings, acts, at, context.seed)
    method, model_gates, figures = evaluation.choose(judged, context.seed)
    lost = failures(model_gates)
    if lost:
        method = evaluation.POPULARITY
    moment = Moment.of(listings, acts, at)
    second = None
    if method == evaluation.TWO_STAGES:
        second = train_second_stage(listings, acts, at, context.seed)
    past = acts.before(at)
    users = np.unique(acts.users[past])
    table = lists.by_user(moment, users, second, method)
    kept = lists.rules_kept(table, listings, at, [int(n) for n in acts.user_ids[users]])
    gates = [*gates, *model_gates, *kept]
    figures |= {"unknown_listings": acts.unknown, "sources": _shares(table), "method": method}
    blocked = failures(kept)
    if blocked or (lost and context.standing and judged.user_weeks >= evaluation.LEAST_USER_WEEKS):
        return ModelVerdict(
            KEPT, reason(blocked or lost), gates, figures, params, baseline="popularity"
        )
    tables = {
        "recommendations_by_user": table.assign(
            model_version=context.version, generated_at=data.at.to_pydatetime()
        ),
        "popular_listings": lists.popular(moment, _countries(data)).assign(
            model_version=context.version
        ),
        "similar_listings": lists.similar(moment).assign(model_version=context.version),
    }
    verdict = ModelVerdict(PUBLISHED, "", gates, figures, params, tables, "popularity of 28 days")
    if judged.user_weeks < evaluation.LEAST_USER_WEEKS:
        verdict.verdict = TOO_LITTLE
        verdict.reason = (
            f"too little data: {judged.user_weeks} lists could be judged, "
            f"needs {evaluation.LEAST_USER_WEEKS}; popularity is published"
        )
    elif lost:
        verdict.verdict, verdict.reason = BASELINE, f"popularity is published: {reason(lost)}"
    elif second is not None:
        verdict.document, verdict.champion = {"trees": second.to_json()}, context.version
    return verdict


def _events(data: inputs.Inputs) -> pd.DataFrame:
    """Return views, likes, wishes and purchases of all who do not object."""
    seen = data.interactions.rename(columns={"occurred_at": "at"})
    bought = data.purchases[["user_id", "product_id", "at"]].assign(kind="purchase")
    events = pd.concat([seen[["user_id", "product_id", "kind", "at"]], bought], ignore_index=True)
    events = events[events["kind"].isin(KINDS)]
    return events[(events["at"] < data.at) & ~events["user_id"].isin(data.objectors)]


def _countries(data: inputs.Inputs) -> dict[int, str]:
    ids = data.countries.index.to_numpy(dtype=np.int64).tolist()
    return dict(zip(ids, map(str, data.countries), strict=True))


def _shares(table: pd.DataFrame) -> dict[str, float]:
    counts = table.drop_duplicates("user_id")["source"].value_counts(normalize=True)
    return {str(source): float(share) for source, share in counts.items()}


def build_forecasts(context: BuildContext) -> ModelVerdict:
    """Build the forecasts, and measure those of earlier runs against what came."""
    data, calendar = context.data, context.calendar()
    gates, params = data.gates(), {"standing": context.standing}
    names = ("sales_forecast", "forecast_history", "forecast_accuracy")
    if broken := failures(gates):
        return ModelVerdict(KEPT, reason(broken), gates, params=params, baseline=SEASONAL_MEAN)
    if data.until is None or len(data.purchases) < 2:  # noqa: PLR2004 - nothing to go by
        says = f"too little data: {len(data.purchases)} lines of orders, needs 2"
        empty = {name: pd.DataFrame() for name in names if name != "forecast_history"}
        return ModelVerdict(TOO_LITTLE, says, gates, params=params, tables=empty)
    sales = data.purchases[["category", "country", "amount"]].assign(
        day=data.purchases["at"].dt.date
    )
    series = build(sales, data.until)
    run_all = _distributed(context.lake)
    made = forecasts.forecast(series, calendar, run_all)
    gates = [*gates, *made.gates]
    lost = failures(made.gates)
    if lost and context.standing:
        return ModelVerdict(KEPT, reason(lost), gates, made.figures, params, baseline=SEASONAL_MEAN)
    if lost:
        made = forecasts.forecast(series, calendar, run_all, baseline=True)
        made.table["fallback"] = "gates failed"
    table = made.table.assign(model_version=context.version)
    accuracy = pd.concat(
        [part for part in (made.accuracy, _live_accuracy(context, series)) if len(part)]
        or [made.accuracy],
        ignore_index=True,
    )
    tables = {
        "sales_forecast": table,
        "forecast_history": table,
        "forecast_accuracy": accuracy,
    }
    figures = made.figures | {"models": made.chosen}
    verdict = ModelVerdict(PUBLISHED, "", gates, figures, params, tables, SEASONAL_MEAN)
    if not made.gates:
        verdict.verdict = TOO_LITTLE
        verdict.reason = (
            f"too little data: {len(series.days)} days, needs "
            f"{forecasts.LEAST_TRAIN + forecasts.HORIZON} to judge a model; baselines are published"
        )
    elif lost:
        verdict.verdict, verdict.reason = BASELINE, f"baselines are published: {reason(lost)}"
    return verdict


def _distributed(lake: SparkLake) -> forecasts.Map:
    """Return a way to run many tasks: few in this process, many by Spark's workers."""

    def run_all(function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        if len(items) < DISTRIBUTED_FROM:
            return forecasts.inline(function, items)
        rows = [
            (n % _GROUPS, task.row, task.origin, str(task.start.date()), task.amounts.tolist())
            for n, task in enumerate(items)
        ]
        schema = "bucket int, row int, origin int, start string, amounts array<double>"
        frame = lake.spark.createDataFrame(rows, schema)
        result = "row int, origin int, model string, forecast array<double>"
        done = frame.groupBy("bucket").applyInPandas(_run_bucket, result)
        collected: dict[tuple[int, int], dict[str, Any]] = {}
        for row in done.collect():
            key = int(row["row"]), int(row["origin"])
            collected.setdefault(key, {})[str(row["model"])] = np.array(row["forecast"])
        return [(*key, by_model) for key, by_model in sorted(collected.items())]

    return run_all


def _run_bucket(frame: pd.DataFrame) -> pd.DataFrame:
    """Forecast the series of a bucket, in a worker of Spark."""
    rows = []
    for item in frame.to_dict("records"):
        task = forecasts.Task(
            item["row"], item["origin"], np.array(item["amounts"]), pd.Timestamp(item["start"])
        )
        row, origin, by_model = forecasts.run_task(task)
        rows += [(row, origin, name, values.tolist()) for name, values in by_model.items()]
    return pd.DataFrame(rows, columns=["row", "origin", "model", "forecast"])


def _live_accuracy(context: BuildContext, series: Any) -> pd.DataFrame:
    """Return the accuracy of earlier published forecasts on the days that have come since."""
    history = outputs.read(context.lake, "forecast_history")
    if history is None or history.empty:
        return pd.DataFrame(columns=forecasts.ACCURACY)
    position = {key: number for number, key in enumerate(series.keys)}
    column = {day.date(): number for number, day in enumerate(series.days)}
    known = [key in position for key in zip(history["level"], history["key"], strict=True)]
    came = history[history["day"].isin(column) & np.array(known)]
    came = came.assign(
        week=[(day - origin).days for day, origin in zip(came["day"], came["origin"], strict=True)]
    )
    came["week"] = (came["week"] - 1) // 7 + 1
    rows = []
    for (origin, level, key, week), part in came.groupby(["origin", "level", "key", "week"]):
        if len(part) < 7 or origin not in column:  # noqa: PLR2004 - a whole week
            continue
        ordered = part.sort_values("day")
        row = position[(level, key)]
        at = [column[day] for day in ordered["day"]]
        end = column[origin] + 1
        past = fill_closed(series.amounts[row, :end], series.closed[:end])
        actual = series.amounts[row, at]
        rows.append(
            {
                "source": "live", "origin": origin, "level": level, "key": key, "week": week,
                **forecasts.measures(
                    actual, ordered["forecast"].to_numpy(dtype=float), np.resize(past[-7:], 7), past
                ),
                **{
                    f"covered{band}": float(
                        ordered[f"lo{band}"].le(actual).to_numpy().astype(float)
                        @ ordered[f"hi{band}"].ge(actual).to_numpy().astype(float)
                        / len(actual)
                    )
                    for band in forecasts.BANDS
                },
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=forecasts.ACCURACY)
