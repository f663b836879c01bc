"""A request of a browser, and what it is answered; forms are read here. Pure."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from ingest.errors import BadRequest
from ingest.operations.operators import MAX_RESEND
from ingest.runs.messages import Message

HTML = "text/html"
_GZIP_FROM = 1024
"""Bytes from which an answer is compressed."""
_MAX_FORM = MAX_RESEND + 64 * 1024


@dataclass(frozen=True)
class File:
    """An uploaded file of a form."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Form:
    """The fields of a form; of several with one name the last."""

    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field without blanks around it; empty where there is none."""
        return self.fields.get(name, "").strip()


@dataclass(frozen=True)
class ConsoleRequest:
    """A request below `/console`.

    Attributes:
        path: below `/console/`, without slashes around; headers: with names in lower case.
        query: parameters that have a value.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def secure(self) -> bool:
        """Whether the browser reached the app over TLS."""
        return self.headers.get("x-forwarded-proto", "").split(",")[0].strip() == "https"

    @property
    def same_origin(self) -> bool:
        """Whether a page of this host sent it: browsers put the header `Origin` on every POST."""
        origin = urlsplit(self.headers.get("origin", ""))
        host = self.headers.get("host", "").lower()
        return bool(host) and origin.netloc.lower() == host

    def cookie(self, name: str) -> str | None:
        """A cookie's value; None where there is none."""
        try:
            jar: SimpleCookie = SimpleCookie(self.headers.get("cookie", ""))
        except CookieError:
            return None
        return jar[name].value if name in jar else None

    def form(self) -> Form:
        """The form that was posted.

        Raises:
            BadRequest: another content type, too long, or not to be read.
        """
        if len(self.body) > _MAX_FORM:
            raise BadRequest(f"the form has {len(self.body)} bytes, at most {_MAX_FORM}", 413)
        kind, _, parameters = self.headers.get("content-type", "").partition(";")
        match kind.strip().lower():
            case "application/x-www-form-urlencoded":
                return Form(dict(_pairs(self.body)))
            case "multipart/form-data":
                return _multipart(self.body, parameters)
        raise BadRequest(f"content type {kind or 'none'!r}: send a form", 415)


@dataclass(frozen=True)
class ConsoleResponse:
    """What a browser is answered; `cookie` is a whole Set-Cookie header."""

    status: int
    body: bytes = b""
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    cookie: str | None = None
    messages: tuple[Message, ...] = ()

    def compressed(self, accepted: str) -> Self:
        """The same, in gzip where the browser takes it: the host does not compress."""
        plain = "content-encoding" in {name.lower() for name in self.headers}
        if plain or len(self.body) < _GZIP_FROM or "gzip" not in accepted.lower():
            return self
        headers = {**self.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return replace(self, body=gzip.compress(self.body, 6, mtime=0), headers=headers)


def redirect(
    where: str, cookie: str | None = None, messages: tuple[Message, ...] = ()
) -> ConsoleResponse:
    """303: the browser asks for another page with GET."""
    return ConsoleResponse(303, headers={"Location": where}, cookie=cookie, messages=messages)


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise BadRequest(f"the form cannot be read: {error}") from error


_BOUNDARY = re.compile(r'boundary="?([^";]{1,70})"?')
_NAME = re.compile(r'[; ]name="([^"]*)"')
_FILE_NAME = re.compile(r'filename="([^"]*)"')


def _multipart(body: bytes, parameters: str) -> Form:
    """The parts of a form with files, after RFC 7578."""
    found = _BOUNDARY.search(parameters)
    if found is None:
        raise BadRequest("the form has no boundary")
    delimiter = re.compile(rb"\r\n--" + re.escape(found[1].encode()) + rb"(?=\r\n|--)")
    fields: dict[str, str] = {}
    files: dict[str, File] = {}
    for part in delimiter.split(b"\r\n" + body)[1:]:
        if part.startswith(b"--"):
            return Form(fields, files)
        head, blank, content = part.partition(b"\r\n\r\n")
        described = head.decode(errors="replace")
        name = _NAME.search(described)
        if not blank or name is None:
            raise BadRequest("a part of the form has no name")
        if file_name := _FILE_NAME.search(described):
            # Browsers write these three so in names; all else is as it is.
            plain = file_name[1].replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
            files[name[1]] = File(plain, content)
        else:
            fields[name[1]] = content.decode(errors="replace")
    raise BadRequest("the form is cut off")
