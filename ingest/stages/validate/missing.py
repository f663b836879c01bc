"""Columns that a file lacks although silver has values in them: loading it would empty them.

Newest wins in silver, column by column: a file without a column has no value in it, and takes away
the value that an earlier one brought. That is seldom meant, so the file is refused unless the
contract says what is done with missing columns.
"""

from __future__ import annotations

from dataclasses import replace

from ingest import paths
from ingest.log import log
from ingest.ports import Lake
from ingest.stages.validate.delta import Unreadable, live_files
from landfall.contract.model import Contract
from landfall.validation import Problem, Report


def without_loss(report: Report, contract: Contract, lake: Lake) -> Report:
    """Return the report; refused, if the file lacks columns in which silver has values.

    Costs requests only where a column is missing and the contract has no policy for that.

    Raises:
        Retryable: the lake did not answer.
    """
    missing = report.columns.missing
    if report.verdict == "refused" or not missing or contract.drift.missing is not None:
        return report
    table = f"{paths.SILVER}/{contract.dataset}"
    try:
        files = live_files(lake, table) or []
    except Unreadable as error:
        log.warning("whether %s has values in %s is not known: %s", table, missing, error)
        return report
    lost = [
        name
        for name in missing
        # Of very wide tables it may not be known: then the file is refused as well.
        if any(file.has_values(name) is not False for file in files)
    ]
    if not lost:
        return report
    sources = [contract.column(name).source for name in lost]
    listed = ", ".join(repr(name) for name in sources)
    one = len(lost) == 1
    problem = Problem(
        f"column{'' if one else 's'} {listed} {'is' if one else 'are'} missing, and silver has "
        f"values in {'it' if one else 'them'}: loading the file would empty them",
        f"add {listed}, or say `missingColumns: evolve` under `drift` in the contract, by which "
        "missing columns are taken as empty",
        line=1,
        column=lost[0],
    )
    return replace(report, verdict="refused", parquet=None, problem=problem)
