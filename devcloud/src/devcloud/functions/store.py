"""The queues of the host, on disk: a message put is there after any crash of the process.

Texts are kept as they travel, by default in base64, so that clients of the queue service
(`devcloud.queues`) read what functions put, and functions what clients put.

SQLite in write-ahead mode: what was committed survives a killed process at once (a power cut may
cost the last moments). A message given out belongs to the host that took it until that host
deletes it, releases it or dies; the next host on the same folder takes over what a dead one held.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 64 * 1024  # of a text as it travels: the limit of Azure Queue Storage
TIME_TO_LIVE = 7 * 86400.0
POISON = "-poison"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    inserted REAL NOT NULL,
    expires REAL NOT NULL,
    visible REAL NOT NULL,
    dequeued INTEGER NOT NULL DEFAULT 0,
    receipt TEXT NOT NULL DEFAULT '',
    owner TEXT
);
CREATE INDEX IF NOT EXISTS waiting ON messages (queue, owner, visible);
CREATE TABLE IF NOT EXISTS timers (
    name TEXT PRIMARY KEY, last REAL NOT NULL, next REAL NOT NULL, updated REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS queues (
    name TEXT PRIMARY KEY, metadata TEXT NOT NULL DEFAULT '{}', deleted REAL
);
"""
_MAKE_QUEUE = (
    "INSERT INTO queues (name) VALUES (?) "
    "ON CONFLICT (name) DO UPDATE SET metadata = '{}', deleted = NULL WHERE deleted IS NOT NULL"
)


@dataclass(frozen=True)
class Message:
    """A message as it was taken; times are seconds since the epoch.

    Attributes:
        text: as it travels.
        body: what the text stands for; bytes where it is no UTF-8, None where it is no base64.
        receipt: proves who took it last; an older taker's acts on it do nothing.
        dequeue_count: how often it was taken, this time included.
    """

    id: str
    queue: str
    text: str
    body: str | bytes | None
    inserted: float
    expires: float
    dequeue_count: int
    receipt: str


@dataclass(frozen=True)
class TimerState:
    """When a timer last ran, and the occurrence that it waits for; seconds since the epoch."""

    last: float
    next: float
    updated: float


class MessageTooLargeError(ValueError):
    """A body beyond what a queue of Azure Storage takes."""


class QueueStore:
    """All queues of one host in one file. Safe to use from any thread.

    Args:
        path: the file; created where absent, its folder too.
        clock: seconds since the epoch.
        durable: what was put survives a power cut, too.
        plain: texts are the bodies themselves (`messageEncoding` none), not base64 of them.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        *,
        plain: bool = False,
        durable: bool = False,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self._plain = plain
        self._owner = uuid.uuid4().hex
        self._lock = threading.RLock()
        self._wakers: dict[str, list[Callable[[], None]]] = {}
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._upgrade()
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The database, for changes that are done together or not at all."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def recover(self) -> int:
        """Make visible again what a dead host held; how many messages that were."""
        with self._lock:
            return self._db.execute(
                "UPDATE messages SET owner = NULL, visible = ? "
                "WHERE owner IS NOT NULL AND owner != ?",
                (self.clock(), self._owner),
            ).rowcount

    def subscribe(self, queue: str, wake: Callable[[], None]) -> None:
        """Have `wake` called, from any thread, whenever messages are put into a queue."""
        self._wakers.setdefault(queue, []).append(wake)

    def wake(self, queue: str) -> None:
        """Tell who listens to a queue that there is something new."""
        for wake in self._wakers.get(queue, ()):
            wake()

    def put(self, messages: Iterable[tuple[str, str]]) -> list[str]:
        """Put (queue, body) pairs, all or none; their ids.

        Raises:
            MessageTooLargeError: a text is beyond `MAX_BYTES`.
        """
        return self._put([(queue, self.encode(body)) for queue, body in messages])

    def _put(self, texts: list[tuple[str, str]]) -> list[str]:
        now = self.clock()
        rows = []
        for queue, text in texts:
            size = len(text.encode())
            if size > MAX_BYTES:
                raise MessageTooLargeError(
                    f"a message for queue {queue!r} has {size} bytes as it travels; {MAX_BYTES} "
                    "fit. Put the content into a blob and send its path"
                )
            rows.append((str(uuid.uuid4()), queue, text, now, now + TIME_TO_LIVE, now))
        queues = {row[1] for row in rows}
        with self.transaction() as db:
            db.executemany(_MAKE_QUEUE, [(each,) for each in queues])
            db.executemany(
                "INSERT INTO messages (id, queue, body, inserted, expires, visible) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        for queue in queues:
            self.wake(queue)
        return [row[0] for row in rows]

    def encode(self, body: str) -> str:
        """The text as which a body travels."""
        return body if self._plain else base64.b64encode(body.encode()).decode()

    def decode(self, text: str) -> str | bytes | None:
        """The opposite; None where the text is no base64."""
        if self._plain:
            return text
        try:
            body = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body

    def take(self, queue: str, limit: int) -> list[Message]:
        """Take up to `limit` visible messages, oldest first; each counts as one more delivery."""
        now = self.clock()
        with self.transaction() as db:
            db.execute(
                "DELETE FROM messages WHERE queue = ? AND owner IS NULL AND expires <= ?",
                (queue, now),
            )
            rows = db.execute(
                "SELECT number, id, body, inserted, expires, dequeued FROM messages "
                "WHERE queue = ? AND owner IS NULL AND visible <= ? ORDER BY number LIMIT ?",
                (queue, now, limit),
            ).fetchall()
            taken = []
            for number, id_, text, inserted, expires, dequeued in rows:
                receipt = uuid.uuid4().hex
                db.execute(
                    "UPDATE messages SET dequeued = ?, receipt = ?, owner = ? WHERE number = ?",
                    (dequeued + 1, receipt, self._owner, number),
                )
                body = self.decode(text)
                taken.append(
                    Message(id_, queue, text, body, inserted, expires, dequeued + 1, receipt)
                )
        return taken

    def delete(self, message: Message) -> bool:
        """Delete a message that the caller still holds; whether it did."""
        with self._lock:
            return (
                self._db.execute(
                    "DELETE FROM messages WHERE id = ? AND receipt = ?",
                    (message.id, message.receipt),
                ).rowcount
                == 1
            )

    def release(self, message: Message, delay: float) -> None:
        """Give a message back, visible again after `delay` seconds."""
        with self._lock:
            self._db.execute(
                "UPDATE messages SET owner = NULL, visible = ? WHERE id = ? AND receipt = ?",
                (self.clock() + delay, message.id, message.receipt),
            )

    def bury(self, message: Message, queue: str) -> None:
        """Move a message to a poison queue: a copy in, then the original out, as the host does."""
        self._put([(queue, message.text)])
        self.delete(message)

    def next_visible(self, queue: str) -> float | None:
        """When the next message that nobody holds becomes visible; None if there is none."""
        with self._lock:
            visible_at: float | None = self._db.execute(
                "SELECT min(visible) FROM messages WHERE queue = ? AND owner IS NULL", (queue,)
            ).fetchone()[0]
        return visible_at

    def counts(self) -> dict[str, tuple[int, int]]:
        """Visible and invisible (held or waiting) messages of each queue that has any."""
        with self._lock:
            rows = self._db.execute(
                "SELECT queue, total(owner IS NULL AND visible <= ?), count(*) "
                "FROM messages GROUP BY queue",
                (self.clock(),),
            ).fetchall()
        return {queue: (int(visible), total - int(visible)) for queue, visible, total in rows}

    def _upgrade(self) -> None:
        """Bring a file of an earlier version up to date: it held the bodies themselves."""
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(messages)")}
        if not columns or "expires" in columns:
            return
        self._db.create_function("as_text", 1, self.encode)
        with self.transaction() as db:
            db.execute("ALTER TABLE messages ADD COLUMN expires REAL NOT NULL DEFAULT 0")
            db.execute(
                "UPDATE messages SET expires = inserted + ?, body = as_text(body)", (TIME_TO_LIVE,)
            )

    def timer(self, name: str) -> TimerState | None:
        """What is known of a timer."""
        with self._lock:
            row = self._db.execute(
                "SELECT last, next, updated FROM timers WHERE name = ?", (name,)
            ).fetchone()
        return TimerState(*row) if row else None

    def set_timer(self, name: str, state: TimerState) -> None:
        """Keep what is known of a timer."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO timers (name, last, next, updated) VALUES (?, ?, ?, ?)",
                (name, state.last, state.next, state.updated),
            )
