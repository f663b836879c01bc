"""HTTP as the REST and HTTP connectors speak it: who they are, and what goes wrong.

Source: learn.microsoft.com/azure/data-factory/connector-rest and connector-http
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from devcloud.datafactory.copy.failure import CopyError, CopyStoppedError

AGENT = "azure-data-factory/2.0"
UNAUTHORIZED, TOO_MANY_REQUESTS, UNAVAILABLE = 401, 429, 503
_TOKEN_MARGIN = 60.0  # seconds before its end that a token is no longer used
_SHOWN = 1000  # characters of a reply in a message
_LONGEST_WAIT = 600.0  # what a Retry-After may ask for

Pause = Callable[[float], None]
"""Waits so many seconds, as the factory's clock counts them; ends early with the run."""


@dataclass(frozen=True)
class Waiting:
    """What a source does between requests.

    Attributes:
        pause: waits.
        retries: `sourceRetryCount`: how often a request is sent again after a connection that broke
            or a 5xx; after a 429 or 503 with Retry-After five times at least.
        seconds: `sourceRetryWait`.
    """

    pause: Pause
    retries: int = 0
    seconds: float = 1.0

    def after(self, attempt: int, status: int, headers: Mapping[str, str]) -> float | None:
        """How long to wait before another try; None if there is none.

        Args:
            attempt: how many tries there were.
            status: of the reply; 0 if there was none.
            headers: of the reply, by lower-case name.
        """
        told = _retry_after(headers.get("retry-after"))
        if status in (TOO_MANY_REQUESTS, UNAVAILABLE) and told is not None:
            return min(told, _LONGEST_WAIT) if attempt <= max(self.retries, 5) else None
        transient = status in (0, TOO_MANY_REQUESTS) or status >= 500  # noqa: PLR2004
        return self.seconds if transient and attempt <= self.retries else None


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait by the header, which has seconds or a date; None without one."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)


@dataclass
class Credentials:
    """What a linked service sends of itself, to its own host only.

    Attributes:
        origin: scheme, host and port that it belongs to.
        headers: `authHeaders` and Basic.
        fetch: gives a token and for how many seconds it is good; None where there is none.
    """

    origin: tuple[str, str, int | None]
    headers: dict[str, str] = field(default_factory=dict)
    fetch: Callable[[], tuple[str, float]] | None = None
    _token: str = ""
    _until: float = 0.0

    def belongs(self, url: str) -> bool:
        """Whether a URL is of the linked service's own host."""
        return origin(url) == self.origin

    def for_url(self, url: str) -> dict[str, str]:
        """The headers for a request; none for another host.

        Raises:
            CopyError: no token could be got.
        """
        if not self.belongs(url):
            return {}
        if self.fetch is None:
            return self.headers
        if not self._token or time.monotonic() > self._until:
            self._token, seconds = self.fetch()
            self._until = time.monotonic() + max(seconds - _TOKEN_MARGIN, seconds / 2)
        return {**self.headers, "Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        """Forget the token, which was refused; whether there can be another."""
        self._token = ""
        return self.fetch is not None


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


@dataclass(frozen=True)
class HttpService:
    """A linked service of type RestService or HttpServer, evaluated, secrets resolved.

    Attributes:
        managed: gives a token of the factory's managed identity for a resource.
    """

    properties: Mapping[str, Any]
    managed: Callable[[str], str]

    @property
    def url(self) -> str:
        """Base URL."""
        return str(self.properties["url"])

    def client(self) -> httpx.Client:
        """A client that follows no redirects."""
        verify = self.properties.get("enableServerCertificateValidation", True)
        return httpx.Client(trust_env=False, verify=verify not in (False, "false", "False"))

    def credentials(self, client: httpx.Client) -> Credentials:
        """What is sent to say who asks.

        Raises:
            CopyError: something is missing.
        """
        given = self.properties.get("authHeaders") or {}
        headers = {name: secret_text(value) for name, value in given.items()}
        kind = str(self.properties.get("authenticationType") or "Anonymous").lower()
        result = Credentials(origin(self.url), headers)
        if kind == "basic":
            pair = f"{self._need('userName')}:{self._need('password')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif kind == "oauth2clientcredential":
            result.fetch = lambda: self._oauth(client)
        elif kind == "managedserviceidentity":
            resource = self._need("aadResourceId")
            result.fetch = lambda: (self.managed(resource), 3600.0)
        elif kind != "anonymous":
            raise CopyError(
                "UserErrorAuthenticationNotSupported",
                f"the authentication {self.properties['authenticationType']!r} needs Microsoft "
                "Entra ID, which is not here: it can be deployed, and used in Azure only",
            )
        return result

    def _need(self, name: str) -> str:
        value = secret_text(self.properties.get(name))
        if not value:
            raise CopyError("UserErrorMissingCredential", f"the linked service has no {name}")
        return value

    def _oauth(self, client: httpx.Client) -> tuple[str, float]:
        """A token by client credentials (RFC 6749, 4.4), and for how long."""
        endpoint = self._need("tokenEndpoint")
        form = {
            "grant_type": "client_credentials",
            "client_id": self._need("clientId"),
            "client_secret": self._need("clientSecret"),
        }
        for name in ("scope", "resource"):
            if self.properties.get(name):
                form[name] = str(self.properties[name])
        try:
            reply = client.post(endpoint, data=form, headers={"Accept": "application/json"})
            document = reply.json() if reply.is_success else {}
        except (httpx.HTTPError, ValueError) as error:
            raise CopyError(
                "UserErrorRestTokenFailed",
                f"Failed to get a token from '{endpoint}': {type(error).__name__}: {error}",
                "SystemError",
            ) from error
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not token:
            raise CopyError(
                "UserErrorRestTokenFailed",
                f"Failed to get a token from '{endpoint}': it answered {reply.status_code} "
                f"{reply.text[:_SHOWN]}",
            )
        return token, float(document.get("expires_in") or 3600)


def secret_text(value: Any) -> str:
    """The text of a secret or of a plain value."""
    if isinstance(value, dict):
        return str(value.get("value", ""))
    return "" if value is None else str(value)


def absolute(base: str, relative: Any) -> str:
    """Base URL and relative URL of a dataset put together, as Data Factory does: by a slash."""
    if not relative:
        return base
    text = str(relative)
    if text.startswith("?"):
        return base + text
    return f"{base.rstrip('/')}/{text.lstrip('/')}"


def failed(url: str, status: int, payload: str, code: str = "RestSourceCallFailed") -> CopyError:
    """The error of a reply that is no success."""
    kind = "SystemError" if status >= 500 else "UserError"  # noqa: PLR2004
    return CopyError(
        code,
        f"The HttpStatusCode {status} indicates failure. Request URL: {url} "
        f"Response payload:{payload[:_SHOWN]}",
        kind,
    )


@contextmanager
def http_errors(url: str, code: str) -> Iterator[None]:
    """Turn the client's errors into those of a copy.

    Raises:
        CopyError: naming the URL.
    """
    try:
        yield
    except httpx.TimeoutException as error:
        raise CopyError(
            code, f"Request URL: {url} did not answer in time: {error}", "SystemError"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CopyError(
            code, f"Request URL: {url} failed: {type(error).__name__}: {error}", "SystemError"
        ) from error


def stopping(stop: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, until the run ends."""
    for chunk in chunks:
        if stop.is_set():
            raise CopyStoppedError
        yield chunk
