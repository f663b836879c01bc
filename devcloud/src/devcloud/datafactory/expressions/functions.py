"""The functions of the language, as a table: name -> how many arguments, and what it does.

What is not in `FUNCTIONS` is refused when a definition is stored. Values are those of JSON.
Source: learn.microsoft.com/azure/data-factory/control-flow-expression-language-functions
"""

from __future__ import annotations

import base64
import binascii
import json
import random
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


def _equals(left: Any, right: Any) -> bool:
    """`equals`, for which true is 1 and false 0."""
    if isinstance(left, bool) != isinstance(right, bool):
        left, right = (int(side) if isinstance(side, bool) else side for side in (left, right))
    return same(left, right)


# Conversion


def _to_int(value: Any) -> int:
    expected = "a text or number that is an integer"
    if isinstance(value, float) and not value.is_integer():
        raise misfit("int", expected, value)
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise misfit("int", expected, value) from error


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


def _bits(text: str) -> str:
    """A text as the documentation shows binary values: the bits of its bytes."""
    return "".join(f"{byte:08b}" for byte in text.encode())


def _data_uri(text: str) -> str:
    return f"data:text/plain;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


def _from_data_uri(text: str) -> str:
    head, comma, content = text.partition(",")
    if not comma or not head.startswith("data:"):
        raise misfit("dataUriToString", "a data URI", text)
    return _from_base64(content) if head.endswith(";base64") else unquote(content)


# Text and collections


def _replace(text: str, old: str, new: str) -> str:
    if not old:
        raise misfit("replace", "a text to be replaced that is not empty", old)
    return text.replace(old, new)


def _guid(form: Any = "D") -> str:
    made = uuid.uuid4()
    forms = {"N": made.hex, "D": str(made), "B": f"{{{made}}}", "P": f"({made})"}
    try:
        return forms[as_string("guid", form).upper()]
    except KeyError:
        raise misfit("guid", f"one of {', '.join(forms)}", form) from None


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


def _rand(least: Any, beyond: Any) -> int:
    low, high = as_integer("rand", least), as_integer("rand", beyond)
    if low >= high:
        raise misfit("rand", f"an end beyond {low}", beyond)
    return random.randrange(low, high)  # noqa: S311 - no secret


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
    # Logic. `if`, `and` and `or` are evaluated lazily, in evaluate.py.
    "equals": ExpressionFunction(2, 2, _equals),
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
    "decodebase64": ExpressionFunction(1, 1, _from_base64),
    "binary": _text_function("binary", _bits, 1),
    "base64tobinary": _text_function("base64ToBinary", _bits, 1),
    "uricomponenttobinary": _text_function("uriComponentToBinary", _bits, 1),
    "datauritobinary": _text_function("dataUriToBinary", _bits, 1),
    "datauri": _text_function("dataUri", _data_uri, 1),
    "datauritostring": _text_function("dataUriToString", _from_data_uri, 1),
    "decodedatauri": _text_function("decodeDataUri", _from_data_uri, 1),
    "uricomponent": _text_function("uriComponent", lambda text: quote(text, safe="-_.!~*'()"), 1),
    "uricomponenttostring": _text_function("uriComponentToString", unquote, 1),
    "decodeuricomponent": _text_function("decodeUriComponent", unquote, 1),
    "encodeuricomponent": _text_function(
        "encodeUriComponent", lambda text: quote(text, safe="-_.!~*'()"), 1
    ),
    # Text
    "concat": ExpressionFunction(
        1, MANY, lambda *values: "".join(to_text(value) for value in values)
    ),
    "replace": _text_function("replace", _replace, 3),
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
    "guid": ExpressionFunction(0, 1, _guid),
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
    "rand": ExpressionFunction(2, 2, _rand),
    # Time. What depends on a clock is in `times.clocked`.
    **times.FUNCTIONS,
}
NOT_BUILT = frozenset(("xml", "xpath"))  # of the reference, and not here
LAZY = {"if": (3, 3), "and": (2, MANY), "or": (2, MANY)}
CLOCKED = times.CLOCKED
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
