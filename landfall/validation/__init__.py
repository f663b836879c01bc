"""Validates one file against its contract: streamed, exact, in bounded memory.

`validate` is the whole of it: a source of bytes and a contract in, a `Report` out, rejected
records, their reasons and a clean copy written to `Outputs` on the way.
"""

from typing import TYPE_CHECKING, Any

from landfall.validation.report import (
    MASK,
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
    """Load the engine when it is asked for: a cold start that validates nothing does without."""
    if name == "validate":
        from landfall.validation.engine import validate  # noqa: PLC0415

        return validate
    raise AttributeError(name)
