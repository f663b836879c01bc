"""The identity of this app towards Azure: managed, or what a developer logged in with."""

from __future__ import annotations

from functools import lru_cache

from azure.core.credentials import TokenCredential


@lru_cache(maxsize=1)
def app_credential() -> TokenCredential:
    """One credential for all clients: it caches tokens and is safe to share between threads."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - 0.2 s that few calls need

    return DefaultAzureCredential()
