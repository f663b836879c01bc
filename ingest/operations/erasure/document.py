"""The document of an erasure: whom it is about, how far it is, what was done. Pure.

While it is open it has the key in plain form: the job needs it. When it is done a protocol stays in
its place, in which the key is a keyed hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ingest.errors import Damaged

WAIT, FILES, TABLES, DONE, FAILED = "waiting", "files", "tables", "done", "failed"


@dataclass(frozen=True)
class Erasure:
    """One erasure.

    Attributes:
        subject: HMAC-SHA-256 of dataset and key, with the secret of this lake.
        targets: what is erased: `dataset` and, while it is open, the `values` of its columns.
        references: as `targets`: datasets that refer to the subject and are left as they are.
        requested: drops that landed before it are looked through; later ones are new statements.
        keep_hours: how far back Delta's time travel may reach after it; None leaves that to the
            job that maintains all tables.
        stage: waiting, files, tables, done or failed.
        passes: how often it was begun: again where a run of that time was at work meanwhile.
        began: of the current pass.
        target, cursor: how far the files are looked through: runs before `cursor` are left.
        attempt, failures, job_run_id: of the job that erases from the tables.
        not_before: when the next step makes sense; `waits` says for what.
        places: by place, the `files` that were written again or deleted, and the `records` or
            `values` that they had of the subject.
        runs: how many runs were looked through in the last pass.
        unreadable: files that may hold the subject and cannot be looked through: for a person.
        tables: what the job said.
    """

    erasure_id: str
    subject: str
    dataset: str
    targets: tuple[Mapping[str, Any], ...]
    references: tuple[Mapping[str, Any], ...]
    cascade: bool
    reason: str
    by: str | None
    requested: str
    keep_hours: int | None = None
    stage: str = WAIT
    passes: int = 0
    began: str | None = None
    target: int = 0
    cursor: str | None = None
    attempt: int = 1
    failures: int = 0
    job_run_id: int | None = None
    not_before: str | None = None
    waits: str | None = None
    places: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    runs: int = 0
    unreadable: tuple[str, ...] = ()
    tables: Mapping[str, Any] | None = None
    finished: str | None = None
    schema: int = 1

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do, or nothing more can be done."""
        return self.stage in {DONE, FAILED}


def dump(erasure: Erasure) -> bytes:
    """The document as it is stored."""
    return json.dumps(asdict(erasure), indent=1).encode()


def parse(body: bytes) -> Erasure:
    """The erasure of a document.

    Raises:
        Damaged: it is none.
    """
    try:
        raw: dict[str, Any] = json.loads(body)
        known = {each.name: raw[each.name] for each in fields(Erasure) if each.name in raw}
        for name in ("targets", "references", "unreadable"):
            known[name] = tuple(known.get(name, ()))
        return Erasure(**known)
    except (ValueError, TypeError) as error:
        raise Damaged(f"not the document of an erasure: {error}") from error


def protocol(erasure: Erasure) -> dict[str, Any]:
    """The erasure as it is shown and kept: nothing in it is of the subject but the keyed hash."""
    document = asdict(erasure)
    for name in ("target", "cursor", "attempt", "failures", "not_before", "began"):
        del document[name]
    for name in ("targets", "references"):
        document[name] = [without_values(target) for target in document[name]]
    document["unreadable"] = list(erasure.unreadable)
    return document


def without_values(target: Mapping[str, Any]) -> dict[str, Any]:
    """A target with its columns alone."""
    columns = target.get("columns") or sorted(target.get("values", ()))
    return {"dataset": target["dataset"], "columns": list(columns)}
