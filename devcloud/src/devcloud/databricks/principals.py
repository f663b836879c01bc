"""Service principals, and who may do what with a job. They are kept, and nothing asks them here.

Every caller of the local workspace has its one token and may do all. Source: SCIM API
(preview/scim/v2/ServicePrincipals) and Permissions API 2.0.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.databricks.documents import Document, Documents
from devcloud.databricks.errors import absent, invalid, unsupported
from devcloud.databricks.store import WorkspaceStore

_SCIM = "/api/2.0/preview/scim/v2/ServicePrincipals"
_PERMISSIONS = "/api/2.0/permissions/jobs/{job_id:int}"
_FILTER = re.compile(r'applicationId eq "([^"]+)"')
_LEVELS = ("CAN_VIEW", "CAN_MANAGE_RUN", "IS_OWNER", "CAN_MANAGE")
_PRINCIPALS, _JOBS = "principals", "jobs"
_WHO = ("user_name", "group_name", "service_principal_name")


class PrincipalsApi:
    """The calls, over a file and the register of jobs."""

    def __init__(self, path: Path, store: WorkspaceStore) -> None:
        self._documents = Documents(path)
        self._store = store

    def routes(self) -> list[Route]:
        """The routes of both APIs."""
        return [
            Route(_SCIM, self.listed, methods=["GET"]),
            Route(_SCIM, self.create, methods=["POST"]),
            Route(_PERMISSIONS, self.permissions, methods=["GET"]),
            Route(_PERMISSIONS, self.update, methods=["PATCH"]),
        ]

    async def listed(self, request: Request) -> Response:
        """Principals, by `applicationId eq "..."` or all; one page."""
        query = request.query_params.get("filter", "")
        matched = _FILTER.fullmatch(query)
        if query and matched is None:
            raise unsupported(f"the filter {query!r}")
        chosen = [
            each
            for each in self._documents.all(_PRINCIPALS)
            if matched is None or each["applicationId"] == matched[1]
        ]
        start = int(request.query_params.get("startIndex", "1"))
        page = chosen[start - 1 :]
        return JSONResponse({"Resources": page, "totalResults": len(chosen), "startIndex": start})

    async def create(self, request: Request) -> Response:
        """Add one, by its application id."""
        body = await _body(request)
        application = str(body.get("applicationId", ""))
        if not application:
            raise invalid("applicationId is missing.")
        if self._documents.get(_PRINCIPALS, application):
            raise invalid(f"Service principal {application} exists already.")
        document = {**body, "id": str(self._store.new_id())}
        self._documents.put(_PRINCIPALS, application, document)
        return JSONResponse(document, 201)

    async def permissions(self, request: Request) -> Response:
        """Of a job."""
        return JSONResponse(self._shown(self._job(request)))

    async def update(self, request: Request) -> Response:
        """Add to the permissions of a job."""
        job_id = self._job(request)
        rules = {_who(each): each for each in self._rules(job_id)}
        for each in (await _body(request)).get("access_control_list", []):
            if each.get("permission_level") not in _LEVELS:
                raise invalid(f"{each.get('permission_level')} is no permission of a job.")
            principal = each.get("service_principal_name")
            if principal and self._documents.get(_PRINCIPALS, principal) is None:
                raise absent(f"Principal: ServicePrincipalName({principal}) does not exist.")
            rules[_who(each)] = each
        self._documents.put(_JOBS, str(job_id), {"rules": list(rules.values())})
        return JSONResponse(self._shown(job_id))

    def _job(self, request: Request) -> int:
        job_id = int(request.path_params["job_id"])
        if self._store.job(job_id) is None:
            raise absent(f"Job {job_id} does not exist.")
        return job_id

    def _rules(self, job_id: int) -> list[Document]:
        document = self._documents.get(_JOBS, str(job_id)) or {}
        rules: list[Document] = document.get("rules", [])
        return rules

    def _shown(self, job_id: int) -> Document:
        return {
            "object_id": f"/jobs/{job_id}",
            "object_type": "job",
            "access_control_list": [
                {
                    **{name: each[name] for name in _WHO if name in each},
                    "all_permissions": [
                        {"permission_level": each["permission_level"], "inherited": False}
                    ],
                }
                for each in self._rules(job_id)
            ],
        }


def _who(rule: Document) -> str:
    for name in _WHO:
        if rule.get(name):
            return f"{name}:{rule[name]}"
    raise invalid("A rule names a user, a group or a service principal.")


async def _body(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.body())
    except ValueError as error:
        raise invalid(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid("The body must be a JSON object.")
    return document
