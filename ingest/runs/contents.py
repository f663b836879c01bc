"""The notes of accepted contents: which run brought them, and the report that goes with each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest import paths
from ingest.errors import AlreadyExists, NotFound, Stale
from ingest.ports import Lake
from ingest.runs.register import Register
from ingest.runs.run import Run
from landfall.protocol import State


@dataclass(frozen=True)
class AcceptedContents:
    """One note for each content that was accepted for a dataset, named by its SHA-256."""

    lake: Lake
    manifest: Register

    def holder(self, run: Run, sha256: str, report: Mapping[str, Any]) -> str | None:
        """The other run by which this content is already accepted; notes this run where none is.

        The note carries the report, which saves a file for each accepted drop. When a content
        passes on from a run that failed, that run's report goes to its own folder first.
        """
        path = paths.content_document(run.dataset, sha256)
        body = _note(run.run_id, report)
        try:
            self.lake.put(path, body, if_absent=True)
        except AlreadyExists:
            found, etag = self.lake.get(path)
            note = json.loads(found)
            known = str(note["run_id"])
            if known != run.run_id:
                other = self.manifest.find(known, fresh=True)
                if other and (not other.run.final or other.run.state is State.SUCCEEDED):
                    return known
                if "report" in note:
                    kept = json.dumps(note["report"], ensure_ascii=False, indent=2)
                    folder = paths.raw_folder(run.dataset, known)
                    self.lake.put(f"{folder}/{paths.REPORT}", kept.encode())
            try:
                self.lake.put(path, body, if_match=etag)
            except Stale:
                return self.holder(run, sha256, report)
        return None

    def report(self, run: Run) -> Mapping[str, Any]:
        """The report of a validated run, from where it is kept.

        Raises:
            NotFound: it has not been validated yet.
        """
        if run.verdict is None:
            raise NotFound(f"run {run.run_id} is {run.state}: it has no report yet")
        found: dict[str, Any] = json.loads(self.lake.get(run.verdict.report)[0])
        if "run_id" not in found:
            return found
        if found["run_id"] == run.run_id:
            noted: dict[str, Any] = found["report"]
            return noted
        folder = paths.raw_folder(run.dataset, run.run_id)
        kept: dict[str, Any] = json.loads(self.lake.get(f"{folder}/{paths.REPORT}")[0])
        return kept


def _note(run_id: str, report: Mapping[str, Any]) -> bytes:
    note = {"run_id": run_id, "report": report}
    return json.dumps(note, ensure_ascii=False, indent=2).encode()
