"""The parameters that every job of ours takes."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import NoReturn

from spark_jobs.errors import ArgumentError

PLACEHOLDER = "{container}"


@dataclass(frozen=True)
class Arguments:
    """One start of a job.

    Attributes:
        lake: URI of a container with `{container}` in the place of its name.
        dataset: what is loaded.
        batch_id: the batch that this start is for.
        batch: lake path of the batch document, `manifest/...`.
    """

    lake: str
    dataset: str
    batch_id: str
    batch: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise, where argparse would end a process that may not be ours."""
        raise ArgumentError(f"{self.prog}: {message}. {self.format_usage().strip()}")


def parse_arguments(argv: list[str] | None, job: str) -> Arguments:
    """Read a job's parameters; None takes the process's own.

    Raises:
        ArgumentError: one is missing, unknown or malformed.
    """
    parser = _Parser(prog=job, add_help=False, allow_abbrev=False)
    for name in ("--lake", "--dataset", "--batch-id", "--batch"):
        parser.add_argument(name, required=True)
    found = parser.parse_args(sys.argv[1:] if argv is None else argv)
    for name, value in vars(found).items():
        if not value.strip():
            parser.error(f"--{name.replace('_', '-')} is empty")
    if PLACEHOLDER not in found.lake:
        parser.error(f"--lake {found.lake} does not hold {PLACEHOLDER}")
    return Arguments(found.lake, found.dataset, found.batch_id, found.batch)
