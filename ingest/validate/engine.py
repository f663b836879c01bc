"""The way of one file through validation: open, judge block by block, decide, split."""

from collections.abc import Callable

from ingest.contract.model import Contract
from ingest.validate.report import Report
from ingest.validate.streams import Outputs, Source


def validate(
    source: Source,
    contract: Contract,
    *,
    name: str,
    outputs: Outputs,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Judge ``source``; ``name`` is the file's name, ``on_progress`` gets bytes read so far.

    Faults in the data are in the report, never raised; what ``source`` and ``outputs`` raise
    passes through.
    """
    raise NotImplementedError
