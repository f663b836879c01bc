"""The links that sign in to the console of a local cloud, made by the command, read by the service.

A link carries who signs in, in which role and until when, signed with the key of the app setting
`LANDFALL_CONSOLE_KEY`. A local cloud derives that key from its function key, so whoever may call
the API may make a link.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from datetime import datetime

CONSOLE_KEY = "LANDFALL_CONSOLE_KEY"


def console_key(function_key: str) -> str:
    """Return the key of the console of a cloud with this function key."""
    return hmac.new(function_key.encode(), b"landfall console", hashlib.sha256).hexdigest()


def token(key: str, kind: str, name: str, role: str, until: datetime) -> str:
    """Return a signed token: letters, digits, `-`, `_` and `.` alone.

    The Functions host percent-encodes all else once more where it stands in a cookie.
    """
    payload = json.dumps([name, role, int(until.timestamp()), secrets.token_hex(8)])
    text = base64.urlsafe_b64encode(payload.encode()).decode().rstrip("=")
    return f"{text}.{sign(key, kind, text)}"


def sign(key: str, kind: str, text: str) -> str:
    """Return the signature of a text; one of another kind is another."""
    digest = hmac.new(key.encode(), f"{kind}\n{text}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
