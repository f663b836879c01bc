"""Faults on demand: any endpoint can be told to fail, stall, or lose a reply after the effect.

Every service of the local cloud carries these routes, without authentication:

    GET    /_devcloud/health        {"service": name, "ok": true}
    GET    /_devcloud/faults        {"rules": [rule with its hits, ...]}
    POST   /_devcloud/faults        adds the rule in the body, answers {"id": n}
    DELETE /_devcloud/faults[/id]   forgets all rules, or one
    GET    /_devcloud/requests      {"total", "by_caller", "by_operation"}
    GET    /_devcloud/requests/log  {"requests": [{"caller", "method", "operation", "target"}, ...]}
    DELETE /_devcloud/requests      counts from zero again
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devcloud.request_counter import RequestCounter
from devcloud.serving import close_connection

PREFIX = "/_devcloud/"
HTTP_FAULTS = ("status", "reset", "stall", "truncate")
KILL = "kill"
Operation = Callable[[Scope], str]
Kill = Callable[[str], None]


@dataclass
class Rule:
    """One fault, and which requests meet it.

    Attributes:
        fault: one of `HTTP_FAULTS`, `KILL`, or a kind that the service knows by itself.
        method: HTTP method; None matches any.
        path: regular expression searched in `path?query`, percent-decoded once.
        service_caller: regular expression searched in the User-Agent; None matches any.
        when: "before" the effect, or "after" it: then only the reply is lost or changed.
        status, headers, body: the reply of a "status" fault.
        seconds: how long a "stall" (or a delay of the service's own) lasts.
        victim: the service whose process a "kill" ends by SIGKILL; the connection is reset.
        times: how often it strikes; None is always.
        skip: how many matching requests pass unharmed first.
        probability: of striking, drawn from a generator seeded by `seed`.
        hits: how often it struck.
    """

    fault: str
    method: str | None = None
    path: str = ""
    service_caller: str | None = None
    when: str = "before"
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 1.0
    victim: str = "functions"
    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    hits: int = 0
    id: int = 0

    def __post_init__(self) -> None:
        self._path = re.compile(self.path)
        self._caller = re.compile(self.service_caller) if self.service_caller else None
        self._chance = random.Random(self.seed)  # noqa: S311
        self._seen = 0

    def strikes(self, method: str, target: str, user_agent: str) -> bool:
        """Whether this request meets the fault; counts it."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method is not None and self.method != method:
            return False
        if self._caller and not self._caller.search(user_agent):
            return False
        if not self._path.search(target):
            return False
        self._seen += 1
        if self._seen <= self.skip or self._chance.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def to_json(self) -> dict[str, Any]:
        """The rule as the control route shows it."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Faults:
    """The rules of one service, oldest first; safe to use from any thread."""

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        """Accept the HTTP faults and further kinds that the service asks for by `take`."""
        self.kinds = (*HTTP_FAULTS, *kinds)
        self._rules: list[Rule] = []
        self._last = 0
        self._lock = threading.Lock()

    def add(self, document: dict[str, Any]) -> Rule:
        """Add a rule from its JSON form.

        Raises:
            ValueError: an unknown kind or key, or a value that is no such thing.
        """
        given = set(document) - {"id", "hits"}
        unknown = given - {each.name for each in fields(Rule)}
        if unknown:
            raise ValueError(f"unknown key {min(unknown)!r} in a fault rule")
        if document.get("fault") not in self.kinds:
            raise ValueError(f"unknown fault {document.get('fault')!r}: one of {list(self.kinds)}")
        if document.get("when", "before") not in ("before", "after"):
            raise ValueError(f"when must be 'before' or 'after', not {document['when']!r}")
        try:
            rule = Rule(**{key: document[key] for key in given})
        except (re.error, TypeError) as error:
            raise ValueError(f"not a fault rule: {error}") from error
        with self._lock:
            self._last += 1
            rule.id = self._last
            self._rules.append(rule)
        return rule

    def clear(self, number: int | None = None) -> None:
        """Forget all rules, or the one with that number."""
        with self._lock:
            self._rules = [each for each in self._rules if number is not None and each.id != number]

    def rules(self) -> list[Rule]:
        """The rules, oldest first."""
        return list(self._rules)

    def take(
        self, *kinds: str, method: str = "", target: str = "", user_agent: str = ""
    ) -> Rule | None:
        """The first rule of those kinds that strikes, counted as a hit; None if none does."""
        if not self._rules:
            return None
        with self._lock:
            for rule in self._rules:
                if rule.fault in kinds and rule.strikes(method, target, user_agent):
                    return rule
        return None


class FaultMiddleware:
    """Pure ASGI middleware: control routes, request counts, and faults. See `install`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        faults: Faults,
        requests: RequestCounter,
        operation: Operation,
        kill: Kill | None,
    ) -> None:
        self._app = app
        self._kill = kill
        self._service = service
        self._faults = faults
        self._requests = requests
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then let it through, harmed or not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(PREFIX):
            await self._control(scope, receive, send)
            return
        agent = user_agent(scope)
        self._requests.count(caller(agent), scope["method"], self._operation(scope), target(scope))
        rule = self._faults.take(
            *HTTP_FAULTS, KILL, method=scope["method"], target=target(scope), user_agent=agent
        )
        if rule is None:
            await self._app(scope, receive, send)
        elif rule.fault == "truncate":
            await self._app(scope, receive, _truncating(scope, send))
        elif rule.when == "after":
            replies: list[Message] = []

            async def keep(message: Message) -> None:
                replies.append(message)

            await self._app(scope, receive, keep)
            await self._strike(rule, scope, receive, send)
            if rule.fault == "stall":
                for message in replies:
                    await send(message)
        else:
            await self._strike(rule, scope, receive, send)
            if rule.fault == "stall":
                await self._app(scope, receive, send)

    async def _strike(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        if rule.fault == "stall":
            await asyncio.sleep(rule.seconds)
        elif rule.fault == "reset":
            await _reset(scope, receive)
        elif rule.fault == KILL and self._kill is not None:
            self._kill(rule.victim)
            await _reset(scope, receive)
        else:
            await _reply(send, rule.status, rule.body.encode(), rule.headers)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        what, _, number = scope["path"].removeprefix(PREFIX).partition("/")
        answer: dict[str, Any] = {}
        status = 200
        match scope["method"], what:
            case "GET", "health":
                answer = {"service": self._service, "ok": True}
            case "GET", "faults":
                answer = {"rules": [rule.to_json() for rule in self._faults.rules()]}
            case "POST", "faults":
                try:
                    answer = {"id": self._faults.add(json.loads(await _read(receive))).id}
                except ValueError as error:
                    status, answer = 400, {"error": str(error)}
            case "DELETE", "faults":
                self._faults.clear(int(number) if number.isdigit() else None)
            case "GET", "requests":
                answer = self._requests.to_json()
                if number == "log":
                    answer = {"requests": self._requests.latest()}
            case "DELETE", "requests":
                self._requests.clear()
            case _:  # a control route of the service's own, or none
                await self._app(scope, receive, send)
                return
        json_type = {"Content-Type": "application/json"}
        await _reply(send, status, json.dumps(answer).encode(), json_type)


def install(
    app: Starlette,
    service: str,
    kinds: Iterable[str] = (),
    operation: Operation | None = None,
    kill: Kill | None = None,
) -> Faults:
    """Wrap a service with `FaultMiddleware`.

    Args:
        app: the service; must not be started yet.
        service: its name, as the health route tells it.
        kinds: further kinds of faults, which the service asks for with `Faults.take`.
        operation: names the operation of a request for the counts; by default the matching route.
        kill: ends the process of a service at once; without it there is no fault "kill".

    Returns:
        The rules, which `app.state.faults` holds too (and the counts `app.state.requests`).
    """
    faults = Faults([*kinds, KILL] if kill else kinds)
    app.state.faults = faults
    app.state.requests = RequestCounter()

    def matching_route(scope: Scope) -> str:
        for route in app.routes:
            if route.matches(scope)[0] is Match.FULL:
                return str(getattr(route, "path", scope["path"]))
        return "unknown"

    app.add_middleware(
        FaultMiddleware,
        service=service,
        faults=faults,
        requests=app.state.requests,
        operation=operation or matching_route,
        kill=kill,
    )
    return faults


def user_agent(scope: Scope) -> str:
    """The User-Agent header of a request; empty if it has none."""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            agent: str = value.decode("latin-1")
            return agent
    return ""


def caller(agent: str) -> str:
    """Who sent a request: the first product of its User-Agent, without the version.

    Azure SDKs put the application id first where the application gave one.
    """
    return agent.strip().partition(" ")[0].partition("/")[0] or "unknown"


def target(scope: Scope) -> str:
    """`path?query` of a request, percent-decoded once."""
    query = scope["query_string"].decode("latin-1")
    path: str = scope["path"]
    return f"{path}?{unquote(query)}" if query else path


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _reply(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def _reset(scope: Scope, receive: Receive) -> None:
    close_connection(scope, reset=True)
    while (await receive())["type"] != "http.disconnect":
        pass  # returning earlier would look like an application that forgot to reply


def _truncating(scope: Scope, send: Send) -> Send:
    left: int | None = None
    closed = False

    async def cut(message: Message) -> None:
        nonlocal left, closed
        if closed:
            return
        if message["type"] == "http.response.start":
            for name, value in message["headers"]:
                if name.lower() == b"content-length":
                    left = int(value) // 2
            await send(message)
            return
        body = message.get("body", b"")
        if left is None:  # no length announced: half of the first chunk
            left = len(body) // 2
        await send({"type": "http.response.body", "body": body[:left], "more_body": True})
        left -= min(left, len(body))
        if left == 0:
            closed = True
            close_connection(scope, reset=False)

    return cut
