"""Logging of the service: one line says what, about which run; Azure's SDKs keep quiet."""

from __future__ import annotations

import logging

log = logging.getLogger("landfall")

_QUIET = ("azure", "databricks.sdk", "urllib3", "msal")


def configure() -> None:
    """Silence libraries that log each request.

    The Functions worker sets the root logger to INFO, and then azure.core reports every storage
    call as telemetry of the app.
    """
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
