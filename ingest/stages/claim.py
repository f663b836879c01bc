"""Claiming a drop: from a file that anybody may change to one that is ours.

The record is created first, if absent, so that whatever dies afterwards, the run is known. Then one
rename, on the condition that the file still has the ETag of the version we speak of, moves it from
landing to raw: nobody can change what is validated and copied from there.

Any worker may call `claim` for any version at any time. All but one of them find the rename done.

That a run is `claimed` is not written down by itself: the file in raw says it, and the next write
of the record carries it. A worker that comes upon a `received` run finds it out by trying.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest import paths
from ingest.errors import AlreadyExists, NotFound, Stale
from ingest.ports import Clock, Lake, Version
from ingest.runs.register import Register, Stored
from ingest.runs.run import LandedVersion, Resend, received
from ingest.runs.states import Event
from ingest.stages.base import NO_HINT, Context, Hint, Stage
from landfall import protocol
from landfall.protocol import State


@dataclass(frozen=True)
class ClaimStage:
    """Takes the file of a received run; the same step goes on with `then`, which writes both."""

    context: Context
    then: Stage

    def advance(self, stored: Stored, hint: Hint = NO_HINT) -> Stored:
        """See `ingest.stages.base.Stage`."""
        claimed = taken(stored, self.context.clock) if hint.in_raw else self.take(stored)
        return claimed if claimed.run.final else self.then.advance(claimed, hint)

    def take(self, stored: Stored) -> Stored:
        """Move the file; see `take` below for what is returned."""
        context = self.context
        return take(stored, lake=context.lake, manifest=context.manifest, clock=context.clock)


def identify(version: Version, dataset: str) -> str:
    """The run id of a landed version."""
    return protocol.run_id(version.modified, dataset, version.path, version.etag)


def claim(
    version: Version, dataset: str, via: str, *, lake: Lake, manifest: Register, clock: Clock
) -> Stored:
    """Register a landed version and take it; see `take` for what is returned.

    Raises:
        Retryable: the lake did not answer; the same call again goes on where this one stopped.
    """
    source = _source(version, via, lake)
    resend = _resend(version.path, dataset, manifest)
    run = received(identify(version, dataset), dataset, source, clock(), resend)
    stored, _ = manifest.create(run)
    if stored.run.state is State.RECEIVED:
        stored = take(stored, lake=lake, manifest=manifest, clock=clock)
    return stored


def _source(version: Version, via: str, lake: Lake) -> LandedVersion:
    """The landed version: a file, or the folder that a marker closes."""
    path, size, parts = version.path, version.size, None
    folder, _, name = path.rpartition("/")
    if name == paths.MARKER:
        entries = [e.version for e in lake.list(f"{folder}/") if paths.is_drop(e.version.path)]
        path, size = folder, sum(entry.size for entry in entries)
        endings = {paths.ending(entry.path) for entry in entries}
        parts = f"*{endings.pop()}" if len(endings) == 1 else "*"
    return LandedVersion(path, version.etag, size, version.modified, via, parts)


def _resend(path: str, dataset: str, manifest: Register) -> Resend | None:
    """The link to the run whose corrected rejects a file brings, if its folder names one."""
    origin = protocol.resent_run(path)
    original = manifest.find(origin) if origin else None
    if original is None or original.run.dataset != dataset:
        return None
    return Resend(of=original.run.run_id, as_of=original.run.as_of)


def take(stored: Stored, *, lake: Lake, manifest: Register, clock: Clock) -> Stored:
    """Move a received run's file into raw.

    Returns the run, claimed but not yet written so, or ended for want of its source.
    """
    run = stored.run
    target = paths.raw_file(run.dataset, run.run_id, run.source.path)
    if run.resend:
        lake.put(f"{paths.resend_links(run.resend.of)}{run.run_id}", b"")
    try:
        _move(run.source, target, lake)
    except (NotFound, Stale, AlreadyExists) as error:
        if archived := manifest.archived(run.run_id):
            # A worker that stood still while the whole run went by has written the record anew.
            manifest.discard(stored)
            return archived
        # Ours by an earlier call whose answer was lost, by another worker's, or not there any more.
        if lake.head(run.source.etag_path_at(target)) is None:
            return _without_source(stored, error, lake=lake, manifest=manifest, clock=clock)
    return taken(stored, clock)


def _move(source: LandedVersion, target: str, lake: Lake) -> None:
    """One rename, of the version that we speak of.

    A folder has no version that could be a condition. Its marker is looked at before; what comes
    into the folder up to the rename comes with it and is validated with it. The target must not be
    there, so that files which came after the rename are never moved over those of the drop.
    """
    if source.parts is None:
        lake.rename(source.path, target, etag=source.etag)
        return
    marker = lake.head(source.etag_path)
    if marker is None:
        raise NotFound(f"{source.etag_path} is not there")
    if marker.etag != source.etag:
        raise Stale(f"{source.etag_path} has changed")
    lake.rename(source.path, target, if_absent=True)


def taken(stored: Stored, clock: Clock) -> Stored:
    """A received run whose file stands in raw: claimed, to be written with what follows."""
    run = stored.run
    target = paths.raw_file(run.dataset, run.run_id, run.source.path)
    return replace(stored, run=run.apply(Event.CLAIM, f"moved to {target}", clock(), raw=target))


def _without_source(
    stored: Stored, error: Exception, *, lake: Lake, manifest: Register, clock: Clock
) -> Stored:
    run = stored.run
    now = lake.head(run.source.etag_path)
    if now is None:
        cause = f"{run.source.path} was deleted before it could be claimed"
    elif isinstance(error, Stale):
        newer = protocol.run_id(now.modified, run.dataset, now.path, now.etag)
        cause = f"{run.source.path} was overwritten before it could be claimed; see run {newer}"
    else:
        raise Stale(f"{run.source.path} came back while it was being claimed") from error
    return manifest.end(stored, run.apply(Event.LOSE_SOURCE, cause, clock()))
