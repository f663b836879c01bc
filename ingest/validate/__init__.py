"""Judges one file against its contract: streamed, exact, in bounded memory.

``validate`` is the whole of it: a source of bytes and a contract in, a ``Report`` out, rejected
records, their reasons and a clean copy written to ``Outputs`` on the way.
"""

from typing import TYPE_CHECKING, Any

from ingest.validate.report import MASK, Check, Columns, Format, Problem, Report, Sample, Verdict
from ingest.validate.streams import NotThere, Outputs, References, Source, Writer

if TYPE_CHECKING:
    from ingest.validate.engine import validate

__all__ = [
    "MASK",
    "Check",
    "Columns",
    "Format",
    "NotThere",
    "Outputs",
    "Problem",
    "References",
    "Report",
    "Sample",
    "Source",
    "Verdict",
    "Writer",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Load the engine when it is asked for: a cold start that judges nothing does without."""
    if name == "validate":
        from ingest.validate.engine import validate  # noqa: PLC0415

        return validate
    raise AttributeError(name)
