"""Whether a pipeline can be carried out to the letter; see check.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from devcloud.datafactory import shapes
from devcloud.datafactory.azure_error import bad_request
from devcloud.datafactory.check import (
    ResourceReference,
    expressions,
    fits,
    is_literal,
    parameters,
    reference,
    typed,
)
from devcloud.datafactory.connectors.pagination import Pagination
from devcloud.datafactory.connectors.partition import CONDITION, OPTIONS
from devcloud.datafactory.expressions.evaluate import is_expression
from devcloud.datafactory.expressions.syntax import Call, Literal
from devcloud.datafactory.policy import Policy
from devcloud.datafactory.shapes import Shape

_BRANCHES = {
    "IfCondition": ("ifTrueActivities", "ifFalseActivities"),
    "ForEach": ("activities",),
    "Until": ("activities",),
    "Switch": ("defaultActivities",),
}
_LOOPS = ("ForEach", "Until")
_CHOICES = ("IfCondition", "Switch")
_DEPENDENCY = Shape(frozenset(("activity", "dependencyConditions")))
_CASE = Shape(frozenset(("value", "activities")))
_MOST_AT_ONCE = 50
RETURN_VALUE = "pipelineReturnValue"
RETURN_TYPES = ("String", "Expression", "Boolean", "Int", "Float", "Null", "Object", "Array")


@dataclass(frozen=True)
class _Place:
    """Where an activity stands: which others it may refer to, and what encloses it."""

    visible: frozenset[str]
    enclosing: tuple[str, ...]
    variables: frozenset[str]


def pipeline(properties: dict[str, Any]) -> Iterator[ResourceReference]:
    """Check a pipeline.

    Yields:
        The datasets and pipelines it refers to.

    Raises:
        AzureError: 400, naming the activity and the property.
    """
    fits("pipeline", properties, shapes.PIPELINE)
    parameters("parameters", properties.get("parameters", {}))
    variables = properties.get("variables", {})
    parameters("variables", variables, shapes.VARIABLE_TYPES)
    concurrency = properties.get("concurrency", 1)
    if not isinstance(concurrency, int) or not 1 <= concurrency <= 300:  # noqa: PLR2004
        raise bad_request("concurrency must be an integer from 1 to 300", "concurrency")
    names = [str(each.get("name")) for each in _all(properties["activities"])]
    for name in names:
        if names.count(name) > 1:
            raise bad_request(f"two activities have the name {name!r}", name)
    place = _Place(frozenset(), (), frozenset(variables))
    yield from _activities(properties["activities"], place)


def branches(activity: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The lists of activities inside one."""
    inside = activity.get("typeProperties", {})
    for name in _BRANCHES.get(activity.get("type", ""), ()):
        yield inside.get(name, [])
    if activity.get("type") == "Switch":
        for case in inside.get("cases", []):
            yield case.get("activities", [])


def _all(activities: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for activity in activities:
        yield activity
        for branch in branches(activity):
            yield from _all(branch)


def _activities(activities: Any, place: _Place) -> Iterator[ResourceReference]:
    if not isinstance(activities, list):
        raise bad_request("activities must be an array", "activities")
    needs: dict[str, set[str]] = {}
    for activity in activities:
        shape = fits("activity", activity, shapes.ACTIVITY)
        needs[shape["name"]] = _dependencies(activity)
    for name, direct in needs.items():
        for other in direct:
            if other not in needs:
                raise bad_request(f"{name}: depends on {other!r}, which is not beside it", name)
    beside = {activity["name"]: activity for activity in activities}
    for activity in activities:
        upstream = _upstream(activity["name"], needs)
        if activity["name"] in upstream:
            raise bad_request(f"{activity['name']}: depends on itself", activity["name"])
        ended = upstream | {name for each in upstream for name in _left_by(beside[each])}
        here = _Place(place.visible | ended, place.enclosing, place.variables)
        yield from _activity(activity, here)


def _left_by(activity: dict[str, Any]) -> Iterator[str]:
    """Names of the activities inside one to which those may refer that depend on it.

    Of a ForEach they may not: its activities have run many times, in no order.
    """
    if activity.get("type") == "ForEach":
        return
    for branch in branches(activity):
        for inner in branch:
            yield str(inner.get("name"))
            yield from _left_by(inner)


def _dependencies(activity: dict[str, Any]) -> set[str]:
    names: set[str] = set()
    for dependency in activity.get("dependsOn", []):
        fits(f"{activity['name']}.dependsOn", dependency, _DEPENDENCY)
        conditions = dependency["dependencyConditions"]
        unknown = [each for each in conditions if each not in shapes.CONDITIONS]
        if unknown or not conditions:
            raise bad_request(
                f"{activity['name']}.dependsOn: conditions must be of {shapes.CONDITIONS}, "
                f"not {conditions}",
                activity["name"],
            )
        names.add(dependency["activity"])
    return names


def _upstream(name: str, needs: dict[str, set[str]]) -> frozenset[str]:
    seen: set[str] = set()
    waiting = list(needs[name])
    while waiting:
        other = waiting.pop()
        if other not in seen:
            seen.add(other)
            waiting.extend(needs[other])
    return frozenset(seen)


def _activity(activity: dict[str, Any], place: _Place) -> Iterator[ResourceReference]:
    name, kind = activity["name"], activity["type"]
    inside = activity.get("typeProperties", {})
    fits(f"{name}.typeProperties", inside, typed(name, activity, shapes.ACTIVITIES))
    _policy(activity)
    _nesting(name, kind, place)
    own = {
        key: value
        for key, value in inside.items()
        if key not in ("cases", *_BRANCHES.get(kind, ()))
    }
    references = [own, activity.get("inputs", []), activity.get("outputs", [])]
    around = (*place.enclosing, kind) if kind == "Filter" else place.enclosing
    visible = place.visible
    if kind == "Until":  # its condition is asked when they have run
        visible |= frozenset(_left_by(activity))
    for call in expressions(name, references):
        _call(name, call, _Place(visible, around, place.variables))
    yield from _CHECKS.get(kind, _nothing)(name, activity, place)
    for case in inside.get("cases", []) if kind == "Switch" else ():
        fits(f"{name}.cases", case, _CASE)
    within = _Place(place.visible, (*place.enclosing, kind), place.variables)
    for branch in branches(activity):
        yield from _activities(branch, within)


def _policy(activity: dict[str, Any]) -> None:
    name = activity["name"]
    control = activity["type"] in shapes.CONTROL_ACTIVITIES
    document = activity.get("policy", {})
    fits(f"{name}.policy", document, shapes.CONTROL_POLICY if control else shapes.POLICY)
    try:
        Policy.of(activity)
    except ValueError as error:
        raise bad_request(f"{name}.policy: {error}", name) from error
    if activity.get("state", "Active") not in ("Active", "Inactive"):
        raise bad_request(f"{name}: state must be 'Active' or 'Inactive'", name)


def _nesting(name: str, kind: str, place: _Place) -> None:
    for family in (_LOOPS, _CHOICES):
        if kind in family and any(outer in family for outer in place.enclosing):
            raise bad_request(
                f"{name}: {kind} cannot stand inside {' or '.join(family)}; "
                "put the inner one into a pipeline of its own",
                name,
            )


def _call(name: str, call: Call, place: _Place) -> None:
    if call.name == "item" and not {"ForEach", "Filter"} & set(place.enclosing):
        raise bad_request(f"{name}: item() has a meaning only inside ForEach or Filter", name)
    if call.name not in ("activity", "variables") or not isinstance(call.arguments[0], Literal):
        return
    argument = call.arguments[0].value
    if call.name == "activity" and argument not in place.visible:
        raise bad_request(
            f"{name}: activity('{argument}') is not one that this activity depends on", name
        )
    if call.name == "variables" and argument not in place.variables:
        raise bad_request(f"{name}: the pipeline has no variable {argument!r}", name)


def _nothing(_name: str, _activity: dict[str, Any], _place: _Place) -> Iterator[ResourceReference]:
    yield from ()


def _copy(name: str, activity: dict[str, Any], _place: _Place) -> Iterator[ResourceReference]:
    inside = activity["typeProperties"]
    for end, table in (("source", shapes.SOURCES), ("sink", shapes.SINKS)):
        _end(f"{name}.{end}", inside[end], table)
    for end in ("inputs", "outputs"):
        datasets = activity.get(end, [])
        if len(datasets) != 1:
            raise bad_request(f"{name}: {end} must name one dataset", name)
        yield reference(f"{name}.{end}", datasets[0], "DatasetReference")


def _end(place: str, document: Any, table: dict[str, Shape]) -> None:
    fits(place, document, typed(place, document, table))
    for settings in ("storeSettings", "formatSettings"):
        if settings in document:
            where = f"{place}.{settings}"
            fits(where, document[settings], typed(where, document[settings], shapes.SETTINGS))
    for column in document.get("additionalColumns", []):
        fits(f"{place}.additionalColumns", column, Shape(frozenset(("name", "value"))))
    _partitions(place, document)
    rules = document.get("paginationRules")
    if is_literal(rules):
        try:
            Pagination.read(rules)
        except ValueError as error:
            raise bad_request(f"{place}.paginationRules: {error}", place) from error


def _partitions(place: str, document: dict[str, Any]) -> None:
    option = document.get("partitionOption", "None")
    if not is_literal(option):
        return
    if option not in OPTIONS:
        raise bad_request(f"{place}.partitionOption must be one of {OPTIONS}", place)
    settings = document.get("partitionSettings") or {}
    if is_expression(settings):
        return
    fits(f"{place}.partitionSettings", settings, shapes.PARTITION_SETTINGS)
    query = document.get("query", document.get("sqlReaderQuery"))
    if option == "DynamicRange" and query is not None:
        if "partitionColumnName" not in settings:
            raise bad_request(
                f"{place}: DynamicRange of a query needs partitionSettings.partitionColumnName",
                place,
            )
        if is_literal(query) and CONDITION not in str(query):
            raise bad_request(f"{place}.query must contain {CONDITION} for DynamicRange", place)


def _lookup(name: str, activity: dict[str, Any], _place: _Place) -> Iterator[ResourceReference]:
    inside = activity["typeProperties"]
    _end(f"{name}.source", inside["source"], shapes.SOURCES)
    yield reference(f"{name}.dataset", inside["dataset"], "DatasetReference")


def _metadata(name: str, activity: dict[str, Any], _place: _Place) -> Iterator[ResourceReference]:
    inside = activity["typeProperties"]
    for field in inside["fieldList"]:
        if field not in shapes.METADATA_FIELDS:
            raise bad_request(f"{name}: {field!r} is not one of {shapes.METADATA_FIELDS}", name)
    yield reference(f"{name}.dataset", inside["dataset"], "DatasetReference")


def _execute(name: str, activity: dict[str, Any], _place: _Place) -> Iterator[ResourceReference]:
    yield reference(f"{name}.pipeline", activity["typeProperties"]["pipeline"], "PipelineReference")


def _variable(name: str, activity: dict[str, Any], place: _Place) -> Iterator[ResourceReference]:
    inside = activity["typeProperties"]
    variable = inside["variableName"]
    if inside.get("setSystemVariable") is True:
        _return_value(name, variable, inside["value"])
        return
    if variable not in place.variables:
        raise bad_request(f"{name}: the pipeline has no variable {variable!r}", name)
    for call in expressions(name, inside["value"]):
        if call.name == "variables" and call.arguments == (Literal(variable),):
            raise bad_request(f"{name}: a variable cannot be set from itself", name)
    yield from ()


def _return_value(name: str, variable: str, value: Any) -> None:
    if variable != RETURN_VALUE:
        raise bad_request(f"{name}: the only system variable to set is {RETURN_VALUE!r}", name)
    for entry in value if isinstance(value, list) else [value]:
        fits(f"{name}.value", entry, Shape(frozenset(("key", "value"))))
        _return_content(name, entry["value"])


def _return_content(name: str, value: Any) -> None:
    fits(f"{name}.value", value, Shape(frozenset(("type",)), frozenset(("content",))))
    kind, content = value["type"], value.get("content")
    if kind not in RETURN_TYPES:
        raise bad_request(f"{name}: the type {kind!r} is not one of {RETURN_TYPES}", name)
    if kind == "Object":
        _return_value(name, RETURN_VALUE, content)
    if kind == "Array":
        for item in content or []:
            _return_content(name, item)


def _delete(name: str, activity: dict[str, Any], _place: _Place) -> Iterator[ResourceReference]:
    inside = activity["typeProperties"]
    if "storeSettings" in inside:
        where = f"{name}.storeSettings"
        settings = inside["storeSettings"]
        fits(where, settings, typed(where, settings, shapes.SETTINGS))
    yield reference(f"{name}.dataset", inside["dataset"], "DatasetReference")


def _foreach(name: str, activity: dict[str, Any], _place: _Place) -> Iterator[ResourceReference]:
    count = activity["typeProperties"].get("batchCount", 20)
    if not isinstance(count, int) or not 1 <= count <= _MOST_AT_ONCE:
        raise bad_request(f"{name}: batchCount must be an integer from 1 to {_MOST_AT_ONCE}", name)
    yield from ()


_CHECKS = {
    "Copy": _copy,
    "Lookup": _lookup,
    "GetMetadata": _metadata,
    "ExecutePipeline": _execute,
    "Delete": _delete,
    "SetVariable": _variable,
    "AppendVariable": _variable,
    "ForEach": _foreach,
}
