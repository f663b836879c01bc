"""The parameters that every job of ours takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
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
    """Read the parameters that the tasks of a load take; None takes the process's own.

    Raises:
        ArgumentError: one is missing, unknown or malformed.
    """
    given = parse_named(argv, job, required=("lake", "dataset", "batch-id", "batch"))
    return Arguments(given["lake"], given["dataset"], given["batch-id"], given["batch"])


def parse_named(
    argv: list[str] | None, job: str, *, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, str]:
    """Read a job's parameters by name; an optional one that is not given is "".

    Raises:
        ArgumentError: one is missing, unknown or malformed.
    """
    parser = _Parser(prog=job, add_help=False, allow_abbrev=False)
    for name in required:
        parser.add_argument(f"--{name}", dest=name, required=True)
    for name in optional:
        parser.add_argument(f"--{name}", dest=name, default="")
    values: dict[str, str] = vars(parser.parse_args(sys.argv[1:] if argv is None else argv))
    for name in required:
        if not values[name].strip():
            parser.error(f"--{name} is empty")
    if PLACEHOLDER not in values.get("lake", PLACEHOLDER):
        parser.error(f"--lake {values['lake']} does not hold {PLACEHOLDER}")
    return {name: value.strip() for name, value in values.items()}
