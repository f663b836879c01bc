"""Secrets of linked services: values that stand there, or that a key vault holds.

A vault is asked when a run needs the secret, with the factory's managed identity, so that a secret
that is missing fails the activity and not the deployment, as in Azure.
Source: learn.microsoft.com/azure/data-factory/store-credentials-in-key-vault
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx

from devcloud.datafactory.copy.failure import CopyError

VAULT = "https://vault.azure.net"
_API_VERSION = "7.4"
_NOT_FOUND = 404

VaultUrl = Callable[[str], str]
"""The base URL of the vault that a linked service of that name stands for."""


def is_vault_secret(value: Any) -> bool:
    """Whether a value is a reference to a secret of a vault."""
    return isinstance(value, dict) and value.get("type") == "AzureKeyVaultSecret"


async def resolved(value: Any, ask: Callable[[dict[str, Any]], Awaitable[str]]) -> Any:
    """A value with every reference to a secret replaced by a SecureString.

    Args:
        value: typeProperties of a linked service, evaluated.
        ask: gives the secret of a reference.

    Raises:
        CopyError: one cannot be got.
    """
    if is_vault_secret(value):
        return {"type": "SecureString", "value": await ask(value)}
    if isinstance(value, dict):
        return {key: await resolved(item, ask) for key, item in value.items()}
    return value


async def from_vault(http: httpx.AsyncClient, base: str, token: str, reference: Any) -> str:
    """The value of a secret.

    Raises:
        CopyError: the vault has none of that name, refuses, or does not answer.
    """
    name, version = str(reference["secretName"]), str(reference.get("secretVersion") or "")
    url = f"{base.rstrip('/')}/secrets/{quote(name, safe='')}"
    if version:
        url = f"{url}/{quote(version, safe='')}"
    try:
        reply = await http.get(
            url, params={"api-version": _API_VERSION}, headers={"Authorization": f"Bearer {token}"}
        )
        document = reply.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise CopyError(
            "AzureKeyVaultOperationFailed",
            f"the secret '{name}' cannot be read from '{base}': {type(error).__name__}: {error}",
            "SystemError",
        ) from error
    if not reply.is_success:
        code = "AzureKeyVaultSecretNotFound" if reply.status_code == _NOT_FOUND else (
            "AzureKeyVaultOperationFailed"
        )  # fmt: skip
        message = (document.get("error") or {}).get("message", reply.text[:500])
        raise CopyError(code, f"the secret '{name}' of '{base}': {reply.status_code}: {message}")
    return str(document["value"])
