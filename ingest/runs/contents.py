"""The notes of accepted contents: which run brought them, and the report that goes with each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import takewhile
from typing import Any

from ingest import paths
from ingest.errors import AlreadyExists, Blocked, Damaged, NotFound, Stale
from ingest.ports import Lake
from ingest.runs import archive
from ingest.runs.register import Register, Stored
from ingest.runs.run import Run
from landfall.contract.folder import Contract
from landfall.protocol import State, id_prefix

_LOOKED_BACK = timedelta(days=7)
"""How far the drops are looked through that came after one of equal content."""


@dataclass(frozen=True)
class AcceptedContents:
    """One note for each content that was accepted for a dataset, named by its SHA-256."""

    lake: Lake
    manifest: Register

    def holder(
        self,
        run: Run,
        sha256: str,
        report: Mapping[str, Any],
        attempt: str,
        contract: Contract | None = None,
    ) -> str | None:
        """The other run by which this content is already accepted; notes this run where none is.

        It notes this run, too, where that says anew what another has said: see `_restates`.

        The note carries the report of the attempt that accepted, which saves a file for each
        accepted drop; a report that gives way to another goes to its own attempt's folder first.

        A content passes on from a run that has failed only after that has been written into the
        failed run's own document, under its version. So a retry of that run, which writes the same
        document, and the run that takes its content over cannot both go on.

        Raises:
            Stale: the other run has just been moved by somebody else; ask again.
        """
        taken_by = run.content_taken_by
        if taken_by is not None and _stands(self._find(taken_by)):
            return taken_by
        path = paths.content_document(run.dataset, sha256)
        body = _note(run.run_id, attempt, report)
        try:
            self.lake.put(path, body, if_absent=True)
        except AlreadyExists:
            kept, etag = self.lake.get(path)
            note = json.loads(kept)
            known = str(note["run_id"])
            other = known if known != run.run_id else None
            holder = self._standing_for(other, run.run_id) if other else None
            if holder and not self._restates(run, holder, contract):
                return holder
            if (known, note.get("attempt", "")) != (run.run_id, attempt) and "report" in note:
                self._set_aside(run.dataset, note)
            try:
                self.lake.put(path, body, if_match=etag)
            except Stale:
                return self.holder(run, sha256, report, attempt, contract)
        return None

    def _restates(self, run: Run, holder: str, contract: Contract | None) -> bool:
        """Whether an extract says anew what `holder` said, after others have said otherwise.

        A table may go back to what it was: then equal content is no duplicate, and the newest
        statement of each key has to come to silver once more. Without a key it would come twice.
        """
        if contract is None or not contract.key or not paths.is_extract(run.source.path):
            return False
        held = self._find(holder)
        if held is None:
            return True
        earlier, later = sorted((held.run.source.landed, run.source.landed))
        if later - earlier > _LOOKED_BACK:
            return True
        first, last = id_prefix(earlier), id_prefix(later)
        archived = archive.newest(self.lake, dataset=run.dataset, oldest_day=first[:8])
        filed = takewhile(lambda other: other.run_id >= first, archived)
        active = (other for other in self.manifest.active() if other.dataset == run.dataset)
        return any(
            other.run_id not in (run.run_id, holder)
            and first <= other.run_id[: len(first)] <= last
            and other.state is not State.DUPLICATE
            for other in (*active, *filed)
        )

    def _standing_for(self, known: str, other: str) -> str | None:
        """The run that stands for a content that a note gives to `known`; None: `other` may.

        A run that has failed is told first who takes its content over.
        """
        stored = self._find(known)
        if stored is None:
            return None
        if _stands(stored):
            return known
        taken_by = stored.run.content_taken_by
        if taken_by != other:
            if taken_by is not None and _stands(self._find(taken_by)):
                return taken_by  # which has not written the note yet
            self.manifest.update(stored, replace(stored.run, content_taken_by=other))
        return None

    def _find(self, run_id: str) -> Stored | None:
        try:
            return self.manifest.find(run_id, fresh=True)
        except Damaged as error:
            raise Blocked(
                f"whether run {run_id} has accepted it cannot be told: {error}"
            ) from error

    def _set_aside(self, dataset: str, note: Mapping[str, Any]) -> None:
        kept = json.dumps(note["report"], ensure_ascii=False, indent=2)
        self.lake.put(
            _own_report(dataset, str(note["run_id"]), str(note.get("attempt", ""))), kept.encode()
        )

    def report(self, run: Run) -> Mapping[str, Any]:
        """The report of a validated run, from where it is kept.

        Raises:
            NotFound: it has not been validated yet.
        """
        if run.verdict is None:
            raise NotFound(f"run {run.run_id} is {run.state}: it has no report yet")
        document: dict[str, Any] = json.loads(self.lake.get(run.verdict.report)[0])
        if "run_id" not in document:
            return document
        # A document that a release before this one has written meanwhile names no attempt.
        attempts = (document.get("attempt", ""), "")
        if document["run_id"] == run.run_id and run.verdict.attempt in attempts:
            noted: dict[str, Any] = document["report"]
            return noted
        path = _own_report(run.dataset, run.run_id, run.verdict.attempt)
        kept: dict[str, Any] = json.loads(self.lake.get(path)[0])
        return kept

    def broken_rules(self, run_id: str) -> dict[str, int]:
        """The rules that records of a run break, with the number of records.

        Raises:
            NotFound: there is no such run, or it was not validated.
        """
        report = self.report(self.manifest.get(run_id, fresh=True).run)
        rules: dict[str, int] = {}
        for check in report.get("checks", ()):
            name = f"{check['column']}: {check['rule']}" if check["column"] else str(check["rule"])
            rules[name] = rules.get(name, 0) + int(check["failed"])
        return rules


def _stands(stored: Stored | None) -> bool:
    """Whether a run has accepted its content, or may still."""
    return stored is not None and (not stored.run.final or stored.run.state is State.SUCCEEDED)


def _own_report(dataset: str, run_id: str, attempt: str) -> str:
    """Where the report of an attempt goes when the note of its content is another's."""
    folder = (
        paths.attempt_folder(dataset, run_id, attempt)
        if attempt
        else paths.raw_folder(dataset, run_id)
    )
    return f"{folder}/{paths.REPORT}"


def _note(run_id: str, attempt: str, report: Mapping[str, Any]) -> bytes:
    note = {"run_id": run_id, "attempt": attempt, "report": report}
    return json.dumps(note, ensure_ascii=False, indent=2).encode()
