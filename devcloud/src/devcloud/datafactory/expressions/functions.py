"""The functions of the language, as a table: name -> how many arguments, and what it does.

What is not in `FUNCTIONS` is refused when a definition is stored. Values are those of JSON.
Source: learn.microsoft.com/azure/data-factory/control-flow-expression-language-functions
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from devcloud.datafactory.expressions import times
from devcloud.datafactory.expressions.arguments import (
    MANY,
    ExpressionFunction,
    as_array,
    as_boolean,
    as_integer,
    as_number,
    as_string,
    misfit,
    to_text,
)
from devcloud.datafactory.expressions.errors import ExpressionValueError

# Logic


def same(left: Any, right: Any) -> bool:
    """Equality without Python's `1 == True`; numbers compare by value."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    return type(left) is type(right) and left == right


def _comparison(name: str, decide: Callable[[Any, Any], bool]) -> ExpressionFunction:
    def compare(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return decide(left, right)
        return decide(as_number(name, left), as_number(name, right))

    return ExpressionFunction(2, 2, compare)


def _every(*values: Any) -> bool:
    return all(as_boolean("and", value) for value in values)


def _some(*values: Any) -> bool:
    return any(as_boolean("or", value) for value in values)


# Conversion


def _to_int(value: Any) -> int:
    wanted = "a text or number that is an integer"
    if isinstance(value, float) and not value.is_integer():
        raise misfit("int", wanted, value)
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise misfit("int", wanted, value) from error


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise misfit("float", "a text that is a number", value) from error


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise misfit("bool", "'true', 'false' or a number", value)


def _from_json(value: Any) -> Any:
    try:
        return json.loads(as_string("json", value))
    except ValueError as error:
        raise misfit("json", f"JSON ({error})", value) from error


def _from_base64(value: Any) -> str:
    try:
        return base64.b64decode(as_string("base64ToString", value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise misfit("base64ToString", "base64 of UTF-8 text", value) from error


# Text and collections


def _substring(text: Any, start: Any, length: Any = None) -> str:
    whole = as_string("substring", text)
    first = as_integer("substring", start)
    count = len(whole) - first if length is None else as_integer("substring", length)
    if first < 0 or count < 0 or first + count > len(whole):
        raise ExpressionValueError(
            f"the function 'substring' asks for {count} characters from {first} of a string of "
            f"{len(whole)}"
        )
    return whole[first : first + count]


def _length(value: Any) -> int:
    if not isinstance(value, str | list):
        raise misfit("length", "a string or an array", value)
    return len(value)


def _empty(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, str | list | dict):
        raise misfit("empty", "a string, an array or an object", value)
    return not value


def _contains(collection: Any, value: Any) -> bool:
    if isinstance(collection, str):
        return as_string("contains", value) in collection
    if isinstance(collection, list):
        return any(same(item, value) for item in collection)
    if isinstance(collection, dict):
        return value in collection
    raise misfit("contains", "a string, an array or an object", collection)


def _end(name: str, index: int) -> ExpressionFunction:
    def pick(value: Any) -> Any:
        if not isinstance(value, str | list):
            raise misfit(name, "a string or an array", value)
        if not value:
            return "" if isinstance(value, str) else None
        return value[index]

    return ExpressionFunction(1, 1, pick)


def _take(value: Any, count: Any) -> Any:
    if not isinstance(value, str | list):
        raise misfit("take", "a string or an array", value)
    return value[: max(as_integer("take", count), 0)]


def _skip(value: Any, count: Any) -> Any:
    return as_array("skip", value)[max(as_integer("skip", count), 0) :]


def _union(*collections: Any) -> Any:
    if all(isinstance(each, dict) for each in collections):
        return {key: value for each in collections for key, value in each.items()}
    merged: list[Any] = []
    for each in collections:
        for item in as_array("union", each):
            if not any(same(item, known) for known in merged):
                merged.append(item)
    return merged


def _intersection(*collections: Any) -> Any:
    head, *others = collections
    if isinstance(head, dict):
        return {k: v for k, v in head.items() if all(same(o.get(k), v) for o in others)}
    return [
        item for item in as_array("intersection", head) if all(_contains(o, item) for o in others)
    ]


def _range(start: Any, count: Any) -> list[int]:
    first, many = as_integer("range", start), as_integer("range", count)
    if many < 1:
        raise misfit("range", "a count of at least 1", count)
    return list(range(first, first + many))


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


# Arithmetic


def _arithmetic(name: str, apply: Callable[[Any, Any], Any]) -> ExpressionFunction:
    def calculate(left: Any, right: Any) -> int | float:
        result: int | float = apply(as_number(name, left), as_number(name, right))
        return result

    return ExpressionFunction(2, 2, calculate)


def _divide(left: Any, right: Any) -> Any:
    if right == 0:
        raise ExpressionValueError("attempt to divide by zero in the function 'div'")
    if isinstance(left, int) and isinstance(right, int):  # .NET's division cuts towards zero
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def _modulo(left: Any, right: Any) -> Any:
    if right == 0:
        raise ExpressionValueError("attempt to divide by zero in the function 'mod'")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _extreme(name: str, choose: Callable[[list[Any]], Any]) -> ExpressionFunction:
    def pick(*values: Any) -> Any:
        several = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
        if not several:
            raise misfit(name, "at least one number", [])
        return choose([as_number(name, value) for value in several])

    return ExpressionFunction(1, MANY, pick)


def _text_function(name: str, apply: Callable[..., Any], arguments: int) -> ExpressionFunction:
    def call(*values: Any) -> Any:
        return apply(*(as_string(name, value) for value in values))

    return ExpressionFunction(arguments, arguments, call)


FUNCTIONS: dict[str, ExpressionFunction] = {
    # Logic. `if` is evaluated lazily, in evaluate.py.
    "equals": ExpressionFunction(2, 2, same),
    "and": ExpressionFunction(2, MANY, _every),
    "or": ExpressionFunction(2, MANY, _some),
    "not": ExpressionFunction(1, 1, lambda value: not as_boolean("not", value)),
    "greater": _comparison("greater", lambda a, b: a > b),
    "greaterorequals": _comparison("greaterOrEquals", lambda a, b: a >= b),
    "less": _comparison("less", lambda a, b: a < b),
    "lessorequals": _comparison("lessOrEquals", lambda a, b: a <= b),
    # Conversion
    "string": ExpressionFunction(1, 1, to_text),
    "int": ExpressionFunction(1, 1, _to_int),
    "float": ExpressionFunction(1, 1, _to_float),
    "bool": ExpressionFunction(1, 1, _to_bool),
    "json": ExpressionFunction(1, 1, _from_json),
    "array": ExpressionFunction(1, 1, lambda value: [value]),
    "createarray": ExpressionFunction(0, MANY, lambda *values: list(values)),
    "base64": _text_function("base64", lambda t: base64.b64encode(t.encode()).decode(), 1),
    "base64tostring": ExpressionFunction(1, 1, _from_base64),
    "uricomponent": _text_function("uriComponent", lambda text: quote(text, safe="-_.!~*'()"), 1),
    "uricomponenttostring": _text_function("uriComponentToString", unquote, 1),
    "encodeuricomponent": _text_function(
        "encodeUriComponent", lambda text: quote(text, safe="-_.!~*'()"), 1
    ),
    # Text
    "concat": ExpressionFunction(
        1, MANY, lambda *values: "".join(to_text(value) for value in values)
    ),
    "replace": _text_function("replace", lambda text, old, new: text.replace(old, new), 3),
    "split": _text_function("split", lambda text, at: text.split(at) if at else [text], 2),
    "join": ExpressionFunction(
        2, 2, lambda items, at: as_string("join", at).join(map(to_text, as_array("join", items)))
    ),
    "substring": ExpressionFunction(2, 3, _substring),
    "tolower": _text_function("toLower", str.lower, 1),
    "toupper": _text_function("toUpper", str.upper, 1),
    "trim": _text_function("trim", str.strip, 1),
    "startswith": _text_function(
        "startsWith", lambda text, start: text.lower().startswith(start.lower()), 2
    ),
    "endswith": _text_function("endsWith", lambda text, end: text.lower().endswith(end.lower()), 2),
    "indexof": _text_function("indexOf", lambda text, part: text.lower().find(part.lower()), 2),
    "lastindexof": _text_function(
        "lastIndexOf", lambda text, part: text.lower().rfind(part.lower()), 2
    ),
    "guid": ExpressionFunction(0, 0, lambda: str(uuid.uuid4())),
    # Collections
    "length": ExpressionFunction(1, 1, _length),
    "empty": ExpressionFunction(1, 1, _empty),
    "contains": ExpressionFunction(2, 2, _contains),
    "first": _end("first", 0),
    "last": _end("last", -1),
    "take": ExpressionFunction(2, 2, _take),
    "skip": ExpressionFunction(2, 2, _skip),
    "union": ExpressionFunction(2, MANY, _union),
    "intersection": ExpressionFunction(2, MANY, _intersection),
    "range": ExpressionFunction(2, 2, _range),
    "coalesce": ExpressionFunction(1, MANY, _coalesce),
    # Arithmetic
    "add": _arithmetic("add", lambda a, b: a + b),
    "sub": _arithmetic("sub", lambda a, b: a - b),
    "mul": _arithmetic("mul", lambda a, b: a * b),
    "div": _arithmetic("div", _divide),
    "mod": _arithmetic("mod", _modulo),
    "min": _extreme("min", min),
    "max": _extreme("max", max),
    # Time. `utcNow` depends on a clock: see times.utc_now.
    "formatdatetime": ExpressionFunction(
        1,
        2,
        lambda moment, pattern="o": times.formatted(
            "formatDateTime", times.moment_of("formatDateTime", moment), pattern
        ),
    ),
    "adddays": times.adder("addDays", "days"),
    "addhours": times.adder("addHours", "hours"),
    "addminutes": times.adder("addMinutes", "minutes"),
    "addseconds": times.adder("addSeconds", "seconds"),
    "ticks": ExpressionFunction(1, 1, times.ticks),
    "startofday": ExpressionFunction(1, 2, times.start_of_day),
}
LAZY = {"if": (3, 3)}
CLOCKED = {"utcnow": (0, 1)}
ROOTS: dict[str, tuple[int, int]] = {
    "pipeline": (0, 0),
    "activity": (1, 1),
    "variables": (1, 1),
    "item": (0, 0),
    "dataset": (0, 0),
    "linkedservice": (0, 0),
    "trigger": (0, 0),
    "triggerbody": (0, 0),
}
