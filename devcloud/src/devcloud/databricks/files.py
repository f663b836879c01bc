"""The Workspace API and the file import that bundle deployers use."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.databricks import notebooks
from devcloud.databricks.errors import ApiError, invalid, unsupported
from devcloud.databricks.workspace import Workspace

LARGEST = 200 * 1024 * 1024  # bytes; the service's own limit for a workspace file
FORMATS = ("AUTO", "RAW", "SOURCE")


class FilesApi:
    """Requests about files in the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def routes(self) -> list[Route]:
        """The endpoints."""
        base = "/api/2.0/workspace"
        return [
            Route(f"{base}/get-status", self._get(self._status)),
            Route(f"{base}/list", self._get(self._list)),
            Route(f"{base}/export", self._get(self._export)),
            Route(f"{base}/mkdirs", self._mkdirs, methods=["POST"]),
            Route(f"{base}/delete", self._delete, methods=["POST"]),
            Route(f"{base}/import", self._import, methods=["POST"]),
            Route(
                "/api/2.0/workspace-files/import-file/{path:path}",
                self._import_file,
                methods=["POST"],
            ),
        ]

    def _get(self, answer: Callable[[str, Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            path = request.query_params.get("path")
            if not path:
                raise invalid("The query must give a path.")
            return await run_in_threadpool(answer, path, request)

        return endpoint

    def _status(self, path: str, _request: Request) -> Response:
        return JSONResponse(self._workspace.status(path))

    def _list(self, path: str, request: Request) -> Response:
        if request.query_params.get("notebooks_modified_after"):
            raise unsupported("notebooks_modified_after")
        return JSONResponse({"objects": self._workspace.list(path)})

    def _export(self, path: str, request: Request) -> Response:
        if request.query_params.get("format", "AUTO") not in ("AUTO", "SOURCE", "RAW"):
            raise unsupported(f"export as {request.query_params['format']}")
        content = self._workspace.read(path)
        if request.query_params.get("direct_download", "false").lower() == "true":
            return Response(content, media_type="application/octet-stream")
        suffix = path.rpartition(".")[2] if "." in path.rpartition("/")[2] else ""
        if language := self._workspace.language(path):
            suffix = next(end for end, name in notebooks.LANGUAGES.items() if name == language)
        encoded = base64.b64encode(content).decode()
        return JSONResponse({"content": encoded, "file_type": suffix})

    async def _mkdirs(self, request: Request) -> Response:
        body = await _json(request)
        await run_in_threadpool(self._workspace.mkdirs, _path(body))
        return JSONResponse({})

    async def _delete(self, request: Request) -> Response:
        body = await _json(request)
        recursive = bool(body.get("recursive"))
        await run_in_threadpool(self._workspace.delete, _path(body), recursive=recursive)
        return JSONResponse({})

    async def _import(self, request: Request) -> Response:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            fields = _multipart(request.headers["content-type"], await _content(request))
            content = fields.pop("content", b"")
            body: dict[str, Any] = {key: value.decode() for key, value in fields.items()}
        else:
            body = await _json(request)
            try:
                content = base64.b64decode(body.get("content") or "", validate=True)
            except binascii.Error as error:
                raise invalid(f"content is not base64: {error}") from error
        kind = body.get("format") or "SOURCE"
        if kind not in FORMATS:
            raise unsupported(f"import of {_path(body)} as {kind}")
        overwrite = str(body.get("overwrite", "false")).lower() == "true"
        path, language = _path(body), None
        if kind == "SOURCE":
            path, language, content = notebooks.asked_for(path, body.get("language"), content)
        elif kind == "AUTO" and (language := notebooks.language_of(path, content)):
            path = notebooks.name_of(path)
        await self._write(path, content, language, overwrite=overwrite)
        return JSONResponse({})

    async def _import_file(self, request: Request) -> Response:
        path = "/" + request.path_params["path"].lstrip("/")
        overwrite = request.query_params.get("overwrite", "false").lower() == "true"
        content = await _content(request)
        language = notebooks.language_of(path, content)
        path = notebooks.name_of(path) if language else path
        await self._write(path, content, language, overwrite=overwrite)
        return JSONResponse({})

    async def _write(
        self, path: str, content: bytes, language: str | None, *, overwrite: bool
    ) -> None:
        await run_in_threadpool(
            self._workspace.write, path, content, overwrite=overwrite, language=language
        )


async def _content(request: Request) -> bytes:
    body = await request.body()
    if len(body) > LARGEST:
        raise ApiError(
            400, "MAX_NOTEBOOK_SIZE_EXCEEDED", f"The file has more than {LARGEST} bytes."
        )
    return body


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise ApiError(400, "MALFORMED_REQUEST", f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return body


def _path(body: dict[str, Any]) -> str:
    path = body.get("path")
    if not isinstance(path, str) or not path:
        raise invalid("The body must give a path.")
    return path


def _multipart(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form, by name."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise invalid("The form could not be read.")
    fields: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload
    return fields
