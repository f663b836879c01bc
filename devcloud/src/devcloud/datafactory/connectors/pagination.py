"""Pagination rules of a REST source: which request follows on a reply.

A pure function of the rules, the request before and its reply; nothing here sends anything.
Source: learn.microsoft.com/azure/data-factory/connector-rest#pagination-support
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from devcloud.datafactory.copy.failure import CopyError

NO_CONTENT = 204
_KEY = re.compile(
    r"(?P<where>AbsoluteUrl|QueryParameters|Headers)"
    r"(?:\.\{(?P<variable>[^{}]+)\}|\.(?P<name>[^{}\[\]]+)|\['(?P<quoted>[^']+)'\])?",
    re.IGNORECASE,
)
_HEADER = re.compile(r"Headers(?:\.(?P<name>[^\[\]]+)|\['(?P<quoted>[^']+)'\])", re.IGNORECASE)
_RANGE = re.compile(r"RANGE:(-?\d+):(-?\d*):(-?\d+)", re.IGNORECASE)
_STEP = re.compile(r"\.([^.\[\]]+)|\.?\['([^']*)'\]|\[(-?\d+)\]")
_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[^,;=]+=(?:"[^"]*"|[^,;]*))*)')
_CONDITIONS = ("empty", "nonempty", "exist", "nonexist")
_MISSING = object()


@dataclass(frozen=True)
class PageRequest:
    """A request for a page.

    Attributes:
        headers: those that the rules may change, by name.
        number: of the request, from 1.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    number: int = 1


@dataclass(frozen=True)
class PageReply:
    """What came back.

    Attributes:
        headers: by lower-case name.
        body: as read from JSON; None where there was none.
    """

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class RangeValue:
    """`RANGE:start:end:step`; end is included, None is without end."""

    start: int
    end: int | None
    step: int

    def at(self, number: int) -> int | None:
        """The value for a request, from 1; None beyond the end."""
        value = self.start + (number - 1) * self.step
        if self.end is not None and (value > self.end if self.step > 0 else value < self.end):
            return None
        return value


@dataclass(frozen=True)
class ReplyHeader:
    """The value of a header of the reply."""

    name: str


@dataclass(frozen=True)
class ReplyPath:
    """A value of the reply's body."""

    steps: tuple[str | int, ...]


RuleValue = RangeValue | ReplyHeader | ReplyPath


@dataclass(frozen=True)
class PageRule:
    """One rule.

    Attributes:
        where: "absoluteurl", "queryparameters" or "headers".
        name: of the query parameter or header; empty for the URL itself.
        variable: of the `{variable}` to put the value in place of; empty if there is none.
    """

    where: str
    name: str
    variable: str
    value: RuleValue


@dataclass(frozen=True)
class EndCondition:
    """When no further page is asked for.

    Attributes:
        kind: "empty", "nonempty", "exist", "nonexist" or "const".
    """

    where: ReplyHeader | ReplyPath
    kind: str
    text: str = ""

    def holds(self, reply: PageReply) -> bool:
        """Whether it is true of a reply."""
        value = _read(self.where, reply)
        match self.kind:
            case "exist":
                return value is not _MISSING
            case "nonexist":
                return value is _MISSING
            case "empty":
                return value is _MISSING or value is None or value in ("", [], {})
            case "nonempty":
                return value is not _MISSING and value is not None and value not in ("", [], {})
        return value is not _MISSING and as_text(value).lower() == self.text.lower()


@dataclass(frozen=True)
class Pagination:
    """All rules of a source.

    Attributes:
        most: `MaxRequestNumber`; None is without limit.
        links: whether `Link` headers (RFC 5988) are followed.
    """

    rules: tuple[PageRule, ...] = ()
    ends: tuple[EndCondition, ...] = ()
    most: int | None = None
    links: bool = True

    @staticmethod
    def read(document: Any) -> Pagination:
        """Read `paginationRules`.

        Raises:
            ValueError: a rule that is not documented.
        """
        if document in (None, ""):
            return Pagination()
        if not isinstance(document, dict):
            raise ValueError(  # noqa: TRY004  (of a definition, not of our code)
                f"paginationRules must be an object, not {document!r}"
            )
        rules, ends = [], []
        most: int | None = None
        links = not document
        for key, value in document.items():
            text = as_text(value)
            lower = key.lower()
            if lower == "maxrequestnumber":
                most = _positive(text)
            elif lower == "supportrfc5988":
                links = _boolean(text)
            elif lower.startswith("endcondition:"):
                ends.append(_end(key.partition(":")[2], text))
            else:
                rules.append(_rule(key, text))
        if sum(isinstance(rule.value, RangeValue) for rule in rules) > 1:
            raise ValueError("of several RANGE rules it is not documented how they go together")
        return Pagination(tuple(rules), tuple(ends), most, links and not rules)

    def first(self, url: str, headers: Mapping[str, str]) -> PageRequest | None:
        """The first request; ranges begin with their start, other variables are empty."""
        request = PageRequest(url, headers)
        for rule in self.rules:
            value: int | str | None = ""
            if isinstance(rule.value, RangeValue):
                value = rule.value.at(1)
            elif not rule.variable:
                continue
            if value is None:
                return None
            request = _with(request, rule, str(value), _target(url, ""))
        return request

    def next(
        self, base: PageRequest, request: PageRequest, reply: PageReply, root: str = ""
    ) -> PageRequest | None:
        """The request after a reply; None where the pages end.

        Args:
            base: the URL and headers that the definition gives, with their variables.
            root: the linked service's URL, which relative URLs of replies are added to.
            request: the one that was answered.
            reply: to it.

        Raises:
            CopyError: a rule's value is an object or array.
        """
        number = request.number + 1
        if reply.status == NO_CONTENT or (self.most is not None and number > self.most):
            return None
        if any(end.holds(reply) for end in self.ends):
            return None
        if self.links:
            target = _next_link(reply.headers.get("link", ""))
            return None if target is None else PageRequest(
                urljoin(request.url, target), request.headers, number
            )  # fmt: skip
        if not self.rules:
            return None
        # Variables are filled in anew; what other rules have changed stays changed.
        variables = any(rule.variable for rule in self.rules)
        following = replace(base if variables else request, number=number)
        for rule in self.rules:
            value = _value(rule.value, number, reply)
            if value is None:
                return None
            following = _with(following, rule, value, _target(base.url, root))
        return following


def as_text(value: Any) -> str:
    """A JSON value as it goes into a URL or header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return "" if value is None else str(value)


def _rule(key: str, text: str) -> PageRule:
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"the pagination rule {key!r} is not known")
    where = match["where"].lower()
    name = match["name"] or match["quoted"] or ""
    if where == "absoluteurl" and name:
        raise ValueError(f"the pagination rule {key!r} is not known: write AbsoluteUrl.{{{name}}}")
    if where != "absoluteurl" and not (name or match["variable"]):
        raise ValueError(f"the pagination rule {key!r} names no parameter or header")
    return PageRule(where, name, match["variable"] or "", _rule_value(key, text))


def _rule_value(key: str, text: str) -> RuleValue:
    if match := _RANGE.fullmatch(text.strip()):
        step = int(match[3])
        if step == 0:
            raise ValueError(f"{key}: the step of a RANGE cannot be 0")
        return RangeValue(int(match[1]), int(match[2]) if match[2] else None, step)
    return _place(key, text.strip())


def _place(key: str, text: str) -> ReplyHeader | ReplyPath:
    if match := _HEADER.fullmatch(text):
        return ReplyHeader((match["name"] or match["quoted"]).lower())
    if not text.startswith("$"):
        raise ValueError(
            f"{key}: the value is RANGE:start:end:step, Headers.name or a JSONPath from $, "
            f"not {text!r}"
        )
    steps: list[str | int] = []
    rest = text[1:]
    while rest:
        step = _STEP.match(rest)
        if step is None:
            raise ValueError(f"{key}: the JSONPath {text!r} is not one of $.a, $['a'] and $.a[0]")
        name = step[1] if step[1] is not None else step[2]
        steps.append(int(step[3]) if name is None else name)
        rest = rest[step.end() :]
    return ReplyPath(tuple(steps))


def _end(where: str, text: str) -> EndCondition:
    place = _place(f"EndCondition:{where}", where.strip())
    kind, colon, constant = text.partition(":")
    if kind.strip().lower() == "const" and colon:
        return EndCondition(place, "const", constant)
    if text.strip().lower() not in _CONDITIONS:
        raise ValueError(
            f"EndCondition:{where} is Empty, NonEmpty, Exist, NonExist or Const:value, not {text!r}"
        )
    return EndCondition(place, text.strip().lower())


def _positive(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"MaxRequestNumber must be an integer of at least 1, not {text!r}")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"supportRFC5988 must be true or false, not {text!r}")
    return text.lower() == "true"


def _read(place: ReplyHeader | ReplyPath, reply: PageReply) -> Any:
    if isinstance(place, ReplyHeader):
        return reply.headers.get(place.name, _MISSING)
    value = reply.body
    for step in place.steps:
        value = _inside(value, step)
    return value


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step, _MISSING)
    if isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
        return value[step]
    return _MISSING


def _value(rule: RuleValue, number: int, reply: PageReply) -> str | None:
    if isinstance(rule, RangeValue):
        position = rule.at(number)
        return None if position is None else str(position)
    value = _read(rule, reply)
    if value is _MISSING or value is None or value == "":
        return None
    if isinstance(value, dict | list):
        raise CopyError(
            "UserErrorRestPaginationRule",
            f"a pagination rule must give one plain value, not {str(value)[:100]!r}",
        )
    return as_text(value)


def _target(first: str, root: str) -> Callable[[str], str]:
    """What an absolute or relative URL of a reply stands for."""

    def join(value: str) -> str:
        relative = not urlsplit(value).scheme and not value.startswith(("/", "?"))
        return urljoin(f"{root.rstrip('/')}/" if root and relative else first, value)

    return join


def _with(
    request: PageRequest, rule: PageRule, value: str, target: Callable[[str], str]
) -> PageRequest:
    """A request with the value of a rule in it."""
    if rule.variable:
        place = f"{{{rule.variable}}}"
        if rule.where == "headers":
            headers = {name: text.replace(place, value) for name, text in request.headers.items()}
            return replace(request, headers=headers)
        filled = quote(value, safe="") if rule.where == "queryparameters" else value
        return replace(request, url=request.url.replace(place, filled))
    if rule.where == "absoluteurl":
        return replace(request, url=target(value))
    if rule.where == "headers":
        kept = {k: v for k, v in request.headers.items() if k.lower() != rule.name.lower()}
        return replace(request, headers={**kept, rule.name: value})
    return replace(request, url=_with_parameter(request.url, rule.name, value))


def _with_parameter(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if name in (key for key, _ in pairs):
        pairs = [(key, value if key == name else old) for key, old in pairs]
    else:
        pairs.append((name, value))
    return urlunsplit(parts._replace(query=urlencode(pairs)))


def _next_link(header: str) -> str | None:
    """The target of the link whose relation is "next"."""
    for target, parameters in _LINK.findall(header):
        for parameter in parameters.split(";"):
            name, _, value = parameter.strip().partition("=")
            relations = value.strip().strip('"').lower().split()
            if name.strip().lower() == "rel" and "next" in relations:
                return str(target)
    return None
