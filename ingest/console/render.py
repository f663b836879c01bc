"""Turns the values of a view into a page: templates, and the files that pages load.

Every text of a value is escaped, and what cannot be seen in it is written out. Nothing of a page
comes from another host, and no script or style stands in it, so the policy forbids both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ingest.console import words
from ingest.console.web import ConsoleResponse
from landfall.protocol import State
from landfall.validation.report import MASK

_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` browsers send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'{uploads}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_TIMES = re.compile(r"(<time[^>]*>)[^<]*")


def page(
    template: str,
    values: Mapping[str, Any],
    now: datetime,
    *,
    status: int = 200,
    known: str = "",
    uploads: str = "",
) -> ConsoleResponse:
    """A page; 304 where the browser's `If-None-Match`, `known`, says that it has it.

    How long ago something was does not count as a change: the page's script goes on counting.
    `uploads` is the origin that a page may send files to.
    """

    def ago(moment: datetime | str | None) -> Any:
        if moment is None:
            return words.NONE
        when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
            when.isoformat(timespec="seconds"), words.stamp(when), words.age(when, now)
        )

    html = _environment().get_template(template).render(**values, ago=ago, now=now)
    lasting = _TIMES.sub(r"\1", html).encode(errors="replace")
    etag = f'W/"{hashlib.sha256(lasting).hexdigest()[:20]}"'
    headers = {
        **_HEADERS,
        "Content-Security-Policy": _POLICY.format(uploads=f" {uploads}" if uploads else ""),
        "Cache-Control": "no-store",
        "ETag": etag,
    }
    if status == 200 and known == etag:  # noqa: PLR2004 - HTTP's own number
        return ConsoleResponse(304, headers=headers)
    return ConsoleResponse(status, html.encode(errors="replace"), headers=headers)


def download(body: bytes, kind: str, name: str) -> ConsoleResponse:
    """A file that the browser saves, and never shows."""
    ascii_name = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    disposition = f'attachment; filename="{ascii_name}"'
    headers = {**_HEADERS, "Cache-Control": "no-store", "Content-Disposition": disposition}
    return ConsoleResponse(200, body, kind, headers)


def document(body: bytes) -> ConsoleResponse:
    """A page that a job has made, whole: its styles stand in it, and nothing of it runs."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    headers = {**_HEADERS, "Cache-Control": "no-store", "Content-Security-Policy": policy}
    return ConsoleResponse(200, body, "text/html", headers)


def asset(path: str) -> ConsoleResponse | None:
    """A file that pages load, named by its content, so that it may be kept for good."""
    name = path.rsplit("/", 1)[-1]
    if path != _asset_path(name):
        return None
    headers = {**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
    kind = _KINDS[name.rsplit(".", 1)[-1]]
    return ConsoleResponse(200, _assets()[name], kind, headers)


def _asset_path(name: str) -> str | None:
    body = _assets().get(name)
    return f"static/{hashlib.sha256(body).hexdigest()[:12]}/{name}" if body else None


@lru_cache(maxsize=1)
def _assets() -> dict[str, bytes]:
    folder = resources.files("ingest.console") / "static"
    return {item.name: item.read_bytes() for item in folder.iterdir() if "." in item.name}


def _pretty(value: Any) -> Markup:
    """JSON over several lines, whose line ends stay what they are."""
    return escape(json.dumps(value, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "__html__"):
        return value
    return words.visible(value) if isinstance(value, str) else value


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ingest.console"),
        autoescape=True,
        finalize=_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "count": words.count,
        "size": words.size,
        "duration": words.duration,
        "percent": words.percent,
        "stamp": words.stamp,
        "shortened": words.shortened,
        "pretty": _pretty,
        "tone": words.tone,
        "symbol": lambda state: words.SYMBOLS[State(state)],
    }
    environment.globals |= {
        "asset": lambda name: f"/console/{_asset_path(name)}",
        "mask": MASK,
        "none_sign": words.NONE,
    }
    return environment
