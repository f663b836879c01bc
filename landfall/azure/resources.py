"""Requests to the Azure Resource Manager, for which no SDK has to be installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ServiceRequestError
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    RetryPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest

from landfall.azure.arm import AGENT, CONNECT_SECONDS, READ_SECONDS, AllowPlainHttpPolicy

SCOPE = "https://management.azure.com/.default"
_ERROR = 400


class ResourceError(Exception):
    """A request that the Resource Manager refused, or did not answer.

    Attributes:
        status: HTTP status; 0 without an answer.
        code: Azure's word for it, such as ResourceNotFound.
    """

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class ResourceManager:
    """Reads and writes resources by their ids.

    Args:
        endpoint: base URL, https://management.azure.com in Azure.
        credential: credential for the scope of the Resource Manager.
    """

    def __init__(self, endpoint: str, credential: TokenCredential) -> None:
        policies: list[Any] = [UserAgentPolicy(AGENT), RetryPolicy(retry_total=4)]
        if urlsplit(endpoint).scheme == "http":
            policies.append(AllowPlainHttpPolicy())
        policies.append(BearerTokenCredentialPolicy(credential, SCOPE))
        self._client: PipelineClient[Any, Any] = PipelineClient(endpoint, policies=policies)

    def get(self, resource: str, version: str) -> dict[str, Any] | None:
        """Return a resource; None if it is not there.

        Raises:
            ResourceError: the request was refused or not answered.
        """
        try:
            return self._send("GET", resource, version)
        except ResourceError as error:
            if error.status == 404:  # noqa: PLR2004 - not found
                return None
            raise

    def put(self, resource: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create or replace a resource.

        Raises:
            ResourceError: the request was refused or not answered.
        """
        return self._send("PUT", resource, version, body)

    def post(self, action: str, version: str) -> dict[str, Any]:
        """Call an action of a resource, such as `<id>/listKeys`.

        Raises:
            ResourceError: the request was refused or not answered.
        """
        return self._send("POST", action, version)

    def delete(self, resource: str, version: str) -> None:
        """Delete a resource, if it is there.

        Raises:
            ResourceError: the request was refused or not answered.
        """
        try:
            self._send("DELETE", resource, version)
        except ResourceError as error:
            if error.status != 404:  # noqa: PLR2004 - not found
                raise

    def _send(
        self, method: str, path: str, version: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        request = HttpRequest(method, path, params={"api-version": version}, json=body)
        request.url = self._client.format_url(request.url)
        try:
            response = self._client.send_request(
                request, connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS
            )
            text = response.text()
        except ServiceRequestError as error:
            raise ResourceError(f"{method} {path}: not sent: {error}") from error
        except AzureError as error:
            raise ResourceError(f"{method} {path}: not answered: {error}") from error
        document = _document(text)
        if response.status_code >= _ERROR:
            code, message = _refusal(document, text)
            raise ResourceError(
                f"{method} {path}: {response.status_code} {code}: {message}",
                response.status_code,
                code,
            )
        return document


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _refusal(document: Mapping[str, Any], text: str) -> tuple[str, str]:
    error = document.get("error")
    if isinstance(error, Mapping):
        return str(error.get("code", "")), str(error.get("message", ""))
    return str(document.get("Code", "")), str(document.get("Message", text[:300]))
