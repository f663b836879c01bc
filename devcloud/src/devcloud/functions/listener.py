"""Drain one queue: take batches, run a handler on each message, delete, retry or bury it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from devcloud.functions import logs
from devcloud.functions.hostjson import QueueOptions
from devcloud.functions.store import Message, QueueStore

Handler = Callable[[Message], bool]
"""Handles one message; True deletes it, False or an exception has it delivered again."""
_PAUSE_AFTER_ERROR = 1.0


class QueueListener:
    """Takes messages of one queue and hands them to a handler, several at a time.

    A batch is taken while no more than `new_batch_threshold` messages run, so that at most
    `batch_size + new_batch_threshold` run at once. New messages wake it at once.

    Args:
        name: the function, for the log.
        poison: the queue where messages go that failed `max_dequeue_count` times.
        clock: seconds since the epoch, the same as the store's.
    """

    def __init__(
        self,
        name: str,
        queue: str,
        handle: Handler,
        *,
        store: QueueStore,
        options: QueueOptions,
        poison: str,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._queue = queue
        self._handle = handle
        self._store = store
        self._options = options
        self._poison = poison
        self._clock = clock
        self._running = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._looked = False
        self._pool = ThreadPoolExecutor(
            options.batch_size + options.new_batch_threshold, thread_name_prefix=f"queue-{queue}"
        )
        self._thread = threading.Thread(target=self._loop, name=f"listen-{queue}", daemon=True)

    def start(self) -> None:
        """Begin to take messages."""
        self._store.subscribe(self._queue, self._wake)
        self._thread.start()

    def stop(self) -> None:
        """Take no further messages; what runs goes on."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        """Wait until nothing runs, at most until `time.monotonic()` is there; whether it is so."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            idle = self._changed.wait_for(
                lambda: self._running == 0, max(0.0, deadline - time.monotonic())
            )
        self._pool.shutdown(wait=False, cancel_futures=True)
        return idle

    def _wake(self) -> None:
        with self._changed:
            self._looked = False
            self._changed.notify_all()

    def _loop(self) -> None:
        while not self._stopping:
            try:
                self._take()
                self._wait()
            except Exception:  # noqa: BLE001 - a listener must outlive a full disk
                logs.HOST.exception("queue %s cannot be read", self._queue)
                time.sleep(_PAUSE_AFTER_ERROR)

    def _take(self) -> None:
        with self._changed:
            self._looked = True
            full = self._running > self._options.new_batch_threshold
        if full:
            return
        for message in self._store.take(self._queue, self._options.batch_size):
            with self._changed:
                self._running += 1
                self._looked = False  # there may be more
            self._pool.submit(self._process, message)

    def _wait(self) -> None:
        pause = self._options.max_polling_interval
        due = self._store.next_visible(self._queue)
        with self._changed:
            if due is not None and self._running <= self._options.new_batch_threshold:
                pause = min(pause, max(0.0, due - self._clock()) + 0.001)
            self._changed.wait_for(self._has_reason, pause)

    def _has_reason(self) -> bool:
        room = self._running <= self._options.new_batch_threshold
        return self._stopping or (room and not self._looked)

    def _process(self, message: Message) -> None:
        try:
            self._settle(message)
        except Exception:  # noqa: BLE001 - it stays ours, for the next host to take
            if self._stopping:
                return  # the store is closed already
            logs.HOST.exception("message %s of queue %s is stuck", message.id, self._queue)
        finally:
            with self._changed:
                self._running -= 1
                self._looked = False
                self._changed.notify_all()

    def _settle(self, message: Message) -> None:
        limit = self._options.max_dequeue_count
        if message.body is None:
            logs.HOST.error("a message is no base64", extra=logs.about(self._name))
            self._bury(message)
        elif message.dequeue_count > limit:  # its last deliveries ended with their host
            self._bury(message)
        elif self._succeeds(message):
            self._store.delete(message)
        elif message.dequeue_count >= limit:
            self._bury(message)
        else:
            self._store.release(message, self._options.visibility_timeout)

    def _succeeds(self, message: Message) -> bool:
        try:
            return self._handle(message)
        except Exception:  # noqa: BLE001 - any failure is a delivery that failed
            logs.HOST.exception("delivery failed", extra=logs.about(self._name))
            return False

    def _bury(self, message: Message) -> None:
        logs.HOST.log(
            logging.ERROR,
            "message moved to queue %s after %d deliveries: %.200s",
            self._poison,
            message.dequeue_count,
            message.text if message.body is None else message.body,
            extra=logs.about(self._name),
        )
        self._store.bury(message, self._poison)
