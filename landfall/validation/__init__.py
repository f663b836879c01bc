"""Validates a file against its contract: streamed, exact, in bounded memory.

`validate` takes a source of bytes and a contract and returns a `Report`. It writes rejected
records, their reasons and the accepted records as typed Parquet to `Outputs`.
"""

from typing import TYPE_CHECKING, Any

from landfall.validation.report import (
    MASK,
    AcceptedParquet,
    Check,
    Columns,
    Format,
    Problem,
    Report,
    Sample,
    Verdict,
)
from landfall.validation.streams import (
    ByteSource,
    Outputs,
    References,
    ReferenceUnavailable,
    Writer,
)

if TYPE_CHECKING:
    from landfall.validation.engine import validate

__all__ = [
    "MASK",
    "AcceptedParquet",
    "ByteSource",
    "Check",
    "Columns",
    "Format",
    "Outputs",
    "Problem",
    "ReferenceUnavailable",
    "References",
    "Report",
    "Sample",
    "Verdict",
    "Writer",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Import the engine on first use, so that a cold start does not load it."""
    if name == "validate":
        from landfall.validation.engine import validate  # noqa: PLC0415

        return validate
    raise AttributeError(name)
