"""Unity Catalog: credentials and external locations, which are kept and nothing more.

Local Spark reaches the lake as a folder. Source: Unity Catalog API 2.1.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.databricks.documents import Document, Documents
from devcloud.databricks.errors import ApiError, absent, invalid, unsupported

_BASE = "/api/2.1/unity-catalog"
_CREDENTIALS, _LOCATIONS = "storage-credentials", "external-locations"
_SERVICES = "credentials"
_FIELDS = {
    _CREDENTIALS: {"name", "azure_managed_identity", "comment"},
    _SERVICES: {"name", "azure_managed_identity", "purpose", "comment"},
    _LOCATIONS: {"name", "url", "credential_name", "comment", "read_only"},
}
Endpoint = Callable[[Request], Awaitable[Response]]


class CatalogApi:
    """The calls, over a file."""

    def __init__(self, path: Path) -> None:
        self._documents = Documents(path)

    def routes(self) -> list[Route]:
        """Create, list, get and delete of each kind."""
        return [
            route
            for kind in (_CREDENTIALS, _LOCATIONS, _SERVICES)
            for route in (
                Route(f"{_BASE}/{kind}", self._create(kind), methods=["POST"]),
                Route(f"{_BASE}/{kind}", self._list(kind), methods=["GET"]),
                Route(f"{_BASE}/{kind}/{{name}}", self._get(kind), methods=["GET"]),
                Route(f"{_BASE}/{kind}/{{name}}", self._delete(kind), methods=["DELETE"]),
            )
        ]

    def _create(self, kind: str) -> Endpoint:
        async def create(request: Request) -> Response:
            body = await _body(request)
            unknown = set(body) - _FIELDS[kind]
            if unknown:
                raise unsupported(f"{min(unknown)!r} of {kind}")
            name = str(body.get("name", ""))
            if not name:
                raise invalid("name is missing.")
            if self._documents.get(kind, name):
                raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"{name} exists already.")
            self._check(kind, body)
            self._documents.put(kind, name, body)
            return JSONResponse(body)

        return create

    def _check(self, kind: str, body: Document) -> None:
        if kind == _LOCATIONS:
            if not str(body.get("url", "")).startswith("abfss://"):
                raise invalid("url must be an abfss:// path.")
            if self._documents.get(_CREDENTIALS, str(body.get("credential_name"))) is None:
                raise absent(f"Storage credential {body.get('credential_name')} does not exist.")
        elif not (body.get("azure_managed_identity") or {}).get("access_connector_id"):
            raise invalid("azure_managed_identity.access_connector_id is missing.")

    def _list(self, kind: str) -> Endpoint:
        async def listed(_request: Request) -> Response:
            return JSONResponse({kind.replace("-", "_"): self._documents.all(kind)})

        return listed

    def _get(self, kind: str) -> Endpoint:
        async def get(request: Request) -> Response:
            name = request.path_params["name"]
            document = self._documents.get(kind, name)
            if document is None:
                raise absent(f"{name} does not exist.")
            return JSONResponse(document)

        return get

    def _delete(self, kind: str) -> Endpoint:
        async def delete(request: Request) -> Response:
            name = request.path_params["name"]
            if not self._documents.delete(kind, name):
                raise absent(f"{name} does not exist.")
            return JSONResponse({})

        return delete


async def _body(request: Request) -> Document:
    try:
        document = json.loads(await request.body())
    except ValueError as error:
        raise invalid(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid("The body must be a JSON object.")
    return document
