"""The Secrets API: one scope, backed by the local cloud's key vault and therefore only read.

Source: Secrets API 2.0. A scope that a key vault backs is written through the vault.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devcloud.config import SECRET_SCOPE
from devcloud.databricks.errors import absent, invalid


@dataclass(frozen=True)
class SecretsApi:
    """One method for each call; `secrets` are the vault's, `vault_url` its address.

    Raises (all of them):
        ApiError: the refusal.
    """

    secrets: Mapping[str, str]
    vault_url: str

    def get(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """`secrets/get`: the value, base64."""
        key = str(query.get("key", ""))
        self._check_scope(query)
        if key not in self.secrets:
            raise absent(f"Secret {key!r} does not exist in scope {SECRET_SCOPE!r}.")
        return {"key": key, "value": base64.b64encode(self.secrets[key].encode()).decode()}

    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """`secrets/list`: the names."""
        self._check_scope(query)
        return {"secrets": [{"key": key} for key in sorted(self.secrets)]}

    def scopes(self, _query: Mapping[str, Any]) -> dict[str, Any]:
        """`secrets/scopes/list`."""
        vault = {"dns_name": self.vault_url, "resource_id": "local"}
        scope = {"name": SECRET_SCOPE, "backend_type": "AZURE_KEYVAULT", "keyvault_metadata": vault}
        return {"scopes": [scope]}

    def refuse(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """`secrets/put`, `secrets/delete`: not in a scope of a key vault."""
        self._check_scope(body)
        raise invalid(f"Scope {SECRET_SCOPE!r} is backed by a key vault: change the secret there.")

    def _check_scope(self, query: Mapping[str, Any]) -> None:
        if query.get("scope") != SECRET_SCOPE:
            raise absent(f"Scope {query.get('scope')!r} does not exist.")
