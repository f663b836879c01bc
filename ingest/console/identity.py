"""Who looks at the console, and what they may do.

In Azure App Service's authentication (Easy Auth) says who it is, in headers that only it can set
where it is switched on; app roles say what they may do. Elsewhere the setting
`LANDFALL_CONSOLE_KEY` signs links that sign in once, and the sessions that they begin. With neither
nobody gets in.

https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ingest import paths
from ingest.errors import AlreadyExists, BadRequest
from ingest.ports import Lake
from landfall.console_links import CONSOLE_KEY, sign, token

COOKIE = "landfall"
SESSION = timedelta(hours=12)
_NAME_LENGTH = 200
_ROLES = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
"""The types by which a claim is an app role: of the token's version 2 and 1."""


class Role(StrEnum):
    """What somebody may do: look, or also act."""

    READER = "Reader"
    OPERATOR = "Operator"


@dataclass(frozen=True)
class Person:
    """Who is signed in; `session` is what their forms are bound to."""

    name: str
    role: Role
    session: str

    @property
    def acts(self) -> bool:
        """Whether they may change something."""
        return self.role is Role.OPERATOR


class NotAllowed(BadRequest):
    """Somebody is known and has no role for it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 403)


@dataclass(frozen=True)
class SignIn:
    """How people sign in here: `platform` is Easy Auth, `key` that of the links."""

    platform: bool
    key: str | None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> SignIn:
        """By the app settings; the platform sets the first of them itself."""
        platform = env.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
        return cls(platform, None if platform else env.get(CONSOLE_KEY) or None)

    def person(
        self, headers: Mapping[str, str], cookie: str | None, now: datetime
    ) -> Person | None:
        """Who asks; None where nobody is signed in, or their session is over.

        Raises:
            NotAllowed: the platform knows them, and they have no role in this app.
        """
        if self.platform:
            return _principal(headers)
        if self.key and cookie:
            return _session(self.key, cookie, now)
        return None

    def form_token(self, person: Person, lake: Lake) -> str:
        """What a form of this person carries: another page cannot know it."""
        key = self.key or _kept_key(lake)
        return sign(key, "form", person.session)[:43]


def link_token(key: str, name: str, role: Role, now: datetime, valid: timedelta) -> str:
    """What a link carries that signs in once."""
    return token(key, "link", name, role, now + valid)


def begin(key: str, link: str, lake: Lake, now: datetime) -> tuple[Person, str] | None:
    """The person of a link and the cookie of their session; None where it is not (any more) good.

    The lake decides that a link is used once: a note of it is created if absent.
    """
    person = _session(key, link, now, "link")
    if person is None:
        return None
    used = hashlib.sha256(link.encode()).hexdigest()
    try:
        lake.put(f"{paths.MANIFEST}/console/links/{used}", b"", if_absent=True)
    except AlreadyExists:
        return None
    session = token(key, "session", person.name, person.role, now + SESSION)
    return person, session


def set_cookie(value: str, *, secure: bool, seconds: int = int(SESSION.total_seconds())) -> str:
    """The header that keeps a session in the browser, out of reach of scripts and other sites."""
    flags = "; Secure" if secure else ""
    return f"{COOKIE}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{flags}"


def _session(key: str, signed: str, now: datetime, kind: str = "session") -> Person | None:
    text, _, signature = signed.partition(".")
    if not hmac.compare_digest(sign(key, kind, text).encode(), signature.encode()):
        return None
    name, role, until, nonce = json.loads(base64.urlsafe_b64decode(f"{text}=="))
    if now >= datetime.fromtimestamp(until, UTC):
        return None
    return Person(name, Role(role), nonce)


def _principal(headers: Mapping[str, str]) -> Person | None:
    """The person of the platform's header: claims as JSON in base64."""
    header = headers.get("x-ms-client-principal")
    if not header:
        return None
    try:
        principal = json.loads(base64.b64decode(header, validate=True))
        claims = [(str(claim["typ"]), str(claim["val"])) for claim in principal["claims"]]
        role_type = principal.get("role_typ")
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise BadRequest(f"the platform's principal cannot be read: {error}") from error
    name = headers.get("x-ms-client-principal-name") or "somebody"
    held = {value for kind, value in claims if kind in (role_type, *_ROLES)}
    for role in (Role.OPERATOR, Role.READER):
        if role in held:
            subject = headers.get("x-ms-client-principal-id") or name
            return Person(name[:_NAME_LENGTH], role, f"principal {subject}")
    raise NotAllowed(
        f"{name} has no role in this app: ask an owner of its registration for the app role "
        f"{Role.READER} or {Role.OPERATOR}"
    )


_KEY_PATH = f"{paths.MANIFEST}/console/key"


def _kept_key(lake: Lake) -> str:
    """The key that forms are signed with, made once for all instances."""
    with suppress(AlreadyExists):
        lake.put(_KEY_PATH, secrets.token_hex(32).encode(), if_absent=True)
    return lake.get(_KEY_PATH)[0].decode()
