"""Dead letters: events that a subscriber did not take, as blobs in a container, as Event Grid does.

Specification: https://learn.microsoft.com/azure/event-grid/manage-event-delivery
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devcloud.lake.errors import LakeError
from devcloud.lake.events import Event, Subscription
from devcloud.lake.properties import Properties
from devcloud.lake.store import LakeStore

log = logging.getLogger("devcloud.lake.events")


@dataclass(frozen=True)
class GivenUp:
    """An event that was given up: Event Grid's dead letter reason, last outcome, and attempts."""

    reason: str
    outcome: str
    attempts: int


class DeadLetters:
    """Writes dead letters into containers of a lake."""

    def __init__(self, store: LakeStore) -> None:
        self._store = store

    def write(self, subscription: Subscription, event: Event, given_up: GivenUp) -> bool:
        """Write an event to the container of a subscription; whether that could be done.

        As in Azure the event is lost where the container is not there.
        """
        now = datetime.now(UTC)
        letter = event | {
            "deadLetterReason": given_up.reason,
            "deliveryAttempts": given_up.attempts,
            "lastDeliveryOutcome": given_up.outcome,
            "publishTime": event["eventTime"],
            "lastDeliveryAttemptTime": now.isoformat().replace("+00:00", "Z"),
        }
        key = f"{subscription.name.upper()}/{now:%Y/%m/%d/%H}/{uuid.uuid4()}.json"
        staged = Path(self._store.stage())
        try:
            self._store.container(subscription.dead_letter)
            staged.write_text(json.dumps([letter]))
            properties = Properties(content_type="application/json")
            self._store.publish(
                subscription.dead_letter, key, str(staged), properties, current=None
            )
        except LakeError as error:
            staged.unlink(missing_ok=True)
            log.warning("no dead letter in %s: %s", subscription.dead_letter, error)
            return False
        return True
