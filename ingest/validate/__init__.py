"""Judges one file against its contract: streamed, exact, in bounded memory.

``validate`` is the whole of it: a source of bytes and a contract in, a ``Report`` out, rejected
records, their reasons and a clean copy written to ``Outputs`` on the way.
"""

from ingest.validate.engine import validate
from ingest.validate.references import NotThere, References
from ingest.validate.report import MASK, Check, Columns, Format, Problem, Report, Sample, Verdict
from ingest.validate.streams import Outputs, Source, Writer

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
