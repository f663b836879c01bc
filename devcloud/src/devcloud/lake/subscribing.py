"""`/_devcloud/event-subscriptions/<name>`: who gets the lake's events, changed while it runs.

The Resource Manager of the local cloud calls it; `event-subscriptions.json` keeps what it was told.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devcloud.lake.delivery import EventDelivery
from devcloud.lake.events import SUBSCRIPTIONS, Subscription, subscription

PREFIX = "/_devcloud/event-subscriptions/"


class EventSubscriptions:
    """Reads and changes the subscriptions of a lake.

    Args:
        root: data folder of the local cloud.
        delivery: what delivers the events.
    """

    def __init__(self, root: Path, delivery: EventDelivery) -> None:
        self._path = root / SUBSCRIPTIONS
        self._delivery = delivery

    async def answer(self, request: Request) -> Response:
        """GET, PUT or DELETE one."""
        name = request.url.path.removeprefix(PREFIX)
        present = next((each for each in self._delivery.subscriptions if each.name == name), None)
        match request.method:
            case "PUT":
                return await self._put(name, request, created=present is None)
            case _ if present is None:
                return Response(status_code=404)
            case "GET":
                return JSONResponse(present.to_json())
            case "DELETE":
                self._delivery.unsubscribe(name)
                self._keep({key: each for key, each in self._kept().items() if key != name})
                return Response(status_code=200)
            case _:
                return Response(status_code=405)

    async def _put(self, name: str, request: Request, *, created: bool) -> Response:
        try:
            given = subscription({**json.loads(await request.body()), "name": name})
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        self._keep({**self._kept(), name: given})
        self._delivery.subscribe(given)
        return JSONResponse(given.to_json(), 201 if created else 200)

    def _kept(self) -> dict[str, Subscription]:
        if not self._path.exists():
            return {}
        return {each["name"]: subscription(each) for each in json.loads(self._path.read_text())}

    def _keep(self, kept: dict[str, Subscription]) -> None:
        staged = self._path.with_suffix(".tmp")
        staged.write_text(json.dumps([asdict(each) for each in kept.values()], indent=1))
        staged.chmod(0o600)
        staged.replace(self._path)
