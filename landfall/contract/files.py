"""Reads how the files of a dataset are written: format, dialect, encoding, what is no record."""

from __future__ import annotations

from collections.abc import Mapping

from landfall.contract.model import Hints
from landfall.contract.reader import Node

WRITTEN = (
    "commentPrefix",
    "delimiter",
    "encoding",
    "escape",
    "format",
    "header",
    "quote",
    "sheet",
    "skipLines",
)
"""The custom properties that are read here."""
_DELIMITED = {"new_line": "jsonl", "array": "json"}
_TABLES = frozenset({"delta", "iceberg", "table"})
"""Formats of servers that hold tables, not dropped files."""
_KINDS = {
    "csv": "csv",
    "tsv": "csv",
    "json": "json",
    "jsonl": "jsonl",
    "parquet": "parquet",
    "xlsx": "xlsx",
}
_ENCODINGS = {
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin-1": "latin-1",
    "utf-16": "utf-16",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "utf-8": "utf-8",
    "windows-1252": "cp1252",
}
_MOST_SKIPPED = 1000
_LONGEST_PREFIX = 10


def read_hints(root: Node, custom: Mapping[str, Node]) -> Hints:
    """Read how files are written from the contract's servers and custom properties.

    Raises:
        ContractError: an unknown format or encoding, or properties that contradict each other.
    """
    servers = root.optional_items("servers")
    formats = [f for s in servers if (f := s.get("format")) is not None]
    if "format" in custom:
        formats = [custom["format"]]
    known = sorted({f.text().lower() for f in formats if f.text().lower() not in _TABLES})
    for node in formats:
        if node.text().lower() in known and node.text().lower() not in _KINDS:
            raise node.error(f"is {node.text()!r}; files are read as {', '.join(_KINDS)}")
    kind = _KINDS[known[0]] if len(known) == 1 else None
    delimiter = _character(custom.get("delimiter"))
    if delimiter is None and known == ["tsv"]:
        delimiter = "\t"
    if kind == "json":
        kind = _json_kind(servers)
    quote = _character(custom.get("quote")) or '"'
    escape = _character(custom.get("escape"))
    if delimiter is not None and delimiter in {quote, escape}:
        raise custom["delimiter"].error("must differ from quote and escape")
    encodings = [e for s in servers if (e := s.get("encoding")) is not None]
    encoding = custom.get("encoding") or (encodings[0] if encodings else None)
    return Hints(
        kind=kind,
        delimiter=delimiter,
        quote=quote,
        escape=None if escape == quote else escape,
        encoding=_encoding(encoding),
        header="header" not in custom or custom["header"].flag(),
        skip_lines=_skipped(custom),
        comment=_prefix(custom),
        sheet=_sheet(custom.get("sheet")),
    )


def _skipped(custom: Mapping[str, Node]) -> int:
    node = custom.get("skipLines")
    if node is None:
        return 0
    lines = node.count()
    if lines > _MOST_SKIPPED:
        raise node.error(f"is {lines}; at most {_MOST_SKIPPED} lines are skipped")
    if lines and _is_folder(custom):
        raise node.error("is not for folders, whose files begin with their header")
    return lines


def _prefix(custom: Mapping[str, Node]) -> str | None:
    node = custom.get("commentPrefix")
    if node is None:
        return None
    if _is_folder(custom):
        raise node.error("is not for folders, whose files begin with their header")
    text = node.text()
    if not 0 < len(text) <= _LONGEST_PREFIX or not text.isprintable() or text.isspace():
        raise node.error(f"is {text!r}; 1 to {_LONGEST_PREFIX} printable characters are needed")
    return text


def _sheet(node: Node | None) -> str | int | None:
    if node is None:
        return None
    if isinstance(node.value, str) and node.value:
        return node.value
    number = node.count()
    if not number:
        raise node.error("is 0; sheets are counted from 1")
    return number


def _is_folder(custom: Mapping[str, Node]) -> bool:
    node = custom.get("dropKind")
    return node is not None and node.value == "folder"


def _json_kind(servers: list[Node]) -> str | None:
    """Return the kind of JSON file by the server's delimiter: one object a line, or one array."""
    delimiters = {
        node.one_of(_DELIMITED) for s in servers if (node := s.get("delimiter")) is not None
    }
    return _DELIMITED[delimiters.pop()] if len(delimiters) == 1 else None


def _character(node: Node | None) -> str | None:
    if node is None:
        return None
    text = node.text()
    if len(text) != 1 or not text.isascii() or text in "\r\n\0":
        raise node.error(f"is {text!r}; one ASCII character that is no line end is needed")
    return text


def _encoding(node: Node | None) -> str | None:
    if node is None:
        return None
    name = node.text().lower()
    if name not in _ENCODINGS:
        raise node.error(f"is {node.text()!r}; supported: {', '.join(sorted(_ENCODINGS))}")
    return _ENCODINGS[name]
