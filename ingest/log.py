"""Logging of the service: one line says what, about which run; Azure's SDKs keep quiet."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

log = logging.getLogger("landfall")

_QUIET = ("azure", "databricks.sdk", "urllib3", "msal")


def configure() -> None:
    """Silence libraries that log each request.

    The Functions worker sets the root logger to INFO, and then azure.core reports every storage
    call as telemetry of the app.
    """
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


_SAID: OrderedDict[str, None] = OrderedDict()
_LOCK = threading.Lock()
_MOST = 1000


def once(say: Callable[[str], None], text: str) -> None:
    """Log a text that this process has not logged lately.

    What stands until a person acts is seen by every look: the log names it once, not each minute.
    """
    with _LOCK:
        known = text in _SAID
        _SAID[text] = None
        _SAID.move_to_end(text)
        while len(_SAID) > _MOST:
            _SAID.popitem(last=False)
    if not known:
        say(text)
