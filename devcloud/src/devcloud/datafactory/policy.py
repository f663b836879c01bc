"""An activity's policy: how long it may take, how often it is tried, what is not shown of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from devcloud.datafactory.shapes import CONTROL_ACTIVITIES

_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,7}))?")
_DEFAULT_TIMEOUT = timedelta(hours=12)
_INTERVAL = range(30, 86_401)


@dataclass(frozen=True)
class Policy:
    """The policy of one activity.

    Attributes:
        timeout: of each try.
        retry: how many further tries follow a failed one.
        interval: seconds between two tries, 30 to 86,400.
        secure_input, secure_output: whether input or output is left out of the activity runs.
    """

    timeout: timedelta = _DEFAULT_TIMEOUT
    retry: int = 0
    interval: int = 30
    secure_input: bool = False
    secure_output: bool = False

    @staticmethod
    def of(activity: dict[str, Any]) -> Policy:
        """The policy of an activity; one that steers is not tried again, and has no time limit.

        Raises:
            ValueError: a value out of its range.
        """
        document = activity.get("policy", {})
        policy = Policy.read(document)
        if activity["type"] not in CONTROL_ACTIVITIES:
            return policy
        return Policy(secure_input=policy.secure_input, secure_output=policy.secure_output)

    @staticmethod
    def read(document: dict[str, Any]) -> Policy:
        """Read the JSON of a policy.

        Raises:
            ValueError: a value out of its range.
        """
        retry = document.get("retry", 0)
        interval = document.get("retryIntervalInSeconds", 30)
        if not isinstance(retry, int) or retry < 0:
            raise ValueError(f"retry must be an integer of at least 0, not {retry!r}")
        if not isinstance(interval, int) or interval not in _INTERVAL:
            raise ValueError(f"retryIntervalInSeconds must be 30 to 86400, not {interval!r}")
        return Policy(
            parse_span(document["timeout"]) if "timeout" in document else _DEFAULT_TIMEOUT,
            retry,
            interval,
            bool(document.get("secureInput", False)),
            bool(document.get("secureOutput", False)),
        )


def parse_span(text: Any) -> timedelta:
    """Read a time span `[d.]hh:mm:ss[.fffffff]`.

    Raises:
        ValueError: it is none.
    """
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"a time span is written [d.]hh:mm:ss, not {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
    fraction = timedelta(microseconds=int((match[5] or "").ljust(6, "0")[:6]))
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds) + fraction
