"""Job task: validate one large drop by its plan.

plan → blocks surveyed → records validated → repeated keys → rejects, reasons, accepted → result
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark import cloudpickle

import spark_jobs
from landfall.validation import problems
from landfall.validation.parts import parse_plan
from spark_jobs.arguments import parse_named
from spark_jobs.errors import InvalidPlanError
from spark_jobs.lake import SparkLake, read_text, write_document
from spark_jobs.result import say
from spark_jobs.session import job_session
from spark_jobs.validation.outcome import Validation


@dataclass(frozen=True)
class ValidateArguments:
    """One start of the job: URI template of the lake, and lake path of the plan."""

    lake: str
    plan: str

    @property
    def folder(self) -> str:
        """Where what is found goes: beside the plan."""
        return self.plan.rpartition("/")[0]


def main(argv: list[str] | None = None) -> None:
    """Validate the file that the plan speaks of, and leave the result document beside the plan.

    Raises:
        JobError: the plan is not one that this job can follow, or the file cannot be read.
    """
    arguments = ValidateArguments(**parse_named(argv, "validate", required=("lake", "plan")))
    lake = SparkLake(job_session(), arguments.lake)
    text = read_text(lake, arguments.plan)
    if text is None:
        raise InvalidPlanError(f"There is no plan at {arguments.plan}.")
    try:
        plan = parse_plan(text)
    except problems.PlanError as error:
        raise InvalidPlanError(str(error)) from error
    with _code_travels():
        result = Validation(lake, plan, arguments.folder).run()
    write_document(lake, f"{arguments.folder}/result", result)
    say({name: result[name] for name in ("rows", "rejected", "problem")})


@contextmanager
def _code_travels() -> Iterator[None]:
    """Send what the tasks run to Spark's Python workers whole: they need not have this package."""
    registered = cloudpickle.list_registry_pickle_by_value()  # type: ignore[no-untyped-call]
    known = spark_jobs.__name__ in registered
    if not known:
        cloudpickle.register_pickle_by_value(spark_jobs)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if not known:
            cloudpickle.unregister_pickle_by_value(spark_jobs)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
