"""Job task: the page and the model cards, from gold and the documents of the last runs.

One HTML file without anything from outside. It is the last task and runs whatever became of the
others; it prints the summary that `landfall analytics run --json` ends with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd
from jinja2 import Environment, StrictUndefined

from landfall.protocol import ANALYTICS_PAGE
from spark_jobs.analytics import charts, ledger, outputs
from spark_jobs.analytics.card import card
from spark_jobs.analytics.tasks import latest_folder
from spark_jobs.arguments import parse_named
from spark_jobs.errors import ResultError
from spark_jobs.lake import SparkLake, read_document
from spark_jobs.result import say
from spark_jobs.session import job_session

LEAST_SHOWN = 5
"""Counts below it are left out: nobody is to be told from the page."""
CARDS = "manifest/analytics/cards"
_PAST_DAYS = 120
_NOT_RUN: Mapping[str, Any] = {
    "verdict": "", "reason": "", "gates": [], "figures": {}, "tables": {}, "as_of": None, "run": "",
}  # fmt: skip
_GOOD = (ledger.PUBLISHED, ledger.TOO_LITTLE)


def main(argv: list[str] | None = None) -> None:
    """Make the page and the cards; print the summary.

    Raises:
        JobError: the parameters are wrong.
    """
    given = parse_named(argv, "page", required=("lake",), optional=("run", "tasks"))
    lake = SparkLake(job_session(), given["lake"])
    wanted = [name for name in given["tasks"].split(",") if name] or list(ledger.MODELS)
    models = {name: latest(lake, name) for name in ledger.MODELS}
    tables = {name: outputs.read(lake, name) for name in outputs.TABLES}
    write_text(lake, ANALYTICS_PAGE, render(models, tables))
    rows = tables[ledger.LEDGER]
    for name in ledger.MODELS:
        if rows is not None and not rows[rows["model"] == name].empty:
            row = rows[rows["model"] == name].sort_values("trained_at").iloc[-1]
            write_text(lake, f"{CARDS}/{name}.md", card({str(k): v for k, v in row.items()}))
    say(json.dumps(summary(models, tables, wanted, given["run"])))


def summary(
    models: Mapping[str, Mapping[str, Any]],
    tables: Mapping[str, pd.DataFrame | None],
    wanted: list[str],
    run: str,
) -> dict[str, Any]:
    """Return what a run came to: `ok` is whether every model that ran was published."""
    ran = [models[name] for name in wanted]
    return {
        "ok": all(model["verdict"] in _GOOD and model["run"] == run for model in ran),
        "gates": [gate for model in ran for gate in model["gates"]],
        "tables": {
            name: {"rows": len(rows), "path": outputs.path_of(name)}
            for name, rows in tables.items()
            if rows is not None
        },
        "page": ANALYTICS_PAGE,
        "models": {
            name: {key: models[name][key] for key in ("verdict", "reason", "as_of")}
            for name in wanted
        },
    }


def latest(lake: SparkLake, model: str) -> Mapping[str, Any]:
    """Return the document of a model's last run; an empty one where it never ran."""
    try:
        return read_document(lake, latest_folder(model))
    except ResultError:
        return _NOT_RUN


def write_text(lake: SparkLake, path: str, text: str) -> None:
    """Write a text file; in a lake that is no folder, as the one part of a folder of that name."""
    uri = lake.uri(path)
    parts = urlsplit(uri)
    if parts.scheme in ("file", ""):
        file = Path(unquote(parts.path))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return
    row = lake.spark.createDataFrame([(text,)], "value string")
    row.coalesce(1).write.mode("overwrite").text(uri)


def render(
    models: Mapping[str, Mapping[str, Any]], tables: Mapping[str, pd.DataFrame | None]
) -> str:
    """Return the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = (files("spark_jobs.analytics") / "page.html.j2").read_text(encoding="utf-8")
    figures = models[ledger.RECOMMENDATIONS]["figures"]
    rows = tables[ledger.LEDGER]
    shown: list[dict[str, Any]] = []
    if rows is not None:
        newest = rows.sort_values("trained_at").groupby("model").tail(3)
        newest = newest.assign(trained_at=newest["trained_at"].dt.strftime("%Y-%m-%d %H:%M"))
        shown = [{str(k): v for k, v in row.items()} for row in newest.to_dict("records")]
    return environment.from_string(template).render(
        as_of=next((model["as_of"] for model in models.values() if model["as_of"]), None),
        least=LEAST_SHOWN,
        models=models,
        charts={
            "segments": segments_chart(tables["segment_profile"]),
            "moves": moves_chart(tables["segment_moves"]),
            "recommendations": recommendations_chart(figures),
            "forecast": forecast_chart(models, tables["sales_forecast"]),
        },
        user_weeks=figures.get("user_weeks", 0),
        shares=sorted(figures.get("sources", {}).items()),
        weeks=weeks_of(tables["forecast_accuracy"]),
        ledger=shown,
    )


def segments_chart(profile: pd.DataFrame | None) -> str:
    """Return bars of size, spend and later spend by segment, largest spend first."""
    if profile is None or profile.empty:
        return ""
    kept = profile[profile["role"] != "none"]
    grouped = kept.groupby("segment").agg(
        customers=("customers", "sum"), share=("share_of_amount", "sum"),
        next90=("next90_amount_mean", "first"),
    )  # fmt: skip
    grouped = grouped[grouped["customers"] >= LEAST_SHOWN].sort_values("share", ascending=False)
    rows = [
        (
            str(name).replace("_", " "),
            {str(k): None if pd.isna(v) else float(v) for k, v in row.items()},
        )
        for name, row in grouped.iterrows()
    ]
    classes: dict[str, Callable[[float], str]] = {
        "customers": "{:,.0f}".format,
        "share": charts.percent,
        "next90": "{:,.0f} EUR".format,
    }
    return charts.bars(rows, classes)


def moves_chart(moves: pd.DataFrame | None) -> str:
    """Return the matrix of moves, without those of few."""
    if moves is None or moves.empty:
        return ""
    kept = moves[moves["customers"] >= LEAST_SHOWN].sort_values(["from_segment", "to_segment"])
    return charts.flows(
        [
            (str(a).replace("_", " "), str(b).replace("_", " "), int(n))
            for a, b, n in zip(
                kept["from_segment"], kept["to_segment"], kept["customers"], strict=True
            )
        ]
    )


def recommendations_chart(figures: Mapping[str, Any]) -> str:
    """Return bars of quality and coverage by method."""
    ndcg, shown = figures.get("ndcg20", {}), figures.get("shown", {})
    rows = [
        (
            name.replace("_", " "),
            {"ndcg": value, "listings": shown[name][0], "sellers": shown[name][1]},
        )
        for name, value in ndcg.items()
        if name in shown
    ]
    return charts.bars(
        rows, {"ndcg": charts.number, "listings": charts.percent, "sellers": charts.percent}
    )


def forecast_chart(models: Mapping[str, Mapping[str, Any]], table: pd.DataFrame | None) -> str:
    """Return the fan of the total with the days before, and the forecast of four weeks ago."""
    if table is None or table.empty:
        return ""
    total = table[table["level"] == "total"].sort_values("day")
    recent = models[ledger.FORECASTS]["figures"].get("recent", {})
    days = [pd.Timestamp(day).date() for day in recent.get("days", [])][-_PAST_DAYS:]
    past = list(zip(days, recent.get("sold", [])[-_PAST_DAYS:], strict=True))
    earlier = list(zip(days[-28:], recent.get("earlier", []), strict=False))
    bounds = total[["forecast", "lo80", "hi80", "lo95", "hi95"]].to_numpy(dtype=float)
    ahead = [
        (pd.Timestamp(day).date(), *(float(value) for value in row))
        for day, row in zip(total["day"], bounds, strict=True)
    ]
    return charts.fan(charts.Fan(past, ahead, earlier))  # type: ignore[arg-type]


def weeks_of(accuracy: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the accuracy of the total by week ahead, measured live where there is anything."""
    if accuracy is None or accuracy.empty:
        return []
    total = accuracy[accuracy["level"] == "total"]
    grouped = total.groupby(["source", "week"], as_index=False).agg(
        wape=("wape", "mean"), baseline=("baseline_wape", "mean"),
        covered80=("covered80", "mean"), covered95=("covered95", "mean"),
    )  # fmt: skip
    rows = grouped.dropna().to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


if __name__ == "__main__":
    main()
