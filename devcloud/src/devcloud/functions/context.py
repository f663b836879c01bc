"""The invocation context that a function may ask for by a parameter named `context`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

_LOCAL = threading.local()


@dataclass(frozen=True)
class TraceContext:
    """Distributed tracing is not emulated: this is empty."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RetryContext:
    """The retry policy is not emulated: queue and blob triggers retry by their queue."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


@dataclass(frozen=True)
class InvocationContext:
    """Which invocation of which function this is; the shape of `azure.functions.Context`."""

    invocation_id: str
    function_name: str
    function_directory: str
    thread_local_storage: threading.local = _LOCAL
    trace_context: TraceContext = field(default_factory=TraceContext)
    retry_context: RetryContext = field(default_factory=RetryContext)
