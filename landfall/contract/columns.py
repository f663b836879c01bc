"""Reads one property of a contract's table and checks that its type and options fit together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from landfall.contract.cleaning import CLEANING, read_cleaning
from landfall.contract.domains import MOST_DIGITS, as_decimal
from landfall.contract.formats import (
    DEFAULT_PATTERNS,
    INTEGERS,
    NUMBERS,
    TEXTS,
    moment_parser,
)
from landfall.contract.model import LOGICAL_TYPES, Column
from landfall.contract.patterns import TextPattern
from landfall.contract.reader import Node

_PROPERTY = frozenset(
    {
        "authoritativeDefinitions",
        "businessName",
        "classification",
        "criticalDataElement",
        "customProperties",
        "deprecated",
        "description",
        "encryptedName",
        "enum",
        "examples",
        "id",
        "items",
        "logicalType",
        "logicalTypeOptions",
        "map",
        "name",
        "partitionKeyPosition",
        "partitioned",
        "physicalName",
        "physicalType",
        "primaryKey",
        "primaryKeyPosition",
        "properties",
        "quality",
        "relationships",
        "required",
        "semanticType",
        "synonyms",
        "tags",
        "transformDescription",
        "transformLogic",
        "transformSourceObjects",
        "unique",
    }
)
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "string": ("format", "maxLength", "minLength", "pattern"),
    "integer": ("format", "multipleOf", *_BOUNDS),
    "number": ("format", "multipleOf", *_BOUNDS),
    "boolean": (),
    "date": ("format", *_BOUNDS),
    "timestamp": ("defaultTimezone", "format", "timezone", *_BOUNDS),
    "time": ("defaultTimezone", "format", "timezone", *_BOUNDS),
}
UNCHECKED_TEXTS = ("password", "byte", "binary")
"""Formats of text that describe a value and are not checked."""
_NO_POSITION = -1
"""The standard's value for a primary key position that is not given."""
_UTC = ("UTC", "Etc/UTC", "Z")
TWO_DIGIT_YEARS = "twoDigitYearStart"
"""The custom property that says which century the letters `yy` of a format are of."""
_PATH = "jsonPath"
_OWN = frozenset({TWO_DIGIT_YEARS, _PATH, *CLEANING})
"""The custom properties of a column."""
_LAST_CENTURY = 9900


def read_column(node: Node, shared: Mapping[str, Node] | None = None) -> Column:
    """Read one property; `shared` are the contract's custom properties for all columns.

    Raises:
        ContractError: it is wrong, or asks for what is not supported.
    """
    node.allow_only(_PROPERTY)
    name = _name(node.require("name"))
    logical_type = node.require("logicalType").one_of(LOGICAL_TYPES)
    _reject_unsupported(node)
    options = node.get("logicalTypeOptions") or Node({}, node.file, f"{node.path}.options")
    options.allow_only(_OPTIONS[logical_type])
    own = _own_properties(node)
    years_from = _years_from(own, shared or {}, logical_type)
    format_, timezone = _format(options, logical_type, years_from)
    decimal = _decimal(node.get("physicalType"), logical_type, format_)
    key_position = _key_position(node)
    required = node.get("required")
    unique = node.get("unique")
    classification = node.get("classification")
    description = node.get("description")
    reader = value_reader(logical_type, format_, timezone, decimal, years_from)
    bounds = _bounds(options, reader)
    _check_order(options, bounds)
    column = Column(
        name=name,
        logical_type=logical_type,
        # A key column is required, unless the contract says
        # that it may be empty (the row of a total, for instance).
        required=required.flag() if required is not None else key_position is not None,
        unique=unique is not None and unique.flag(),
        key_position=key_position,
        format=format_,
        minimum=bounds["minimum"],
        maximum=bounds["maximum"],
        exclusive_minimum=bounds["exclusiveMinimum"],
        exclusive_maximum=bounds["exclusiveMaximum"],
        multiple_of=_multiple(options),
        min_length=_length(options, "minLength"),
        max_length=_length(options, "maxLength"),
        pattern=_pattern(options),
        enum=_enum(node, reader),
        timezone=timezone,
        decimal=decimal,
        cleaning=read_cleaning(
            {name: value for name, value in own.items() if name in CLEANING},
            shared or {},
            logical_type,
        ),
        classification=None if classification is None else classification.text(),
        description="" if description is None else description.text(),
        physical_name=_physical_name(node, name),
        id=_optional_text(node.get("id")),
        path=None if _PATH not in own else _json_path(own[_PATH]),
        years_from=years_from,
    )
    if (column.min_length or 0) > (column.max_length if column.max_length is not None else 2**63):
        raise options.at("minLength").error("exceeds maxLength: no value could pass")
    return column


def _reject_unsupported(node: Node) -> None:
    for key in ("items", "map", "properties"):
        node.forbid(key, "nested data is not supported; a table has flat columns")
    semantic = node.get("semanticType")
    if semantic is not None:
        semantic.one_of(("column",))


NOT_IN_NAMES = re.compile(r"[\s,;{}()=\0-\x1f]")
"""What a column's name must not hold: Parquet and Delta refuse it without column mapping, and with
that many readers of Delta find no values."""
_DECIMAL = re.compile(
    r"\s*(?:decimal|numeric|number)\s*\(\s*([0-9]{1,4})\s*(?:,\s*([0-9]{1,4})\s*)?\)\s*",
    re.IGNORECASE,
)


def _name(node: Node) -> str:
    name = node.text()
    if not name:
        raise node.error("is empty; a column needs a name")
    if bad := NOT_IN_NAMES.search(name):
        raise node.error(
            f"is {name!r}; {bad.group()!r} has no place in the name of a Delta column: choose "
            "another name, and give the one of the files as physicalName"
        )
    if name.startswith("_"):
        raise node.error(
            f"is {name!r}; names that begin with _ are those of the lake's own columns: choose "
            "another name, and give the one of the files as physicalName"
        )
    return name


def _physical_name(node: Node, name: str) -> str | None:
    physical = node.get("physicalName")
    if physical is None or physical.text() == name:
        return None
    if not physical.text():
        raise physical.error("is empty; a column of a file needs a name")
    return physical.text()


def _optional_text(node: Node | None) -> str | None:
    return None if node is None else node.text()


def _decimal(node: Node | None, logical_type: str, format_: str | None) -> tuple[int, int] | None:
    """Return precision and scale of a number with `physicalType: decimal(p,s)`."""
    match = None if node is None or logical_type != "number" else _DECIMAL.fullmatch(node.text())
    if match is None or node is None:
        return None
    precision, scale = int(match[1]), int(match[2] or 0)
    if not 1 <= precision <= MOST_DIGITS or scale > precision:
        raise node.error(
            f"is {node.value!r}; a decimal has 1 to {MOST_DIGITS} digits, and no more of them "
            "after the point"
        )
    if format_ is not None:
        raise node.error(f"is {node.value!r}, but the format is {format_}: leave one of them out")
    return precision, scale


def _own_properties(node: Node) -> dict[str, Node]:
    """Return our custom properties of a column by name; those of other vendors are skipped."""
    properties: dict[str, Node] = {}
    for item in node.optional_items("customProperties"):
        vendor = item.get("vendor")
        if vendor is not None and vendor.text() != "landfall":
            continue
        place = item.require("property")
        name = place.text()
        if name not in _OWN:
            raise place.error(
                f"{name!r} is not known on a column; known: {', '.join(sorted(_OWN))}; "
                "another tool's property names its vendor"
            )
        if name in properties:
            raise place.error(f"{name!r} is given twice")
        properties[name] = item.require("value")
    return properties


_STEP = re.compile(r"\.([^.\[\]'\"*\s]+)|\[([0-9]{1,9})\]|\['([^']+)'\]")


def _json_path(node: Node) -> tuple[str | int, ...]:
    """Return the names and positions of a JSONPath (RFC 9535) that leads to one value."""
    text = node.text()
    steps: list[str | int] = []
    at = 1 if text.startswith("$") else -1
    while 0 < at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            break
        name, position, quoted = step.groups()
        steps.append(int(position) if position else name or quoted)
        at = step.end()
    if at != len(text) or not steps:
        raise node.error(
            f"is {text!r}; a path of names and positions is needed, such as $.address.city, "
            "$['postal code'] or $.items[0].sku"
        )
    return tuple(steps)


def _years_from(
    own: Mapping[str, Node], shared: Mapping[str, Node], logical_type: str
) -> int | None:
    """Return the first of the hundred years that two digits stand for."""
    dated = logical_type in {"date", "timestamp"}
    node = own.get(TWO_DIGIT_YEARS) or (shared.get(TWO_DIGIT_YEARS) if dated else None)
    if node is None:
        return None
    if not dated:
        raise node.error(f"is for columns of type date and timestamp, not {logical_type}")
    year = node.count()
    if not 1 <= year <= _LAST_CENTURY:
        raise node.error(f"is {year}; a year from 1 to {_LAST_CENTURY} is needed, such as 1950")
    return year


def _key_position(node: Node) -> int | None:
    flag = node.get("primaryKey")
    if flag is None or not flag.flag():
        return None
    position = node.get("primaryKeyPosition")
    return 1 if position is None or position.value == _NO_POSITION else position.count()


def _format(
    options: Node, logical_type: str, years_from: int | None = None
) -> tuple[str | None, bool | None]:
    """Return the column's format and, for timestamps, whether they carry an offset."""
    flag = options.get("timezone")
    timezone = None if flag is None else flag.flag()
    if flag is not None and timezone and logical_type == "time":
        raise flag.error("is true; times of day with an offset are not supported")
    default_zone = options.get("defaultTimezone")
    # A default is not needed where each value carries its offset.
    if default_zone is not None and timezone is not True:
        default_zone.one_of(_UTC)
    node = options.get("format")
    if node is None:
        return None, timezone
    if logical_type == "integer":
        return node.one_of(INTEGERS), None
    if logical_type == "number":
        return node.one_of(NUMBERS), None
    if logical_type == "string":
        text = node.one_of((*TEXTS, *UNCHECKED_TEXTS))
        return (None if text in UNCHECKED_TEXTS else text), None
    try:
        moment_parser(logical_type, node.text(), timezone, years_from)
    except ValueError as error:
        raise node.error(str(error)) from error
    return node.text(), timezone


ValueReader = Callable[[Node], Any]


def value_reader(
    logical_type: str,
    format_: str | None,
    timezone: bool | None,
    decimal: tuple[int, int] | None = None,
    years_from: int | None = None,
) -> ValueReader:
    """Return the function that reads a bound or an allowed value of this type from the contract."""
    if decimal is not None:
        return lambda node: _as_decimal(node, *decimal)
    if logical_type == "integer":
        return _integer
    if logical_type == "number":
        return lambda node: node.number()
    if logical_type == "boolean":
        return lambda node: node.flag()
    if logical_type == "string":
        return lambda node: node.text()
    parse = moment_parser(logical_type, format_, timezone, years_from)
    iso = moment_parser(logical_type, None, None)

    def moment(node: Node) -> Any:
        value = node.value
        # YAML turns unquoted dates into date objects.
        text = value.isoformat() if isinstance(value, (date, datetime)) else node.text()
        for attempt in (parse, iso):
            try:
                return attempt(text)
            except ValueError:
                continue
        pattern = format_ or DEFAULT_PATTERNS[logical_type]
        raise node.error(f"is {text!r}, which is no {logical_type} in the format {pattern}")

    return moment


def _as_decimal(node: Node, precision: int, scale: int) -> Decimal:
    try:
        return as_decimal(node.number(), precision, scale)
    except ValueError:
        raise node.error(f"is {node.value!r}, which is no decimal({precision},{scale})") from None


def _integer(node: Node) -> int:
    number = node.number()
    if number != int(number):
        raise node.error(f"must be a whole number for an integer column, is {number!r}")
    return int(number)


def _bounds(options: Node, reader: ValueReader) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for key in _BOUNDS:
        node = options.get(key)
        bounds[key] = None if node is None or _is_old_flag(node, key) else reader(node)
    for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        node = options.get(exclusive)
        if node is not None and _is_old_flag(node, exclusive) and node.flag():
            if bounds[plain] is None:
                raise node.error(f"is true, but there is no {plain} for it to exclude")
            bounds[exclusive], bounds[plain] = bounds[plain], None
    return bounds


def _is_old_flag(node: Node, key: str) -> bool:
    """Whether it is the flag of ODCS 3.0 that excludes the plain bound itself."""
    return key.startswith("exclusive") and isinstance(node.value, bool)


def _check_order(options: Node, bounds: dict[str, Any]) -> None:
    lows = [bounds[k] for k in ("minimum", "exclusiveMinimum") if bounds[k] is not None]
    highs = [bounds[k] for k in ("maximum", "exclusiveMaximum") if bounds[k] is not None]
    if lows and highs and max(lows) > min(highs):
        raise options.error("the lower bound exceeds the upper: no value could pass")


def _length(options: Node, key: str) -> int | None:
    node = options.get(key)
    return None if node is None else node.count()


def _multiple(options: Node) -> str | None:
    node = options.get("multipleOf")
    if node is None:
        return None
    number = node.number()
    if number <= 0:
        raise node.error("must be greater than 0")
    return repr(number)


def _pattern(options: Node) -> str | None:
    node = options.get("pattern")
    if node is None:
        return None
    try:
        TextPattern(node.text())
    except ValueError as error:
        raise node.error(str(error)) from error
    return node.text()


def _enum(node: Node, reader: ValueReader) -> tuple[Any, ...]:
    listed = node.get("enum")
    if listed is None:
        return ()
    values = [reader(entry.require("value")) for entry in listed.items()]
    if not values:
        raise listed.error("is empty: no value could pass")
    if len(set(values)) != len(values):
        raise listed.error("lists a value twice")
    return tuple(values)
