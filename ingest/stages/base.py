"""What all stages share: one `Context`, and one signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingest.contract_store import ContractStore
from ingest.gold_store import GoldStore
from ingest.ports import Clock, CopyService, JobService, Lake
from ingest.runs.contents import AcceptedContents
from ingest.runs.register import Register, Stored
from ingest.stages.copy_limit import CopyLimit
from ingest.stages.landing import Landing
from ingest.stages.rules import Rules


@dataclass(frozen=True)
class Context:
    """What a stage needs of the service; `ingest.wiring` puts it together once.

    Attributes:
        manifest: the register of all runs.
        contracts: those in force, and those by which runs were validated.
        contents: which run has accepted a content, with its report.
        gold: the definitions of the gold tables.
        copier: the pipeline that copies to bronze.
        loader: the job that loads batches.
        validator: the job that validates large drops; `validation_job` is its name.
        copy_limit: how many copies may be under way at once.
        worker: names this process in leases.
        spark_lake: the lake's URL as jobs address it, with `{container}`.
    """

    lake: Lake
    manifest: Register
    contracts: ContractStore
    contents: AcceptedContents
    gold: GoldStore
    copier: CopyService
    loader: JobService
    validator: JobService
    copy_limit: CopyLimit
    clock: Clock
    rules: Rules
    worker: str
    spark_lake: str
    validation_job: str

    @property
    def landing(self) -> Landing:
        """The landing container by the contracts in force."""
        return Landing(self.lake, self.contracts)


@dataclass(frozen=True)
class Hint:
    """What whoever asks for a step knows of the run.

    Attributes:
        in_raw: the asker has moved the run's file there itself: nobody has to look again.
        redelivered: a worker may have died of this step: the next leaves a trace as it begins.
    """

    in_raw: bool = False
    redelivered: bool = False


NO_HINT = Hint()


class Stage(Protocol):
    """One stage of the way of a run."""

    def advance(self, stored: Stored, hint: Hint = NO_HINT) -> Stored:
        """Take a run one step further; may be called any number of times, by anyone.

        Returns:
            The run as it stands now: with another version where something was written, and as it
            was given where there is nothing to do.

        Raises:
            Retryable: another side did not answer, or another worker was faster.
            Blocked: the run waits for a person.
            WorkerLost: the worker that held the run fell silent.
        """
