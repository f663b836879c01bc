"""Reads the SQL of a quality rule: one aggregate over one table, as in ODCS 3.2.

An example is `SELECT COUNT(*) FROM ${object} WHERE ...`. SQL that is not listed here may differ
between engines, and is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from landfall.contract.conditions import (
    ALWAYS_TRUE,
    ColumnOf,
    Condition,
    Constant,
    FunctionCall,
    columns_of,
)
from landfall.contract.formats import moment_parser
from landfall.contract.names import meant

if TYPE_CHECKING:  # loaded only for contracts with SQL rules
    from sqlglot import exp

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}|\{(\w+)\}")
_NUMERIC = ("integer", "number")
_MAX_FACTORS = 2
_MOMENTS = ("date", "timestamp", "time")


class SqlError(ValueError):
    """The query cannot be parsed, or is not supported."""


def read_query(
    query: str, *, table: str, column: str | None, types: Mapping[str, str]
) -> tuple[str, Condition, Condition]:
    """Return the aggregate (count, sum, min, max, avg), its argument, and the `WHERE` condition.

    `types` gives the logical type of every column; `column` stands for `${property}`.

    Raises:
        SqlError: not SQL, or not supported.
    """
    import sqlglot  # noqa: PLC0415 - loaded only for contracts with SQL rules
    from sqlglot import exp  # noqa: PLC0415 - likewise

    try:
        tree = sqlglot.parse_one(_fill_placeholders(query, table, column))
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise SqlError(f"is no SQL: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, exp.Select):
        raise SqlError("must be a SELECT")
    clauses = {name for name, value in tree.args.items() if value}
    if unsupported := clauses - {"expressions", "from", "from_", "where", "kind"}:
        raise SqlError(f"has {min(unsupported).upper()}, which is not supported in a quality rule")
    source = tree.find(exp.From)
    if source is None or not isinstance(source.this, exp.Table) or source.this.name != table:
        raise SqlError(f"must select from ${{object}}, that is {table}")
    if len(tree.expressions) != 1:
        raise SqlError("must select one value")
    reader = _SqlReader(types)
    where = tree.args.get("where")
    condition = ALWAYS_TRUE if where is None else reader.boolean(where.this)
    kind, of = reader.aggregate(tree.expressions[0].unalias())
    for part in (condition, of):
        if part is not ALWAYS_TRUE and not columns_of(part):
            raise SqlError("has a part that reads no column")
    return kind, of, condition


def _fill_placeholders(query: str, table: str, column: str | None) -> str:
    def fill(match: re.Match[str]) -> str:
        word = match.group(1) or match.group(2)
        if word in {"object", "table", "schema", "model"}:
            return f'"{table}"'
        if word in {"property", "column", "field"} and column is not None:
            return '"' + column.replace('"', '""') + '"'
        raise SqlError(f"the placeholder {match.group()} has no meaning here")

    return _PLACEHOLDER.sub(fill, query)


class _SqlReader:
    """Translates sqlglot's tree into a `Condition`, with the types of the columns."""

    def __init__(self, types: Mapping[str, str]) -> None:
        from sqlglot import exp  # noqa: PLC0415 - loaded by now

        self._types = types
        self._by_case = {name.lower(): name for name in types}
        self._readers: dict[type[exp.Expr], Callable[[Any], Condition]] = {
            exp.Paren: lambda node: self.read(node.this),
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda node: Constant(bool(node.this)),
            exp.Null: lambda _: Constant(None),
            exp.And: lambda node: self._logic("and", node),
            exp.Or: lambda node: self._logic("or", node),
            exp.Not: lambda node: FunctionCall("not", (self.boolean(node.this),)),
            exp.Is: self._is,
            exp.In: self._in,
            exp.Between: self._between,
            exp.Like: self._like,
            exp.Neg: self._negative,
            exp.Abs: lambda node: self._numeric_call("abs", node.this),
            exp.Length: self._length,
            exp.Coalesce: self._coalesce,
            exp.Cast: self._cast,
        }
        for kind, sign in (
            (exp.EQ, "="),
            (exp.NEQ, "<>"),
            (exp.LT, "<"),
            (exp.LTE, "<="),
            (exp.GT, ">"),
            (exp.GTE, ">="),
        ):
            self._readers[kind] = lambda node, sign=sign: self._comparison(  # type: ignore[misc]
                sign, self.read(node.this), self.read(node.expression)
            )
        for numeric, sign in ((exp.Add, "+"), (exp.Sub, "-"), (exp.Mul, "*"), (exp.Div, "/")):
            self._readers[numeric] = lambda node, sign=sign: self._numeric_call(  # type: ignore[misc]
                sign, node.this, node.expression
            )

    def read(self, node: exp.Expr) -> Condition:
        """Translate any expression."""
        reader = self._readers.get(type(node))
        if reader is None:
            raise SqlError(f"{node.sql()!r} is not supported in a quality rule")
        return reader(node)

    def boolean(self, node: exp.Expr) -> Condition:
        """Translate an expression that must be boolean."""
        condition = self.read(node)
        if condition.type not in {"boolean", "null"}:
            raise SqlError(f"{node.sql()!r} is no condition but a {condition.type}")
        return condition

    def aggregate(self, node: exp.Expr) -> tuple[str, Condition]:
        """Translate the selected aggregate."""
        from sqlglot import exp  # noqa: PLC0415 - loaded by now

        if isinstance(node, exp.Count):
            if isinstance(node.this, exp.Distinct):
                raise SqlError("COUNT(DISTINCT ...) is not supported; use duplicateValues")
            return "count", ALWAYS_TRUE if isinstance(node.this, exp.Star) else self.read(node.this)
        for kind, name in ((exp.Sum, "sum"), (exp.Min, "min"), (exp.Max, "max"), (exp.Avg, "avg")):
            if isinstance(node, kind):
                of = self.read(node.this)
                if of.type not in _NUMERIC:
                    raise SqlError(f"{node.sql()!r} needs numbers")
                return name, of
        raise SqlError(
            f"{node.sql()!r} is no aggregate that is supported: COUNT, SUM, MIN, MAX, AVG"
        )

    def _column(self, node: Any) -> Condition:
        name = node.name if node.name in self._types else self._by_case.get(node.name.lower())
        if name is None:
            raise SqlError(f"there is no column {node.name!r}{meant(node.name, self._types)}")
        return ColumnOf(name, self._types[name])

    def _literal(self, node: Any) -> Condition:
        if node.is_string:
            return Constant(str(node.this))
        return Constant(float(node.this) if set(node.this) & set(".eE") else int(node.this))

    def _logic(self, operation: str, node: Any) -> Condition:
        return FunctionCall(operation, (self.boolean(node.this), self.boolean(node.expression)))

    def _is(self, node: Any) -> Condition:
        right = self.read(node.expression)
        if not isinstance(right, Constant) or right.type not in {"null", "boolean"}:
            raise SqlError(f"{node.sql()!r} is not supported; IS takes NULL, TRUE or FALSE")
        left = self.read(node.this)
        if right.value is None:
            return FunctionCall("is null", (left,))
        equal = self._comparison("=", left, right)
        return FunctionCall("coalesce", (equal, Constant(value=False)))

    def _in(self, node: Any) -> Condition:
        if node.args.get("query") is not None or not node.expressions:
            raise SqlError(f"{node.sql()!r} is not supported; IN takes a list of values")
        left = self.read(node.this)
        choices = [self._comparable(left, self.read(choice)) for choice in node.expressions]
        if any(not isinstance(choice, Constant) or choice.value is None for choice in choices):
            raise SqlError(f"{node.sql()!r}: IN takes a list of values other than NULL")
        return FunctionCall("in", (left, *choices))

    def _between(self, node: Any) -> Condition:
        value = self.read(node.this)
        low, high = self.read(node.args["low"]), self.read(node.args["high"])
        return FunctionCall(
            "and", (self._comparison(">=", value, low), self._comparison("<=", value, high))
        )

    def _like(self, node: Any) -> Condition:
        left, pattern = self.read(node.this), self.read(node.expression)
        if left.type != "string" or not isinstance(pattern, Constant) or pattern.type != "string":
            raise SqlError(f"{node.sql()!r}: LIKE takes a text column and a pattern")
        if "\\" in pattern.value:
            raise SqlError(f"{node.sql()!r}: escapes in LIKE are not supported")
        return FunctionCall("like", (left, pattern))

    def _negative(self, node: Any) -> Condition:
        inner = self.read(node.this)
        if isinstance(inner, Constant) and inner.type in _NUMERIC:
            return Constant(-inner.value)
        return self._numeric_call("negative", node.this)

    def _length(self, node: Any) -> Condition:
        inner = self.read(node.this)
        if inner.type != "string":
            raise SqlError(f"{node.sql()!r} needs text")
        return FunctionCall("length", (inner,), "integer")

    def _coalesce(self, node: Any) -> Condition:
        first = self.read(node.this)
        rest = [self._comparable(first, self.read(argument)) for argument in node.expressions]
        return FunctionCall("coalesce", (first, *rest), first.type)

    def _cast(self, node: Any) -> Condition:
        inner, kind = self.read(node.this), node.to.sql().lower()
        if isinstance(inner, Constant) and inner.type == "string" and kind in _MOMENTS:
            return _parse_literal(inner, kind)
        raise SqlError(f"{node.sql()!r}: casts are not supported")

    def _numeric_call(self, operation: str, *nodes: Any) -> Condition:
        operands = tuple(self.read(node) for node in nodes)
        for operand, node in zip(operands, nodes, strict=True):
            if operand.type not in _NUMERIC:
                raise SqlError(f"{node.sql()!r} is no number")
        if operation == "*" and sum(map(_factors, operands)) > _MAX_FACTORS:
            raise SqlError(f"a product of more than {_MAX_FACTORS} values may exceed 128 bits")
        whole = operation != "/" and all(operand.type == "integer" for operand in operands)
        return FunctionCall(operation, operands, "integer" if whole else "number")

    def _comparison(self, sign: str, left: Condition, right: Condition) -> Condition:
        right = self._comparable(left, right)
        left = self._comparable(right, left)
        return FunctionCall(sign, (left, right))

    def _comparable(self, model: Condition, other: Condition) -> Condition:
        """Return `other` as a value that is comparable to `model`."""
        if isinstance(other, Constant) and other.type == "string" and model.type in _MOMENTS:
            return _parse_literal(other, model.type)
        same = model.type == other.type or {model.type, other.type} <= set(_NUMERIC)
        moment = {model.type, other.type} & {"moment"} and {model.type, other.type} & set(_MOMENTS)
        if not same and not moment and "null" not in {model.type, other.type}:
            raise SqlError(f"a {model.type} cannot be compared with a {other.type}")
        return other


def _factors(condition: Condition) -> int:
    """Return how many 64-bit factors a product has."""
    if not isinstance(condition, FunctionCall):
        return 1
    of = [_factors(argument) for argument in condition.arguments]
    return sum(of) if condition.operation == "*" else max(of, default=1)


def _parse_literal(literal: Constant, kind: str) -> Constant:
    value: date | datetime | Any
    try:
        value = moment_parser(kind, None, None)(literal.value)
    except ValueError as error:
        try:
            if kind != "timestamp":
                raise
            value = moment_parser(kind, "yyyy-MM-dd HH:mm", None)(f"{literal.value} 00:00")
        except ValueError:
            raise SqlError(f"{literal.value!r} is no {kind}") from error
    return Constant(value)
