"""The text of one record to its cells, by the letter of RFC 4180 and of JSON.

A quote inside an unquoted field, or text behind a closing quote, is a fault of that record and of
no other. What a record spans is known before: see `blocks`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from landfall.validation.readers.objects import as_written, reject_lone_surrogates
from spark_jobs.validation.plan import Layout


@dataclass(frozen=True)
class Broken:
    """A record whose form is at fault: the rule, the field where it shows, what stands there."""

    rule: str
    field: int | None
    value: str | None


Row = Sequence[Any] | Broken


class Dialect:
    """How delimited text is written."""

    def __init__(self, layout: Layout) -> None:
        self.delimiter, self.quote = layout.delimiter, layout.quote
        self.escape = layout.escape
        d, q = re.escape(layout.delimiter), re.escape(layout.quote)
        if layout.escape is None:
            inner = rf"(?:[^{q}]++|{q}{q})*+"
        else:
            e = re.escape(layout.escape)
            inner = rf"(?:[^{q}{e}]++|{e}.|{q}{q})*+"
        self._inner = re.compile(inner, re.DOTALL)
        self._plain = re.compile(rf"[^{d}\n]*+")

    def ends_inside(self, line: str, *, inside: bool) -> bool:
        """Whether a quoted field is open behind `line`, given whether one is before it."""
        at = 0
        while True:
            if inside or line.startswith(self.quote, at):
                at = self._run(line, at if inside else at + 1)
                if not line.startswith(self.quote, at):
                    return True
                at += 1
                inside = False
            at = self._tail(line, at)
            if at >= len(line) or line[at] == "\n":
                return False
            at += 1

    def row(self, text: str) -> Row:
        """The fields of one whole record, without its line feed."""
        if self.quote not in text:
            line = text.removesuffix("\r")
            # A carriage return alone: some readers end the record there, so none may load it.
            return Broken("newline", None, line) if "\r" in line else line.split(self.delimiter)
        return self._quoted_row(text)

    def _quoted_row(self, text: str) -> Row:
        row: list[str] = []
        broken: Broken | None = None
        at = 0
        while True:
            start, value = at, ""
            opened = text.startswith(self.quote, at)
            if opened:
                end = self._run(text, at + 1)
                value, at = self._unquoted(text[at + 1 : end]), end + 1
            end = self._tail(text, at)
            tail, at = text[at:end], end
            last = at >= len(text)
            if last and tail.endswith("\r"):
                tail = tail[:-1]
            if broken is None and tail and (opened or self.quote in tail):
                broken = Broken("quote", len(row), text[start:at].rstrip("\r"))
            elif broken is None and "\r" in tail:
                broken = Broken("newline", len(row), tail)
            row.append(value + tail)
            if last:
                return row if broken is None else broken
            at += 1

    def _run(self, text: str, at: int) -> int:
        """Where what is quoted ends."""
        match = self._inner.match(text, at)
        return at if match is None else match.end()

    def _tail(self, text: str, at: int) -> int:
        match = self._plain.match(text, at)
        return at if match is None else match.end()

    def _unquoted(self, inner: str) -> str:
        if self.escape is not None and self.escape in inner:
            inner = re.sub(re.escape(self.escape) + "(.)", r"\1", inner, flags=re.DOTALL)
        return inner.replace(self.quote * 2, self.quote)


class Objects:
    """JSON texts, one object each, to cells in the order of the table's columns."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._known = frozenset(names)
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_object, parse_constant=_refuse, parse_float=as_written
        )
        self.extra: set[str] = set()

    def row(self, line: bytes) -> Row:
        """The cells of one line, None where a name is absent."""
        try:
            json_value = self._decoder.decode(line.decode())
            reject_lone_surrogates(json_value)
        except UnicodeDecodeError as error:
            return Broken("encoding", None, f"byte {line[error.start]:#04x} is not UTF-8")
        except RecursionError:
            return Broken("json", None, "nested too deep")
        except ValueError as error:
            return Broken("json", None, str(error))
        if not isinstance(json_value, dict):
            return Broken("json", None, "not an object")
        self.extra |= json_value.keys() - self._known
        return [json_value.get(name) for name in self._names]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is given twice")
    return members


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
