"""The Azure Resource Manager's routes of Data Factory, version 2018-06-01.

Paths compare without case, as in Azure. Every request needs a bearer token of the local identity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devcloud.clock import Clock, stamp
from devcloud.config import CloudConfig
from devcloud.datafactory import query
from devcloud.datafactory.azure_error import AzureError, not_implemented
from devcloud.datafactory.engine import Engine
from devcloud.datafactory.resources import KINDS, FactoryId, Resources
from devcloud.datafactory.runs import PipelineRun, Runs
from devcloud.datafactory.triggers import Triggers
from devcloud.faults import Faults, target, user_agent
from devcloud.platform.identity import Identity, TokenError

API_VERSION = "2018-06-01"
RESOURCES = ("https://management.azure.com", "https://management.core.windows.net")
_FACTORY = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+))?"
    r"/providers/Microsoft\.DataFactory/factories(?:/(?P<factory>[^/]+)(?P<rest>/.*)?)?",
    re.IGNORECASE,
)
_UNSUPPORTED_START = ("referencePipelineRunId", "startActivityName", "startFromFailure")


@dataclass(frozen=True)
class ArmRequest:
    """A request, taken apart.

    Attributes:
        rest: what follows the factory in the path, split; the kind in lower case.
    """

    request: Request
    factory: FactoryId
    rest: tuple[str, ...]
    body: dict[str, Any]

    @property
    def query(self) -> dict[str, str]:
        """Query parameters."""
        return dict(self.request.query_params)


@dataclass(frozen=True)
class Arm:
    """The handlers, over the stores."""

    config: CloudConfig
    identity: Identity
    resources: Resources
    runs: Runs
    engine: Engine
    triggers: Triggers
    clock: Clock
    faults: Faults

    async def handle(self, request: Request) -> Response:
        """Answer a request to the Resource Manager, errors included."""
        try:
            return self._answer(await self._call(request))
        except TokenError as error:
            refusal = AzureError(401, "InvalidAuthenticationToken", str(error))
            return JSONResponse(
                refusal.to_json(), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            )
        except AzureError as error:
            headers = {"x-ms-error-code": error.code, **error.headers}
            return JSONResponse(error.to_json(), error.status, headers)

    async def _call(self, request: Request) -> ArmRequest:
        self.identity.check(request.headers.get("Authorization"), *RESOURCES)
        if request.query_params.get("api-version") != API_VERSION:
            raise AzureError(
                400, "InvalidApiVersionParameter", f"the api-version must be {API_VERSION}"
            )
        match = _FACTORY.fullmatch(request.url.path)
        if match is None:
            raise not_implemented(f"{request.method} {request.url.path}")
        if match["subscription"].lower() != self.config.subscription.lower():
            raise AzureError(
                404, "SubscriptionNotFound", f"no subscription {match['subscription']!r} here"
            )
        factory = FactoryId(self.config.subscription, match["group"] or "", match["factory"] or "")
        rest = tuple(part for part in (match["rest"] or "").split("/") if part)
        if rest:
            rest = (rest[0].lower(), *rest[1:])
        raw = await request.body()
        try:
            body = json.loads(raw) if raw else {}
        except ValueError as error:
            raise AzureError(400, "InvalidRequestContent", f"not JSON: {error}") from error
        if not isinstance(body, dict):
            raise AzureError(400, "InvalidRequestContent", "the body must be a JSON object")
        return ArmRequest(request, factory, rest, body)

    def _answer(self, call: ArmRequest) -> Response:
        method, rest = call.request.method, call.rest
        if not rest:
            return self._factory(call)
        self.resources.factory(call.factory)
        if rest[0] in KINDS and len(rest) <= 2:  # noqa: PLR2004
            return self._definitions(call)
        match (method, *rest):
            case ("POST", "pipelines", name, action) if action.lower() == "createrun":
                return self._create_run(call, name)
            case ("POST", "triggers", _, *_):
                return self._of_trigger(call)
            case ("POST", "querypipelineruns" | "querytriggerruns" | "querytriggers"):
                return self._query(call)
            case (_, "pipelineruns", run_id, *action):
                return self._run_action(call, run_id, "".join(action).lower())
        raise not_implemented(f"{method} /{'/'.join(rest)} of a factory")

    def _factory(self, call: ArmRequest) -> Response:
        factory, request = call.factory, call.request
        if not factory.name:
            if request.method != "GET":
                raise not_implemented(f"{request.method} of all factories")
            return JSONResponse({"value": self.resources.factories()})
        if request.method == "GET":
            return JSONResponse(self.resources.factory(factory))
        if request.method == "PUT":
            match = request.headers.get("If-Match")
            return JSONResponse(self.resources.put_factory(factory, call.body, match))
        if request.method == "DELETE":
            return Response(status_code=200 if self.resources.delete_factory(factory) else 204)
        raise not_implemented(f"{request.method} of a factory")

    def _definitions(self, call: ArmRequest) -> Response:
        key, kind = call.factory.key, call.rest[0]
        if len(call.rest) == 1:
            if call.request.method != "GET":
                raise not_implemented(f"{call.request.method} of all {kind}")
            resources = self.resources.list(key, kind)
            return JSONResponse({"value": [_shown(each) for each in resources]})
        return self._definition(call, kind, call.rest[1])

    def _definition(self, call: ArmRequest, kind: str, name: str) -> Response:
        request, key = call.request, call.factory.key
        if request.method not in ("GET", "PUT", "DELETE"):
            raise not_implemented(f"{request.method} of one of {kind}")
        if request.method == "GET":
            stored = self.resources.get(key, kind, name)
            if request.headers.get("If-None-Match", "").strip('"') == stored["etag"]:
                return Response(status_code=304)
            return JSONResponse(_shown(stored))
        if kind == "triggers":
            self.triggers.check_change(key, name)
        if request.method == "DELETE":
            gone = self.resources.delete(key, kind, name)
            if gone and kind == "triggers":
                self.triggers.forget(key, name)
            return Response(status_code=200 if gone else 204)
        body = call.body
        if kind == "triggers":
            self.triggers.check(key, name, body)
            body = {**body, "properties": {**body["properties"], "runtimeState": "Stopped"}}
        match = request.headers.get("If-Match")
        return JSONResponse(_shown(self.resources.put(call.factory, kind, name, body, match)))

    def _create_run(self, call: ArmRequest, name: str) -> Response:
        for option in _UNSUPPORTED_START:
            if call.query.get(option, "false").lower() != "false":
                raise not_implemented(f"createRun with {option}")
        caller = {"id": "local", "name": "Manual", "invokedByType": "Manual"}
        run = self.engine.start(call.factory.key, name, call.body, caller)
        return JSONResponse({"runId": run.run_id})

    def _of_trigger(self, call: ArmRequest) -> Response:
        match call.rest[1:]:
            case (name, action):
                return self._trigger_action(call, name, action.lower())
            case (name, runs, run_id, action) if runs.lower() == "triggerruns":
                return self._trigger_run_action(call, name, run_id, action.lower())
        raise not_implemented(f"POST /{'/'.join(call.rest)} of a factory")

    def _trigger_action(self, call: ArmRequest, name: str, action: str) -> Response:
        key = call.factory.key
        if action in ("start", "stop"):
            act: Callable[[str, str], None] = getattr(self.triggers, action)
            act(key, name)
            return Response(status_code=200)
        subscribing = ("subscribetoevents", "unsubscribefromevents", "geteventsubscriptionstatus")
        if action not in subscribing:
            raise not_implemented(f"{action} of a trigger")
        # A trigger that is started is subscribed, one that is stopped is not; no call changes that.
        properties = self.resources.get(key, "triggers", name)["properties"]
        enabled = properties.get("runtimeState") == "Started"
        status = "Enabled" if enabled else "Disabled"
        return JSONResponse({"triggerName": name, "status": status})

    def _trigger_run_action(
        self, call: ArmRequest, name: str, run_id: str, action: str
    ) -> Response:
        if action not in ("rerun", "cancel"):
            raise not_implemented(f"{action} of a trigger run")
        act: Callable[[str, str, str], None] = getattr(self.triggers, action)
        act(call.factory.key, name, run_id)
        return Response(status_code=200)

    def _run(self, call: ArmRequest, run_id: str) -> PipelineRun:
        run = self.runs.get(run_id)
        if run is None or run.factory != call.factory.key:
            raise AzureError(
                404, "PipelineRunNotFound", f"the pipeline run {run_id!r} was not found", run_id
            )
        return run

    def _run_action(self, call: ArmRequest, run_id: str, action: str) -> Response:
        run = self._run(call, run_id)
        method = call.request.method
        if not action and method == "GET":
            return JSONResponse(run.to_json())
        if action == "cancel" and method == "POST":
            recursive = call.query.get("isRecursive", "false").lower() == "true"
            self.engine.cancel(run, recursive=recursive)
            return Response(status_code=200)
        if action == "queryactivityruns" and method == "POST":
            documents = [each.to_json() for each in self.runs.activities(run.run_id)]
            return JSONResponse(query.activity_runs(call.body, documents))
        raise not_implemented(f"{method} {action} of a pipeline run")

    def _query(self, call: ArmRequest) -> Response:
        if call.rest[0] == "querytriggers":
            stored = self.resources.list(call.factory.key, "triggers")
            return JSONResponse({"value": [_shown(each) for each in stored]})
        if call.rest[0] == "querytriggerruns":
            triggered = self.triggers.runs.of_factory(call.factory.key)
            documents = [run.to_json() for run in triggered]
            return JSONResponse(query.trigger_runs(call.body, documents))
        scope = call.request.scope
        lag = self.faults.take(
            "query_lag", method="POST", target=target(scope), user_agent=user_agent(scope)
        )
        moment = None
        if lag is not None:
            moment = stamp(self.clock.now() - timedelta(seconds=lag.seconds))
        documents = []
        oldest = query.oldest(call.body)
        for run in self.runs.all():
            if run.updated < oldest or run.factory != call.factory.key:
                continue
            status = run.as_of(moment)
            if status is not None:
                documents.append(run.to_json(status))
        return JSONResponse(query.pipeline_runs(call.body, documents))


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    """A definition as it is answered: secrets never come back, as in Azure."""
    inside = stored["properties"].get("typeProperties")
    if not isinstance(inside, dict):
        return stored
    kept = _without_secrets(inside)
    if kept == inside:
        return stored
    kept["encryptedCredential"] = "kept by the local data factory"
    return {**stored, "properties": {**stored["properties"], "typeProperties": kept}}


def _without_secrets(inside: dict[str, Any]) -> dict[str, Any]:
    """The properties without what is a SecureString, `authHeaders` included."""
    kept = {
        name: value
        for name, value in inside.items()
        if not (isinstance(value, dict) and value.get("type") == "SecureString")
    }
    if isinstance(kept.get("authHeaders"), dict):
        kept["authHeaders"] = _without_secrets(kept["authHeaders"])
    return kept
