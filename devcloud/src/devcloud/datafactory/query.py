"""Queries over runs: filters, order and pages, as the two query calls have them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from devcloud.clock import stamp
from devcloud.datafactory.azure_error import AzureError, bad_request

PAGE = 100
_OPERATORS: dict[str, Callable[[str, list[str]], bool]] = {
    "equals": lambda value, expected: value == expected[0],
    "notequals": lambda value, expected: value != expected[0],
    "in": lambda value, expected: value in expected,
    "notin": lambda value, expected: value not in expected,
}
_RUN_OPERANDS = {
    "pipelinename": "pipelineName",
    "status": "status",
    "runstart": "runStart",
    "runend": "runEnd",
}
_TRIGGER_OPERANDS = {
    "triggername": "triggerName",
    "status": "status",
    "runid": "triggerRunId",
    "triggerruntimestamp": "triggerRunTimestamp",
}
_UNFINISHED = ("Waiting", "WaitingOnDependency", "Running")  # of a window
_ACTIVITY_OPERANDS = {
    "activityname": "activityName",
    "activitytype": "activityType",
    "status": "status",
}


def pipeline_runs(body: dict[str, Any], runs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One page of the runs that a query body asks for.

    Args:
        body: `lastUpdatedAfter`, `lastUpdatedBefore`, and optionally `filters`, `orderBy`,
            `continuationToken`.
        runs: all runs, as told.

    Returns:
        `value`, at most `PAGE` runs, and `continuationToken` where there are more.

    Raises:
        AzureError: 400 for a query that is wrong.
    """
    keep = _window(body), _filters(body, _RUN_OPERANDS)
    order, descending = _order(body)
    matches = [run for run in runs if all(test(run) for test in keep)]
    matches.sort(key=lambda run: _position(run, order), reverse=descending)
    after = _read_token(body.get("continuationToken"))
    if after is not None:
        matches = [
            run
            for run in matches
            if (_position(run, order) < after if descending else _position(run, order) > after)
        ]
    page = matches[:PAGE]
    answer: dict[str, Any] = {"value": page}
    if len(matches) > PAGE:
        answer["continuationToken"] = _write_token(_position(page[-1], order))
    return answer


def activity_runs(body: dict[str, Any], runs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The activity runs of one pipeline run that a query body asks for, all on one page."""
    keep = _filters(body, _ACTIVITY_OPERANDS)
    _window(body)  # the window of an activity run is that of its pipeline run; only its form counts
    return {"value": [run for run in runs if keep(run)]}


def trigger_runs(body: dict[str, Any], runs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One page of the runs of triggers that a query body asks for, latest first.

    The status `Inprogress` stands for all that have not ended.
    """
    keep = _filters(_opened(body), _TRIGGER_OPERANDS)
    window = _window(body)
    matches = [
        run for run in runs if keep(run) and window({"lastUpdated": run["triggerRunTimestamp"]})
    ]
    matches.sort(key=_trigger_position, reverse=True)
    after = _read_token(body.get("continuationToken"))
    if after is not None:
        matches = [run for run in matches if _trigger_position(run) < after]
    answer: dict[str, Any] = {"value": matches[:PAGE]}
    if len(matches) > PAGE:
        answer["continuationToken"] = _write_token(_trigger_position(matches[PAGE - 1]))
    return answer


def _trigger_position(run: dict[str, Any]) -> tuple[str, str]:
    return str(run["triggerRunTimestamp"]), str(run["triggerRunId"])


def _opened(body: dict[str, Any]) -> dict[str, Any]:
    """A query of which `Inprogress` names every status that is no end."""
    filters = []
    for each in body.get("filters") or []:
        values = each.get("values")
        if isinstance(values, list) and "inprogress" in [str(value).lower() for value in values]:
            operator = {"equals": "In", "notequals": "NotIn"}.get(
                str(each.get("operator")).lower(), each.get("operator")
            )
            filters.append({**each, "operator": operator, "values": [*values, *_UNFINISHED]})
        else:
            filters.append(each)
    return {**body, "filters": filters}


Test = Callable[[dict[str, Any]], bool]


def _window(body: dict[str, Any]) -> Test:
    bounds = []
    for name in ("lastUpdatedAfter", "lastUpdatedBefore"):
        try:
            bounds.append(stamp(datetime.fromisoformat(str(body[name])).astimezone(UTC)))
        except (KeyError, ValueError):
            raise bad_request(f"{name} must be an ISO 8601 time", name) from None
    after, before = bounds
    return lambda run: after <= run["lastUpdated"] <= before


def oldest(body: dict[str, Any]) -> str:
    """The stamp before which no run of a query was last updated; empty if it cannot be told."""
    try:
        return stamp(datetime.fromisoformat(str(body["lastUpdatedAfter"])).astimezone(UTC))
    except (KeyError, ValueError):
        return ""


def _filters(body: dict[str, Any], operands: dict[str, str]) -> Test:
    tests: list[Test] = []
    for each in body.get("filters") or []:
        operand = operands.get(str(each.get("operand")).lower())
        operator = _OPERATORS.get(str(each.get("operator")).lower())
        values = each.get("values")
        if operand is None or operator is None or not isinstance(values, list) or not values:
            raise bad_request(
                f"the filter {json.dumps(each)} is not supported: operands are "
                f"{sorted(operands.values())}, operators Equals, NotEquals, In, NotIn",
                "filters",
            )

        def test(
            run: dict[str, Any],
            name: str = operand,
            decide: Callable[[str, list[str]], bool] = operator,
            expected: tuple[str, ...] = tuple(values),
        ) -> bool:
            return decide(str(run[name]), list(expected))

        tests.append(test)
    return lambda run: all(test(run) for test in tests)


def _order(body: dict[str, Any]) -> tuple[str, bool]:
    keys = body.get("orderBy") or [{"orderBy": "RunStart", "order": "DESC"}]
    if len(keys) != 1:
        raise AzureError(501, "NotImplementedLocally", "orderBy takes one key here", "orderBy")
    name = _RUN_OPERANDS.get(str(keys[0].get("orderBy")).lower())
    direction = str(keys[0].get("order")).lower()
    if name is None or direction not in ("asc", "desc"):
        raise bad_request(f"orderBy {json.dumps(keys[0])} is not supported", "orderBy")
    return name, direction == "desc"


def _position(run: dict[str, Any], order: str) -> tuple[str, str]:
    return str(run[order] or ""), str(run["runId"])


def _write_token(position: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(token: Any) -> tuple[str, str] | None:
    if not token:
        return None
    try:
        order, run_id = json.loads(base64.urlsafe_b64decode(str(token)))
    except ValueError as error:
        raise bad_request("the continuation token is none of ours", "continuationToken") from error
    return str(order), str(run_id)
