"""The patience and the limits of the stages, in one place. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from ingest.stages.load.batching import Limits

LONGEST_WAIT = timedelta(minutes=2)
"""At most, between two validations of a drop whose records refer to what is not there."""


@dataclass(frozen=True)
class ValidationRules:
    """Patience with workers, and with what has not arrived yet.

    Attributes:
        lease: how long a worker may be silent before another takes its drop over.
        moment: a drop that is validated within it is validated without a lease.
        reference_wait: how long a drop waits for what it refers to, where its contract does not
            say; counted from when its file came into `raw`.
    """

    lease: timedelta = timedelta(minutes=5)
    moment: timedelta = timedelta(seconds=10)
    reference_wait: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class JobRules:
    """From which size on a drop is validated by the job, and how often a failed job is tried."""

    above: int = 512 << 20
    max_attempts: int = 2
    backoff: timedelta = timedelta(seconds=30)


@dataclass(frozen=True)
class CopyRules:
    """How long to wait for a start to show, and how many failed attempts make a failed run."""

    grace: timedelta = timedelta(seconds=60)
    max_failures: int = 3


@dataclass(frozen=True)
class LoadRules:
    """Limits of a batch, of loads at once, and how often one is tried before it is halved."""

    limits: Limits = field(default_factory=Limits)
    max_loads: int = 10
    max_attempts: int = 2
    backoff: timedelta = timedelta(seconds=30)
    longest_backoff: timedelta = timedelta(minutes=5)
    max_interruptions: int = 16


@dataclass(frozen=True)
class Rules:
    """Those of all stages.

    Attributes:
        max_faults: so many failures of a step by itself end the run.
        max_blocked: how long a run waits for a person before it has failed.
    """

    validation: ValidationRules = field(default_factory=ValidationRules)
    validation_job: JobRules = field(default_factory=JobRules)
    copy: CopyRules = field(default_factory=CopyRules)
    load: LoadRules = field(default_factory=LoadRules)
    max_faults: int = 5
    max_blocked: timedelta = timedelta(days=3)
