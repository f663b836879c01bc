"""What an operator may ask of a run: cancel, retry, replay, and to take in its corrected rejects.

Each may be asked any number of times. A request that carries a token leaves it in the history of
the run that it moves, so that the same request, sent again after a crash, moves it once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ingest import paths
from ingest.errors import BadRequest, Conflict, NotFound
from ingest.log import log
from ingest.runs.register import Stored
from ingest.runs.relocation import exists, relocate, to_raw
from ingest.runs.run import Run
from ingest.runs.states import RETRYABLE, TRANSITIONS, Event
from ingest.stages.base import Context
from ingest.stages.claim import claim
from ingest.stages.way import RunWay
from landfall import protocol
from landfall.protocol import State

MAX_RESEND = 32 * 1024 * 1024
"""Bytes that a resend may carry in its body; more is uploaded to the run's resend folder."""


class ReplayOrigin(StrEnum):
    """From where a replay starts."""

    RAW = "raw"  # the file as it landed: validated, copied and loaded again
    BRONZE = "bronze"  # what was copied of it: loaded again


@dataclass(frozen=True)
class OperatorRequest:
    """A person's request: why, the token by which it is recognised when it comes again, and whose.

    `by` is None where the platform does not tell.
    """

    reason: str
    token: str | None = None
    by: str | None = None


@dataclass(frozen=True)
class Operators:
    """The verbs, over the stages of a run's way."""

    way: RunWay

    @property
    def context(self) -> Context:
        """What all stages share."""
        return self.way.context

    def cancel(self, run_id: str, operator_request: OperatorRequest) -> Run:
        """End a run that is not loading yet, and its pipeline run; its file stays where it is.

        A load cannot be taken back: the job merges a whole batch in one commit, and from outside
        it cannot be told whether that has happened when the job is stopped. A run that said
        `cancelled` might be in silver. So a loading run is left to its end.

        Raises:
            NotFound: there is no such run.
            Conflict: it is loading, or final in another way.
        """
        stored = self.context.manifest.get(run_id, fresh=True)
        if stored.run.has_seen_request(operator_request.token):
            return self._stopped(stored.run)  # perhaps taken up again since
        if stored.run.state is State.RECEIVED:
            # A version that stays in landing would be found again: take it first.
            stored = self.way.claim.take(stored)
        run = stored.run
        if run.state is State.LOADING:
            batch = run.load.batch_id if run.load else "?"
            raise Conflict(
                f"run {run_id} is loading in batch {batch}: its rows may be in silver already; "
                "wait for its end"
            )
        if run.state is not State.CANCELLED:  # by an earlier call, or because its file was gone
            final = run.apply(
                Event.CANCEL,
                operator_request.reason,
                self.context.clock(),
                request=operator_request.token,
                by=operator_request.by,
            )
            log.info("run %s: cancelled by %s", run_id, operator_request.by or "somebody")
            run = self.context.manifest.end(stored, final).run
        return self._stopped(run)

    def _stopped(self, run: Run) -> Run:
        """Stop what still runs elsewhere for a cancelled run.

        Done again when asked again: the other side may not have answered the first time.
        """
        if run.state is State.CANCELLED:
            self.way.copy.stop(run)
            self.way.validation.job.stop(run)
        return run

    def retry(self, run_id: str, operator_request: OperatorRequest) -> Run:
        """Take up an ended run again from the last point that stands.

        Raises:
            NotFound: there is no such run.
            Conflict: it cannot be tried again.
        """
        stored = self.context.manifest.get(run_id, fresh=True)
        run = stored.run
        if run.has_seen_request(operator_request.token) or not run.final:
            return run  # asked twice: it is on its way, or has ended again
        if run.state not in RETRYABLE:
            hint = "; replay it to load it again" if run.state is State.SUCCEEDED else ""
            raise Conflict(f"run {run_id} is {run.state}: there is nothing to retry{hint}")
        return self._reopen(stored, operator_request, self._resumption)

    def replay(self, run_id: str, origin: ReplayOrigin, operator_request: OperatorRequest) -> Run:
        """Take an ended run through all of it again, from its file or from what was copied of it.

        Raises:
            NotFound: there is no such run.
            Conflict: it has not ended, or what it would start from is not there.
        """
        stored = self.context.manifest.get(run_id, fresh=True)
        run = stored.run
        if run.has_seen_request(operator_request.token):
            return run
        if not run.final:
            raise Conflict(f"run {run_id} is {run.state}: only a run that has ended is replayed")
        begin = {ReplayOrigin.RAW: self._from_raw, ReplayOrigin.BRONZE: self._from_bronze}[origin]
        return self._reopen(stored, operator_request, begin)

    def resend(self, run_id: str, name: str, body: bytes, operator_request: OperatorRequest) -> Run:
        """Take in corrected rejects of a run: a drop of its dataset, linked to it.

        The same as an upload to the run's resend folder, `landing/<dataset>/_resend/<run id>/`.

        Raises:
            NotFound: there is no such run.
            Conflict: it has no rejects.
            BadRequest: the file is empty, too large or has no fit name.
        """
        run = self.context.manifest.get(run_id, fresh=True).run
        if (
            run.dataset not in self.context.contracts.deployed
            and not self.context.contracts.problem_of(run.dataset)
        ):
            raise Conflict(
                f"run {run_id} belongs to no known dataset: drop its file in a dataset's folder"
            )
        if not run.has_rejects:
            raise Conflict(f"run {run_id} is {run.state} and has no rejects to fix")
        if not body:
            raise BadRequest("the body is empty: send the corrected file", 422)
        if len(body) > MAX_RESEND:
            folder = paths.resend_folder(run.dataset, run_id)
            raise BadRequest(
                f"the body has {len(body)} bytes, at most {MAX_RESEND} are read: "
                f"upload the file to {folder}/",
                413,
            )
        if not name or "/" in name or not paths.is_drop(name):
            raise BadRequest(f"{name!r} is not a valid file name: send name=<file>", 422)
        tag = (operator_request.token or hashlib.sha256(body).hexdigest())[:12]
        path = paths.landing_path(
            f"{paths.resend_folder(run.dataset, run_id)}/{tag}/{name}", frozenset()
        )
        return self._landed(path, run.dataset, body, operator_request)

    def _landed(
        self, path: str, dataset: str, body: bytes, operator_request: OperatorRequest
    ) -> Run:
        if operator_request.token and (known := self._resent(path)):
            return known  # the same request, sent again
        self.context.lake.put(path, body)
        version = self.context.lake.head(path)
        if version is None:  # an event was faster
            if known := self._resent(path):
                return known
            raise NotFound(f"{path} was removed while it was being claimed")
        return claim(
            version,
            dataset,
            "resend",
            lake=self.context.lake,
            manifest=self.context.manifest,
            clock=self.context.clock,
        ).run

    def _resent(self, path: str) -> Run | None:
        """The run that a path of a resend folder became."""
        origin = protocol.resent_run(path)
        for child in self.resends(origin) if origin else ():
            resent = self.context.manifest.find(child, fresh=True)
            if resent and resent.run.source.path == path:
                return resent.run
        return None

    def resends(self, run_id: str) -> list[str]:
        """The runs that brought corrected rejects of a run."""
        links = self.context.lake.list(paths.resend_links(run_id))
        return sorted(link.version.path.rsplit("/", 1)[-1] for link in links)

    # -- where a run is taken up again ------------------------------------------------------

    def _reopen(
        self,
        stored: Stored,
        operator_request: OperatorRequest,
        begin: Callable[[Run], tuple[Event, dict[str, Any]]],
    ) -> Run:
        relocate(stored.run, self.context.lake)
        event, changes = begin(stored.run)
        stored = self.context.manifest.reopen(stored)
        again = stored.run.apply(
            event,
            operator_request.reason,
            self.context.clock(),
            request=operator_request.token,
            by=operator_request.by,
            faults={},
            **changes,
        )
        log.info("run %s: %s by %s", again.run_id, event, operator_request.by or "somebody")
        return self.context.manifest.update(stored, again).run

    def _resumption(self, run: Run) -> tuple[Event, dict[str, Any]]:
        if run.raw is None:
            return Event.RETRY_CLAIM, {}
        deployed = self.context.contracts.deployed.get(run.dataset)
        changed = run.verdict and deployed and run.verdict.digest != deployed.digest
        if run.state is State.QUARANTINED or run.verdict is None or changed:
            changes = {"verdict": None, "copy": _without_failures(run), "load": None}
            return Event.RETRY_VALIDATION, {**changes, **self._file(run)}
        self._check_content(run)
        if run.copy is not None and run.copy.rows is not None:
            return Event.RETRY_LOAD, {"load": None, "content_taken_by": None}
        changes = {"copy": _without_failures(run), "content_taken_by": None}
        return Event.RETRY_COPY, changes

    def _from_raw(self, run: Run) -> tuple[Event, dict[str, Any]]:
        if run.raw is None:
            raise Conflict(f"run {run.run_id} never had its file: there is nothing to replay")
        changes = {"verdict": None, "copy": _without_failures(run), "load": None}
        return Event.REPLAY_RAW, {**changes, **self._file(run)}

    def _from_bronze(self, run: Run) -> tuple[Event, dict[str, Any]]:
        copied = run.copy is not None and run.copy.rows is not None
        if (run.state, Event.REPLAY_BRONZE) not in TRANSITIONS or not copied:
            raise Conflict(
                f"run {run.run_id} is {run.state} and was not copied: replay it from raw"
            )
        if next(iter(self.context.lake.list(f"{run.bronze}/")), None) is None:
            raise Conflict(f"{run.bronze} no longer exists: replay it from raw")
        self._check_content(run)
        return Event.REPLAY_BRONZE, {"load": None, "content_taken_by": None}

    def _check_content(self, run: Run) -> None:
        """See that no other run has accepted the same content meanwhile.

        One that does so after this look writes it into this run's document first: then the write
        that takes this run up again, conditional on the document that was read, fails.
        """
        if run.verdict is None:
            return
        contents, attempt = self.context.contents, run.verdict.attempt
        report = contents.report(run)
        if holder := contents.holder(run, run.verdict.sha256, report, attempt):
            raise Conflict(
                f"run {run.run_id} cannot be restarted: "
                f"its content was meanwhile accepted as run {holder}"
            )

    def _file(self, run: Run) -> dict[str, Any]:
        """The changes that let a run's file be validated again, wherever it stands."""
        if not exists(run, self.context.lake):
            raise Conflict(f"{run.raw} no longer exists: drop the file of the run again")
        return to_raw(run)


def _without_failures(run: Run) -> Any:
    """The last attempt, of which only the number counts on: attempts are never named twice."""
    return run.copy and replace(run.copy, failures=0, rows=None)
