"""Runs the validation of one file: open it, validate batch by batch, decide, write a clean copy."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from landfall.contract.model import Contract
from landfall.validation.batches import Reader, RecordBatch
from landfall.validation.expected import with_expected
from landfall.validation.prefilter.ahead import prefiltered
from landfall.validation.problems import Refusal
from landfall.validation.readers.choice import reader_of
from landfall.validation.readers.decoding import Meter
from landfall.validation.readers.header import MissingColumns
from landfall.validation.readers.opening import Opened, open_stream
from landfall.validation.readers.spans import Spans
from landfall.validation.record_validator import RecordValidator, Reject
from landfall.validation.references import NoReferences
from landfall.validation.report import Columns, Format, Problem, Report, Verdict
from landfall.validation.streams import ByteSource, Outputs, References, Writer
from landfall.validation.tolerance import check_tolerance

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl


def validate(
    source: ByteSource,
    contract: Contract,
    *,
    name: str,
    outputs: Outputs,
    on_progress: Callable[[int], None] = lambda _: None,
    references: References | None = None,
) -> Report:
    """Validate `source`; `name` is the file's name, `on_progress` gets bytes read so far.

    It is called in every phase (reading, validation, writing), at least once a block, so that the
    holder of a lease can renew it there.

    `references` provides other datasets; a relationship to a dataset that it does not have is not
    checked, and the report says so.

    Rejects and reasons are written during validation, whatever the verdict is. The clean copy is
    written in a second pass, if records are rejected or if a Copy activity cannot read the file.

    Faults in the data are in the report and are never raised. Exceptions of `source` and `outputs`
    are not caught.
    """
    run = _ValidationRun(
        source,
        contract,
        name,
        outputs,
        on_progress=on_progress,
        references=references or NoReferences(),
    )
    problem = run.run()
    if problem is None:
        problem = run.tolerance_problem()
    verdict: Verdict = "refused"
    clean: Format | None = None
    if problem is None:
        verdict = "accepted_with_rejects" if run.rejected else "accepted"
        if run.rejected or run.needs_rewriting:
            clean = run.write_clean()
    return with_expected(run.report(verdict, problem, clean), contract)


class _ValidationRun:
    """The state of one validation."""

    def __init__(
        self,
        source: ByteSource,
        contract: Contract,
        name: str,
        outputs: Outputs,
        *,
        on_progress: Callable[[int], None],
        references: References,
    ) -> None:
        self._source = source
        self._contract = contract
        self._name = name
        self._outputs = outputs
        self._meter = Meter(on_progress)
        self._references = _Telling(references, self._tell)
        self._on_progress = on_progress
        self._started = time.perf_counter()
        self._reader: Reader | None = None
        self._validator: RecordValidator | None = None
        self._spans = Spans()
        self._missing: tuple[str, ...] = ()
        self._format = Format("unknown")
        self._rejects_format: Format | None = None

    def _tell(self) -> None:
        """Say that the work goes on."""
        self._on_progress(self._meter.bytes)

    @property
    def rejected(self) -> int:
        """Number of records with at least one fault so far."""
        return 0 if self._validator is None else self._validator.rejected

    @property
    def needs_rewriting(self) -> bool:
        """Whether a Copy activity cannot read the file: Data Factory does not support zstd."""
        return self._format.compression == "zstd"

    def run(self) -> Problem | None:
        """Validate all records; return a problem if the file cannot be read to its end."""
        try:
            opened = open_stream(
                self._meter.count(self._source.stream()), self._name, self._contract.hints
            )
            self._format = opened.format
            reader = reader_of(opened, self._contract, self._source)
            self._reader = reader
            reader.start()
        except MissingColumns as refusal:
            self._missing = refusal.missing
            return refusal.problem
        except Refusal as refusal:
            return refusal.problem
        with ExitStack() as stack:
            reject_writer = _RejectWriter(self._outputs, opened, reader.head, stack)
            try:
                validator = RecordValidator(self._contract, reader, references=self._references)
                self._validate(reader, validator, reject_writer)
            except Refusal as refusal:
                # Caught inside the stack, so that rejects so far are kept.
                return refusal.problem
        return None

    def _validate(
        self, reader: Reader, validator: RecordValidator, reject_writer: _RejectWriter
    ) -> None:
        self._validator = validator
        for batch, scan in prefiltered(reader.batches(), validator):
            self._tell()
            for rejects in validator.validate(batch, scan):
                self._tell()
                self._rejects_format = reader.rejects_format
                reject_writer.write(batch, rejects)
                self._spans.extend(batch.span(reject.index) for reject in rejects)

    def tolerance_problem(self) -> Problem | None:
        """Return a problem if there are no records or too many rejects."""
        validator = self._validator
        if validator is None:
            return check_tolerance(self._contract, 0, 0, ())
        return check_tolerance(
            self._contract, validator.rows, validator.rejected, validator.measures()
        )

    def write_clean(self) -> Format:
        """Write all records but the rejects in a second pass, if the outputs take a clean copy."""
        if self._reader is None:  # pragma: no cover - there are rejects only with a reader
            raise RuntimeError("no reader")
        output = self._outputs.clean()
        if output is None:
            return self._reader.clean_format
        chunks = _told(self._source.stream(), self._tell)
        opened = open_stream(chunks, self._name, self._contract.hints)
        reader = reader_of(opened, self._contract, self._source)
        with output as writer:
            reader.copy(iter(self._spans), _TellingWriter(writer, self._tell))
        return self._reader.clean_format

    def report(self, verdict: Verdict, problem: Problem | None, clean: Format | None) -> Report:
        """Return the report of the run."""
        validator, reader = self._validator, self._reader
        rows = 0 if validator is None else validator.rows
        whole = self._meter.bytes == self._source.size
        columns = Columns() if reader is None else reader.columns
        if self._missing:
            columns = replace(columns, missing=self._missing)
        return Report(
            dataset=self._contract.dataset,
            name=self._name,
            verdict=verdict,
            rows=rows,
            accepted=rows - self.rejected,
            rejected=self.rejected,
            bytes=self._source.size,
            sha256=self._meter.sha256() if whole else None,
            format=self._format if reader is None else reader.format,
            clean=clean,
            rejects=self._rejects_format,
            columns=columns,
            checks=() if validator is None else validator.checks(),
            examples=() if validator is None else tuple(validator.examples),
            profile=() if validator is None else validator.profiles(),
            measures=() if validator is None else validator.measures(),
            relationships=() if validator is None else validator.links(),
            problem=problem,
            contract_version=self._contract.version,
            max_rejected_ratio=self._contract.max_rejected_ratio,
            seconds=round(time.perf_counter() - self._started, 3),
        )


Item = TypeVar("Item")


def _told(items: Iterable[Item], tell: Callable[[], None]) -> Iterator[Item]:
    """The same items, each of them told."""
    for item in items:
        tell()
        yield item


@dataclass(frozen=True)
class _TellingWriter:
    """A writer that tells of its writes, once for some of them."""

    writer: Writer
    tell: Callable[[], None]
    _since: list[int] = field(default_factory=lambda: [0])

    def write(self, data: bytes, /) -> object:
        self._since[0] += 1
        if self._since[0] % _WRITES == 0:
            self.tell()
        return self.writer.write(data)


_WRITES = 256


@dataclass(frozen=True)
class _Telling:
    """References that tell of what is read of them, frame by frame."""

    references: References
    tell: Callable[[], None]

    def values(self, dataset: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        return _told(self.references.values(dataset, columns), self.tell)


class _RejectWriter:
    """Writes rejects and reasons; opens both outputs with the first reject."""

    def __init__(self, outputs: Outputs, opened: Opened, head: bytes, stack: ExitStack) -> None:
        self._outputs = outputs
        self._opened = opened
        self._head = head
        self._stack = stack
        self._rejects: Writer | None = None
        self._reasons: Writer | None = None

    def write(self, batch: RecordBatch, rejects: list[Reject]) -> None:
        """Write the rejects of a batch and their reasons."""
        if self._rejects is None or self._reasons is None:
            self._rejects = self._stack.enter_context(self._outputs.rejects())
            self._reasons = self._stack.enter_context(self._outputs.reasons())
            self._rejects.write(
                self._opened.mark + self._in_file_encoding(_with_line_end(self._head))
            )
        raw = b"".join(_with_line_end(batch.raw(reject.index)) for reject in rejects)
        self._rejects.write(self._in_file_encoding(raw))
        self._reasons.write(b"".join(_reason(reject) for reject in rejects))

    def _in_file_encoding(self, utf8: bytes) -> bytes:
        """Return text in the encoding of the file."""
        if self._opened.codec in {"", "utf-8"}:
            return utf8
        return codecs.encode(utf8.decode(), self._opened.codec)


def _with_line_end(record: bytes) -> bytes:
    """Return a record with a line end: the last record of the file may have none."""
    return record if not record or record.endswith(b"\n") else record + b"\n"


def _reason(reject: Reject) -> bytes:
    document: dict[str, Any] = {
        "line": reject.line,
        "faults": [fault.to_dict() for fault in reject.faults],
    }
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"
