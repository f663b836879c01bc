"""Infers a contract from a sample of a file.

Options are inferred only where the sample is clear; the owner of the data completes the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml

from landfall.contract.formats import INTEGERS, moment_parser
from landfall.contract.model import Hints
from landfall.contract.odcs import parse
from landfall.validation.columns import as_text
from landfall.validation.problems import Refusal
from landfall.validation.readers.header import DELIMITERS
from landfall.validation.readers.opening import Opened, open_stream
from landfall.validation.readers.splitting import Splitter, UnclosedQuote
from landfall.validation.streams import ByteSource

SAMPLE = 8 << 20
"""Bytes of content that are read."""

_CLEAR = 100
"""Records from which on an enum or a key is inferred."""
_FEW = 20
_FILE_KINDS = {"csv": "csv", "jsonl": "jsonl", "json": "json", "parquet": "parquet"}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})


def infer(source: ByteSource, *, name: str, dataset: str) -> str:
    """Return the YAML of a contract for files such as `source`; it is valid.

    Raises:
        Refusal: the file cannot be read.
        ContractError: the file has values that a contract cannot describe, such as nested ones.
    """
    opened = open_stream(source.stream(), name, Hints())
    kind = opened.format.kind
    delimiter = None
    if kind == "parquet":
        names, rows = _parquet(source)
    elif kind == "csv":
        names, rows, delimiter = _delimited(_sample(opened))
    else:
        names, rows = _objects(_sample(opened), kind)
    if not rows:
        raise Refusal("the file holds no records", "use a file with some records as sample")
    columns = list(zip(*rows, strict=True))
    keyed = False
    properties = []
    for column_name, cells in zip(names, columns, strict=True):
        property_ = _property(column_name, cells, key=not keyed and _may_be_key(cells))
        keyed = keyed or "primaryKey" in property_
        properties.append(property_)
    return _document(dataset, opened, properties, delimiter, len(rows))


def _sample(opened: Opened) -> str:
    taken, length = [], 0
    for chunk in opened.chunks:
        taken.append(chunk)
        length += len(chunk)
        if length >= SAMPLE:
            break
    data = b"".join(taken)
    if length >= SAMPLE:
        data = data[: data.rfind(b"\n") + 1]
    return data.decode("utf-8", "replace")


def _delimited(text: str) -> tuple[list[str], list[list[Any]], str]:
    text = text.lstrip("\r\n")
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = Splitter(delimiter, '"', None).split(text, final=True).rows
    except UnclosedQuote as error:
        line = error.args[0] + 1
        raise Refusal(
            f"a quote opened on line {line} is never closed", "close it", line=line
        ) from None
    names = rows[0] if rows else []
    return names, [row for row in rows[1:] if len(row) == len(names)], delimiter


def _objects(text: str, kind: str) -> tuple[list[str], list[list[Any]]]:
    import json  # noqa: PLC0415 - most samples are CSV

    decoder = json.JSONDecoder()
    objects = [element for element in _elements(text, decoder, kind) if isinstance(element, dict)]
    names = list(dict.fromkeys(name for element in objects for name in element))
    return names, [[element.get(name) for name in names] for element in objects]


def _elements(text: str, decoder: Any, kind: str) -> Iterator[Any]:
    at = text.index("[") + 1 if kind == "json" else 0
    space = re.compile(r"[\s,]*")
    while True:
        gap = space.match(text, at)
        at = at if gap is None else gap.end()
        try:
            element, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return  # the end, of the array or of the sample
        yield element


def _parquet(source: ByteSource) -> tuple[list[str], list[list[Any]]]:
    import io  # noqa: PLC0415 - most samples are CSV

    import polars as pl  # noqa: PLC0415 - likewise

    try:
        frame = pl.read_parquet(io.BytesIO(b"".join(source.stream())), n_rows=100_000)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Refusal(f"the Parquet file cannot be read: {error}", "write it again") from error
    return frame.columns, [list(row) for row in frame.iter_rows()]


def _property(name: str, cells: Sequence[Any], *, key: bool) -> dict[str, Any]:
    known = [cell for cell in cells if cell is not None and cell != ""]
    texts = [
        cell.isoformat() if hasattr(cell, "isoformat") else as_text(cell) or "" for cell in known
    ]
    kind = _type(known, texts)
    property_: dict[str, Any] = {"name": name, "logicalType": kind}
    if kind in {"integer", "number"} and all(float(text) >= 0 for text in texts):
        property_["logicalTypeOptions"] = {"minimum": 0}
    if len(known) == len(cells):
        property_["required"] = True
    if key and kind in {"integer", "string"}:
        property_ |= {"primaryKey": True, "primaryKeyPosition": 1, "required": True, "unique": True}
    elif kind == "string" and len(cells) >= _CLEAR:
        values = sorted(set(texts))
        if 0 < len(values) <= min(_FEW, len(texts) // _FEW):
            property_["enum"] = [{"value": value} for value in values]
    return property_


def _may_be_key(cells: Sequence[Any]) -> bool:
    """Whether every record has a unique value in this column."""
    present = None not in cells and "" not in cells
    return present and 1 < len(cells) == len(set(map(str, cells)))


def _type(known: Sequence[Any], texts: Sequence[str]) -> str:
    if not known:
        return "string"
    if all(isinstance(cell, bool) for cell in known):
        return "boolean"
    if all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in known):
        return "integer" if all(isinstance(cell, int) for cell in known) else "number"
    for nested, kind in ((dict, "object"), (list, "array")):
        if any(isinstance(cell, nested) for cell in known):
            return kind  # not supported: parsing the contract raises the error
    return next((kind for kind, test in _TESTS if all(map(test, texts))), "string")


def _is_integer(text: str) -> bool:
    low, high = INTEGERS["i64"]
    return _INTEGER.fullmatch(text) is not None and low <= int(text) <= high


def _reads(kind: str) -> Callable[[str], bool]:
    parser = moment_parser(kind, None, None)

    def test(text: str) -> bool:
        try:
            parser(text)
        except ValueError:
            return False
        return True

    return test


_TESTS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("integer", _is_integer),
    ("number", lambda text: _NUMBER.fullmatch(text) is not None),
    ("boolean", _BOOLEANS.__contains__),
    *((kind, _reads(kind)) for kind in ("date", "timestamp", "time")),
)


def _document(
    dataset: str,
    opened: Opened,
    properties: list[dict[str, Any]],
    delimiter: str | None,
    records: int,
) -> str:
    kind = opened.format.kind
    document: dict[str, Any] = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": dataset.replace("_", "-"),
        "version": "0.1.0",
        "status": "draft",
        "name": dataset,
        "schema": [{"name": dataset, "logicalType": "object", "properties": properties}],
    }
    custom = [{"property": "maxRejectedRatio", "value": 0}]
    if delimiter is not None and delimiter != ",":
        custom.append({"property": "delimiter", "value": delimiter})
    if opened.format.encoding not in {None, "UTF-8"}:
        custom.append({"property": "encoding", "value": str(opened.format.encoding)})
    document["customProperties"] = custom
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    lead = (
        f"# Inferred from {records:,} records of a {_FILE_KINDS[kind]} file. Add what is not\n"
        "# in the sample: descriptions, classification, bounds, keys.\n"
    )
    parse(lead + text, file=f"{dataset}.odcs.yaml")
    return lead + text
