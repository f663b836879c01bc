"""The managed identity of a local cloud, for the command line, which does not run inside of it."""

from __future__ import annotations

from typing import Any

import httpx
from azure.core.credentials import AccessToken


class LocalIdentity:
    """A token credential that asks the identity endpoint of a local cloud.

    azure-identity finds that endpoint in its own process's environment only.

    Args:
        endpoint: what IDENTITY_ENDPOINT would say.
        secret: what IDENTITY_HEADER would say.
    """

    def __init__(self, endpoint: str, secret: str) -> None:
        self._endpoint = endpoint
        self._secret = secret

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for the resource of the first scope."""
        reply = httpx.get(
            self._endpoint,
            params={"resource": scopes[0].removesuffix("/.default"), "api-version": "2019-08-01"},
            headers={"X-IDENTITY-HEADER": self._secret},
        )
        reply.raise_for_status()
        document = reply.json()
        return AccessToken(document["access_token"], int(document["expires_on"]))
