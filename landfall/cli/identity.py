"""Token credential of a local cloud's managed identity, for the command line."""

from __future__ import annotations

from typing import Any

import httpx
from azure.core.credentials import AccessToken


class LocalIdentity:
    """A token credential that uses the identity endpoint of a local cloud.

    azure-identity reads that endpoint only from the environment of its own process.

    Args:
        endpoint: value of IDENTITY_ENDPOINT.
        secret: value of IDENTITY_HEADER.
    """

    def __init__(self, endpoint: str, secret: str) -> None:
        self._endpoint = endpoint
        self._secret = secret

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Return a token for the resource of the first scope."""
        reply = httpx.get(
            self._endpoint,
            params={"resource": scopes[0].removesuffix("/.default"), "api-version": "2019-08-01"},
            headers={"X-IDENTITY-HEADER": self._secret},
        )
        reply.raise_for_status()
        document = reply.json()
        return AccessToken(document["access_token"], int(document["expires_on"]))
