"""The service's own queue, for messages that are to come later: an output binding cannot delay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from ingest.errors import Unavailable
from ingest.runs.messages import QUEUE, Message, encode

_OPTIONS: Mapping[str, Any] = {
    "message_encode_policy": TextBase64EncodePolicy(),  # as the host reads them
    "retry_total": 2,
    "connection_timeout": 5,
    "read_timeout": 10,
}


class DelayedQueue:
    """`ingest.reconcile.pulse.DelayedMessages` on the storage account of the host.

    Args:
        connection: its connection string, or None: then `url` with the app's identity.
        url: of its queue service.
        credential: of the app.
    """

    def __init__(self, connection: str | None, url: str | None, credential: Any) -> None:
        self._connection, self._url, self._credential = connection, url, credential

    @cached_property
    def _client(self) -> QueueClient:
        if self._connection:
            return QueueClient.from_connection_string(self._connection, QUEUE, **_OPTIONS)
        return QueueClient(str(self._url), QUEUE, credential=self._credential, **_OPTIONS)

    def send(self, message: Message, delay: timedelta) -> None:
        """Put a message on the queue that becomes visible after a while.

        Raises:
            Unavailable: the queue did not take it.
        """
        seconds = max(0, round(delay.total_seconds()))
        try:
            self._client.send_message(encode(message), visibility_timeout=seconds)
        except (AzureError, ValueError) as error:
            raise Unavailable(f"the queue {QUEUE} took no message: {error}") from error
