"""The key vault: the secrets of the local cloud's configuration, and those that were put into it.

Its data plane is read-only; secrets are put through the Resource Manager, see `management`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.config import CloudConfig
from devcloud.platform.identity import Identity, TokenError

RESOURCE = "https://vault.azure.net"
_FILE = "vault.json"


class VaultSecrets(Mapping[str, str]):
    """The secrets by name; what was put is in a file of the data folder, for every process."""

    def __init__(self, config: CloudConfig) -> None:
        self._given = config.secrets
        self._path = config.root / _FILE

    def __getitem__(self, name: str) -> str:
        kept = self._kept()
        return str(kept[name]["value"]) if name in kept else self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._given, **self._kept()})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def tags(self, name: str) -> dict[str, str]:
        """The tags of a secret."""
        return dict(self._kept().get(name, {}).get("tags", {}))

    def put(self, name: str, value: str, tags: Mapping[str, str]) -> None:
        """Set a secret."""
        kept = {**self._kept(), name: {"value": value, "tags": dict(tags)}}
        staged = self._path.with_suffix(".tmp")
        staged.write_text(json.dumps(kept, indent=1))
        staged.chmod(0o600)
        staged.replace(self._path)

    def _kept(self) -> dict[str, dict[str, Any]]:  # read anew: another process may have put one
        if not self._path.exists():
            return {}
        kept: dict[str, dict[str, Any]] = json.loads(self._path.read_text())
        return kept


def routes(identity: Identity, config: CloudConfig) -> list[Route]:
    """`GET /vault/secrets/<name>[/<version>]`; the only version is "current"."""
    secrets = VaultSecrets(config)

    async def secret(request: Request) -> Response:
        try:
            identity.check(request.headers.get("Authorization"), RESOURCE)
        except TokenError as error:
            challenge = f'Bearer authorization="https://login.local", resource="{RESOURCE}"'
            return _error(401, "Unauthorized", str(error), {"WWW-Authenticate": challenge})
        if "api-version" not in request.query_params:
            return _error(400, "BadParameter", "the query parameter api-version is missing")
        name = request.path_params["name"]
        if name not in secrets or request.path_params.get("version", "current") != "current":
            return _error(404, "SecretNotFound", f"a secret with (name/id) {name} was not found")
        return JSONResponse(
            {
                "value": secrets[name],
                "id": f"{config.vault_url}/secrets/{name}/current",
                "attributes": {"enabled": True},
            }
        )

    return [
        Route("/vault/secrets/{name}", secret, methods=["GET"]),
        Route("/vault/secrets/{name}/{version}", secret, methods=["GET"]),
    ]


def _error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
