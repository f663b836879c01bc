"""Model cards in Markdown, made from the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from spark_jobs.analytics.ledger import FORECASTS, RECOMMENDATIONS, SEGMENTS


class About(NamedTuple):
    """What a card says that no figure does."""

    purpose: str
    method: str
    limits: str
    not_for: str


ABOUT: Mapping[str, About] = {
    SEGMENTS: About(
        "Groups of users that a campaign can address, with a reason for each user.",
        "Lifecycle rules first; k-means on log recency, orders and net spend among active buyers; "
        "the centres are frozen, and refitted once a month as a challenger.",
        "It describes; it does not say what a campaign would change. Fewer than 500 active buyers "
        "get rules only.",
        "Decisions with legal or similar effects on a person: credit, prices, access. Gender, "
        "civility and language are not among its features and must not be put in.",
    ),
    RECOMMENDATIONS: About(
        "Listings that a user is likely to look at next, of what is on sale.",
        "Log popularity per day listed plus the lift of the category finds 1,000 candidates, the "
        "lifts of brand, size and price keep 300; gradient boosting on facets, trained on such "
        "candidates of 16 past weeks, orders them.",
        "Judged offline on what users touched by themselves; no experiment has measured what lists "
        "change. A new user without an act gets the popular listings.",
        "Sellers' rankings, or anything that pays by position, without measuring its fairness.",
    ),
    FORECASTS: About(
        "Gross sales by day for planning of the next 28 days.",
        "Median of candidates (four-week mean, Theta, MFLES, exponential smoothing, calendar "
        "regression), a baseline where it lost; pooled scaled errors give the bands; weighted "
        "least squares makes the sums meet.",
        "It knows the calendar it was given and the past, not campaigns to come. Gross: cancelled "
        "and returned lines are in it.",
        "Single pieces: each is sold once. Targets of people.",
    ),
}


def card(row: Mapping[str, Any]) -> str:
    """Return the card of a row of the ledger."""
    about = ABOUT[row["model"]]
    gates = json.loads(row["gates"])
    sources = json.loads(row["inputs"])
    lines = [
        f"# {str(row['model']).capitalize()}: {row['version']}",
        "",
        f"**Purpose.** {about.purpose}",
        "",
        f"**Method.** {about.method}",
        "",
        f"**Verdict.** {row['verdict'].replace('_', ' ')}"
        + (f": {row['reason']}" if row["reason"] else "")
        + f". Baseline: {row['baseline']}.",
        "",
        f"**Data.** Newest complete day {row['as_of']}; seed {row['seed']}; code {row['code']}.",
        "",
        "| table | version |",
        "|---|---|",
        *(f"| {item['table']} | {item['version']} |" for item in sources),
        "",
        "| gate | value | bar | passed | measures |",
        "|---|---|---|---|---|",
        *(
            f"| {gate['id']} | {gate['value']} | {gate['bar']:g} "
            f"| {'yes' if gate['passed'] else 'no'} | {gate['says']} |"
            for gate in gates
        ),
        "",
        f"**Limits.** {about.limits}",
        "",
        f"**Not for.** {about.not_for}",
        "",
    ]
    return "\n".join(lines)
