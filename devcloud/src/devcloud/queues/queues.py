"""What clients do with queues and their messages; the same that functions listen to."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from devcloud.functions.store import QueueStore
from devcloud.lake.errors import LakeError

NEVER = 253402300799.0  # 31 Dec 9999, what Azure says of a message that does not expire
_VISIBLE = "queue = ? AND owner IS NULL AND visible <= ? AND expires > ?"
_FIELDS = "id, body, inserted, expires, visible, dequeued, receipt"


@dataclass(frozen=True)
class QueueMessage:
    """A message as clients see it; times are seconds since the epoch."""

    id: str
    text: str
    inserted: float
    expires: float
    visible: float
    dequeue_count: int
    receipt: str


class Queues:
    """The queues of a store, under the rules of Azure Queue Storage.

    Args:
        deletion_seconds: how long the name of a deleted queue cannot be used.
    """

    def __init__(self, store: QueueStore, deletion_seconds: float = 0) -> None:
        self._store = store
        self._deletion_seconds = deletion_seconds

    def names(self, prefix: str, after: str, limit: int) -> list[tuple[str, dict[str, str]]]:
        """Names and metadata of queues in order, `limit` at most."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT name, metadata FROM queues WHERE deleted IS NULL AND name > ? "
                "AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
                (after, len(prefix), prefix, limit),
            ).fetchall()
        return [(name, json.loads(metadata)) for name, metadata in rows]

    def create(self, name: str, metadata: Mapping[str, str]) -> bool:
        """Make a queue; False if it is there already, with the same metadata.

        Raises:
            LakeError: QueueAlreadyExists, with other metadata; QueueBeingDeleted.
        """
        now = self._store.clock()
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT metadata, deleted FROM queues WHERE name = ?", (name,)
            ).fetchone()
            if row and row[1] is None:
                if json.loads(row[0]) != metadata:
                    raise LakeError("QueueAlreadyExists")
                return False
            if row and now - row[1] < self._deletion_seconds:
                raise LakeError("QueueBeingDeleted")
            db.execute(
                "INSERT OR REPLACE INTO queues (name, metadata) VALUES (?, ?)",
                (name, json.dumps(dict(metadata))),
            )
        return True

    def delete(self, name: str) -> None:
        """Delete a queue with all its messages.

        Raises:
            LakeError: QueueNotFound.
        """
        with self._store.transaction() as db:
            _must_exist(db, name)
            db.execute("DELETE FROM messages WHERE queue = ?", (name,))
            db.execute("UPDATE queues SET deleted = ? WHERE name = ?", (self._store.clock(), name))

    def properties(self, name: str) -> tuple[dict[str, str], int]:
        """Metadata of a queue, and how many messages it has.

        Raises:
            LakeError: QueueNotFound.
        """
        with self._store.transaction() as db:
            metadata = _must_exist(db, name)
            (count,) = db.execute(
                "SELECT count(*) FROM messages WHERE queue = ? AND expires > ?",
                (name, self._store.clock()),
            ).fetchone()
        return metadata, count

    def set_metadata(self, name: str, metadata: Mapping[str, str]) -> None:
        """Replace the metadata of a queue.

        Raises:
            LakeError: QueueNotFound.
        """
        with self._store.transaction() as db:
            _must_exist(db, name)
            db.execute(
                "UPDATE queues SET metadata = ? WHERE name = ?", (json.dumps(dict(metadata)), name)
            )

    def put(self, name: str, text: str, delay: float, lifetime: float | None) -> QueueMessage:
        """Put a message, visible after `delay` seconds; without a lifetime it never expires.

        Raises:
            LakeError: QueueNotFound.
        """
        now = self._store.clock()
        expires = NEVER if lifetime is None else now + lifetime
        made = QueueMessage(str(uuid.uuid4()), text, now, expires, now + delay, 0, uuid.uuid4().hex)
        with self._store.transaction() as db:
            _must_exist(db, name)
            db.execute(
                f"INSERT INTO messages ({_FIELDS}, queue) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (made.id, text, now, expires, made.visible, 0, made.receipt, name),
            )
        self._store.wake(name)
        return made

    def peek(self, name: str, limit: int) -> list[QueueMessage]:
        """The next visible messages, which stay so.

        Raises:
            LakeError: QueueNotFound.
        """
        with self._store.transaction() as db:
            return self._visible(db, name, limit)

    def take(self, name: str, limit: int, seconds: float) -> list[QueueMessage]:
        """The next visible messages, invisible for others for so many seconds.

        Raises:
            LakeError: QueueNotFound.
        """
        visible = self._store.clock() + seconds
        taken = []
        with self._store.transaction() as db:
            for each in self._visible(db, name, limit):
                receipt = uuid.uuid4().hex
                db.execute(
                    "UPDATE messages SET visible = ?, dequeued = dequeued + 1, receipt = ? "
                    "WHERE id = ?",
                    (visible, receipt, each.id),
                )
                taken.append(
                    QueueMessage(
                        each.id,
                        each.text,
                        each.inserted,
                        each.expires,
                        visible,
                        each.dequeue_count + 1,
                        receipt,
                    )
                )
        return taken

    def update(
        self, name: str, message: str, receipt: str, text: str | None, seconds: float
    ) -> tuple[str, float]:
        """Set when a message becomes visible, and its text unless that is None.

        Returns its new pop receipt, and that time.

        Raises:
            LakeError: QueueNotFound, MessageNotFound or PopReceiptMismatch.
        """
        visible, fresh = self._store.clock() + seconds, uuid.uuid4().hex
        with self._store.transaction() as db:
            self._must_hold(db, name, message, receipt)
            db.execute(
                "UPDATE messages SET visible = ?, receipt = ?, body = coalesce(?, body) "
                "WHERE id = ?",
                (visible, fresh, text, message),
            )
        self._store.wake(name)
        return fresh, visible

    def remove(self, name: str, message: str, receipt: str) -> None:
        """Delete a message.

        Raises:
            LakeError: QueueNotFound, MessageNotFound or PopReceiptMismatch.
        """
        with self._store.transaction() as db:
            self._must_hold(db, name, message, receipt)
            db.execute("DELETE FROM messages WHERE id = ?", (message,))

    def clear(self, name: str) -> None:
        """Delete all messages of a queue.

        Raises:
            LakeError: QueueNotFound.
        """
        with self._store.transaction() as db:
            _must_exist(db, name)
            db.execute("DELETE FROM messages WHERE queue = ?", (name,))

    def _visible(self, db: sqlite3.Connection, name: str, limit: int) -> list[QueueMessage]:
        _must_exist(db, name)
        now = self._store.clock()
        rows = db.execute(
            f"SELECT {_FIELDS} FROM messages WHERE {_VISIBLE} ORDER BY visible, number LIMIT ?",  # noqa: S608
            (name, now, now, limit),
        ).fetchall()
        return [QueueMessage(*row) for row in rows]

    def _must_hold(self, db: sqlite3.Connection, name: str, message: str, receipt: str) -> None:
        _must_exist(db, name)
        row = db.execute(
            "SELECT receipt FROM messages WHERE queue = ? AND id = ? AND expires > ?",
            (name, message, self._store.clock()),
        ).fetchone()
        if row is None:
            raise LakeError("MessageNotFound")
        if row[0] != receipt:
            raise LakeError("PopReceiptMismatch")


def _must_exist(db: sqlite3.Connection, name: str) -> dict[str, str]:
    """The metadata of a queue."""
    row = db.execute(
        "SELECT metadata FROM queues WHERE name = ? AND deleted IS NULL", (name,)
    ).fetchone()
    if row is None:
        raise LakeError("QueueNotFound")
    metadata: dict[str, str] = json.loads(row[0])
    return metadata
