"""Azure credential of the app: managed identity, or the login of a developer."""

from __future__ import annotations

from functools import lru_cache

from azure.core.credentials import TokenCredential


@lru_cache(maxsize=1)
def app_credential() -> TokenCredential:
    """Return one credential for all clients; it caches tokens and is thread-safe."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - takes 0.2 s and is needed rarely

    return DefaultAzureCredential()
