"""Formats of the standard's logical types: integer widths, date patterns, text formats."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone

from landfall.contract.domains import instant

INTEGERS = {
    "i8": (-(2**7), 2**7 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "u8": (0, 2**8 - 1),
    "u16": (0, 2**16 - 1),
    "u32": (0, 2**32 - 1),
}
"""Bounds by format. Wider integers do not fit the 64-bit type of Parquet and Delta."""

NUMBERS = {"f32": 3.4028234663852886e38, "f64": 1.7976931348623157e308}
"""Largest finite value by format."""

DEFAULT_PATTERNS = {
    "date": "yyyy-MM-dd",
    "timestamp": "yyyy-MM-dd'T'HH:mm:ss",
    "time": "HH:mm:ss",
}

Moment = date | datetime | time
MomentParser = Callable[[str], Moment]

_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']")
_OFFSET = r"[+-]\d{2}(?::?\d{2})?"
_FIELDS = {
    "yyyy": r"(?P<year>\d{4})",
    "uuuu": r"(?P<year>\d{4})",
    "yy": r"(?P<year>\d{2})",
    "uu": r"(?P<year>\d{2})",
    "MM": r"(?P<month>\d{2})",
    "dd": r"(?P<day>\d{2})",
    "HH": r"(?P<hour>\d{2})",
    "mm": r"(?P<minute>\d{2})",
    "ss": r"(?P<second>\d{2})",
    "XXX": r"(?P<zone>Z|[+-]\d{2}:\d{2})",
    "XX": r"(?P<zone>Z|[+-]\d{4})",
    "X": r"(?P<zone>Z|[+-]\d{2}(?:\d{2})?)",
    "xxx": r"(?P<zone>[+-]\d{2}:\d{2})",
    "xx": r"(?P<zone>[+-]\d{4})",
    "x": r"(?P<zone>[+-]\d{2}(?:\d{2})?)",
    # The standard's examples write this letter for the Z and for +10:00, the JDK for +1000.
    "Z": r"(?P<zone>Z|[+-]\d{2}:?\d{2})",
    "M": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})",
    "H": r"(?P<hour>\d{1,2})",
    # Not a pattern letter of the JDK; the standard's examples write it without quotes.
    "T": "T",
}
_NEEDS = {
    "date": {"year", "month", "day"},
    "timestamp": {"year", "month", "day", "hour", "minute"},
    "time": {"hour", "minute"},
}
_MAX_FRACTION = 9
"""Most digits of a second's fraction in a pattern; those behind the sixth must be zeros."""
_MICROS = 6
_RESERVED = frozenset("{}#")
_SECTIONS = {"[": "(?:", "]": ")?"}


def moment_parser(
    logical_type: str, pattern: str | None, timezone_: bool | None, years_from: int | None = None
) -> MomentParser:
    """Return a strict parser of dates, timestamps or times by a JDK `pattern`.

    Without a pattern the parser reads ISO 8601: a fraction of a second may follow, a blank may
    replace the `T`, and an offset is required, forbidden or optional if `timezone_` is True, False
    or None. A timestamp is returned as an instant in UTC; without an offset it is in UTC. A date
    with an offset is the day that is written. Two digits of a year stand for a year of the hundred
    from `years_from` on. The parser raises ValueError.

    Raises:
        ValueError: the pattern has a letter that is not supported, or lacks a needed part; or it
            has two digits of a year without `years_from`.
    """
    regex = _moment_regex(logical_type, pattern, timezone_)
    short = pattern is not None and _has_short_year(pattern)
    if short and years_from is None:
        raise ValueError(
            f"pattern {pattern!r} has two digits of a year: twoDigitYearStart says which hundred "
            "years they are of, such as 1950 for 1950 to 2049"
        )

    def year_of(digits: str) -> int:
        year = int(digits)
        return year if not short or years_from is None else years_from + (year - years_from) % 100

    def parse(text: str) -> Moment:
        match = regex.fullmatch(text)
        if match is None:
            raise ValueError(text)
        part = match.groupdict()
        zone = _zone(part.get("zone"))
        if logical_type == "date":
            return date(year_of(part["year"]), int(part["month"]), int(part["day"]))
        fraction = part.get("fraction") or ""
        if fraction[_MICROS:].strip("0"):  # finer than a microsecond
            raise ValueError(text)
        micros = int(fraction[:_MICROS].ljust(_MICROS, "0"))
        clock = (int(part["hour"]), int(part["minute"]), int(part.get("second") or 0), micros)
        if logical_type == "time":
            return time(*clock)
        day = (year_of(part["year"]), int(part["month"]), int(part["day"]))
        return instant(datetime(*day, *clock, tzinfo=zone))

    return parse


def _has_short_year(pattern: str) -> bool:
    return any(kind == "field" and text in {"yy", "uu"} for text, kind in moment_tokens(pattern))


def moment_pattern(logical_type: str, pattern: str | None, timezone_: bool | None) -> str:
    """Return the regular expression of `moment_parser`, with a named group for each part."""
    return _moment_regex(logical_type, pattern, timezone_).pattern


def _moment_regex(
    logical_type: str, pattern: str | None, timezone_: bool | None
) -> re.Pattern[str]:
    if pattern is None:
        return _iso(logical_type, timezone_)
    regex = _from_pattern(pattern)
    always, sometimes = _parts(pattern)
    if timezone_ is not None and logical_type == "timestamp":
        has_zone = "zone" in (always if timezone_ else always | sometimes)
        if has_zone != timezone_:
            raise ValueError(f"pattern {pattern!r} contradicts timezone: {str(timezone_).lower()}")
    if missing := _NEEDS[logical_type] - always:
        listed = ", ".join(sorted(missing))
        raise ValueError(
            f"in pattern {pattern!r} {listed} is optional"
            if missing <= sometimes
            else f"pattern {pattern!r} lacks {listed}"
        )
    return regex


def _iso(logical_type: str, timezone_: bool | None) -> re.Pattern[str]:
    day = _FIELDS["yyyy"] + "-" + _FIELDS["MM"] + "-" + _FIELDS["dd"]
    clock = f"{_FIELDS['HH']}:{_FIELDS['mm']}:{_FIELDS['ss']}" + r"(?:\.(?P<fraction>\d{1,9}))?"
    if logical_type == "date":
        return re.compile(day, re.ASCII)
    if logical_type == "time":
        return re.compile(clock, re.ASCII)
    offset = f"(?P<zone>Z|{_OFFSET})"
    zone = {True: offset, False: "", None: f"{offset}?"}[timezone_]
    return re.compile(f"{day}[T ]{clock}{zone}", re.ASCII)


def _parts(pattern: str) -> tuple[set[str], set[str]]:
    """Return the named parts of a valid pattern that are always there, and those in sections."""
    parts: tuple[set[str], set[str]] = (set(), set())
    depth = 0
    for text, kind in moment_tokens(pattern):
        if kind == "section":
            depth += 1 if text == "[" else -1
        if kind == "field":
            field = _FIELDS.get(text, "(?P<fraction>")
            parts[depth > 0].update(re.findall(r"\(\?P<(\w+)>", field))
    return parts


def _check_sections(pattern: str) -> None:
    """Raise ValueError if optional sections are not closed, or a reserved character is used."""
    depth = 0
    for text, kind in moment_tokens(pattern):
        if kind == "literal" and text in _RESERVED and f"'{text}'" not in pattern:
            raise ValueError(f"{text!r} in pattern {pattern!r} is reserved; put it in quotes")
        if kind == "section":
            depth += 1 if text == "[" else -1
            if depth < 0:
                raise ValueError(f"pattern {pattern!r} closes a section that is not open")
    if depth:
        raise ValueError(f"pattern {pattern!r} has a section that is not closed")


def _from_pattern(pattern: str) -> re.Pattern[str]:
    _check_sections(pattern)
    parts: list[str] = []
    position = 0
    for token in _TOKEN.finditer(pattern):
        if token.start() != position:
            break
        position = token.end()
        text = token.group()
        if text in _FIELDS:
            parts.append(_FIELDS[text])
        elif set(text) == {"S"} and len(text) <= _MAX_FRACTION:
            parts.append(rf"(?P<fraction>\d{{{len(text)}}})")
        elif token.group(1) is not None:
            parts.append(re.escape(token.group(1).replace("''", "'") or "'"))
        elif text in _SECTIONS:
            parts.append(_SECTIONS[text])
        elif token.group(2) is None:
            parts.append(re.escape(text))
        else:
            known = ", ".join([*_FIELDS, "S"])
            raise ValueError(f"pattern letters {text!r} are not supported; supported: {known}")
    if position != len(pattern):
        raise ValueError(f"pattern {pattern!r} has an unclosed quote")
    try:
        return re.compile("".join(parts), re.ASCII)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} names a part twice") from error


def moment_tokens(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the tokens of a JDK `pattern`, and the kind of each: field, literal or section.

    Literal text is without its quotes; a section is begun by `[` and ended by `]`.
    """
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token.group(1) is not None:
            yield token.group(1).replace("''", "'") or "'", "literal"
        elif text in {"[", "]"}:
            yield text, "section"
        else:
            yield text, "literal" if token.group(2) is None else "field"


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes >= 60:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _is_ip(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return False
        return True

    return check


def _is_match(pattern: str) -> Callable[[str], bool]:
    regex = re.compile(pattern, re.ASCII)
    return lambda text: regex.fullmatch(text) is not None


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"

_PATTERNS = {
    "email": rf"[^@\s]{{1,64}}@{_HOST}",
    "hostname": rf"(?=.{{1,253}}\Z){_HOST}",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+",
    "uuid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
}

TEXTS: dict[str, Callable[[str], bool]] = {
    **{kind: _is_match(pattern) for kind, pattern in _PATTERNS.items()},
    "ipv4": _is_ip(ipaddress.IPv4Address),
    "ipv6": _is_ip(ipaddress.IPv6Address),
}
"""Text formats that are checked."""


def text_form(kind: str) -> dict[str, str]:
    """Return how a text format is checked: by a `pattern`, or as an IP `address`."""
    pattern = _PATTERNS.get(kind)
    return {"address": kind} if pattern is None else {"pattern": pattern}
