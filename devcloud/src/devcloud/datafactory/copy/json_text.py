"""JSON files: one object, objects one after the other (JSON Lines), or one array of objects."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.file import ReadableFile
from devcloud.datafactory.copy.text import codec, utf8

_READ = 1024 * 1024
_SPACE = " \t\r\n"


def compression(properties: dict[str, Any]) -> str | None:
    """The compression that a Json dataset names."""
    declared = properties.get("compression") or {}
    return codec(declared.get("type"))


def objects(file: ReadableFile, properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects of a file, one at a time; floats are `Decimal`, so that no digit is lost.

    Raises:
        CopyError: the text is no JSON, or holds something else than objects.
    """
    encoding = properties.get("encodingName")
    text = _Text(file.name, utf8(file.chunks(), encoding, compression(properties), file.name))
    if text.peek() != "[":
        while text.peek():
            yield text.take_object()
        return
    text.take()
    if text.peek() != "]":
        yield text.take_object()
        while text.peek() == ",":
            text.take()
            yield text.take_object()
    if text.peek() != "]":
        raise text.wrong("the array is not closed, or a comma is missing")
    text.take()
    if text.peek():
        raise text.wrong("text follows the array")


def loads(text: str) -> Any:
    """A value of a JSON text; floats are `Decimal`, so that no digit is lost.

    Raises:
        ValueError: it is no JSON.
    """
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def dump(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """JSON of a value on one line; a `Decimal` keeps all its digits.

    Args:
        value: of JSON's types, or one that `default` turns into them.
        default: as of `json.dumps`.
    """
    if isinstance(value, dict):
        pairs = (f"{_scalar(str(k), None)}:{dump(v, default)}" for k, v in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(dump(item, default) for item in value)}]"
    if isinstance(value, Decimal):
        return str(value)
    return _scalar(value, default)


def _scalar(value: Any, default: Callable[[Any], Any] | None) -> str:
    return json.dumps(value, ensure_ascii=False, default=default)


class _Text:
    """A text of which only as much is held as the object at hand needs."""

    def __init__(self, name: str, source: io.RawIOBase) -> None:
        self._name = name
        self._source = source
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._json = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)
        self._buffer = ""
        self._at = 0
        self._ended = False
        self._number = 0

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _SPACE:
                    return self._buffer[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._fill(_READ)

    def take(self) -> None:
        """Go beyond the character that `peek` gave."""
        self._at += 1

    def take_object(self) -> dict[str, Any]:
        """The object that begins at the next character."""
        if self.peek() != "{":
            raise self.wrong("an object is expected")
        size = _READ
        while True:
            try:
                value, self._at = self._json.raw_decode(self._buffer, self._at)
            except RecursionError as error:
                raise self.wrong("it is nested too deeply") from error
            except ValueError as error:
                if self._ended:
                    raise self.wrong(str(error)) from error
                self._fill(size)
                size *= 2  # an object longer than the buffer: read on in ever larger steps
            else:
                self._number += 1
                document: dict[str, Any] = value
                return document

    def wrong(self, why: str) -> CopyError:
        """The error that names the file and the object."""
        return CopyError(
            "UserErrorJsonInvalid",
            f"'{self._name}' is not valid JSON at object {self._number + 1}: {why}",
        )

    def _fill(self, size: int) -> None:
        data = self._source.read(size) or b""
        self._ended = not data
        self._buffer = self._buffer[self._at :] + self._decode(data, final=self._ended)
        self._at = 0


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
