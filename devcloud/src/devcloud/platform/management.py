"""What the Resource Manager answers beside Data Factory: keys, event subscriptions, secrets.

Only what a deployment asks of a running system: resources themselves are not made here, a local
cloud has one of each. Paths compare without case, as in Azure, and the names of app, topic and
vault are taken as they come. Every request needs a bearer token of the local identity.

Specifications: Microsoft.Web 2024-11-01, Microsoft.EventGrid 2025-02-15, Microsoft.KeyVault
2024-11-01.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.config import CloudConfig
from devcloud.platform.identity import Identity, TokenError
from devcloud.platform.vault import VaultSecrets

RESOURCES = ("https://management.azure.com", "https://management.core.windows.net")
_PROVIDERS = "/subscriptions/{subscription}/resourceGroups/{group}/providers"
_SITE = f"{_PROVIDERS}/Microsoft.Web/sites/{{app}}"
_SUBSCRIPTION = (
    f"{_PROVIDERS}/Microsoft.EventGrid/systemTopics/{{topic}}/eventSubscriptions/{{name}}"
)
_SECRET = f"{_PROVIDERS}/Microsoft.KeyVault/vaults/{{vault}}/secrets/{{name}}"
_SECONDS = 30.0
_MOST_ATTEMPTS, _LONGEST_MINUTES = 30, 1440
"""Event Grid's own, where a subscription says nothing."""
_OK, _CREATED = 200, 201
_KNOWN_FILTERS = {
    "includedEventTypes",
    "subjectBeginsWith",
    "subjectEndsWith",
    "advancedFilters",
    "isSubjectCaseSensitive",
}
_KNOWN_PROPERTIES = {
    "destination",
    "filter",
    "eventDeliverySchema",
    "retryPolicy",
    "deadLetterWithResourceIdentity",
}
Handler = Callable[[Request], Awaitable[Response]]


class RefusedError(Exception):
    """A request that is not answered as asked."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)

    def response(self) -> JSONResponse:
        """As the Resource Manager tells it."""
        return JSONResponse({"error": {"code": self.code, "message": str(self)}}, self.status)


class _ArmRoute(Route):
    """A route whose fixed parts compare without case."""

    def __init__(self, path: str, endpoint: Handler, method: str) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


def routes(identity: Identity, config: CloudConfig) -> list[Route]:
    """The routes of functions, events and secrets."""
    site, events, vault = _Site(config), _Events(config), _Vault(config)
    table: list[tuple[str, str, Handler]] = [
        ("POST", f"{_SITE}/host/default/listkeys", site.list_keys),
        ("PUT", f"{_SITE}/host/default/functionKeys/{{key}}", site.put_key),
        ("GET", f"{_SITE}/functions/{{function}}", site.function),
        ("GET", _SUBSCRIPTION, events.get),
        ("PUT", _SUBSCRIPTION, events.put),
        ("DELETE", _SUBSCRIPTION, events.delete),
        ("GET", _SECRET, vault.get),
        ("PUT", _SECRET, vault.put),
    ]
    return [
        _ArmRoute(path, _guarded(identity, config, handler), method)
        for method, path, handler in table
    ]


def _guarded(identity: Identity, config: CloudConfig, handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            identity.check(request.headers.get("Authorization"), *RESOURCES)
            _check_address(request, config)
            return await handler(request)
        except TokenError as error:
            return RefusedError(401, "InvalidAuthenticationToken", str(error)).response()
        except RefusedError as error:
            return error.response()
        except httpx.HTTPError as error:
            return RefusedError(
                502, "BadGateway", f"a local service does not answer: {error}"
            ).response()

    return answer


def _check_address(request: Request, config: CloudConfig) -> None:
    if "api-version" not in request.query_params:
        raise RefusedError(400, "MissingApiVersionParameter", "api-version is missing")
    if request.path_params["subscription"] != config.subscription:
        raise RefusedError(404, "SubscriptionNotFound", "this is another subscription")
    if request.path_params["group"].lower() != config.resource_group.lower():
        raise RefusedError(404, "ResourceGroupNotFound", "there is no such resource group")


class _Site:
    """The Function App, through the admin API of its host."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config

    async def list_keys(self, _request: Request) -> Response:
        """`host/default/listkeys`."""
        return JSONResponse(
            {
                "masterKey": self._config.master_key,
                "functionKeys": await self._keys("keys"),
                "systemKeys": await self._keys("systemkeys"),
            }
        )

    async def put_key(self, request: Request) -> Response:
        """`host/default/functionKeys/<name>`: set, or made where no value is given."""
        name = request.path_params["key"]
        value = (await _body(request)).get("properties", {}).get("value")
        reply = await self._ask("PUT", f"host/keys/{name}", {"name": name, "value": value})
        shown = {"name": name, "value": reply.json()["value"]}
        return JSONResponse({"name": name, "properties": shown}, reply.status_code)

    async def function(self, request: Request) -> Response:
        """`functions/<name>`."""
        name = request.path_params["function"]
        reply = await self._ask("GET", f"functions/{name}")
        if reply.status_code != _OK:
            raise RefusedError(404, "NotFound", f"the app has no function {name}")
        document = reply.json()
        return JSONResponse(
            {
                "id": request.url.path,
                "name": f"{request.path_params['app']}/{name}",
                "type": "Microsoft.Web/sites/functions",
                "properties": {
                    "name": name,
                    "language": document["language"],
                    "config": document["config"],
                    "isDisabled": document["isDisabled"],
                },
            }
        )

    async def _keys(self, scope: str) -> dict[str, str]:
        reply = await self._ask("GET", f"host/{scope}")
        reply.raise_for_status()
        return {each["name"]: each["value"] for each in reply.json()["keys"]}

    async def _ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        url = f"{self._config.url('functions')}/admin/{path}"
        headers = {"x-functions-key": self._config.master_key}
        async with _client() as client:
            return await client.request(method, url, headers=headers, json=body)


class _Events:
    """Subscriptions of the lake's events, after the handshake with their webhook."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config

    async def get(self, request: Request) -> Response:
        """The subscription; its URL without the query, which holds a key."""
        async with _client() as client:
            reply = await client.get(self._url(request))
        if reply.status_code != _OK:
            raise RefusedError(404, "ResourceNotFound", "there is no such event subscription")
        return JSONResponse(self._document(request, reply.json()))

    async def put(self, request: Request) -> Response:
        """Subscribe, once the webhook has answered the handshake."""
        subscription = _subscription(request.path_params["name"], await _body(request))
        await self._validate(request, subscription["endpoint"])
        async with _client() as client:
            reply = await client.put(self._url(request), json=subscription)
        reply.raise_for_status()
        return JSONResponse(self._document(request, reply.json()), reply.status_code)

    async def delete(self, request: Request) -> Response:
        """Unsubscribe."""
        async with _client() as client:
            reply = await client.delete(self._url(request))
        return Response(status_code=_OK if reply.status_code == _OK else 204)

    async def _validate(self, request: Request, endpoint: str) -> None:
        code = str(uuid.uuid4())
        event = {
            "id": str(uuid.uuid4()),
            "topic": request.url.path,
            "subject": "",
            "data": {"validationCode": code},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "metadataVersion": "1",
            "dataVersion": "1",
        }
        try:
            async with _client() as client:
                reply = await client.post(
                    endpoint, json=[event], headers={"aeg-event-type": "SubscriptionValidation"}
                )
            answered = reply.status_code == _OK and reply.json()["validationResponse"] == code
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError):
            answered = False
        if not answered:
            where = endpoint.partition("?")[0]
            raise RefusedError(400, "Url validation", f"{where} did not answer the handshake")

    def _url(self, request: Request) -> str:
        name = request.path_params["name"]
        return f"{self._config.url('lake')}/_devcloud/event-subscriptions/{name}"

    def _document(self, request: Request, subscription: Mapping[str, Any]) -> dict[str, Any]:
        base = {"endpointBaseUrl": subscription["endpoint"].partition("?")[0]}
        api = {"operatorType": "StringIn", "key": "data.api", "values": subscription["api"]}
        return {
            "id": request.url.path,
            "name": request.path_params["name"],
            "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
            "properties": {
                "provisioningState": "Succeeded",
                "destination": {"endpointType": "WebHook", "properties": base},
                "filter": {
                    "includedEventTypes": subscription["event_types"],
                    "subjectBeginsWith": subscription["subject_begins"],
                    "subjectEndsWith": subscription["subject_ends"],
                    "advancedFilters": [api] if subscription["api"] else [],
                },
            },
        }


def _subscription(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The lake's form of a subscription; what the lake cannot do is refused."""
    properties = body.get("properties") or {}
    destination, chosen = properties.get("destination") or {}, properties.get("filter") or {}
    unknown = (set(properties) - _KNOWN_PROPERTIES) | (set(chosen) - _KNOWN_FILTERS)
    if unknown:
        raise RefusedError(501, "NotImplemented", f"not built here: {', '.join(sorted(unknown))}")
    if destination.get("endpointType") != "WebHook":
        raise RefusedError(501, "NotImplemented", "events are delivered to web hooks only")
    if properties.get("eventDeliverySchema", "EventGridSchema") != "EventGridSchema":
        raise RefusedError(501, "NotImplemented", "events have the Event Grid schema only")
    api: list[str] = []
    for each in chosen.get("advancedFilters") or []:
        if (each.get("operatorType"), each.get("key")) != ("StringIn", "data.api"):
            raise RefusedError(501, "NotImplemented", f"no such filter here: {json.dumps(each)}")
        api += each["values"]
    retry = properties.get("retryPolicy") or {}
    endpoint = (destination.get("properties") or {}).get("endpointUrl")
    if not endpoint:
        raise RefusedError(400, "InvalidRequest", "destination.properties.endpointUrl is missing")
    return {
        "name": name,
        "endpoint": endpoint,
        "event_types": chosen.get("includedEventTypes") or [],
        "subject_begins": chosen.get("subjectBeginsWith") or "",
        "subject_ends": chosen.get("subjectEndsWith") or "",
        "api": api,
        "attempts": int(retry.get("maxDeliveryAttempts", _MOST_ATTEMPTS)),
        "minutes": int(retry.get("eventTimeToLiveInMinutes", _LONGEST_MINUTES)),
        "dead_letter": _dead_letter(properties),
    }


def _dead_letter(properties: Mapping[str, Any]) -> str:
    """The container of dead letters; "" where there is none."""
    by_identity = properties.get("deadLetterWithResourceIdentity") or {}
    destination = by_identity.get("deadLetterDestination") or {}
    if destination and destination.get("endpointType") != "StorageBlob":
        raise RefusedError(400, "InvalidRequest", "dead letters go to a StorageBlob only")
    return str((destination.get("properties") or {}).get("blobContainerName", ""))


class _Vault:
    """Secrets, written through the Resource Manager; their values are never shown there."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self._secrets = VaultSecrets(config)

    async def get(self, request: Request) -> Response:
        """The secret without its value."""
        name = request.path_params["name"]
        if name not in self._secrets:
            raise RefusedError(404, "SecretNotFound", f"there is no secret {name}")
        return JSONResponse(self._document(request, name))

    async def put(self, request: Request) -> Response:
        """Set a secret."""
        name, body = request.path_params["name"], await _body(request)
        value = (body.get("properties") or {}).get("value")
        if not value:
            raise RefusedError(400, "BadRequest", "properties.value is missing")
        status = _OK if name in self._secrets else _CREATED
        self._secrets.put(name, str(value), body.get("tags") or {})
        return JSONResponse(self._document(request, name), status)

    def _document(self, request: Request, name: str) -> dict[str, Any]:
        uri = f"{self._config.vault_url}/secrets/{name}"
        return {
            "id": request.url.path,
            "name": name,
            "type": "Microsoft.KeyVault/vaults/secrets",
            "tags": self._secrets.tags(name),
            "properties": {"secretUri": uri, "attributes": {"enabled": True}},
        }


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=_SECONDS, trust_env=False)


async def _body(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.body())
    except ValueError as error:
        raise RefusedError(
            400, "InvalidRequestContent", f"the body is not JSON: {error}"
        ) from error
    if not isinstance(document, dict):
        raise RefusedError(400, "InvalidRequestContent", "the body is no object")
    return document
