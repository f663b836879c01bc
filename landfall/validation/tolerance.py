"""Checks whether the rejects and measures of a file are within the contract's tolerance."""

from __future__ import annotations

from collections.abc import Sequence

from landfall.contract.model import Contract
from landfall.validation.report import Measure, Problem

STOP_AFTER = 250_000
"""Rejects after which a file is given up, if nearly all of it is wrong: see `hopeless`."""


def hopeless(contract: Contract, rows: int, rejected: int) -> Problem | None:
    """Return a problem if validation is not worth going on with, after `rows` records.

    A rejected record takes many times as long as an accepted one, and the millions of a file in
    which nothing fits say no more than the first ones.
    """
    allowed = contract.max_rejected_ratio
    if rejected < STOP_AFTER or rejected <= max(allowed, 0.5) * rows:
        return None
    return Problem(
        f"{rejected} of the first {rows} records break the contract ({rejected / rows:.2%}); it "
        f"tolerates {allowed:.2%}, and the rest of the file was not validated",
        "fix the records listed in the rejects file and send the whole file again",
    )


def check_tolerance(
    contract: Contract, rows: int, rejected: int, measures: Sequence[Measure]
) -> Problem | None:
    """Return a problem if there are no records, too many rejects, or a broken quality rule."""
    if rows == 0:
        return Problem("the file holds no records", "send it again with its records")
    allowed = contract.max_rejected_ratio
    if rejected > allowed * rows:
        return Problem(
            f"{rejected} of {rows} records break the contract "
            f"({rejected / rows:.2%}); it tolerates {allowed:.2%}",
            "fix the records listed in the rejects file and send the whole file again",
        )
    for measure in measures:
        if not measure.kept:
            of = "" if measure.column is None else f" of {measure.column}"
            value = "not measurable" if measure.value is None else f"{measure.value:g}"
            return Problem(
                f"{measure.rule}{of} is {value} and must {measure.expected}",
                "fix the data, or agree with its consumers on another bound in the contract",
                column=measure.column,
            )
    return None
