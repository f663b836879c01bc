"""The managed identity of everything that runs in the local cloud.

Tokens look like JSON Web Tokens and are signed with the secret of the data folder, so that they can
be checked after a restart. Protocol: App Service's token endpoint, api-version 2019-08-01.
Source: learn.microsoft.com/azure/app-service/overview-managed-identity
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.config import CloudConfig

API_VERSION = "2019-08-01"
LIFETIME_SECONDS = 24 * 3600
_HEADER = b'{"alg":"HS256","typ":"JWT"}'


class TokenError(Exception):
    """A token that is not accepted; says why."""


class Identity:
    """Issues bearer tokens and checks them."""

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._now = now

    def issue(self, resource: str) -> tuple[str, int]:
        """A token for a resource, and when it expires (seconds since 1970)."""
        expires = int(self._now()) + LIFETIME_SECONDS
        claims = {"aud": resource, "exp": expires, "iss": "devcloud", "sub": "landfall"}
        signed = f"{_encode(_HEADER)}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{_encode(self._signature(signed))}", expires

    def check(self, authorization: str | None, *resources: str) -> None:
        """Accept the value of an Authorization header.

        Raises:
            TokenError: it is missing, no bearer token of ours, expired, or for another resource.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenError("the request has no bearer token")
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_encode(self._signature(signed)), signature):
            raise TokenError("the token was not issued by this local cloud")
        claims = json.loads(_decode(signed.partition(".")[2]))
        if claims["exp"] <= self._now():
            raise TokenError("the token has expired")
        audiences = {resource.rstrip("/") for resource in resources}
        if claims["aud"].rstrip("/") not in audiences:
            raise TokenError(f"the token is for {claims['aud']!r}, not for {sorted(audiences)}")

    def _signature(self, signed: str) -> bytes:
        return hmac.new(self._secret, signed.encode(), hashlib.sha256).digest()


def routes(identity: Identity, config: CloudConfig) -> list[Route]:
    """The token endpoint."""

    async def token(request: Request) -> Response:
        if request.query_params.get("api-version") != API_VERSION:
            return _refusal(400, f"api-version must be {API_VERSION}")
        given = request.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(given.encode(), config.identity_secret.encode()):
            return _refusal(401, "X-IDENTITY-HEADER is missing or wrong")
        resource = request.query_params.get("resource")
        if not resource:
            return _refusal(400, "the query parameter 'resource' is missing")
        access_token, expires = identity.issue(resource)
        return JSONResponse(
            {
                "access_token": access_token,
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": "landfall",
            }
        )

    return [Route("/identity/token", token, methods=["GET"])]


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"statusCode": status, "message": message}, status_code=status)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
