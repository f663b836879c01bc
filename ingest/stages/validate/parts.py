"""A folder drop as one file: its parts in the order of their names, one header for all.

So one pass validates the drop: keys are unique across its parts, and its rows are counted together.
Where a finding stands is told in the end by part and line of that part.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ingest import paths
from ingest.ports import BinaryWriter, Lake, Version
from landfall.contract.model import Hints
from landfall.validation import Problem, Report
from landfall.validation.report import Sample

_HEAD = 64 * 1024
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "Parquet"}
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_BARE = (".jsonl", ".ndjson")
"""Endings of files without a header."""


@dataclass(frozen=True)
class _Part:
    version: Version
    name: str
    skip: int


@dataclass(frozen=True)
class _Start:
    """From which line of the whole on a part's lines come, and how many of its own came before."""

    line: int
    name: str
    headers: int


class FolderParts:
    """The parts of a claimed folder drop, as the engine reads a file."""

    def __init__(self, lake: Lake, folder: str, hints: Hints | None = None) -> None:
        """`hints` are the contract's: whether files have a header, and what no record is."""
        self._lake = lake
        self._folder = folder
        self._hints = hints or Hints()
        self._parts: list[_Part] = []
        self._starts: list[_Start] = []
        versions = [e.version for e in lake.list(f"{folder}/") if paths.is_drop(e.version.path)]
        self.problem = self._scan(versions)
        self.size = sum(part.version.size for part in self._parts)

    @property
    def name(self) -> str:
        """The name of the first part: its ending says what they all are."""
        return self._parts[0].name if self._parts else ""

    def _scan(self, versions: list[Version]) -> Problem | None:
        """Read the beginning of each part; what keeps them from being read as one."""
        if not versions:
            return Problem("the folder has a _SUCCESS and no files", "write the files before it")
        header: bytes | None = None
        for version in versions:
            name = version.path.removeprefix(f"{self._folder}/")
            head = self._lake.read(version.path, 0, _HEAD)
            if problem := _unfit(name, head, paths.ending(versions[0].path)):
                return problem
            skip = 0
            if self._hints.header and not name.endswith(_BARE) and head:
                line, end, _ = head.partition(b"\n")
                mine = line.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r")
                if not end and version.size > len(head):
                    return Problem(f"{name}: the header has more than {_HEAD} bytes", "shorten it")
                if header is None:
                    header = mine
                elif mine != header:
                    return Problem(
                        f"{name} has another header than {self._parts[0].name}",
                        "write all files of a folder with the same columns in the same order",
                        line=1,
                    )
                else:
                    skip = len(line) + len(end)
            self._parts.append(_Part(version, name, skip))
        return None

    def stream(self) -> Iterator[bytes]:
        """A fresh pass over all parts; only the first header is among it."""
        self._starts = []
        lines, sent, last = 0, 0, b"\n"
        for part in self._parts:
            if last != b"\n":
                lines, sent, last = lines + 1, sent + 1, b"\n"
                yield b"\n"
            self._starts.append(_Start(lines + 1, part.name, 1 if part.skip else 0))
            skip = part.skip
            for chunk in self._lake.stream(part.version.path):
                piece = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if piece:
                    lines, sent, last = lines + piece.count(b"\n"), sent + len(piece), piece[-1:]
                    yield piece
        self.size = sent

    def read(self, offset: int, length: int) -> bytes:
        """A range of the whole; only files whose end is looked at first need it, no text does."""
        raise NotImplementedError(f"no range of {self._folder}: {length} bytes from {offset}")

    def place(self, line: int) -> tuple[str, int]:
        """The part in which a line of the whole stands, and its line there."""
        index = max(0, bisect_right(self._starts, line, key=lambda start: start.line) - 1)
        start = self._starts[index]
        return start.name, line - start.line + 1 + start.headers

    def located(self, report: Report, name: str) -> Report:
        """The report with every line as part and line, under the drop's own name."""

        def move(finding: Any) -> Any:
            part, line = self.place(finding.line)
            return replace(finding, line=line, file=part)

        def move_sample(sample: Sample) -> Sample:
            moved: Sample = move(sample)
            if sample.first is None:
                return moved
            part, line = self.place(sample.first)
            return replace(moved, first=line, first_file=part)

        checks = [replace(c, samples=tuple(map(move_sample, c.samples))) for c in report.checks]
        problem = report.problem
        if problem and problem.line is not None and self._starts:
            part, line = self.place(problem.line)
            problem = replace(problem, line=line, reason=f"{part}: {problem.reason}")
        return replace(
            report,
            name=name,
            checks=tuple(checks),
            examples=tuple(map(move, report.examples)),
            problem=problem,
        )

    @contextmanager
    def reasons(self, sink: BinaryWriter) -> Iterator[BinaryWriter]:
        """A writer of reasons that names the part of each."""
        writer = _Located(self, sink)
        yield writer
        writer.flush()


class _Located:
    """Passes JSON Lines on, whole line by whole line, with part and line of each record."""

    def __init__(self, parts: FolderParts, sink: BinaryWriter) -> None:
        self._parts, self._sink, self._rest = parts, sink, b""

    def write(self, data: bytes, /) -> int:
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._sink.write(b"".join(map(self._moved, whole)))
        return len(data)

    def flush(self) -> None:
        """Pass on what came without a line end."""
        if self._rest:
            self._sink.write(self._moved(self._rest))

    def _moved(self, line: bytes) -> bytes:
        if not line.strip():
            return b""
        reason = json.loads(line)
        part, number = self._parts.place(reason["line"])
        moved = {"file": part} | reason | {"line": number}
        return json.dumps(moved, ensure_ascii=False).encode() + b"\n"


def _unfit(name: str, head: bytes, ending: str) -> Problem | None:
    if "/" in name:
        return Problem(f"{name} stands in a subfolder", "write all files right into the folder")
    if not ending or paths.ending(name) != ending:
        return Problem(
            f"{name} does not end as the other files do",
            "give all files of a folder the same ending, such as .csv",
        )
    kind = next((kind for magic, kind in _PACKED.items() if head.startswith(magic)), None)
    if kind or head.startswith(_WIDE):
        return Problem(
            f"{name} is {kind or 'UTF-16'}; the files of a folder are read as text, in UTF-8",
            "write them as plain CSV or JSON Lines, or drop each by itself",
        )
    return None
