"""The key vault: the secrets of the local cloud's configuration, and those that are put into it.

What is put, here or through the Resource Manager (see `management`), is kept in `vault.json` of the
data folder, which its owner alone can read. Those of the configuration are replaced through the
Resource Manager only. Only the newest version of a secret is kept.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.config import CloudConfig
from devcloud.platform.identity import Identity, TokenError

RESOURCE = "https://vault.azure.net"
_FILE = "vault.json"
_CURRENT = "current"


class VaultSecrets(Mapping[str, str]):
    """The secrets by name; what was put is in a file of the data folder, for every process."""

    def __init__(self, config: CloudConfig) -> None:
        self._own = config.secrets
        self._file = config.root / _FILE

    def __getitem__(self, name: str) -> str:
        kept = self._put()
        return str(kept[name]["value"]) if name in kept else self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._put(), **self._own})

    def __len__(self) -> int:
        return len({**self._put(), **self._own})

    def tags(self, name: str) -> dict[str, str]:
        """The tags of a secret."""
        return dict(self._put().get(name, {}).get("tags", {}))

    def put(self, name: str, value: str, tags: Mapping[str, str] | None = None) -> None:
        """Keep a secret, in the place of the configuration's of that name."""
        secrets = {**self._put(), name: {"value": value, "tags": dict(tags or {})}}
        staged = Path(f"{self._file}.{uuid.uuid4().hex}.tmp")
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump(secrets, file, indent=1)
        staged.replace(self._file)

    def _put(self) -> dict[str, dict[str, Any]]:  # read anew: another process may have put one
        try:
            kept: dict[str, dict[str, Any]] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return kept


def routes(identity: Identity, config: CloudConfig) -> list[Route]:
    """`GET` and `PUT /vault/secrets/<name>`, `GET /vault/secrets/<name>/<version>`."""
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
        if request.method == "PUT":
            try:
                value = json.loads(await request.body())["value"]
            except (ValueError, KeyError, TypeError):
                value = None
            if not isinstance(value, str):
                return _error(400, "BadParameter", "the body must be JSON with the text 'value'")
            if name in config.secrets:  # what runs here uses them; a deployment may replace them
                return _error(403, "Forbidden", f"{name} is a secret of the local cloud itself")
            secrets.put(name, value)
        known = secrets.get(name)
        if known is None or request.path_params.get("version", _CURRENT) != _CURRENT:
            return _error(404, "SecretNotFound", f"a secret with (name/id) {name} was not found")
        return JSONResponse(
            {
                "value": known,
                "id": f"{config.vault_url}/secrets/{name}/{_CURRENT}",
                "attributes": {"enabled": True},
            }
        )

    return [
        Route("/vault/secrets/{name}", secret, methods=["GET", "PUT"]),
        Route("/vault/secrets/{name}/{version}", secret, methods=["GET"]),
    ]


def _error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
