"""Job task: keep the Delta tables of silver and gold in shape.

each table: OPTIMIZE where small files have gathered → VACUUM of what time travel no longer needs
            → the old part of its log goes too where rows were erased
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spark_jobs.arguments import parse_named
from spark_jobs.errors import ArgumentError
from spark_jobs.lake import SparkLake
from spark_jobs.result import say
from spark_jobs.session import job_session
from spark_jobs.tables import delta_detail, delta_tables, optimize, trim, vacuum

# The shortest retention that is accepted: a job may still be reading an old version, and a job may
# have written files that it has not committed yet. Delta's own default is the same.
LEAST_DAYS = 7
# A file of a table should be about so large; with so many more files than that gives, they are
# put together. Few small files cost less than rewriting them would.
GOOD_BYTES = 128 * 1024 * 1024
SPARE_FILES = 8


@dataclass(frozen=True)
class Kept:
    """What was done to a table: its files before and after, and how many were deleted."""

    files_before: int
    files: int
    size: int
    deleted: int

    def to_json(self) -> dict[str, Any]:
        """For the task's output."""
        return {
            "files_before": self.files_before,
            "files": self.files,
            "bytes": self.size,
            "deleted_files": self.deleted,
        }


def main(argv: list[str] | None = None) -> None:
    """Maintain every table below silver and gold.

    Raises:
        JobError: the parameters are wrong.
    """
    given = parse_named(argv, "maintain", required=("lake", "keep-days"))
    days = _days(given["keep-days"])
    lake = SparkLake(job_session(), given["lake"])
    results = {path: maintain(lake, path, days) for path in delta_tables(lake, "silver", "gold")}
    if not results:
        say("There is no table below silver or gold.")
    for path, kept in results.items():
        say({"table": path, **kept.to_json()})


def maintain(lake: SparkLake, path: str, keep_days: int) -> Kept:
    """Put small files together, and delete what no version of the last days needs."""
    before = delta_detail(lake, path)
    if before.files > before.size // GOOD_BYTES + SPARE_FILES:
        optimize(lake, path)
    deleted = vacuum(lake, path, hours=24 * keep_days)
    trim(lake, path, before.properties, hours=24 * keep_days)
    after = delta_detail(lake, path)
    return Kept(before.files, after.files, after.size, deleted)


def _days(text: str) -> int:
    days = int(text) if text.isdigit() else 0
    if days < LEAST_DAYS:
        raise ArgumentError(
            f"--keep-days must be a whole number of {LEAST_DAYS} or more, not {text!r}: "
            "readers of older versions, and jobs at work, need their files so long."
        )
    return days


if __name__ == "__main__":
    main()
