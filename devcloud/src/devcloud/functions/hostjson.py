"""What host.json says, as far as this host honours it. Pure.

Spec: https://learn.microsoft.com/azure/azure-functions/functions-host-json
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_BATCH = 32  # what the queue service gives out in one call
LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?")


class HostJsonError(ValueError):
    """host.json holds a value that the host cannot honour; the message names its key."""


@dataclass(frozen=True)
class QueueOptions:
    """How a queue is drained.

    Attributes:
        max_dequeue_count: deliveries of a message before it goes to the poison queue.
        visibility_timeout: seconds between a failed delivery and the next.
        batch_size: messages taken at once.
        new_batch_threshold: messages still running below which the next batch is taken.
        max_polling_interval: longest pause between two looks at an empty queue, in seconds.
        plain: messages travel as they are (`messageEncoding` none), not in base64.
    """

    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval: float = 60.0
    plain: bool = False


@dataclass(frozen=True)
class HostOptions:
    """The honoured part of host.json, defaults filled in.

    Attributes:
        route_prefix: first path segments of every HTTP route, without slashes around; may be empty.
        function_timeout: seconds one invocation may take; None is unlimited.
        queue: for queue triggers.
        blob: for the hidden queue behind blob triggers; its count is `poisonBlobThreshold`.
        custom_headers: that every answer of a function gets.
        shown: the sections about HTTP, blobs, queues and concurrency, defaults filled in.
        log_levels: level of `logging` by category; `default` is the one of all others.
    """

    route_prefix: str = "api"
    function_timeout: float | None = 1800.0
    queue: QueueOptions = field(default_factory=QueueOptions)
    blob: QueueOptions = field(default_factory=QueueOptions)
    custom_headers: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict, compare=False)
    log_levels: Mapping[str, int] = field(default_factory=dict)

    def level_of(self, category: str) -> int:
        """Level of the longest configured prefix of a category, such as `Function.ingest.User`."""
        parts = category.split(".")
        for length in range(len(parts), 0, -1):
            level = self.log_levels.get(".".join(parts[:length]))
            if level is not None:
                return level
        return self.log_levels.get("default", logging.INFO)


def parse(text: str) -> HostOptions:
    """Read a host.json document.

    Raises:
        HostJsonError: not JSON, not version 2.0, or a value out of its range.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise HostJsonError(f"host.json is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise HostJsonError('host.json must be an object with "version": "2.0"')
    queue = _queue(_section(document, "extensions", "queues"))
    blobs = _section(document, "extensions", "blobs")
    blob = QueueOptions(
        max_dequeue_count=_number(blobs, "poisonBlobThreshold", 5, low=1),
        visibility_timeout=queue.visibility_timeout,
        batch_size=min(_number(blobs, "maxDegreeOfParallelism", 16, low=1), MAX_BATCH),
        max_polling_interval=queue.max_polling_interval,
    )
    http = _section(document, "extensions", "http")
    return HostOptions(
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        custom_headers={
            name: str(value) for name, value in _section(http, "customHeaders").items()
        },
        shown=_shown(document, queue, blob),
        function_timeout=_timeout(document.get("functionTimeout", "00:30:00")),
        queue=queue,
        blob=blob,
        log_levels=_levels(_section(document, "logging", "logLevel")),
    )


def seconds(value: object, key: str) -> float:
    """Length of a time span `[d.]hh:mm[:ss[.fff]]`.

    Raises:
        HostJsonError: it is written otherwise.
    """
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise HostJsonError(f'host.json: {key} must be a time span such as "00:00:05": {value!r}')
    days, hours, minutes, rest = match.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest or 0)


def _shown(document: Mapping[str, Any], queue: QueueOptions, blob: QueueOptions) -> dict[str, Any]:
    http = {
        "dynamicThrottlesEnabled": False,
        "enableChunkedRequestBinding": False,
        "maxConcurrentRequests": -1,
        "maxOutstandingRequests": -1,
        "routePrefix": "api",
    }
    blobs = {
        "maxDegreeOfParallelism": blob.batch_size,
        "poisonBlobThreshold": blob.max_dequeue_count,
    }
    queues = {
        "batchSize": queue.batch_size,
        "newBatchThreshold": queue.new_batch_threshold,
        "maxPollingInterval": "00:01:00",
        "maxDequeueCount": queue.max_dequeue_count,
        "visibilityTimeout": "00:00:00",
        "messageEncoding": "Base64",
    }
    concurrency = {
        "dynamicConcurrencyEnabled": False,
        "maximumFunctionConcurrency": 500,
        "cpuThreshold": 0.8,
        "snapshotPersistenceEnabled": True,
    }
    return {
        "extensions": {
            "http": {**http, **_section(document, "extensions", "http")},
            "blobs": {**blobs, **_section(document, "extensions", "blobs")},
            "queues": {**queues, **_section(document, "extensions", "queues")},
        },
        "concurrency": {**concurrency, **_section(document, "concurrency")},
    }


def _queue(section: Mapping[str, Any]) -> QueueOptions:
    batch = _number(section, "batchSize", 16, low=1, high=MAX_BATCH)
    return QueueOptions(
        max_dequeue_count=_number(section, "maxDequeueCount", 5, low=1),
        visibility_timeout=seconds(section.get("visibilityTimeout", "00:00:00"), "queues"),
        batch_size=batch,
        new_batch_threshold=_number(section, "newBatchThreshold", batch // 2, low=0),
        max_polling_interval=seconds(section.get("maxPollingInterval", "00:01:00"), "queues"),
        plain=_plain(section.get("messageEncoding", "base64")),
    )


def _plain(encoding: object) -> bool:
    if str(encoding).lower() not in ("base64", "none"):
        raise HostJsonError(f"host.json: messageEncoding must be base64 or none: {encoding!r}")
    return str(encoding).lower() == "none"


def _timeout(value: object) -> float | None:
    return None if value == "-1" else seconds(value, "functionTimeout")


def _levels(section: Mapping[str, Any]) -> dict[str, int]:
    levels = {}
    for category, name in section.items():
        if str(name).lower() not in LEVELS:
            raise HostJsonError(
                f"host.json: logLevel of {category} is {name!r}, not one of {sorted(LEVELS)}"
            )
        levels[category] = LEVELS[str(name).lower()]
    return levels


def _section(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    section = document
    for key in keys:
        inner = section.get(key, {})
        if not isinstance(inner, dict):
            raise HostJsonError(f"host.json: {'.'.join(keys)} must be an object")
        section = inner
    return section


def _number(
    section: Mapping[str, Any], key: str, default: int, *, low: int, high: int | None = None
) -> int:
    value = section.get(key, default)
    fits = isinstance(value, int) and value >= low and (high is None or value <= high)
    if not fits:
        limit = f"at least {low}" if high is None else f"from {low} to {high}"
        raise HostJsonError(f"host.json: {key} must be a whole number, {limit}: {value!r}")
    return int(value)
