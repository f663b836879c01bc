"""The files of ended runs without the records of a subject.

Per run: the drop, its typed Parquet beside it and in bronze, its rejects with their reasons, and
its reports. The drop is written last, so that a worker that dies in between leaves what the next
one needs to find everything again. In the end the run's document says how large its files are now:
a replay compares.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ingest import paths
from ingest.errors import NotFound, Stale
from ingest.ports import Lake, Version
from ingest.runs.register import Register
from ingest.runs.run import Run
from ingest.stages.validate.references import LakeSource
from landfall.contract.folder import Contract
from landfall.erasure.documents import Redaction
from landfall.erasure.files import Unreadable, find, rewrite
from landfall.erasure.parquet import accepted_rows, find_accepted, rewrite_accepted
from landfall.erasure.subject import Found, Subject

_PARQUET, _REASONS = ".parquet", ".reasons.jsonl"
_ATTEMPT_DEPTH = 4
"""Names above a file in the folder of an attempt: container, dataset, run, attempt."""


@dataclass
class Erased:
    """What was erased, by place, and the files that could not be looked through."""

    places: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    unreadable: set[str] = field(default_factory=set)

    def note(self, place: str, **counts: int) -> None:
        """Count one file of a place."""
        for name, count in {"files": 1, **counts}.items():
            self.places[place][name] = self.places[place].get(name, 0) + count


@dataclass(frozen=True)
class FileErasure:
    """Erases a subject from the files of runs of its dataset."""

    lake: Lake
    manifest: Register
    subject: Subject
    contract: Contract
    erased: Erased

    def of_run(self, run_id: str) -> None:
        """Erase from all that one ended run has left.

        Raises:
            Stale: the run is being taken up again.
        """
        stored = self.manifest.get(run_id, fresh=True)
        run = stored.run
        if not run.final:
            raise Stale(f"run {run_id} is {run.state}: its files are looked through when it ends")
        versions = {version.path: version for version in self._files(run)}
        drops = [v for v in versions.values() if _is_drop_of(run, v.path)]
        rejects = [v for v in versions.values() if _is_rejects(v.path)]
        found, of_file = self._look([*drops, *rejects])
        for version in versions.values():
            if "/judging/" in version.path:
                self.lake.delete(version.path)
            elif version.path.endswith(_PARQUET) and version not in (*drops, *rejects):
                found |= self._accepted(version)
        self._documents(run, versions.values(), found)
        for version in (*rejects, *drops):
            if version.path in of_file:
                self._without(version, of_file[version.path])
        changed = self._sizes(run)
        if changed != run:
            self.manifest.update(stored, changed)

    def _files(self, run: Run) -> Iterator[Version]:
        """All files of a run outside of the manifest."""
        folder = paths.raw_folder(run.dataset, run.run_id)
        bronze = paths.bronze_folder(run.dataset, run.run_id)
        for prefix, following in (
            (folder, "-/"),
            (f"{paths.quarantine_folder(run.dataset, run.run_id)}/", ""),
            (bronze, "./"),
        ):
            for entry in self.lake.list(prefix):
                rest = entry.version.path.removeprefix(prefix)
                if not following or rest[:1] in following:
                    yield entry.version

    def _look(self, versions: Iterable[Version]) -> tuple[Found, dict[str, int | None]]:
        """The subject's records in text files, and how many of them each file has.

        None stands for a file that has the key, and that cannot be read as records or written.
        """
        found, of_file = Found(), dict[str, int | None]()
        for version in versions:
            if version.size == 0:
                continue
            try:
                here = find(self._source(version), self.contract, self._name(version), self.subject)
            except Unreadable as error:
                if error.has_key is None:
                    self.erased.unreadable.add(version.path)
                elif error.has_key:
                    of_file[version.path] = None
                continue
            if here.records:
                found |= here
                of_file[version.path] = here.records if here.rewritable else None
        return found, of_file

    def _name(self, version: Version) -> str:
        """The name by which a file is read: rejects are text, whatever their drop was."""
        name = version.path.rsplit("/", 1)[-1]
        if _is_rejects(version.path):
            objects = self.lake.read(version.path, 0, 1) == b"{"
            return "rejects.jsonl" if objects else "rejects.csv"
        return name

    def _accepted(self, version: Version) -> Found:
        """Erase from a Parquet file of accepted records."""
        source = self._source(version)
        try:
            found = find_accepted(source, self.contract, self.subject)
        except ValueError:
            self.erased.unreadable.add(version.path)
            return Found()
        if found.records:
            with self.lake.writer(version.path) as writer:
                rewrite_accepted(source, self.contract, self.subject, writer)
            place = "bronze" if version.path.startswith(f"{paths.BRONZE}/") else "raw, accepted"
            self.erased.note(place, records=found.records)
        return found

    def _without(self, version: Version, records: int | None) -> None:
        """Write a drop, or rejects, without the subject; delete it where that cannot be done."""
        container = version.path.partition("/")[0]
        place = f"{container}, rejects" if _is_rejects(version.path) else container
        if records is None:
            self.lake.delete(version.path, etag=version.etag)
            self.erased.note(place, deleted=1)
            return
        with self.lake.writer(version.path) as writer:
            name = self._name(version)
            rewrite(self._source(version), self.contract, name, self.subject, writer)
        self.erased.note(place, records=records)

    def _documents(self, run: Run, versions: Iterable[Version], found: Found) -> None:
        """Erase from reports and reasons, and from the note of the content that was accepted."""
        for version in versions:
            if version.path.endswith(_REASONS):
                self._redact(version.path, found, "quarantine, reasons")
            elif version.path.endswith(f"/{paths.REPORT}"):
                self._redact(version.path, found, "reports")
        if run.verdict and run.verdict.report.startswith(f"{paths.MANIFEST}/"):
            self._redact(run.verdict.report, found, "reports")

    def _redact(self, path: str, found: Found, place: str) -> None:
        try:
            body, etag = self.lake.get(path)
        except NotFound:
            return
        redaction = Redaction(self.subject, self.contract, found)
        if path.endswith(_REASONS):
            after = redaction.reasons(body)
        else:
            document = json.loads(body)
            if "report" in document:
                document["report"] = redaction.report(document["report"])
            else:
                document = redaction.report(document)
            after = json.dumps(document, ensure_ascii=False, indent=2).encode()
        if redaction.values:
            self.lake.put(path, after, if_match=etag)
            self.erased.note(place, values=redaction.values)

    def _sizes(self, run: Run) -> Run:
        """The run with the sizes that its files have now."""
        if run.raw is not None and run.source.parts is None:
            version = self.lake.head(run.raw)
            if version is not None and version.size != run.source.size:
                run = replace(run, source=replace(run.source, size=version.size))
        verdict = run.verdict
        if verdict is None or verdict.parquet is None:
            return run
        for folder in (run.bronze, str(verdict.parquet["folder"])):
            files = [e.version for e in self.lake.list(f"{folder}/") if _is_data(e.version.path)]
            if not files:
                continue
            size = sum(version.size for version in files)
            if (size, len(files)) == (verdict.parquet["size"], verdict.parquet["files"]):
                return run
            rows = sum(accepted_rows(self._source(version)) for version in files)
            now = {"size": size, "files": len(files), "rows": rows, "sha256": None}
            changed = replace(verdict, parquet={**verdict.parquet, **now}, accepted=rows)
            copy = run.copy and replace(run.copy, rows=rows if run.copy.rows is not None else None)
            return replace(run, verdict=changed, copy=copy)
        return run

    def _source(self, version: Version) -> LakeSource:
        return LakeSource(self.lake, version.path, version.size)


def _is_drop_of(run: Run, path: str) -> bool:
    if run.raw is None:
        return False
    return path == run.raw or (path.startswith(f"{run.raw}/") and paths.is_drop(path))


def _is_rejects(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    of_attempt = path.count("/") == _ATTEMPT_DEPTH
    return of_attempt and name.startswith("rejects") and not name.endswith(_REASONS)


def _is_data(path: str) -> bool:
    return path.endswith(_PARQUET)
