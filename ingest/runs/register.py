"""The register of all runs: one document each, in the lake.

A document stands in `manifest/active/` until its run is final; then one rename files it under
`manifest/runs/<dataset>/<day>/`. It is in exactly one place at any moment, a tick lists only what
is still active, and metadata on the document carries its summary, so lists need no reads.

Documents are written with Put Blob under If-None-Match or If-Match: one atomic request. The SDK may
repeat a write whose acknowledgement was lost and then see its own document in the way, so each
write carries an id of its own by which it is recognised.
"""

from __future__ import annotations

import heapq
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from ingest.errors import AlreadyExists, Collision, Damaged, NotFound, Stale
from ingest.log import log, once
from ingest.paths import ACTIVE, active_document, archived_document, index_entry
from ingest.ports import Lake, ListEntry
from ingest.runs import archive
from ingest.runs.archive import listed
from ingest.runs.document import Listed, dump, parse, to_metadata, writer_of
from ingest.runs.relocation import relocate
from ingest.runs.run import Run, held_up
from ingest.runs.states import ACTIVE as ACTIVE_STATES
from landfall.protocol import State, id_prefix

_REMEMBERED = 4096
SCANNED = 5000
"""Runs that one search looks at: one page of a listing or a few."""
_AHEAD = timedelta(days=2)
"""By so much the clock of this process may be behind the lake's."""


@dataclass(frozen=True)
class Stored:
    """A run as it stands in the manifest: the document's path and ETag are its version."""

    run: Run
    path: str
    etag: str


def _random_id() -> str:
    return uuid.uuid4().hex


class Register:
    """Reads and writes run documents.

    The last version that this process saw of an active document is remembered, to save a read: it
    may be old, and then the conditional write that follows fails as `Stale`. It is only there for
    such writes: whoever draws a conclusion without one reads the document, with `fresh=True`.
    What is final or filed is never remembered: nothing follows from it but such conclusions.
    """

    def __init__(self, lake: Lake, new_id: Callable[[], str] = _random_id) -> None:
        self._lake = lake
        self._new_id = new_id
        self._seen: OrderedDict[str, Stored] = OrderedDict()
        self._lock = threading.Lock()

    def create(self, run: Run) -> tuple[Stored, bool]:
        """Write the document of a new run; if it is there already, read it instead.

        Returns the stored run, and whether this call created it.

        Raises:
            Collision: the document is about another landed version.
        """
        path, writer = active_document(run.run_id), self._new_id()
        body = dump(run, writer)
        try:
            etag = self._lake.put(path, body, if_absent=True, metadata=to_metadata(run))
        except AlreadyExists:
            try:
                body, etag = self._lake.get(path)
            except NotFound:  # filed just now
                stored = self.get(run.run_id, fresh=True)
            else:
                stored = self._remember(Stored(_parsed(body, path), path, etag))
            _same_version(run, stored)
            return stored, writer_of(body) == writer
        return self._remember(Stored(run, path, etag)), True

    def find(self, run_id: str, *, fresh: bool = False) -> Stored | None:
        """A run wherever it stands; None where there is no such run."""
        if not fresh:
            with self._lock:
                if seen := self._seen.get(run_id):
                    return seen
        # The document may be filed, or brought back, between the two looks: then look once more.
        places = (active_document(run_id), archived_document(run_id), active_document(run_id))
        for path in places:
            try:
                body, etag = self._lake.get(path)
            except NotFound:
                continue
            return self._remember(Stored(_parsed(body, path), path, etag))
        self._forget(run_id)
        return None

    def remembered(self, run_id: str) -> Stored | None:
        """The last version of an active document that this process saw: only for a write on it."""
        with self._lock:
            return self._seen.get(run_id)

    def find_active(self, run_id: str) -> Stored | None:
        """A run that is not filed, as it stands; None for one that is, or that is not known."""
        path = active_document(run_id)
        try:
            body, etag = self._lake.get(path)
        except NotFound:
            self._forget(run_id)
            return None
        return self._remember(Stored(_parsed(body, path), path, etag))

    def get(self, run_id: str, *, fresh: bool = False) -> Stored:
        """A run wherever it stands.

        Raises:
            NotFound: there is no such run.
        """
        stored = self.find(run_id, fresh=fresh)
        if stored is None:
            raise NotFound(f"there is no run {run_id}")
        return stored

    def update(self, stored: Stored, run: Run) -> Stored:
        """Write a new version of a document, if nobody has since.

        Raises:
            Stale: somebody has.
        """
        writer = self._new_id()
        body = dump(run, writer)
        try:
            etag = self._lake.put(
                stored.path, body, if_match=stored.etag, metadata=to_metadata(run)
            )
        except Stale:
            self._forget(run.run_id)
            try:
                current, etag = self._lake.get(stored.path)
            except NotFound:
                current = b"{}"
            if writer_of(current) != writer:
                raise
        return self._remember(Stored(run, stored.path, etag))

    def end(self, stored: Stored, final: Run, report: bytes | None = None) -> Stored:
        """End a run: whatever a run leaves behind at its end is written here, in this order.

        First its report, where its verdict says, as nothing may name what is not there; then its
        document, with the metadata that lists show; then `file` puts its drop in its place and
        files the document. Whoever dies in between has ended it, or not: from the document on the
        tick does the rest.

        Raises:
            Stale: somebody else has moved the run.
        """
        if report is not None and final.verdict is not None:
            self._lake.put(final.verdict.report, report)
        return self.file(self.update(stored, final))

    def hold_up(self, stored: Stored, cause: str, now: datetime, longest: timedelta) -> Stored:
        """Write down what a run waits for a person for; end one that has waited for `longest`."""
        once(log.error, f"{stored.run.dataset}: runs wait: {cause}")
        run = held_up(stored.run, cause, now, longest)
        if run is None:
            return stored
        return self.end(stored, run) if run.final else self.update(stored, run)

    def file(self, stored: Stored) -> Stored:
        """Move the document of a final run out of the active ones; nothing to do where it is.

        Before that its file is where the document says. Where a filed document of the run is
        there already, this one is a ghost: it was made anew by a worker that stood still.

        Raises:
            Collision: the filed document is about another landed version.
        """
        run = stored.run
        target = archived_document(run.run_id)
        if stored.path == target:
            return stored
        relocate(run, self._lake)
        if run.state in archive.UNCOMMON:
            self._lake.put(index_entry(run.state, run.run_id), b"", metadata=to_metadata(run))
        try:
            self._move(stored, target, if_absent=True)
        except AlreadyExists:
            return self._haunted(stored)
        return replace(stored, path=target)

    def _haunted(self, stored: Stored) -> Stored:
        """What to do where a run that is filed has an active document too."""
        archived = self.archived(stored.run.run_id)
        if archived is None:  # brought back just now
            raise Stale(f"run {stored.run.run_id} is being taken up again")
        if archived.etag != stored.etag:  # else a rename was repeated whose answer was lost
            _same_version(stored.run, archived)
            log.error("run %s had ended before: its second document is dropped", stored.run.run_id)
            self.discard(stored)
        return archived

    def reopen(self, stored: Stored) -> Stored:
        """Move the document of a filed run among the active ones again, for a retry."""
        run = stored.run
        target = active_document(run.run_id)
        if stored.path == target:
            return stored
        if run.state in archive.UNCOMMON:
            self._lake.delete(index_entry(run.state, run.run_id))
        self._move(stored, target)
        return self._remember(replace(stored, path=target))

    def _move(self, stored: Stored, target: str, *, if_absent: bool = False) -> None:
        self._forget(stored.run.run_id)
        try:
            self._lake.rename(stored.path, target, etag=stored.etag, if_absent=if_absent)
        except NotFound:
            if self._lake.head(target) is None:
                raise
            # Moved before: an acknowledgement was lost, or somebody else did it.

    def discard(self, stored: Stored) -> None:
        """Take away an active document whose run is filed already."""
        self._forget(stored.run.run_id)
        self._lake.delete(stored.path, etag=stored.etag)

    def archived(self, run_id: str) -> Stored | None:
        """The filed document of a run, if its run has ended."""
        try:
            body, etag = self._lake.get(archived_document(run_id))
        except NotFound:
            return None
        return Stored(_parsed(body, archived_document(run_id)), archived_document(run_id), etag)

    def active(self, set_aside: dict[str, str] | None = None) -> Iterator[Listed]:
        """The runs that are not filed, oldest first: one list call for 5,000 of them.

        A document that cannot be read is left out, and named in the log and in `set_aside`, by
        its path. One whose metadata was lost is read for them.
        """
        yield from self._readable(self._lake.list(ACTIVE, metadata=True), set_aside)

    def _readable(
        self, entries: Iterable[ListEntry], set_aside: dict[str, str] | None = None
    ) -> Iterator[Listed]:
        for entry in entries:
            path = entry.version.path
            try:
                yield listed(entry.metadata) if entry.metadata else self._unlisted(path)
            except Damaged as error:
                once(log.error, f"{path} is set aside: {error}")
                if set_aside is not None:
                    set_aside[path] = str(error)
            except NotFound:
                continue  # filed just now

    def _unlisted(self, path: str) -> Listed:
        return listed(to_metadata(_parsed(self._lake.get(path)[0], path)))

    def count(self, *states: State) -> int:
        """How many active runs are in one of these states."""
        return sum(run.state in states for run in self.active())

    def newest(
        self,
        *,
        limit: int,
        before: str | None = None,
        dataset: str | None = None,
        state: State | None = None,
    ) -> list[Listed]:
        """The latest landed runs first, those that landed before the run `before`.

        Costs one list call where no more than 5,000 are active, else some for each day, hour and
        minute from which they are, and what `archive.newest` says.
        """
        return list(islice(self._latest(before, dataset, state, ""), limit))

    def search(
        self,
        matches: Callable[[Listed], bool],
        *,
        limit: int,
        before: str | None = None,
        since: datetime | None = None,
        dataset: str | None = None,
        state: State | None = None,
    ) -> tuple[list[Listed], str | None]:
        """The latest runs that match, and where to go on: None where there are no more.

        It stops after `SCANNED` runs were looked at: then it goes on before the last of them.
        """
        first = id_prefix(since) if since else ""
        runs: list[Listed] = []
        for looked, run in enumerate(self._latest(before, dataset, state, first), start=1):
            if run.run_id < first:
                break
            if matches(run):
                if len(runs) == limit:
                    return runs, runs[-1].run_id
                runs.append(run)
            if looked == SCANNED:
                return runs, run.run_id
        return runs, None

    def _latest(
        self, before: str | None, dataset: str | None, state: State | None, first: str
    ) -> Iterator[Listed]:
        active = (
            run
            for run in self._latest_active(state)
            if (before is None or run.run_id < before)
            and dataset in (None, run.dataset)
            and state in (None, run.state)
        )
        archived = archive.newest(
            self._lake, dataset=dataset, state=state, before=before, oldest_day=first[:8]
        )
        if state in ACTIVE_STATES:
            archived = iter(())
        return _distinct(heapq.merge(active, archived, key=archive.age, reverse=True))

    def _latest_active(self, state: State | None) -> Iterator[Listed]:
        """The active runs, latest landed first.

        Where there are very many, those that have ended are among them only until they are filed.
        """
        page = list(islice(self._lake.list(ACTIVE, metadata=True), archive.PAGE))
        if len(page) < archive.PAGE:
            yield from sorted(self._readable(page), key=archive.age, reverse=True)
            return
        if state is not None and state not in ACTIVE_STATES:
            return
        oldest = page[0].version.path.removeprefix(ACTIVE)[:8]
        day = datetime.now(UTC) + _AHEAD
        while f"{day:%Y%m%d}" >= oldest:
            prefix = f"{ACTIVE}{day:%Y%m%d}T"
            yield from archive.latest_first(self._lake, prefix, self._readable)
            day -= timedelta(days=1)

    def latest_of(self, path: str, dataset: str, landed_since: datetime) -> Listed | None:
        """The newest run of a landed path, among those that landed since then.

        Costs one list call for the active ones and one for each day.
        """
        oldest = id_prefix(landed_since)
        archived = archive.newest(self._lake, dataset=dataset, oldest_day=oldest[:8])
        runs = takewhile(lambda run: run.run_id >= oldest, archived)
        candidates = (
            run
            for run in (*self.active(), *runs)
            if run.summary["path"] == path and run.dataset == dataset
        )
        return max(candidates, key=archive.age, default=None)

    def ended(
        self, dataset: str, state: State, since: datetime | None, until: datetime | None
    ) -> Iterator[Listed]:
        """The filed runs of a dataset that ended so, newest first.

        Their drops landed from `since` on and before `until`.
        """
        first = id_prefix(since) if since else ""
        archived = archive.newest(
            self._lake,
            dataset=dataset,
            state=state,
            before=id_prefix(until) if until else None,
            oldest_day=first[:8],
        )
        return takewhile(lambda run: run.run_id >= first, archived)

    def _remember(self, stored: Stored) -> Stored:
        with self._lock:
            self._seen.pop(stored.run.run_id, None)
            if not stored.run.final and stored.path == active_document(stored.run.run_id):
                self._seen[stored.run.run_id] = stored
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return stored

    def _forget(self, run_id: str) -> None:
        with self._lock:
            self._seen.pop(run_id, None)


def _parsed(body: bytes, path: str) -> Run:
    """The run of a document.

    Raises:
        Damaged: it is none, or of a release that this one does not understand.
    """
    try:
        return parse(body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _same_version(run: Run, stored: Stored) -> None:
    mine, other = run.source, stored.run.source
    if (mine.path, mine.etag) != (other.path, other.etag):
        raise Collision(
            f"run id {run.run_id} is that of {other.path} with ETag {other.etag} already: "
            f"{mine.path} with ETag {mine.etag} cannot be taken in; write the file once more"
        )


def _distinct(runs: Iterator[Listed]) -> Iterator[Listed]:
    """A run that was being filed while it was listed shows twice: once will do."""
    last = None
    for run in runs:
        if run.run_id != last:
            yield run
        last = run.run_id
