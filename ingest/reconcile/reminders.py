"""What the ticks of this process have sent, so that a queue that is behind is not filled with more.

Pure but for its memory, which may be lost: then a message is sent once too often.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ingest.runs.messages import Message

PATIENCE = timedelta(seconds=10)
LONGEST = timedelta(minutes=10)


@dataclass
class SentMessages:
    """Lets a message through at once, and the same again only after a while that doubles."""

    patience: timedelta = PATIENCE
    longest: timedelta = LONGEST
    _sent: dict[Message, tuple[datetime, timedelta]] = field(default_factory=dict)

    def fresh(self, messages: Iterable[Message], now: datetime) -> Iterator[Message]:
        """The messages of one tick without those that were sent lately.

        What a tick does not say is forgotten: it was done, or is to be said anew.
        """
        before, self._sent = self._sent, {}
        for message in messages:
            last, wait = before.get(message, (None, self.patience))
            if last is None:
                self._sent[message] = now, wait
                yield message
            elif now - last >= wait:
                self._sent[message] = now, min(2 * wait, self.longest)
                yield message
            else:
                self._sent[message] = last, wait
