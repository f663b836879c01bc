"""HTTP routes of functions: ASP.NET route templates, matched as the real host does. Pure.

Spec: https://learn.microsoft.com/aspnet/core/fundamentals/routing
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

Constraint = Callable[[str], bool]
_PARAMETER = re.compile(
    r"\{(?P<star>\*{0,2})(?P<name>\w+)(?P<constraints>(?::[^{}]+?)*)(?P<optional>\??)\}"
)
_GUID = r"\{?[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\}?"
_SIMPLE = {
    "int": r"[+-]?\d{1,10}",
    "long": r"[+-]?\d{1,19}",
    "decimal": r"[+-]?\d+(\.\d+)?",
    "double": r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?",
    "float": r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?",
    "bool": r"(?i:true|false)",
    "guid": _GUID,
    "alpha": r"[a-zA-Z]+",
    "required": r"(?s:.+)",
}


@dataclass(frozen=True)
class Segment:
    """One part of a template between slashes.

    Attributes:
        literal: text to be matched without regard to case; None for a parameter.
        name: of the parameter.
        rest: it takes all remaining segments.
    """

    literal: str | None = None
    name: str = ""
    optional: bool = False
    rest: bool = False
    constraints: tuple[Constraint, ...] = ()

    @property
    def rank(self) -> int:
        """Order of precedence: literal, constrained, plain, catch-all."""
        if self.literal is not None:
            return 0
        if self.rest:
            return 3
        return 1 if self.constraints else 2


class RouteError(ValueError):
    """A template that this host cannot serve."""


class RouteTemplate:
    """One template, such as `runs/{id}/report` or `files/{*path}`.

    Raises:
        RouteError: a template or constraint that is not understood.
    """

    def __init__(self, template: str) -> None:
        self.template = template.strip("/")
        parts = self.template.split("/") if self.template else []
        self._segments = tuple(_segment(part, template) for part in parts)
        self.precedence = tuple(segment.rank for segment in self._segments)

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The route parameters, decoded, of a path split at slashes; None if it does not match.

        A percent-encoded slash stays encoded, as in the real host.
        """
        values: dict[str, str] = {}
        for index, segment in enumerate(self._segments):
            if segment.rest:
                if rest := "/".join(map(_decode, parts[index:])):
                    values[segment.name] = rest
                return values
            if index >= len(parts):
                if segment.optional:
                    return values
                return None
            value = _decode(parts[index])
            if segment.literal is not None:
                if segment.literal.lower() != value.lower():
                    return None
            elif not value or not all(fits(value) for fits in segment.constraints):
                return None
            else:
                values[segment.name] = value
        return values if len(parts) <= len(self._segments) else None


@dataclass(frozen=True)
class Endpoint:
    """A route, the methods it answers (None: all) and the name of its function."""

    function: str
    route: RouteTemplate
    methods: frozenset[str] | None


class Router:
    """All endpoints of an app, the more specific first."""

    def __init__(self, endpoints: Iterable[Endpoint], prefix: str) -> None:
        self._endpoints = sorted(endpoints, key=lambda each: each.route.precedence)
        self._prefix = [part for part in prefix.split("/") if part]

    def find(self, method: str, raw_path: str) -> tuple[str, dict[str, str]] | None:
        """Function and route parameters for a request.

        A known path with a method that no function there declares is not found either: the real
        host answers 404, HEAD and OPTIONS included.

        Args:
            method: upper case.
            raw_path: still percent-encoded.
        """
        parts = raw_path.strip("/").split("/") if raw_path.strip("/") else []
        head = [part.lower() for part in parts[: len(self._prefix)]]
        if head != [part.lower() for part in self._prefix]:
            return None
        for endpoint in self._endpoints:
            if endpoint.methods is not None and method not in endpoint.methods:
                continue
            values = endpoint.route.match(parts[len(self._prefix) :])
            if values is not None:
                return endpoint.function, values
        return None


def _segment(part: str, template: str) -> Segment:
    if "{" not in part and "}" not in part:
        return Segment(literal=part)
    match = _PARAMETER.fullmatch(part)
    if match is None:
        raise RouteError(f"route {template!r}: segment {part!r} is not served here")
    constraints = [each for each in match["constraints"].split(":") if each]
    return Segment(
        name=match["name"],
        optional=bool(match["optional"]),
        rest=bool(match["star"]),
        constraints=tuple(_constraint(each, template) for each in constraints),
    )


def _constraint(text: str, template: str) -> Constraint:
    if text in _SIMPLE:
        pattern = re.compile(_SIMPLE[text])
        return lambda value: pattern.fullmatch(value) is not None
    name, _, rest = text.partition("(")
    arguments = rest.removesuffix(")")
    if name == "regex":
        expression = re.compile(arguments)
        return lambda value: expression.search(value) is not None
    try:
        numbers = [int(each) for each in arguments.split(",")]
        return _NUMERIC[name](*numbers)
    except (KeyError, ValueError, TypeError) as error:
        raise RouteError(f"route {template!r}: constraint {text!r} is not served here") from error


def _length(low: int, high: int | None = None) -> Constraint:
    return lambda value: low <= len(value) <= (low if high is None else high)


def _range(low: int, high: int) -> Constraint:
    return lambda value: value.lstrip("+-").isdigit() and low <= int(value) <= high


_NUMERIC: dict[str, Callable[..., Constraint]] = {
    "length": _length,
    "minlength": lambda low: lambda value: len(value) >= low,
    "maxlength": lambda high: lambda value: len(value) <= high,
    "min": lambda low: lambda value: value.lstrip("+-").isdigit() and int(value) >= low,
    "max": lambda high: lambda value: value.lstrip("+-").isdigit() and int(value) <= high,
    "range": _range,
}


def _decode(part: str) -> str:
    return unquote(re.sub("%2f", "%252F", part, flags=re.IGNORECASE))
