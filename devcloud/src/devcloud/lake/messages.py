"""A request as the lake reads it, and a reply as it answers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Scope

from devcloud.lake.errors import ClientGoneError, LakeError
from devcloud.serving import HEADER_NAMES

CONTAINER = re.compile(r"^(\$root|\$web|\$logs|(?=.{3,63}$)[a-z0-9](?:-?[a-z0-9])*)$")
NAME_BYTES = 255  # of one path segment: what the file systems below can hold
KEY_CHARACTERS = 1024


@dataclass(slots=True)
class LakeRequest:
    """One request.

    Attributes:
        method: as it is meant (`X-HTTP-Method-Override` applied).
        wire_method: as it was sent, which is what gets signed.
        raw_path: percent-encoded, without query.
        container: empty for the account itself.
        key: path within the container, decoded, without slashes at its ends; empty for its root.
        query: decoded parameters; header names are lower-case.
        left: bytes of the body that have not been read; None before, or if it has no length.
        names: the names of headers as they were sent, by lower-case name.
    """

    method: str
    wire_method: str
    raw_path: str
    container: str
    key: str
    query: dict[str, str]
    raw_query: str
    headers: dict[str, str]
    peer: str
    receive: Receive
    left: int | None = None
    names: dict[str, str] = field(default_factory=dict)
    id: str = ""

    @classmethod
    def parse(cls, scope: Scope, receive: Receive, account: str) -> Self:
        """Read an ASGI scope.

        Args:
            scope: of the request.
            receive: of the request.
            account: the name of the account that the path may begin with.

        Raises:
            LakeError: InvalidUri or InvalidResourceName, for a path that no lake can hold.
        """
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        raw_path = scope["raw_path"].decode("ascii")
        raw_query = scope["query_string"].decode("latin-1")
        container, key = split_path(raw_path, account)
        sent = scope.get("extensions", {}).get(HEADER_NAMES, {}).get("names", ())
        return cls(
            method=headers.get("x-http-method-override", str(scope["method"])).upper(),
            wire_method=scope["method"],
            raw_path=raw_path,
            container=container,
            key=key,
            query=parse_query(raw_query),
            raw_query=raw_query,
            headers=headers,
            peer=scope["client"][0] if scope.get("client") else "",
            receive=receive,
            names={name.decode("latin-1").lower(): name.decode("latin-1") for name in sent},
        )

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises:
            ClientGoneError: it did not arrive whole.
        """
        announced = self.headers.get("content-length")
        if self.left is None and announced is not None and announced.isdigit():
            self.left = int(announced)
        while self.left != 0:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            chunk: bytes = message.get("body", b"")
            if self.left is not None:
                self.left -= len(chunk)
            if chunk:
                yield chunk
            if not message.get("more_body"):
                if self.left:
                    raise ClientGoneError
                return

    async def drain(self) -> None:
        """Take what is left of the body, so that the client reads the reply; forget it."""
        with contextlib.suppress(ClientGoneError):
            async for _ in self.body():
                pass

    async def whole_body(self, limit: int = 16 << 20) -> bytes:
        """A body that is small by its nature, such as a block list.

        Raises:
            LakeError: RequestBodyTooLarge.
        """
        whole = bytearray()
        async for chunk in self.body():
            whole += chunk
            if len(whole) > limit:
                raise LakeError("RequestBodyTooLarge")
        return bytes(whole)

    def flag(self, name: str) -> bool:
        """Whether a query parameter says true."""
        return self.query.get(name, "").lower() == "true"

    def number(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number among the query parameters.

        Raises:
            LakeError: MissingRequiredQueryParameter or InvalidQueryParameterValue.
        """
        text = self.query.get(name, "")
        if not text:
            if default is None:
                raise LakeError("MissingRequiredQueryParameter", f"It is {name!r}.")
            return default
        if not (text.isascii() and text.isdigit()) or int(text) < least:
            raise LakeError("InvalidQueryParameterValue", f"{name!r} was {text!r}.")
        return int(text)


@dataclass(slots=True)
class FileSlice:
    """Bytes of an open file that a reply streams; the reply closes it."""

    descriptor: int
    offset: int
    length: int


@dataclass(slots=True)
class LakeResponse:
    """One reply; `file` in place of `body` streams a part of a file.

    With `structured` that part travels as a structured body.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: FileSlice | None = None
    structured: bool = False


def parse_query(raw: str) -> dict[str, str]:
    """Query parameters, decoded once; a plus is a space there, as in forms."""
    parsed: dict[str, str] = {}
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            parsed[_decode(name)] = _decode(value.replace("+", " "))
    return parsed


def split_path(raw_path: str, account: str) -> tuple[str, str]:
    """Container and key of a percent-encoded path.

    The account comes first, as in every path-style URL; but a move by the JavaScript SDK leaves it
    out of the target, so a path may begin with the container as well.

    Raises:
        LakeError: InvalidUri or InvalidResourceName.
    """
    first, _, rest = raw_path.lstrip("/").partition("/")
    if _decode(first) == account:
        first, _, rest = rest.lstrip("/").partition("/")
    container = _decode(first)
    if container:
        check_container(container)
    return container, check_key(_decode(rest))


def check_key(key: str) -> str:
    """A path within a container, without slashes at its ends.

    Raises:
        LakeError: InvalidUri or InvalidResourceName, for a name that could leave the container or
            that a folder cannot hold.
    """
    key = key.strip("/")
    if not key:
        return ""
    if len(key) > KEY_CHARACTERS or "\0" in key:
        raise LakeError("InvalidResourceName", "A path has 1 to 1,024 characters, none of them 0.")
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise LakeError("InvalidUri", f"A path segment cannot be {segment!r}.")
        if len(segment) * 4 > NAME_BYTES and len(segment.encode()) > NAME_BYTES:
            raise LakeError("InvalidResourceName", "A path segment has 255 bytes of UTF-8 at most.")
    return key


def check_container(name: str) -> None:
    """Refuse what cannot be a container's name.

    Raises:
        LakeError: InvalidResourceName.
    """
    if not CONTAINER.match(name):
        raise LakeError(
            "InvalidResourceName",
            "A container has 3 to 63 lower-case letters, digits and single hyphens.",
        )


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise LakeError("InvalidUri", "It is not percent-encoded UTF-8.") from None
