"""The value of an expression, and of a whole piece of a definition with expressions in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from devcloud.datafactory.expressions.arguments import as_boolean, to_text
from devcloud.datafactory.expressions.errors import (
    ExpressionError,
    ExpressionSyntaxError,
    ExpressionValueError,
)
from devcloud.datafactory.expressions.functions import (
    CLOCKED,
    FUNCTIONS,
    LAZY,
    NOT_BUILT,
    ROOTS,
)
from devcloud.datafactory.expressions.parser import parse
from devcloud.datafactory.expressions.syntax import (
    Access,
    Call,
    Concatenation,
    Expression,
    Literal,
    calls,
)
from devcloud.datafactory.expressions.times import Clock, clocked


@dataclass(frozen=True)
class EvaluationContext:
    """What an expression can see.

    Attributes:
        roots: values of the roots without argument ("pipeline", "item", "dataset", ...); a root
            that is absent cannot be used there.
        activities: `activity('x')`; KeyError says that it has not run.
        variables: `variables('x')`.
        clock: answers `utcNow()`.
    """

    roots: Mapping[str, Any] = field(default_factory=dict)
    activities: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = lambda: datetime.now(UTC)


def evaluate(value: Any, context: EvaluationContext) -> Any:
    """The value of a piece of a definition: strings, arrays and objects with expressions in them.

    `{"value": ..., "type": "Expression"}` stands for the value of its text.

    Raises:
        ExpressionError: an expression in it has no value; the message quotes the expression.
    """
    if isinstance(value, str):
        try:
            return _value(parse(value), context)
        except ExpressionSyntaxError:
            raise
        except ExpressionError as error:
            raise ExpressionValueError(f"the expression {value!r} has no value: {error}") from error
    if isinstance(value, list):
        return [evaluate(item, context) for item in value]
    if isinstance(value, dict):
        if is_expression(value):
            return evaluate(value["value"], context)
        return {key: evaluate(item, context) for key, item in value.items()}
    return value


def is_expression(value: Any) -> bool:
    """Whether a value is the object form of an expression."""
    return (
        isinstance(value, dict)
        and value.keys() == {"value", "type"}
        and (value["type"] == "Expression")
    )


def check(value: Any) -> Iterator[Call]:
    """Read every expression in a piece of a definition without evaluating it.

    Yields:
        Every call, for the checks that know more.

    Raises:
        ExpressionSyntaxError: a text that cannot be read, an unknown function, or a wrong number
            of arguments.
    """
    if isinstance(value, str):
        for call in calls(parse(value)):
            _check_call(call, value)
            yield call
    elif isinstance(value, list):
        for item in value:
            yield from check(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from check(item)


def _check_call(call: Call, text: str) -> None:
    known = {**ROOTS, **LAZY, **CLOCKED}
    if call.name in FUNCTIONS:
        least, most = FUNCTIONS[call.name].least, FUNCTIONS[call.name].most
    elif call.name in known:
        least, most = known[call.name]
    elif call.name in NOT_BUILT:
        raise ExpressionSyntaxError(
            f"{call.name!r} in {text!r} is a function that the local data factory does not have"
        )
    else:
        raise ExpressionSyntaxError(f"{call.name!r} in {text!r} is not a known function")
    if not least <= len(call.arguments) <= most:
        raise ExpressionSyntaxError(
            f"{call.name!r} in {text!r} takes {least} to {most} arguments, "
            f"not {len(call.arguments)}"
        )


def _value(expression: Expression, context: EvaluationContext) -> Any:
    match expression:
        case Literal(value):
            return value
        case Concatenation(parts):
            return "".join(to_text(_value(part, context)) for part in parts)
        case Access():
            return _accessed(expression, context)
        case Call(name, arguments):
            return _called(name, arguments, context)


def _called(name: str, arguments: tuple[Expression, ...], context: EvaluationContext) -> Any:
    _check_call(Call(name, arguments), name)
    if name == "if":
        condition = _value(arguments[0], context)
        if not isinstance(condition, bool):
            raise ExpressionValueError(f"'if' expects a boolean, not '{to_text(condition)[:100]}'")
        return _value(arguments[1 if condition else 2], context)
    if name in ("and", "or"):
        return _joined(name, arguments, context)
    values = [_value(argument, context) for argument in arguments]
    if name in CLOCKED:
        return clocked(name, context.clock).apply(*values)
    if name in FUNCTIONS:
        return FUNCTIONS[name].apply(*values)
    return _root(name, values, context)


def _joined(name: str, arguments: tuple[Expression, ...], context: EvaluationContext) -> bool:
    """`and` and `or`: what comes after the argument that decides is not evaluated."""
    deciding = name == "or"
    decided = any(as_boolean(name, _value(argument, context)) == deciding for argument in arguments)
    return decided == deciding


def _root(name: str, values: list[Any], context: EvaluationContext) -> Any:
    if name == "activity":
        return _named("activity", context.activities, values[0])
    if name == "variables":
        return _named("variable", context.variables, values[0])
    if name == "triggerbody" and isinstance(context.roots.get("trigger"), dict):
        return context.roots["trigger"].get("body")
    if name not in context.roots:
        raise ExpressionValueError(f"'{name}()' has no meaning at this place")
    return context.roots[name]


def _named(kind: str, values: Mapping[str, Any], name: Any) -> Any:
    try:
        return values[name]
    except KeyError:
        raise ExpressionValueError(
            f"the {kind} '{name}' does not exist here, or has not run"
        ) from None


def _accessed(access: Access, context: EvaluationContext) -> Any:
    target = _value(access.target, context)
    key = _value(access.key, context)
    if isinstance(target, dict) and isinstance(key, str):
        if key in target:
            return target[key]
        if access.optional:
            return None
        available = ", ".join(map(str, target))
        raise ExpressionValueError(
            f"property '{key}' doesn't exist, available properties are '{available}'"
        )
    if isinstance(target, list) and isinstance(key, int) and not isinstance(key, bool):
        if 0 <= key < len(target):
            return target[key]
        if access.optional:
            return None
        raise ExpressionValueError(f"index {key} is outside an array of {len(target)}")
    if access.optional and target is None:
        return None
    what = "null" if target is None else f"a value of type {type(target).__name__}"
    raise ExpressionValueError(f"property '{key}' cannot be selected from {what}")
