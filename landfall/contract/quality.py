"""Reads `quality`: rules of the standard's library and rules in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from landfall.contract.columns import value_reader
from landfall.contract.conditions import ALWAYS_TRUE, ColumnOf, Condition, Constant, FunctionCall
from landfall.contract.model import Column, QualityRule
from landfall.contract.names import meant
from landfall.contract.patterns import TextPattern
from landfall.contract.reader import Node
from landfall.contract.sql import SqlError, read_query

OPERATORS = (
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
)
_DESCRIPTIVE = (
    "authoritativeDefinitions",
    "businessImpact",
    "description",
    "dimension",
    "id",
    "method",
    "name",
    "schedule",
    "scheduler",
    "severity",
    "tags",
)
_OLD_NAMES = {
    "duplicateCount": "duplicateValues",
    "nullCheck": "nullValues",
    "rowCount": "rowCount",
    "validValues": "invalidValues",
}
"""Rules of ODCS 3.0, and the metrics that replaced them in 3.1."""
_ARGUMENTS = {
    "nullValues": (),
    "missingValues": ("missingValues",),
    "invalidValues": ("validValues", "pattern"),
    "duplicateValues": ("properties",),
    "rowCount": (),
}


def read_quality(
    table: Node, dataset: str, columns: Sequence[Column], nodes: Sequence[tuple[Node, Column]]
) -> tuple[QualityRule, ...]:
    """Read all rules of a table and of its columns; `nodes` are the properties with their columns.

    Raises:
        ContractError: a rule is wrong, or asks for an unsupported check.
    """
    place = _RulePlace(dataset, {column.name: column for column in columns})
    rules = [_rule(node, None, place) for node in table.optional_items("quality")]
    for node, column in nodes:
        rules += [_rule(rule, column, place) for rule in node.optional_items("quality")]
    checked_rules: list[QualityRule] = [rule for rule in rules if rule is not None]
    return tuple(_with_unique_names(checked_rules))


@dataclass(frozen=True)
class _RulePlace:
    dataset: str
    columns: dict[str, Column]


def _with_unique_names(rules: list[QualityRule]) -> list[QualityRule]:
    """Number rules of the same name and column, so that each has its own count."""
    counts: dict[tuple[str, str | None], int] = {}
    renamed = []
    for rule in rules:
        number = counts.get((rule.name, rule.column), 0) + 1
        counts[rule.name, rule.column] = number
        renamed.append(rule if number == 1 else rule.renamed(f"{rule.name} {number}"))
    return renamed


def _rule(node: Node, column: Column | None, place: _RulePlace) -> QualityRule | None:
    kind = node.get("type")
    rule_type = "library" if kind is None else kind.one_of(("text", "library", "sql", "custom"))
    if rule_type == "text":
        return None
    if rule_type == "custom":
        raise node.error("quality rules of type custom belong to another tool and are not checked")
    node.forbid("customProperties", "custom properties of quality rules are not supported")
    if rule_type == "sql":
        node.allow_only((*_DESCRIPTIVE, *OPERATORS, "type", "unit", "query"))
        return _sql(node, column, place)
    node.allow_only(
        (*_DESCRIPTIVE, *OPERATORS, "type", "unit", "metric", "rule", "arguments", "validValues")
    )
    return _library(node, column, place)


def _library(node: Node, column: Column | None, place: _RulePlace) -> QualityRule:
    metric, arguments = _metric(node)
    if (column is None) != (metric == "rowCount") and metric != "duplicateValues":
        level = "the table" if metric == "rowCount" else "a column"
        raise node.error(f"{metric} is a rule of {level} and is not allowed here")
    kind = "count"
    key: tuple[str, ...] = ()
    condition: Condition = ALWAYS_TRUE
    if metric == "duplicateValues":
        kind, key = "duplicates", _key(node, arguments, column, place)
    elif column is not None:
        condition = _condition(metric, arguments, column)
    return _build_rule(node, metric, column, kind=kind, condition=condition, key=key)


def _metric(node: Node) -> tuple[str, Node]:
    named = node.get("metric")
    empty = Node({}, node.file, f"{node.path}.arguments")
    arguments = node.get("arguments") or empty
    if named is not None:
        metric = named.one_of(_ARGUMENTS)
        node.forbid("validValues", "belongs under arguments")
    else:
        rule = node.require("rule")
        metric = _OLD_NAMES.get(rule.text()) or rule.one_of((*_OLD_NAMES, *_ARGUMENTS))
        listed = node.get("validValues")
        if listed is not None:
            arguments = Node({"validValues": listed.value}, node.file, node.path)
    arguments.allow_only(_ARGUMENTS[metric])
    return metric, arguments


def _key(node: Node, arguments: Node, column: Column | None, place: _RulePlace) -> tuple[str, ...]:
    listed = arguments.get("properties")
    if column is not None:
        if listed is not None:
            raise listed.error("belongs to rules of the whole table")
        return (column.name,)
    names = [item.text() for item in (listed or arguments.require("properties")).items()]
    for name in names:
        if name not in place.columns:
            raise node.error(f"there is no column {name!r}{meant(name, place.columns)}")
    if not names:
        raise node.error("names no column")
    return tuple(names)


def _condition(metric: str, arguments: Node, column: Column) -> Condition:
    value = ColumnOf(column.name, column.logical_type)
    missing = FunctionCall("is null", (value,))
    if metric == "nullValues":
        return missing
    if metric == "missingValues":
        listed = arguments.require("missingValues").items()
        values = [item for item in listed if item.value not in {None, ""}]
        choices = _literals(values, column)
        return (
            FunctionCall("or", (missing, FunctionCall("in", (value, *choices))))
            if choices
            else missing
        )
    listed_valid, pattern = arguments.get("validValues"), arguments.get("pattern")
    wrong: list[Condition] = []
    if listed_valid is not None:
        # A missing value is neither valid nor invalid, whether the list has null or not.
        listed = [item for item in listed_valid.items() if item.value not in {None, ""}]
        if not listed:
            raise listed_valid.error("has no value besides null and the empty text")
        choices = _literals(listed, column)
        wrong.append(FunctionCall("not", (FunctionCall("in", (value, *choices)),)))
    if pattern is not None:
        if column.logical_type != "string":
            raise pattern.error("a pattern is for text columns")
        try:
            TextPattern(pattern.text())
        except ValueError as error:
            raise pattern.error(str(error)) from error
        wrong.append(
            FunctionCall("not", (FunctionCall("matches", (value, Constant(pattern.text()))),))
        )
    if not wrong:
        raise arguments.error("invalidValues needs validValues or pattern")
    return wrong[0] if len(wrong) == 1 else FunctionCall("or", tuple(wrong))


def _literals(items: Sequence[Node], column: Column) -> list[Condition]:
    read = value_reader(column.logical_type, column.format, column.timezone)
    return [Constant(read(item)) for item in items]


def _sql(node: Node, column: Column | None, place: _RulePlace) -> QualityRule:
    query = node.require("query")
    types = {name: declared.logical_type for name, declared in place.columns.items()}
    try:
        kind, of, condition = read_query(
            query.text(),
            table=place.dataset,
            column=None if column is None else column.name,
            types=types,
        )
    except SqlError as error:
        raise query.error(str(error)) from error
    if kind == "count" and of is not ALWAYS_TRUE:
        present = FunctionCall("not", (FunctionCall("is null", (of,)),))
        condition = (
            present if condition is ALWAYS_TRUE else FunctionCall("and", (condition, present))
        )
    return _build_rule(
        node, "sql", column, kind=kind, condition=condition, of=None if kind == "count" else of
    )


def _build_rule(
    node: Node,
    fallback: str,
    column: Column | None,
    *,
    kind: str,
    condition: Condition,
    of: Condition | None = None,
    key: tuple[str, ...] = (),
) -> QualityRule:
    operator, bound = _bound(node)
    unit = node.get("unit")
    percent = unit is not None and unit.one_of(("rows", "percent")) == "percent"
    if percent and (kind not in {"count", "duplicates"} or fallback == "rowCount"):
        raise node.at("unit").error("only counts of some of the records have a percentage")
    name = node.get("name") or node.get("id")
    return QualityRule(
        name=fallback if fallback != "sql" or name is None else name.text(),
        column=None if column is None else column.name,
        kind=kind,
        condition=condition,
        of=of,
        key=key,
        operator=operator,
        bound=bound,
        percent=percent,
    )


def _bound(node: Node) -> tuple[str, tuple[float, ...]]:
    operators = [operator for operator in OPERATORS if node.get(operator) is not None]
    if len(operators) != 1:
        given = ", ".join(operators) or "none"
        raise node.error(f"needs one of {', '.join(OPERATORS)}; found {given}")
    bound = node.require(operators[0])
    if not operators[0].endswith("Between"):
        return operators[0], (bound.number(),)
    numbers: tuple[Any, ...] = tuple(item.number() for item in bound.items())
    if len(numbers) != 2 or numbers[0] > numbers[1]:  # noqa: PLR2004 - a range
        raise bound.error("needs two numbers, the smaller one first")
    return operators[0], numbers
