"""Extraction: what a pipeline run may read, and when the watermark moves.

A pipeline run asks for a plan, and for each object whether there is something to read (`begin`).
Begin is a fence: it writes down which range is read by which pipeline run, and lets one through.
The pipeline writes to a place of its own and says so (`finish`); then

    1. the object's document says that these bytes are on their way to landing;
    2. ONE rename brings them there;
    3. the drop is claimed, as any other;
    4. the extract is written down;
    5. the watermark moves, by compare-and-set.

Each of these may be done again by whoever comes next. Before 1 nothing has happened: the bytes are
passed over, and the range is read again. After 1 the bytes can only be in one of two places, and
the rest is completed from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ingest import paths
from ingest.errors import BadRequest, Conflict, NotFound, OutcomeUnknown, Stale, Throttled
from ingest.log import log
from ingest.ports import Clock, CopyRun, CopyService, Lake
from ingest.runs.register import Register
from ingest.runs.run import Run
from ingest.sources.deletes import Comparison, changed_rows
from ingest.sources.document import (
    Extract,
    ObjectState,
    Running,
    range_of,
    running_of,
)
from ingest.sources.files import SourceFiles
from ingest.sources.register import TRIES, ExtractRegister, StoredState
from ingest.stages.claim import claim
from ingest.stages.copy import RUNNING
from landfall.protocol import LANDING
from landfall.sources import http, sql
from landfall.sources.durations import dotnet, duration
from landfall.sources.model import Source, SourceObject
from landfall.sources.ranges import (
    Mark,
    Range,
    extract_id,
    following,
    mark_text,
    read_mark,
    windows,
)
from landfall.sources.triggers import pipeline_of

LEASE = timedelta(hours=3)
"""How long a pipeline run is believed to be at work: longer than its Copy may take."""
MOST_WINDOWS = 100
"""Pipeline runs that one request starts."""
PARQUET = ".parquet"
_DELETES = ".deletes.parquet"
_RUN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_SSL = {"disable": 0, "require": 3, "verify-ca": 4, "verify-full": 5}
"""Data Factory's numbers for sslMode."""


@dataclass(frozen=True)
class Window:
    """A range from outside, as text; `again` reads it even if it was delivered before."""

    begin: str = ""
    end: str = ""
    again: bool = False

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return bool(self.begin or self.end)


@dataclass(frozen=True)
class _Asked:
    """What a pipeline run says when it asks for an extract; `high` is empty where it has none."""

    adf_run_id: str
    high: str
    window: Window


@dataclass(frozen=True)
class ExtractionAnswer:
    """What a pipeline run is told, and the runs whose drops came to landing by the way."""

    body: Mapping[str, Any]
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Extraction:
    """Plans and registers the extracts of all sources.

    Attributes:
        pipelines: Data Factory, by the name of a pipeline.
    """

    lake: Lake
    manifest: Register
    register: ExtractRegister
    files: SourceFiles
    clock: Clock
    pipelines: Callable[[str], CopyService]
    lease: timedelta = LEASE

    # -- what there is ----------------------------------------------------------------------

    def source(self, name: str) -> Source:
        """A source by its name.

        Raises:
            NotFound: there is none.
            Conflict: its file is wrong; says where.
        """
        folder = self.files.current
        if name in folder.errors:
            raise Conflict(f"the source {name} cannot be used: {folder.errors[name]}")
        if name not in folder.sources:
            known = ", ".join(sorted(folder.sources)) or "none"
            raise NotFound(f"there is no source {name!r}; there are: {known}")
        return folder.sources[name]

    def entry(self, source: Source, name: str) -> SourceObject:
        """An object of a source by its name; raises NotFound."""
        try:
            return source.object(name)
        except KeyError:
            known = ", ".join(entry.name for entry in source.objects)
            raise NotFound(f"{source.name} has no object {name!r}; there are: {known}") from None

    def staged(self, dataset: str) -> tuple[list[str], frozenset[str]]:
        """Where the extracts of a dataset are staged, and which files there are on their way."""
        folders: list[str] = []
        moving: set[str] = set()
        for source in self.files.current.sources.values():
            for entry in source.objects:
                if entry.dataset == dataset:
                    folders.append(paths.staged_extracts(source.name, entry.name))
                    running = self.register.get(source.name, entry.name).state.running
                    moving.update(each.staged for each in running)
        return folders, frozenset(moving)

    def state(self, source: Source, entry: SourceObject) -> ObjectState:
        """Where an object stands."""
        return self.register.get(source.name, entry.name).state

    # -- what a pipeline run asks -----------------------------------------------------------

    def plan(self, name: str, window: Window, chosen: Collection[str] = ()) -> dict[str, Any]:
        """What a pipeline run shall read: the connection, and the objects in their order.

        A schedule passes over what is paused, not enabled, or was read too lately. Who names
        objects gets them all the same.

        Raises:
            NotFound, Conflict: see `source`; an object is read by windows, and none was given.
        """
        source = self.source(name)
        entries = (
            [self.entry(source, each) for each in chosen]
            if chosen
            else [each for each in source.objects if each.enabled and self._due(source, each)]
        )
        items = [
            self._item(source, entry, window)
            for entry in sorted(entries, key=lambda each: each.order)
        ]
        return {"source": name, "connection": connection(source), "items": items}

    def _due(self, source: Source, entry: SourceObject) -> bool:
        state = self.state(source, entry)
        if state.paused:
            return False
        if entry.every is None or not state.recent:
            return True
        return self.clock() - state.recent[0].began >= entry.every

    def _item(self, source: Source, entry: SourceObject, window: Window) -> dict[str, Any]:
        if entry.mode == "window" and not window.given:
            raise Conflict(
                f"{source.name}.{entry.name} is read by windows: it needs a begin and an end"
            )
        item: dict[str, Any] = {"object": entry.name}
        if source.database:
            asked = replace(entry, mode="full") if window.given else entry
            item["high_query"] = sql.high_query(asked, source.connector)
        return item

    def begin(
        self, name: str, object_name: str, adf_run_id: str, high: str, window: Window
    ) -> ExtractionAnswer:
        """The fence: one pipeline run is let through to read what is new of an object.

        Asking again by the same pipeline run gives the same answer.

        Raises:
            NotFound, Conflict: see `source`.
            BadRequest: an end of the range is none of the watermark's type.
            Stale: others keep writing the object's document; ask again.
        """
        if not _RUN_ID.fullmatch(adf_run_id):
            raise BadRequest(f"adf_run_id {adf_run_id!r} is no id of a pipeline run", 422)
        source = self.source(name)
        entry = self.entry(source, object_name)
        runs: list[Run] = []
        for _ in range(TRIES):
            stored = self.register.get(source.name, entry.name)
            mine = [r for r in stored.state.running if r.adf_run_id == adf_run_id]
            if mine and not mine[0].delivering:
                return ExtractionAnswer(self._grant(source, entry, mine[0]), tuple(runs))
            if moving := next((r for r in stored.state.running if r.delivering), None):
                runs += self._deliver(source, entry, moving)
                if moving.adf_run_id == adf_run_id:
                    return _skip("delivered already", runs)
                continue
            try:
                asked = _Asked(adf_run_id, high, window)
                return self._begin(source, entry, asked, stored, runs)
            except Stale:
                continue
        raise Stale(f"{source.name}.{entry.name} is being written by others; ask again")

    def _begin(
        self,
        source: Source,
        entry: SourceObject,
        asked: _Asked,
        stored: StoredState,
        runs: list[Run],
    ) -> ExtractionAnswer:
        state = stored.state
        extent = self._extent(source, entry, state, asked)
        if extent is None:
            return _skip("nothing new", runs)
        name = extract_id(source.name, entry.name, extent)
        rival = next(
            (
                other
                for other in state.running
                if other.extract_id == name or (other.kind != "window" and extent.kind != "window")
            ),
            None,
        )
        if rival and not self._dead(source, rival):
            reason = f"pipeline run {rival.adf_run_id} is at it"
            if extent.kind == "window":  # skipped, it would count as read, however that one ends
                raise Conflict(f"{source.name}.{entry.name}, window to {rival.high}: {reason}")
            return _skip(reason, runs)
        delivered = extent.kind != "incremental" and self.register.extract(
            source.name, entry.name, name
        )
        if delivered and not asked.window.again:
            return _skip("delivered already", runs)
        suffix = PARQUET if source.database else ".jsonl"
        if source.connector == "http":
            suffix = http.suffix(entry)
        running = running_of(
            name,
            asked.adf_run_id,
            self.clock(),
            extent,
            staged=paths.staged_extract(
                source.name, entry.name, f"{name}.{asked.adf_run_id}{suffix}"
            ),
            target=f"{LANDING}/{entry.dataset}/{source.name}-{entry.name}-{name}{suffix}",
        )
        self.register.put(stored, state.started(running, rival))
        return ExtractionAnswer(self._grant(source, entry, running), tuple(runs))

    def _extent(
        self, source: Source, entry: SourceObject, state: ObjectState, asked: _Asked
    ) -> Range | None:
        """What is to be read now; None where there is nothing new."""
        if asked.window.given:
            return _window(entry, asked.window)
        if entry.mode == "full":
            return Range(None, self.clock().replace(microsecond=0), "full")
        if entry.mode == "window":
            raise Conflict(f"{source.name}.{entry.name} is read by windows, and none was given")
        newest: Mark | None
        if source.database:
            high = asked.high
            newest = _mark(high, "high", counted=entry.counted) if high else None
        else:  # an API does not tell its newest record: it is asked for all up to now
            newest = self.clock() - entry.lag
        try:
            return following(state.mark(counted=entry.counted), newest, entry.overlap)
        except (TypeError, ValueError) as error:
            raise Conflict(
                f"the watermark of {source.name}.{entry.name} does not fit its source file: "
                f"{error}; rewind it"
            ) from error

    def _dead(self, source: Source, entry: Running) -> bool:
        """Whether the pipeline run of an extract will not say any more how it went."""
        if self.clock() - entry.since >= self.lease:
            return True
        seen = self.pipelines(pipeline_of(source)).observe(entry.adf_run_id)
        return seen is None or seen.status not in RUNNING

    def _grant(self, source: Source, entry: SourceObject, running: Running) -> dict[str, Any]:
        """What a pipeline run needs for its Copy."""
        extent = range_of(running, counted=entry.counted)
        container, key = paths.split(running.staged)
        above, _, last = key.rpartition("/")
        grant: dict[str, Any] = {
            "granted": True,
            "extract_id": running.extract_id,
            "low": running.low,
            "high": running.high,
            "container": container,
            "folder": above,
            "file": last,
        }
        if source.database:
            partition = entry.partition
            return grant | {
                "case": "parted" if entry.partition else "file",
                "query": sql.read_query(entry, source.connector, extent),
                "partition": {
                    "column": partition.column if partition else "",
                    "lower": (partition.lower if partition else None) or "",
                    "upper": (partition.upper if partition else None) or "",
                },
            }
        grant |= {"case": source.auth, "relative_url": http.relative_url(entry, extent)}
        if source.connector == "http":
            lines = [f"{name}: {value}" for name, value in entry.headers.items()]
            return grant | {"headers": "\n".join(lines)}
        return grant | {
            "headers": dict(entry.headers),
            "pagination": http.pagination(entry),
            "translator": http.translator(entry, self.files.contract(entry.dataset)),
        }

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
        source = self.source(name)
        entry = self.entry(source, object_name)

        began = self.state(source, entry).running_as(extract, adf_run_id)
        if began is not None and not began.delivering:
            try:
                written = self._written(source, entry, began, rows, size)
            except Conflict as error:
                self.fail(name, object_name, extract, adf_run_id, str(error))
                raise

            def deliver(state: ObjectState) -> ObjectState:
                running = state.running_as(extract, adf_run_id)
                return state if running != began else state.started(written, running)

            self.register.change(source.name, entry.name, deliver)
        running = self.state(source, entry).running_as(extract, adf_run_id)
        runs = self._deliver(source, entry, running) if running else []
        done = self.register.extract(source.name, entry.name, extract)
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
        data, count = changed_rows(self.lake, self.files.contract(entry.dataset), comparison)
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

    def _deliver(self, source: Source, entry: SourceObject, running: Running) -> list[Run]:
        """Complete an extract whose bytes are on their way; see the module's docstring."""
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
        self.register.keep(source.name, entry.name, extract)

        def delivered(state: ObjectState) -> ObjectState:
            still = state.running_as(running.extract_id, running.adf_run_id)
            return state.delivered_by(extract, still, counted=entry.counted) if still else state

        self.register.change(source.name, entry.name, delivered)
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
        source = self.source(name)
        entry = self.entry(source, object_name)

        def failed(state: ObjectState) -> ObjectState:
            if extract is None:
                return state.failed(error, self.clock())
            running = state.running_as(extract, adf_run_id)
            if running is None or running.delivering:
                return state
            return state.without(running).failed(error, self.clock())

        return self.register.change(source.name, entry.name, failed)

    # -- what people ask --------------------------------------------------------------------

    def start(
        self,
        name: str,
        chosen: Collection[str],
        window: Window,
        every: str | None = None,
    ) -> list[dict[str, Any]]:
        """Start pipeline runs: one, or one for each part of a time.

        Returns the pipeline runs with their windows; `adf_run_id` is None where Data Factory did
        not say whether it has started: the fence lets one through in any case.

        Raises:
            BadRequest: the range cannot be read, or has too many parts.
            NotFound, Conflict: see `plan`.
        """
        source = self.source(name)
        self.plan(name, window, chosen)
        for each in chosen:
            if window.given:
                _window(self.entry(source, each), window)
        service = self.pipelines(pipeline_of(source))
        started: list[dict[str, Any]] = []
        for part in _parts(window, every):
            parameters = {
                "source": name,
                "windowStart": part.begin,
                "windowEnd": part.end,
                "objects": ",".join(chosen),
                "again": part.again,
            }
            try:
                run_id: str | None = service.start(parameters)
            except (OutcomeUnknown, Throttled) as error:
                if not started and isinstance(error, Throttled):
                    raise
                log.warning("extract of %s: %s", name, error)
                run_id = None
            started.append({"adf_run_id": run_id, "from": part.begin, "to": part.end})
        return started

    def pipeline_run(self, name: str, adf_run_id: str) -> CopyRun:
        """A pipeline run of a source, as Data Factory knows it.

        Raises:
            NotFound: it does not.
        """
        source = self.source(name)
        run = None
        if _RUN_ID.fullmatch(adf_run_id):
            run = self.pipelines(pipeline_of(source)).observe(adf_run_id)
        if run is None:
            raise NotFound(f"Data Factory knows no pipeline run {adf_run_id!r}")
        return run

    def rewind(self, name: str, object_name: str, to: str | None) -> ObjectState:
        """Move the watermark by hand; what is under way does not count any more.

        None means that all is read again.

        Raises:
            BadRequest: no mark of its type, or the object has no watermark.
        """
        source = self.source(name)
        entry = self.entry(source, object_name)
        if entry.mode != "incremental":
            raise Conflict(f"{name}.{object_name} has mode {entry.mode}, so it has no watermark")
        mark = None if to is None else _mark(to, "to", counted=entry.counted)
        for running in self.state(source, entry).running:
            if running.delivering:
                self._deliver(source, entry, running)

        def rewound(state: ObjectState) -> ObjectState:
            kept = tuple(r for r in state.running if r.kind != "incremental" or r.delivering)
            watermark = None if mark is None else mark_text(mark)
            return replace(state, watermark=watermark, running=kept, failure=None)

        return self.register.change(source.name, entry.name, rewound)

    def pause(self, name: str, object_name: str, *, paused: bool) -> ObjectState:
        """Have schedules pass over an object, or not any more."""
        source = self.source(name)
        entry = self.entry(source, object_name)
        return self.register.change(
            source.name, entry.name, lambda state: replace(state, paused=paused)
        )


def _compared(staged: str) -> str:
    """Where the drop stands that a comparison of keys makes."""
    return f"{staged.removesuffix(PARQUET)}{_DELETES}"


def _skip(reason: str, runs: list[Run]) -> ExtractionAnswer:
    return ExtractionAnswer({"granted": False, "case": "skip", "reason": reason}, tuple(runs))


def _mark(text: str, what: str, *, counted: bool) -> Mark:
    try:
        return read_mark(text, counted=counted)
    except ValueError as error:
        raise BadRequest(f"{what}: {error}", 422) from error


def _window(entry: SourceObject, window: Window) -> Range:
    """The range of a window; of an object that is read whole only its end counts."""
    counted = entry.counted
    low, high = (
        _mark(text, what, counted=counted)
        for text, what in ((window.begin, "window_start"), (window.end, "window_end"))
    )
    if high <= low:  # type: ignore[operator]
        raise BadRequest(f"the window {window.begin} to {window.end} has no length", 422)
    if entry.mode == "full":
        return Range(None, high, "full")
    return Range(low, high, "window")


def _parts(window: Window, every: str | None) -> list[Window]:
    if every is None:
        return [window]
    begin, end = (
        _mark(text, what, counted=False)
        for text, what in ((window.begin, "from"), (window.end, "to"))
    )
    try:
        step = duration(every)
    except (ValueError, AttributeError, KeyError):
        raise BadRequest(f"every {every!r} is no length of time such as 1h or 1d", 422) from None
    if not isinstance(begin, datetime) or not isinstance(end, datetime) or end <= begin:
        raise BadRequest("from and to are no time with a length", 422)
    if (end - begin) / step > MOST_WINDOWS:
        raise BadRequest(f"that is more than {MOST_WINDOWS} windows: ask for fewer at once", 422)
    return [
        Window(mark_text(low), mark_text(high), window.again)
        for low, high in windows(begin, end, step)
    ]


def connection(source: Source) -> dict[str, Any]:
    """The parameters of the linked service of a source."""
    values, auth = source.connection, source.connection.get("auth", {})
    if source.connector == "postgresql":
        return {
            "server": values["server"],
            "port": values["port"],
            "database": values["database"],
            "username": values["username"],
            "secret": auth["secret"],
            "ssl_mode": _SSL[values["sslMode"]],
        }
    if source.connector == "azuresql":
        return {
            "server": values["server"],
            "database": values["database"],
            "username": auth["username"],
            "secret": auth["secret"],
        }
    return {
        "url": values["url"],
        "auth": source.auth,
        "username": auth.get("username", ""),
        "secret": auth.get("secret", ""),
        "token_endpoint": auth.get("tokenEndpoint", ""),
        "client_id": auth.get("clientId", ""),
        "scope": auth.get("scope", ""),
        "interval": dotnet(duration(values["interval"])) if "interval" in values else "",
        "timeout": dotnet(duration(values["timeout"])),
    }


__all__ = ["Extraction", "ExtractionAnswer", "Window", "connection"]
