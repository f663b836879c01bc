"""The way of one file through validation: open, validate batch by batch, decide, split."""

import codecs
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from landfall.contract.model import Contract
from landfall.validation.batches import Reader, RecordBatch
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
from landfall.validation.tolerance import excess

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

    It is called in every phase, while the file is read, validated and written out, at least once a
    block: whoever holds a lease renews it there.

    `references` is where other datasets are found; what it does not have is not checked, and
    the report says so.

    Rejects and reasons are written as they are found, whatever the verdict becomes. The clean
    copy is written in a second pass, and only where rejects are split off or where the file is
    written in a way that a Copy cannot read.

    Faults in the data are in the report, never raised; what `source` and `outputs` raise
    passes through.
    """
    trial = _ValidationRun(
        source,
        contract,
        name,
        outputs,
        on_progress=on_progress,
        references=references or NoReferences(),
    )
    problem = trial.run()
    if problem is None:
        problem = trial.excess()
    verdict: Verdict = "refused"
    clean: Format | None = None
    if problem is None:
        verdict = "accepted_with_rejects" if trial.rejected else "accepted"
        if trial.rejected or trial.must_be_rewritten:
            clean = trial.write_clean()
    return trial.report(verdict, problem, clean)


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
        self._began = time.perf_counter()
        self._reader: Reader | None = None
        self._jury: RecordValidator | None = None
        self._spans = Spans()
        self._missing: tuple[str, ...] = ()
        self._format = Format("unknown")
        self._rejects_format: Format | None = None

    def _tell(self) -> None:
        """Say that the work goes on."""
        self._on_progress(self._meter.bytes)

    @property
    def rejected(self) -> int:
        """Records with at least one fault so far."""
        return 0 if self._jury is None else self._jury.rejected

    @property
    def must_be_rewritten(self) -> bool:
        """Whether no Copy can read the file: Data Factory knows no zstd."""
        return self._format.compression == "zstd"

    def run(self) -> Problem | None:
        """Validate everything; the problem, if the file cannot be validated to its end."""
        try:
            opened = open_stream(
                self._meter.through(self._source.stream()), self._name, self._contract.hints
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
            findings = _Findings(self._outputs, opened, reader.head, stack)
            try:
                validator = RecordValidator(self._contract, reader, references=self._references)
                self._validate(reader, validator, findings)
            except Refusal as refusal:
                # Caught in here: what was found so far is complete as far as it goes.
                return refusal.problem
        return None

    def _validate(self, reader: Reader, validator: RecordValidator, findings: "_Findings") -> None:
        self._jury = validator
        for batch, scan in prefiltered(reader.batches(), validator):
            self._tell()
            for rejects in validator.validate(batch, scan):
                self._tell()
                self._rejects_format = reader.rejects_format
                findings.write(batch, rejects)
                self._spans.extend(batch.span(reject.index) for reject in rejects)

    def excess(self) -> Problem | None:
        """Why the records found are too few or too bad to go on with, if they are."""
        validator = self._jury
        if validator is None:
            return excess(self._contract, 0, 0, ())
        return excess(self._contract, validator.rows, validator.rejected, validator.measures())

    def write_clean(self) -> Format:
        """The second pass: everything but the rejects, where somebody wants it."""
        if self._reader is None:  # pragma: no cover - rejects came from one
            raise RuntimeError("no reader")
        wanted = self._outputs.clean()
        if wanted is None:
            return self._reader.clean_format
        chunks = _told(self._source.stream(), self._tell)
        opened = open_stream(chunks, self._name, self._contract.hints)
        reader = reader_of(opened, self._contract, self._source)
        with wanted as writer:
            reader.copy(iter(self._spans), _TellingWriter(writer, self._tell))
        return self._reader.clean_format

    def report(self, verdict: Verdict, problem: Problem | None, clean: Format | None) -> Report:
        """All that was found."""
        validator, reader = self._jury, self._reader
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
            seconds=round(time.perf_counter() - self._began, 3),
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

    def values(self, dataset: str, columns: Sequence[str]) -> "Iterator[pl.DataFrame]":
        return _told(self.references.values(dataset, columns), self.tell)


class _Findings:
    """Rejects and reasons, opened with the first reject."""

    def __init__(self, outputs: Outputs, opened: Opened, head: bytes, stack: ExitStack) -> None:
        self._outputs = outputs
        self._opened = opened
        self._head = head
        self._stack = stack
        self._rejects: Writer | None = None
        self._reasons: Writer | None = None

    def write(self, batch: RecordBatch, rejects: list[Reject]) -> None:
        """Write the rejects of one batch, raw and explained."""
        if self._rejects is None or self._reasons is None:
            self._rejects = self._stack.enter_context(self._outputs.rejects())
            self._reasons = self._stack.enter_context(self._outputs.reasons())
            self._rejects.write(self._opened.mark + self._as_came(_ended(self._head)))
        raw = b"".join(_ended(batch.raw(reject.index)) for reject in rejects)
        self._rejects.write(self._as_came(raw))
        self._reasons.write(b"".join(_reason(reject) for reject in rejects))

    def _as_came(self, utf8: bytes) -> bytes:
        """Text in the encoding of the file."""
        if self._opened.codec in {"", "utf-8"}:
            return utf8
        return codecs.encode(utf8.decode(), self._opened.codec)


def _ended(record: bytes) -> bytes:
    """A record with a line end: the file's last one may lack it."""
    return record if not record or record.endswith(b"\n") else record + b"\n"


def _reason(reject: Reject) -> bytes:
    found: dict[str, Any] = {
        "line": reject.line,
        "faults": [fault.to_dict() for fault in reject.faults],
    }
    return json.dumps(found, ensure_ascii=False).encode() + b"\n"
