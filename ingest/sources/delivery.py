"""The delivery of an extract: its bytes to landing, the drop claimed, then the watermark moved."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from ingest.errors import Conflict, NotFound
from ingest.ports import Clock, Lake
from ingest.runs.register import Register
from ingest.runs.run import Run
from ingest.sources.answers import ExtractionAnswer
from ingest.sources.catalog import SourceCatalog
from ingest.sources.deletes import Comparison, changed_rows
from ingest.sources.document import Extract, ObjectState, Running
from ingest.stages.claim import claim
from landfall.sources.model import Source, SourceObject

PARQUET, _DELETES = ".parquet", ".deletes.parquet"


@dataclass(frozen=True)
class Delivery:
    """Takes what pipeline runs have written, or why they have not."""

    lake: Lake
    manifest: Register
    catalog: SourceCatalog
    clock: Clock

    def finish(
        self,
        name: str,
        object_name: str,
        extract: str,
        adf_run_id: str,
        *,
        rows: int | None,
        size: int | None = None,
    ) -> ExtractionAnswer:
        """A pipeline run has written what it was to read: bring it to landing.

        `rows` is None where the file is not read as rows. Asking again gives the same answer.

        Raises:
            Conflict: this pipeline run is not the one that was let through, or nothing was written.
            Stale: others keep writing the object's document; ask again.
        """
        source, entry = self.catalog.named(name, object_name)
        began = self.catalog.state(source, entry).running_as(extract, adf_run_id)
        if began is not None and not began.delivering:
            try:
                written = self._written(source, entry, began, rows, size)
            except Conflict as error:
                self.fail(name, object_name, extract, adf_run_id, str(error))
                raise

            def deliver(state: ObjectState) -> ObjectState:
                running = state.running_as(extract, adf_run_id)
                return state if running != began else state.started(written, running)

            self.catalog.register.change(source.name, entry.name, deliver)
        running = self.catalog.state(source, entry).running_as(extract, adf_run_id)
        runs = self.deliver(source, entry, running) if running else []
        done = self.catalog.register.extract(source.name, entry.name, extract)
        if done is None or done.adf_run_id != adf_run_id:
            raise Conflict(
                f"extract {extract} of {source.name}.{entry.name} is not that of pipeline run "
                f"{adf_run_id} (any more)"
            )
        body = {"delivered": done.path is not None, "rows": done.rows, "run_id": done.run_id}
        return ExtractionAnswer(body, tuple(runs))

    def _written(
        self,
        source: Source,
        entry: SourceObject,
        running: Running,
        rows: int | None,
        size: int | None,
    ) -> Running:
        """The extract with what was written; of keys, with what their comparison has found.

        Raises:
            Conflict: nothing was written, or more keys are gone than is believed.
        """
        self._check_written(running, rows)
        if entry.keys_of is None:
            return replace(running, delivering=True, rows=rows, size=size)
        if rows == 0:
            raise Conflict(f"{source.name}.{entry.keys_of} has no row left: that is not believed")
        most = entry.deletes.max_deleted_ratio
        comparison = Comparison(running.staged, running.since, self.clock(), most)
        data, count = changed_rows(self.lake, self.catalog.contract(entry), comparison)
        if count == 0:
            return replace(running, delivering=True, rows=0)
        self.lake.put(_compared(running.staged), data)
        return replace(
            running, delivering=True, staged=_compared(running.staged), rows=count, size=len(data)
        )

    def _check_written(self, running: Running, rows: int | None) -> None:
        """Raise Conflict if rows were read and there are no bytes for them."""
        if rows == 0:
            return
        if self.lake.head(running.staged) is None:
            raise Conflict(f"{rows} rows were read, but nothing stands at {running.staged}")

    def deliver(self, source: Source, entry: SourceObject, running: Running) -> list[Run]:
        """Complete an extract whose bytes are on their way; see `ingest.sources.extraction`."""
        runs: list[Run] = []
        run_id: str | None = None
        if running.rows == 0:
            self.lake.delete(running.staged)
        else:
            self._move(running)
            run = self._claimed(entry, running)
            run_id = run.run_id if run else self._claimed_before(entry, running)
            runs = [run] if run else []
        extract = Extract(
            extract_id=running.extract_id,
            adf_run_id=running.adf_run_id,
            kind=running.kind,
            low=running.low,
            high=running.high,
            began=running.since,
            ended=self.clock(),
            rows=running.rows,
            size=running.size,
            path=None if running.rows == 0 else running.target,
            run_id=run_id,
        )
        self.catalog.register.keep(source.name, entry.name, extract)

        def delivered(state: ObjectState) -> ObjectState:
            still = state.running_as(running.extract_id, running.adf_run_id)
            return state.delivered_by(extract, still, counted=entry.counted) if still else state

        self.catalog.register.change(source.name, entry.name, delivered)
        if entry.keys_of is not None:
            self.lake.delete(running.staged.replace(_DELETES, PARQUET))
        return runs

    def _move(self, running: Running) -> None:
        """One rename to landing; where the bytes are gone, it was done before."""
        version = self.lake.head(running.staged)
        if version is None:
            return
        with suppress(NotFound):
            self.lake.rename(running.staged, running.target, etag=version.etag)

    def _claimed(self, entry: SourceObject, running: Running) -> Run | None:
        """Claim the drop, if it still stands in landing. No event tells of a rename."""
        version = self.lake.head(running.target)
        if version is None:
            return None
        stored = claim(
            version,
            entry.dataset,
            "extract",
            lake=self.lake,
            manifest=self.manifest,
            clock=self.clock,
        )
        return stored.run

    def _claimed_before(self, entry: SourceObject, running: Running) -> str | None:
        since = running.since - timedelta(days=1)
        seen = self.manifest.latest_of(running.target, entry.dataset, since)
        return seen.run_id if seen else None

    def fail(
        self, name: str, object_name: str, extract: str | None, adf_run_id: str, error: str
    ) -> ObjectState:
        """A pipeline run could not read an object: count it, and free the range."""
        source, entry = self.catalog.named(name, object_name)

        def failed(state: ObjectState) -> ObjectState:
            if extract is None:
                return state.failed(error, self.clock())
            running = state.running_as(extract, adf_run_id)
            if running is None or running.delivering:
                return state
            return state.without(running).failed(error, self.clock())

        return self.catalog.register.change(source.name, entry.name, failed)


def _compared(staged: str) -> str:
    """Where the drop stands that a comparison of keys makes."""
    return f"{staged.removesuffix(PARQUET)}{_DELETES}"
