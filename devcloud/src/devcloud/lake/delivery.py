"""Delivery of events: a queue on disk, and a task that posts until each is taken.

At least once, in no promised order: an event leaves the disk only after its subscriber answered
with 200 to 204. Between attempts the wait doubles from 0.5 to 10 seconds. As in Event Grid, an
answer of 400 or 413 gives an event up at once, and so do its age and, where a subscription says how
many, its attempts. What is given up goes to the subscription's container of dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from devcloud.faults import Faults, Rule
from devcloud.lake.deadletters import DeadLetters, GivenUp
from devcloud.lake.events import Event, Subscription

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0
AT_ONCE = 8
ANSWER_SECONDS = 30
TAKEN = frozenset(range(200, 205))
HOPELESS = frozenset({400, 413})
FAULTS = ("event_double", "event_drop", "event_delay")

log = logging.getLogger("devcloud.lake.events")


class EventDelivery:
    """Posts events to subscribers."""

    def __init__(
        self,
        folder: Path,
        subscriptions: Sequence[Subscription],
        faults: Faults,
        changing: Callable[[], Sequence[Subscription]] = tuple,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        """Keep the queue in a folder; what an earlier process left there is delivered first.

        Args:
            folder: of the queue.
            subscriptions: those that are always there.
            faults: that the deliveries have.
            changing: gives those that come and go.
            dead_letters: takes the events that are given up; None where they are lost.
        """
        self._folder = folder
        self._always = {each.name: each for each in subscriptions}
        self._changing = changing
        self._faults = faults
        self._dead_letters = dead_letters
        self._due: list[tuple[float, int, str]] = []  # when, attempts so far, file
        self._wake = asyncio.Event()
        self._number = 0
        self.counts = {
            "raised": 0,
            "delivered": 0,
            "given_up": 0,
            "dropped_by_fault": 0,
            "dead_lettered": 0,
        }
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.json")):
            heapq.heappush(self._due, (0.0, 0, path.name))

    @property
    def subscriptions(self) -> list[Subscription]:
        """All subscriptions."""
        return list(self._subscriptions.values())

    def subscribe(self, subscription: Subscription) -> None:
        """Deliver to a subscription, in the place of one of its name."""
        self._always[subscription.name] = subscription

    def unsubscribe(self, name: str) -> None:
        """Deliver to a subscription no more; what is owed to it is given up."""
        self._always.pop(name, None)

    @property
    def _subscriptions(self) -> dict[str, Subscription]:
        return self._always | {each.name: each for each in self._changing()}

    def pending(self) -> int:
        """How many deliveries are still owed."""
        return sum(1 for _ in self._folder.glob("*.json"))

    def add(self, event: Event) -> None:
        """Queue an event for every subscription that wants it; on disk when this returns."""
        self.counts["raised"] += 1
        subscriptions = [each for each in self._subscriptions.values() if each.wants(event)]
        if not subscriptions:
            return
        times, delay = 1, 0.0
        rule = self._fault(event)
        if rule is not None and rule.fault == "event_drop":
            self.counts["dropped_by_fault"] += 1
            return
        if rule is not None and rule.fault == "event_double":
            times = 2
        if rule is not None and rule.fault == "event_delay":
            delay = rule.seconds
        for each in subscriptions:
            for _ in range(times):
                self._queue(each, event, delay)
        self._wake.set()

    def _fault(self, event: Event) -> Rule | None:
        data = event["data"]
        path = unquote(urlsplit(data.get("url") or data["destinationUrl"]).path)
        return self._faults.take(*FAULTS, method=data["api"], target=path)

    def _queue(self, subscription: Subscription, event: Event, delay: float) -> None:
        self._number += 1
        due = time.time() + delay
        name = f"{time.time_ns():020d}-{self._number:06d}.json"
        document = {"subscription": subscription.name, "due": due, "event": event}
        staged = self._folder / f"{name}.tmp"
        staged.write_text(json.dumps(document))
        staged.replace(self._folder / name)
        heapq.heappush(self._due, (due, 0, name))

    async def run(self) -> None:
        """Deliver for ever; cancel it to stop. What is left then, the next process delivers."""
        running: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=AT_ONCE, keepalive_expiry=30)
        async with httpx.AsyncClient(
            timeout=ANSWER_SECONDS, limits=limits, trust_env=False
        ) as client:
            try:
                while True:
                    self._wake.clear()
                    while self._due and self._due[0][0] <= time.time() and len(running) < AT_ONCE:
                        _, attempts, name = heapq.heappop(self._due)
                        task = asyncio.create_task(self._deliver(client, name, attempts))
                        running.add(task)
                        task.add_done_callback(running.discard)
                        task.add_done_callback(lambda _: self._wake.set())
                    wait = None
                    if self._due and len(running) < AT_ONCE:
                        wait = max(0.0, self._due[0][0] - time.time())
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._wake.wait()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _deliver(self, client: httpx.AsyncClient, name: str, attempts: int) -> None:
        path = self._folder / name
        try:
            document = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            path.unlink(missing_ok=True)
            return
        event, due = document["event"], document["due"]
        if due > time.time():  # delayed, and the process was restarted meanwhile
            heapq.heappush(self._due, (due, attempts, name))
            return
        subscription = self._subscriptions.get(document["subscription"])
        if subscription is None:
            self._give_up(path, event, "its subscription was deleted")
            return
        if time.time() - due > 60 * subscription.minutes:
            expired = GivenUp("TimeToLiveExceeded", "TimedOut", attempts)
            self._give_up(path, event, "it is too old", subscription, expired)
            return
        status = await _post(client, subscription, event, attempts)
        if status in TAKEN:
            path.unlink(missing_ok=True)
            self.counts["delivered"] += 1
        elif status in HOPELESS:
            hopeless = GivenUp("UndeliverableDueToClientError", _outcome(status), attempts + 1)
            why = f"{subscription.name} answered {status}"
            self._give_up(path, event, why, subscription, hopeless)
        elif 0 < subscription.attempts <= attempts + 1:
            exceeded = GivenUp("MaxDeliveryAttemptsExceeded", _outcome(status), attempts + 1)
            why = f"{subscription.name} did not take it in {attempts + 1} attempts"
            self._give_up(path, event, why, subscription, exceeded)
        else:
            wait = min(FIRST_WAIT * 2**attempts, LONGEST_WAIT)
            heapq.heappush(self._due, (time.time() + wait, attempts + 1, name))
            if attempts == 0:
                log.info("event for %s waits: %s", subscription.name, status or "nobody answers")

    def _give_up(
        self,
        path: Path,
        event: Event,
        why: str,
        subscription: Subscription | None = None,
        given_up: GivenUp | None = None,
    ) -> None:
        self.counts["given_up"] += 1
        if subscription and given_up and subscription.dead_letter and self._dead_letters:
            written = self._dead_letters.write(subscription, event, given_up)
            self.counts["dead_lettered"] += written
        log.warning("event %s about %s given up: %s", event["id"], event["subject"], why)
        path.unlink(missing_ok=True)


def _outcome(status: int) -> str:
    """Event Grid's name of the outcome of a response's status; 0 is no response."""
    return HTTPStatus(status).phrase.replace(" ", "") if status in set(HTTPStatus) else "TimedOut"


async def _post(
    client: httpx.AsyncClient, subscription: Subscription, event: Event, attempts: int
) -> int:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "aeg-event-type": "Notification",
        "aeg-subscription-name": subscription.name.upper(),
        "aeg-delivery-count": str(attempts),
        "aeg-data-version": event["dataVersion"],
        "aeg-metadata-version": event["metadataVersion"],
        "User-Agent": "event-grid",
    }
    try:
        answer = await client.post(
            subscription.endpoint, content=json.dumps([event]).encode(), headers=headers
        )
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0
    return answer.status_code
