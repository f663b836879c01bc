"""The host: an app folder, its triggers running."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

from devcloud.functions import codec, hostjson, logs
from devcloud.functions.blobs import CONTROL_QUEUE, POISON_QUEUE, BlobTriggers
from devcloud.functions.codec import Trigger
from devcloud.functions.hostjson import HostOptions
from devcloud.functions.http import BODY_LIMIT, HttpTriggers
from devcloud.functions.invoke import InvocationOutcome, Invoker, thread_count
from devcloud.functions.keys import HostKeys, InitialKeys
from devcloud.functions.listener import QueueListener
from devcloud.functions.loader import load
from devcloud.functions.model import BLOB, HTTP, QUEUE, TIMER, Function
from devcloud.functions.store import POISON, TIME_TO_LIVE, Message, QueueStore
from devcloud.functions.timers import Timer, TimerThread
from devcloud.serving import FSYNC

DATABASE = "queues.db"
STOP_SECONDS = 6.0  # for what runs; the supervisor kills after ten


class FolderInUseError(RuntimeError):
    """Another host works on the same data folder."""


class Host:
    """One app, served: construct, `start`, `stop`.

    Args:
        app: the app folder with function_app.py and host.json.
        data: folder of the queues and timers; only one host at a time may use it.
        keys: of a host on a fresh folder.
        settings: the environment of the app.
        clock: seconds since the epoch.

    Raises:
        AppLoadError: the app cannot be served.
        HostJsonError: host.json holds a value that cannot be honoured.
        FolderInUseError: another host works on `data`.
    """

    def __init__(
        self,
        app: Path,
        data: Path,
        *,
        keys: InitialKeys,
        settings: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.options = options_of(app)
        self.app = app
        self.functions = {each.name: each for each in load(app, settings)}
        self.started = clock()
        self._clock = clock
        self._lock = claim(data)
        self.keys = HostKeys(data / "keys.json", keys)
        self.store = QueueStore(
            data / DATABASE,
            clock,
            plain=self.options.queue.plain,
            durable=settings.get(FSYNC, "").lower() == "on",
        )
        self._invoker = Invoker(
            self.store.put,
            folder=str(app),
            timeout=self.options.function_timeout,
            threads=thread_count(settings.get("PYTHON_THREADPOOL_THREAD_COUNT")),
        )
        self.http = HttpTriggers(
            self._of(HTTP),
            options=self.options,
            keys=self.keys,
            invoker=self._invoker,
            body_limit=int(settings.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", BODY_LIMIT)),
        )
        self.blobs = BlobTriggers(
            self._of(BLOB), store=self.store, invoke=self._invoker.submit, settings=settings
        )
        self._listeners = self._make_listeners()
        self._timers = [
            TimerThread(Timer(each, store=self.store, invoke=self._invoker.submit, clock=clock))
            for each in self._of(TIMER)
        ]

    def start(self) -> None:
        """Take over what an earlier host left, and begin to listen."""
        if not self.functions:
            logs.HOST.warning("no functions found: is a Blueprint not registered?")
        left = self.store.recover()
        if left:
            logs.HOST.info("%d messages of a host that died are delivered again", left)
        for listener in self._listeners:
            listener.start()
        for timer in self._timers:
            timer.start()
        for function in self.functions.values():
            about = describe(function, self.options.route_prefix)
            logs.HOST.info("serves %s (%s)", function.name, about)

    def stop(self) -> None:
        """Take nothing new, wait for what runs, then let go of the folder."""
        deadline = time.monotonic() + STOP_SECONDS
        for timer in self._timers:
            timer.stop()
        for listener in self._listeners:
            listener.stop()
        ended = [each.join(deadline - time.monotonic()) for each in self._timers]
        ended += [each.join(deadline) for each in self._listeners]
        if not all(ended):
            logs.HOST.warning(
                "stopped with invocations running; their messages will be delivered again"
            )
        self._invoker.close()
        self.store.close()
        self._lock.close()

    def invoke(self, name: str, text: str) -> Future[InvocationOutcome]:
        """Begin a function by hand, as `POST /admin/functions/{name}` does.

        Args:
            name: of the function.
            text: message body of a queue trigger, `container/blob` of a blob trigger, body of the
                POST that an HTTP trigger gets.

        Raises:
            KeyError: there is no such function.
            ValueError: the text is no path of a blob.
        """
        function = self.functions[name]
        kind = function.trigger.kind
        if kind == HTTP:
            request = codec.of_request(
                "POST", "", headers={}, query={}, route={}, body=text.encode()
            )
            return self._invoker.submit(function, request)
        if kind == BLOB:
            container, _, blob = text.partition("/")
            if not blob:
                raise ValueError('input must be "container/blob" for a blob trigger')
            return self.blobs.run(function, container, blob)
        now = self._clock()
        if kind == QUEUE:
            message = Message("by-hand", function.queue, text, text, now, now + TIME_TO_LIVE, 1, "")
            return self._invoker.submit(function, codec.of_message(message, now))
        return self._invoker.submit(function, codec.of_timer({"IsPastDue": False}))

    def queues(self) -> dict[str, dict[str, int]]:
        """Visible, invisible and poison messages of each queue, those of triggers always."""
        counts = self.store.counts()
        names = {*counts, *(each.queue for each in self._of(QUEUE))}
        if self._of(BLOB):
            names.add(CONTROL_QUEUE)
        answer = {}
        for name in sorted(names):
            visible, invisible = counts.get(name, (0, 0))
            poison = POISON_QUEUE if name == CONTROL_QUEUE else name + POISON
            answer[name] = {
                "visible": visible,
                "invisible": invisible,
                "poison": sum(counts.get(poison, (0, 0))),
            }
        return answer

    def _of(self, kind: str) -> list[Function]:
        return [each for each in self.functions.values() if each.trigger.kind == kind]

    def _make_listeners(self) -> list[QueueListener]:
        listeners = [
            QueueListener(
                each.name,
                each.queue,
                self._queue_handler(each),
                store=self.store,
                options=self.options.queue,
                poison=each.queue + POISON,
                clock=self._clock,
            )
            for each in self._of(QUEUE)
        ]
        if self._of(BLOB):
            listeners.append(
                QueueListener(
                    "blob trigger",
                    CONTROL_QUEUE,
                    self.blobs.handle,
                    store=self.store,
                    options=self.options.blob,
                    poison=POISON_QUEUE,
                    clock=self._clock,
                )
            )
        return listeners

    def _queue_handler(self, function: Function) -> Callable[[Message], bool]:
        def handle(message: Message) -> bool:
            trigger: Trigger = codec.of_message(message, self._clock())
            return self._invoker.submit(function, trigger).result().ok

        return handle


def options_of(app: Path) -> HostOptions:
    """The options of an app folder's host.json.

    Raises:
        HostJsonError: it is missing or holds what cannot be honoured.
    """
    path = app / "host.json"
    if not path.is_file():
        raise hostjson.HostJsonError(f'{path} is missing; at least {{"version": "2.0"}}')
    return hostjson.parse(path.read_text())


def describe(function: Function, prefix: str) -> str:
    """What sets a function off, in a few words."""
    fields: Mapping[str, Any] = function.trigger.fields
    match function.trigger.kind:
        case "httpTrigger":
            methods = ",".join(map(str, fields.get("methods") or ["*"]))
            path = "/".join(filter(None, [prefix, str(fields.get("route", ""))]))
            return f"{methods} /{path}"
        case "queueTrigger":
            return f"queue {function.queue}"
        case "blobTrigger":
            return f"blob {fields['path']}"
        case _:
            return f"timer {fields['schedule']}"


def claim(data: Path) -> IO[str]:
    """Hold a data folder for this process, until the file that is returned is closed.

    Raises:
        FolderInUseError: another process holds it.
    """
    data.mkdir(parents=True, exist_ok=True)
    handle = (data / "host.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise FolderInUseError(f"another functions host works on {data}: stop it first") from error
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
