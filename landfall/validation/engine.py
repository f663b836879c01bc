"""Runs the validation of one file: open it, validate and write it batch by batch, decide."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
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
from landfall.validation.record_validator import RecordValidator, Reject
from landfall.validation.references import NoReferences
from landfall.validation.report import (
    AcceptedParquet,
    Columns,
    Format,
    Problem,
    Report,
    Verdict,
)
from landfall.validation.streams import ByteSource, Outputs, References, Writer
from landfall.validation.tolerance import check_tolerance, hopeless

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

    from landfall.validation.accepted import AcceptedWriter


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

    Rejects and reasons are written during validation, whatever the verdict is. So are the accepted
    records, as typed Parquet; they are discarded if the file is refused.

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
    verdict: Verdict = "refused"
    if problem is None:
        verdict = "accepted_with_rejects" if run.rejected else "accepted"
    return with_expected(run.report(verdict, problem), contract)


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
        self._parquet: AcceptedParquet | None = None
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

    def run(self) -> Problem | None:
        """Validate and write all records; return a problem if the file is refused."""
        try:
            opened = open_stream(
                self._meter.count(self._source.stream()),
                self._name,
                self._contract.hints,
                self._source,
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
        try:
            with ExitStack() as stack:
                self._write(reader, opened, stack)
        except _Discarded as discarded:
            return discarded.problem
        return None

    def _write(self, reader: Reader, opened: Opened, outer: ExitStack) -> None:
        """Validate and write all records.

        Raises:
            _Discarded: the file is refused; what is accepted is not kept.
        """
        problem: Problem | None = None
        accepted: AcceptedWriter | None = None
        with ExitStack() as stack:  # rejects so far are kept, whatever comes
            reject_writer = _RejectWriter(self._outputs, opened, reader.head, stack)
            try:
                validator = RecordValidator(self._contract, reader, references=self._references)
                accepted = self._accepted_writer(reader, validator, outer)
                problem = self._validate(reader, validator, reject_writer, accepted)
            except Refusal as refusal:
                problem = refusal.problem
        problem = problem or self._tolerance_problem()
        if problem is not None:
            raise _Discarded(problem)
        if accepted is not None:
            self._parquet = accepted.finish()

    def _accepted_writer(
        self, reader: Reader, validator: RecordValidator, stack: ExitStack
    ) -> AcceptedWriter | None:
        output = self._outputs.accepted()
        if output is None:
            return None
        # Imported only if it is used: it loads Polars.
        from landfall.validation.accepted import AcceptedWriter  # noqa: PLC0415

        validator.keep_values()
        writer = stack.enter_context(output)
        return stack.enter_context(
            AcceptedWriter(self._contract, reader, validator.contract_cells, writer)
        )

    def _validate(
        self,
        reader: Reader,
        validator: RecordValidator,
        reject_writer: _RejectWriter,
        accepted: AcceptedWriter | None,
    ) -> Problem | None:
        """Validate and write the records; return a problem if the rest is not worth it."""
        self._validator = validator
        for batch, scan in prefiltered(reader.batches(), validator):
            self._tell()
            before = validator.rows
            rejected: list[int] = []
            for rejects in validator.validate(batch, scan):
                self._tell()
                self._rejects_format = reader.rejects_format
                reject_writer.write(batch, rejects)
                so_far = before + rejects[-1].index + 1
                if problem := hopeless(self._contract, so_far, validator.rejected):
                    return problem
                rejected += [reject.index for reject in rejects]
            if accepted is not None:
                rows = validator.rows - before
                accepted.add(batch, rows, rejected, scan)
        return None

    def _tolerance_problem(self) -> Problem | None:
        """Return a problem if there are no records or too many rejects."""
        validator = self._validator
        if validator is None:
            return check_tolerance(self._contract, 0, 0, ())
        return check_tolerance(
            self._contract, validator.rows, validator.rejected, validator.measures()
        )

    def report(self, verdict: Verdict, problem: Problem | None) -> Report:
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
            parquet=self._parquet,
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


class _Discarded(Exception):
    """Leaves the output of the accepted records, so that it is not kept."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


Item = TypeVar("Item")


def _told(items: Iterable[Item], tell: Callable[[], None]) -> Iterator[Item]:
    """The same items, each of them told."""
    for item in items:
        tell()
        yield item


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
