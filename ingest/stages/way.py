"""The way of a run: the stage that takes it on in each state, and how one step is done.

A step, top to bottom:

1. The document is read: the version that this process remembers first, as a step that ends in a
   conditional write needs no other; else the one that stands in the lake.
2. The stage of the run's state takes the run on, and writes down what it has become.
3. What follows goes back as messages. Where the step failed, `StepFailures` says what that means.

The stages, in the order of the way (`ingest.runs.states` has the states and what leads from each to
the next):

received    ClaimStage        the file goes from landing to raw; the same step validates it
claimed,    ValidationStage   report, rejects and Parquet are written, and the verdict; the same
validating                    step starts the copy, where there is room
validated,  CopyStage         an attempt is written down, and one pipeline run of it is started,
copying                       watched, and replaced where it came to nothing
copied,     LoadStage         nothing for one run: the drops of a dataset are loaded together, by
loading                       the message `LoadDataset`, and the load ends or puts back each of them
final       ArchiveStage      the document leaves the active ones, which `Register.end` may not
                              have come to
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ingest.errors import Damaged, Stale
from ingest.log import log, once
from ingest.runs.messages import Message, next_messages
from ingest.runs.register import Stored
from ingest.runs.run import Run
from ingest.runs.states import COMMANDS, Command
from ingest.stages.base import NO_HINT, Context, Hint, Stage
from ingest.stages.claim import ClaimStage
from ingest.stages.copy import CopyStage
from ingest.stages.failures import LONG, StepFailures
from landfall.protocol import State

if TYPE_CHECKING:
    from ingest.stages.load.stage import LoadStage
    from ingest.stages.validate.stage import ValidationStage


@dataclass(frozen=True)
class ArchiveStage:
    """Files the document of a run that has ended."""

    context: Context

    def advance(self, stored: Stored, _hint: Hint = NO_HINT) -> Stored:
        """See `ingest.stages.base.Stage`."""
        return self.context.manifest.file(stored)


class RunWay:
    """All stages on one context, and the step of a run through them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.copy = CopyStage(context)
        self._stages: dict[Command, Callable[[], Stage]] = {
            Command.CLAIM: lambda: self.claim,
            Command.VALIDATE: lambda: self.validation,
            Command.START_COPY: lambda: self.copy,
            Command.WATCH_COPY: lambda: self.copy,
            Command.LOAD: lambda: self.load,
            Command.ARCHIVE: lambda: ArchiveStage(context),
        }
        self._failures = StepFailures(context)

    # A cold start does without these: they are imported when the first run comes to them.

    @cached_property
    def claim(self) -> ClaimStage:
        """The claim, which goes on to the validation."""
        return ClaimStage(self.context, then=self.validation)

    @cached_property
    def validation(self) -> ValidationStage:
        """The validation, which goes on to the copy."""
        from ingest.stages.validate.job import ValidationJob  # noqa: PLC0415
        from ingest.stages.validate.references import CopiedDrops  # noqa: PLC0415
        from ingest.stages.validate.stage import ValidationStage  # noqa: PLC0415

        copied = CopiedDrops(self.context.manifest, self.context.clock)
        return ValidationStage(self.context, ValidationJob(self.context), copied, self.copy)

    @cached_property
    def load(self) -> LoadStage:
        """The loads of all datasets."""
        from ingest.stages.load.stage import LoadStage  # noqa: PLC0415

        return LoadStage(self.context)

    def advance(self, run_id: str, hint: Hint = NO_HINT) -> list[Message]:
        """Take a run one step further; returns what is to be done next.

        A step on the remembered document that wrote nothing, or could not, is done once more on
        the document as it stands. A file is not validated in vain for it: then it has to be just
        claimed.

        Raises:
            Retryable: another side did not answer; the same call again goes on.
        """
        remembered = self.context.manifest.remembered(run_id)
        if remembered and (hint.in_raw or COMMANDS[remembered.run.state] not in LONG):
            with suppress(Stale):
                messages = self._step(remembered, hint)
                if messages is not None:
                    return messages
        stored = self._read(run_id)
        return (self._step(stored, hint) if stored else None) or []

    def _read(self, run_id: str) -> Stored | None:
        """The active document of a run as it stands; None where there is none to go on with."""
        try:
            stored = self.context.manifest.find_active(run_id)
        except Damaged as error:
            once(log.error, f"run {run_id} is set aside: {error}")
            return None
        if stored is None:
            log.info("run %s has ended: an old message", run_id)
        return stored

    def _step(self, stored: Stored, hint: Hint) -> list[Message] | None:
        """The messages after one step on a document; None where the step wrote nothing."""
        try:
            moved = self._stages[COMMANDS[stored.run.state]]().advance(stored, hint)
        except Exception as error:  # noqa: BLE001 - each kind has its meaning for the run
            return self._failures.handle(stored.run, error)
        written = (moved.path, moved.etag) != (stored.path, stored.etag)
        return self._following(moved.run) if written else None

    def _following(self, run: Run) -> list[Message]:
        """What follows at once after a step that moved a run."""
        if run.state is State.COPIED and not self.load.batches.arrived(run.dataset):
            return []
        return next_messages(run)
