"""Which dataset a file seems to be of, by its header: it may lie in the wrong folder. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from landfall.contract.model import Contract
from landfall.validation.readers.header import DELIMITERS
from landfall.validation.report import Problem, Report

HEAD = 64 * 1024
"""Bytes of a file's beginning that are enough to see its header."""
_SURE = 0.8
"""Share of a contract's columns that a header must have to be taken for its own."""
_LINE_END = re.compile(rb"\r\n|\n|\r")


def with_lookalike(report: Report, head: bytes, contracts: Mapping[str, Contract]) -> Report:
    """Return the report of a refused file with the dataset that the file seems to be of, if any.

    Args:
        report: of a file that was refused for its header.
        head: the file's beginning; one that is not delimited text looks like nothing.
        contracts: by dataset.
    """
    problem = report.problem
    meant = lookalike(head, contracts.values())
    if problem is None or meant is None or meant == report.dataset:
        return report
    action = f"it looks like a file of dataset {meant}: drop it in landing/{meant}/"
    found = Problem(f"{problem.reason.rstrip('.')}; {action.partition(':')[0]}", action)
    return replace(report, problem=replace(found, line=problem.line, column=problem.column))


def is_about_header(report: Report) -> bool:
    """Whether a file was refused for its first line: then it may be of another dataset."""
    problem = report.problem
    return report.verdict == "refused" and problem is not None and problem.line == 1


def lookalike(head: bytes, contracts: Iterable[Contract]) -> str | None:
    """Return the dataset whose columns a header has, nearly all of them; None where none fits.

    Where a header has the columns of several, the one with most columns is meant.
    """
    line = _LINE_END.split(head.removeprefix(b"\xef\xbb\xbf"), maxsplit=1)[0]
    text = line.decode("utf-8", "replace")
    headers = [frozenset(next(csv.reader([text], delimiter=d), ())) for d in DELIMITERS]
    scores = []
    for contract in contracts:
        columns = {column.source for column in contract.columns}
        known = max(len(columns & header) for header in headers)
        if known >= _SURE * len(columns):
            scores.append((known, contract.dataset))
    return max(scores)[1] if scores else None
