"""Compiles a contract's checks into a JSON document, the plan, for the Spark validation job.

The job does not import the contract package, so the plan is complete: patterns are translated,
bounds are typed, conditions are trees. The plan has a version, and an engine fails on a version
that it does not know. The format is described in docs/reference/plan.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from landfall.contract.cleaning import Cleaning
from landfall.contract.conditions import ALWAYS_TRUE, ColumnOf, Condition, Constant
from landfall.contract.formats import INTEGERS, NUMBERS, ecma_pattern, moment_pattern, text_form
from landfall.contract.model import Column, Contract, QualityRule

VERSION = 1
_DEFAULT_INTEGER, _DEFAULT_NUMBER = "i64", "f64"
_MOMENTS = ("date", "timestamp", "time")


def compile_plan(contract: Contract, layout: dict[str, Any]) -> dict[str, Any]:
    """Return the plan of a contract for one file; `layout` describes how the file is written."""
    words = Cleaning()
    return {
        "plan": VERSION,
        "dataset": contract.dataset,
        "contract_version": contract.version,
        "max_rejected_ratio": contract.max_rejected_ratio,
        "true_values": list(words.true_values),
        "false_values": list(words.false_values),
        "evolve": contract.drift.changed == "evolve",
        "columns": [_column(column) for column in contract.columns],
        "keys": keys_of(contract),
        "rules": [_rule(rule) for rule in contract.rules if rule.kind != "duplicates"],
        "layout": layout,
    }


def keys_of(contract: Contract) -> list[dict[str, Any]]:
    """Return the keys to check for duplicates: keys of the contract, then of quality rules.

    `counts` says whether each duplicate is a fault of its record; else it is only counted.
    """
    keys: list[tuple[str, ...]] = [(c.name,) for c in contract.columns if c.unique]
    if contract.key and contract.key not in keys:
        keys.append(contract.key)
    contract_keys = [{"rule": "unique", "columns": list(key), "counts": True} for key in keys]
    return contract_keys + [
        {"rule": rule.name, "columns": list(rule.key), "counts": rule.per_record}
        for rule in contract.rules
        if rule.kind == "duplicates"
    ]


def _column(column: Column) -> dict[str, Any]:
    kind = column.logical_type
    entry: dict[str, Any] = {
        "name": column.name,
        "type": kind,
        "required": column.required,
        "masked": column.masked,
        "checks": [list(check) for check in _checks(column)],
    }
    if kind == "integer":
        entry["range"] = list(INTEGERS[column.format or _DEFAULT_INTEGER])
    elif kind == "number":
        entry["limit"] = NUMBERS[column.format or _DEFAULT_NUMBER]
    elif kind in _MOMENTS:
        entry["pattern"] = moment_pattern(kind, column.format, column.timezone)
    return entry


def _checks(column: Column) -> Sequence[tuple[str, Any]]:
    """Return the checks of a value besides its type, in the order of faults: rule and argument."""
    checks: list[tuple[str, Any]] = [
        (rule, _value(value))
        for rule, value in (
            ("minimum", column.minimum),
            ("maximum", column.maximum),
            ("exclusiveMinimum", column.exclusive_minimum),
            ("exclusiveMaximum", column.exclusive_maximum),
            ("minLength", column.min_length),
            ("maxLength", column.max_length),
        )
        if value is not None
    ]
    if column.pattern is not None:
        checks.append(("pattern", ecma_pattern(column.pattern).pattern))
    if column.logical_type == "string" and column.format is not None:
        checks.append(("format", text_form(column.format)))
    if column.multiple_of is not None:
        checks.append(("multipleOf", column.multiple_of))
    if column.enum:
        checks.append(("enum", [_value(value) for value in column.enum]))
    return checks


def _rule(rule: QualityRule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "column": rule.column,
        "per_record": rule.per_record,
        "condition": None if rule.condition is ALWAYS_TRUE else _condition(rule.condition),
        "of": None if rule.of is None else _condition(rule.of),
    }


def _condition(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, ColumnOf):
        return {"column": condition.name, "type": condition.type}
    if isinstance(condition, Constant):
        return {"literal": _value(condition.value), "type": condition.type}
    arguments = [_condition(argument) for argument in condition.arguments]
    if condition.operation == "matches":
        pattern = condition.arguments[1]
        if isinstance(pattern, Constant):
            arguments[1]["literal"] = ecma_pattern(pattern.value).pattern
    return {"call": condition.operation, "type": condition.type, "arguments": arguments}


def _value(value: Any) -> Any:
    """Return a value as JSON; a date or time is an object of its kind and its ISO 8601 text."""
    if isinstance(value, datetime):
        return {"timestamp": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, time):
        return {"time": value.isoformat()}
    return value
