"""The process of the local data factory, which also is identity endpoint and key vault."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from devcloud import faults
from devcloud.clock import Clock, SystemClock
from devcloud.config import CloudConfig
from devcloud.datafactory import events
from devcloud.datafactory.arm import Arm
from devcloud.datafactory.engine import Engine
from devcloud.datafactory.resources import Resources
from devcloud.datafactory.runs import Runs
from devcloud.datafactory.triggers import Triggers
from devcloud.platform import identity as identity_endpoint
from devcloud.platform import management, vault
from devcloud.platform.identity import Identity
from devcloud.serving import killer

SERVICE = "datafactory"


def create_app(config: CloudConfig, clock: Clock | None = None) -> Starlette:
    """The application; it keeps its state under `datafactory/` of the data folder.

    Args:
        config: of the local cloud.
        clock: for runs, retries and triggers; by default the machine's.
    """
    clock = clock or SystemClock()
    folder = config.root / SERVICE
    identity = Identity(config.identity_secret)
    resources = Resources(folder / "factories")
    runs = Runs(folder / "runs", clock.now())
    engine = Engine(resources, runs, clock, lambda resource: identity.issue(resource)[0])
    triggers = Triggers(config, resources, engine, runs, clock)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        engine.recover()
        triggers.recover()
        yield
        await triggers.close()
        await engine.close()

    async def manage(request: Request) -> Response:
        return await arm.handle(request)

    app = Starlette(
        lifespan=lifespan,
        routes=[
            *identity_endpoint.routes(identity, config),
            *vault.routes(identity, config),
            *management.routes(identity, config),
            *events.routes(triggers, config),
            Route("/{path:path}", manage, methods=["GET", "PUT", "POST", "PATCH", "DELETE"]),
        ],
    )
    rules = faults.install(
        app, SERVICE, kinds=("query_lag",), operation=_operation, kill=killer(config)
    )
    arm = Arm(config, identity, resources, runs, engine, triggers, clock, rules)
    return app


def _operation(scope: Scope) -> str:
    """The name of a request in the counts: what it does, without the names in it."""
    parts = [part.lower() for part in scope["path"].split("/") if part]
    if "factories" not in parts:
        return "/".join(parts[:2])
    rest = parts[parts.index("factories") + 2 :]
    if not rest:
        return "factory"
    return "/".join([rest[0], *rest[2:]])
