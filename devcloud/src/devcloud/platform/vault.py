"""The key vault: read-only, with the secrets of the local cloud's configuration."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.config import CloudConfig
from devcloud.platform.identity import Identity, TokenError

RESOURCE = "https://vault.azure.net"


def routes(identity: Identity, config: CloudConfig) -> list[Route]:
    """`GET /vault/secrets/<name>[/<version>]`; the only version is "current"."""
    secrets = config.secrets

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
