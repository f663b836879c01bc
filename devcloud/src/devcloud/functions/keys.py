"""The keys of a host: which of them opens what, kept in a file of its data folder.

The master key opens everything; a host key every function of level function; a key of a function
that function; a system key the webhook of its extension.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from starlette.requests import Request

HOST, SYSTEM, DEFAULT, MASTER = "host", "system", "default", "_master"
BLOBS_EXTENSION = "blobs_extension"
_FUNCTION = "function:"


class Level(Enum):
    """What a request may do by the key that it brings."""

    NONE = "none"
    KEY = "a key, but none for this"
    ALLOWED = "allowed"


@dataclass(frozen=True)
class InitialKeys:
    """The keys of a fresh host."""

    host: str
    master: str
    system: str


class HostKeys:
    """All keys of a host.

    Args:
        path: where they are kept.
        initial: of a fresh host; where they are others than before, they take the place of those
            of the same names.
    """

    def __init__(self, path: Path, initial: InitialKeys) -> None:
        self._path = path
        self._initial = asdict(initial)
        kept = json.loads(path.read_text()) if path.exists() else {}
        self._keys: dict[str, dict[str, str]] = kept.get("keys", {})
        if kept.get("initial") != self._initial:
            self._scope(HOST)[DEFAULT] = initial.host
            self._scope(MASTER)[MASTER] = initial.master
            self._scope(SYSTEM)[BLOBS_EXTENSION] = initial.system
        self._scope(SYSTEM).setdefault("eventgrid_extension", generate())
        self._save()

    def may_call(self, request: Request, function: str) -> bool:
        """Whether a request may call a function of level function."""
        scopes = (HOST, MASTER, _FUNCTION + function)
        return _matches(_given(request), (key for scope in scopes for key in self._values(scope)))

    def may_administer(self, request: Request) -> bool:
        """Whether a request has the master key."""
        return _matches(_given(request), self._values(MASTER))

    def admin_level(self, request: Request) -> Level:
        """What a request may do in the admin API."""
        return self._level(request, self._values(MASTER))

    def webhook_level(self, request: Request, extension: str) -> Level:
        """What a request may do at the webhook of an extension."""
        own = self._scope(SYSTEM).get(extension)
        return self._level(request, [*self._values(MASTER), *([own] if own else [])])

    def listed(self, scope: str) -> dict[str, str]:
        """Names and values of the keys of a scope: `HOST`, `SYSTEM` or `of_function`."""
        if scope.startswith(_FUNCTION) and not self._scope(scope):
            self.put(scope, DEFAULT, generate())  # made when somebody asks, as the real host does
        return dict(self._scope(scope))

    def put(self, scope: str, name: str, value: str) -> bool:
        """Set a key; whether there was none of that name."""
        fresh = name not in self._scope(scope)
        self._scope(scope)[name] = value
        self._save()
        return fresh

    def delete(self, scope: str, name: str) -> bool:
        """Delete a key; whether there was one."""
        existed = self._scope(scope).pop(name, None) is not None
        self._save()
        return existed

    def _level(self, request: Request, opening: list[str]) -> Level:
        given = _given(request)
        if _matches(given, opening):
            return Level.ALLOWED
        known = (key for scope in self._keys for key in self._values(scope))
        return Level.KEY if _matches(given, known) else Level.NONE

    def _scope(self, scope: str) -> dict[str, str]:
        return self._keys.setdefault(scope, {})

    def _values(self, scope: str) -> list[str]:
        return list(self._scope(scope).values())

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        staged = self._path.with_suffix(".tmp")
        document = {"initial": self._initial, "keys": self._keys}
        staged.write_text(json.dumps(document, indent=1))
        staged.chmod(0o600)
        staged.replace(self._path)


def of_function(name: str) -> str:
    """The scope of the keys of one function."""
    return _FUNCTION + name


def generate() -> str:
    """A fresh key."""
    return secrets.token_urlsafe(40)


def _given(request: Request) -> str:
    """The key of a request: in the header, or else in the query."""
    headers: Mapping[str, str] = request.headers
    return headers.get("x-functions-key") or request.query_params.get("code") or ""


def _matches(given: str, keys: Iterator[str] | list[str]) -> bool:
    matched = False
    for key in keys:
        matched |= hmac.compare_digest(given.encode(), key.encode())
    return matched
