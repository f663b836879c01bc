"""What a job can end with besides success.

JobError
├── ArgumentError         the job was started with something else than it takes
├── BatchError            the batch document is not one that can be loaded
│   └── BatchNotCurrentError   it belongs to another batch, or is gone
├── BronzeError           a drop's bronze folder is not what the batch says
├── SilverError           the silver table cannot take these rows
├── PlanError             the plan of a validation is not one that this job knows
├── SourceError           the file that is to be validated changed or cannot be read
├── ResultError           what an earlier task of the job should have left is not there
└── ServingError          the database that gold is served from does not answer
"""

from __future__ import annotations


class JobError(Exception):
    """The job stopped before it changed anything that it would have to undo."""


class ArgumentError(JobError):
    """A job parameter is missing, unknown or malformed."""


class BatchError(JobError):
    """The batch document breaks its own form; the message names the field."""


class BatchNotCurrentError(BatchError):
    """The batch document is absent or belongs to another batch: this start came too late."""


class BronzeError(JobError):
    """A drop's bronze folder is absent, unreadable, or not of the contract's types.

    Attributes:
        run_id: the run that the folder belongs to.
        problems: one sentence each, naming the column where it is about one.
    """

    def __init__(self, run_id: str, place: str, problems: list[str]) -> None:
        super().__init__(f"Bronze of run {run_id} ({place}): {'; '.join(problems)}.")
        self.run_id = run_id
        self.problems = problems


class SilverError(JobError):
    """The silver table and the batch's columns do not fit together."""


class InvalidPlanError(JobError):
    """The plan of a validation is absent, malformed, or asks for what this job does not know."""


class DropError(JobError):
    """The file that is to be validated is absent, or was not read twice in the same blocks."""


class ResultError(JobError):
    """The task that should have written the counts of this batch did not."""


class ServingError(JobError):
    """The database that gold is served from cannot be reached; gold is as it should be."""
