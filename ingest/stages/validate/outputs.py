"""Where the drop of a run and what validation makes of it stand in the lake."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from ingest import paths
from ingest.ports import BinaryWriter, Lake
from ingest.runs.run import Run
from ingest.stages.validate.parts import FolderParts

ACCEPTED, ACCEPTED_FILE = "accepted", "data.parquet"


@dataclass(frozen=True)
class ValidationPaths:
    """Where the drop of a run and what an attempt to validate it makes of it stand in the lake.

    Nobody but the attempt writes to its places; what it found counts when the run's document names
    them. Those of an attempt that came to nothing are deleted by itself.
    """

    run: Run
    attempt: str

    @property
    def drop(self) -> str:
        """The claimed file."""
        if self.run.raw is None:
            raise ValueError(f"run {self.run.run_id} is {self.run.state} without its file")
        return self.run.raw

    @property
    def name(self) -> str:
        """Its name, as it was delivered as far as that can be kept."""
        return paths.safe_name(self.run.source.path)

    @property
    def _plain_name(self) -> str:
        """The name without the mark of a compression: what is written out is never compressed."""
        if parts := self.run.source.parts:
            return f"{self.name}{parts.removeprefix('*')}"
        stem, dot, suffix = self.name.rpartition(".")
        return stem if dot and suffix in ("gz", "zst", "zstd", "zip") else self.name

    @property
    def findings(self) -> str:
        """The folder of what the attempt found: rejects, reasons, the report of a refusal."""
        return paths.findings_folder(self.run.dataset, self.run.run_id, self.attempt)

    @property
    def own(self) -> str:
        """The folder of what the attempt makes of an accepted drop."""
        return paths.attempt_folder(self.run.dataset, self.run.run_id, self.attempt)

    @property
    def rejects(self) -> str:
        """The rejected records, with the suffix of the format in which they are written."""
        _, dot, suffix = self._plain_name.rpartition(".")
        written = _WRITTEN_AS.get(suffix.lower(), suffix)
        return f"{self.findings}/rejects{dot}{written if dot else ''}"

    @property
    def accepted(self) -> str:
        """The folder of the accepted records, as Parquet files."""
        return f"{self.own}/{ACCEPTED}"

    def clear(self, lake: Lake) -> None:
        """Delete what the attempt has written; its places are nobody else's."""
        for folder in (self.findings, self.own):
            lake.delete_folder(folder)


_WRITTEN_AS = {"json": "jsonl", "parquet": "jsonl", "xlsx": "csv"}
"""Suffixes of rejects, where they are written otherwise than the file."""


def new_attempt() -> str:
    """The name of an attempt: no other has it, whichever worker makes it."""
    return f"v{secrets.token_hex(6)}"


@dataclass(frozen=True)
class LakeOutputs:
    """Where the engine's output goes: rejects to quarantine, accepted records beside the drop."""

    lake: Lake
    places: ValidationPaths
    parts: FolderParts | None = None

    def rejects(self) -> AbstractContextManager[BinaryWriter]:
        """The rejected records as they came."""
        return self.lake.writer(self.places.rejects)

    def reasons(self) -> AbstractContextManager[BinaryWriter]:
        """One JSON object a rejected record."""
        path = f"{self.places.rejects}.reasons.jsonl"
        return self._located(path, self.parts) if self.parts else self.lake.writer(path)

    @contextmanager
    def _located(self, path: str, parts: FolderParts) -> Iterator[BinaryWriter]:
        with self.lake.writer(path) as sink, parts.reasons(sink) as writer:
            yield writer

    def accepted(self) -> AbstractContextManager[BinaryWriter]:
        """The accepted records, as typed Parquet."""
        return self.lake.writer(f"{self.places.accepted}/{ACCEPTED_FILE}")
