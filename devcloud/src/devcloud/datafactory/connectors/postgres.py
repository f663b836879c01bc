"""Rows of a PostgreSQL query as record batches, streamed.

The server writes CSV (`COPY (query) TO STDOUT`), one message a row; whole rows are gathered to
blocks, and Arrow reads each block with the types that the server has described. Neither a long
result nor a long row needs more memory than a few blocks, or one row.
"""

from __future__ import annotations

import io
import queue
import select
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import pq

from devcloud.datafactory.connectors.postgres_types import PostgresColumn, schema
from devcloud.datafactory.copy.failure import CopyError, CopyStoppedError

_BLOCK = 1024 * 1024
_BLOCKS_AHEAD = 2
_WAIT_SECONDS = 0.2  # between two looks at whether the run was stopped
_DEFAULT_TIMEOUT = 2 * 3600.0
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_NAMES = {
    "disable": "disable",
    "disabled": "disable",
    "allow": "allow",
    "prefer": "prefer",
    "preferred": "prefer",
    "require": "require",
    "required": "require",
    "verifyca": "verify-ca",
    "verifyfull": "verify-full",
}
# What another try may mend: connections, resources, shutdowns, locks, serialization.
_TRANSIENT = ("08", "53", "57P", "40", "55P03", "58")
OPERATION_FAILED = "AzurePostgreSqlNpgsqlOperationFailed"
_NO_SSL_MODE = "sslMode is Disable, Allow, Prefer, Require, Verify-ca or Verify-full, or 0 to 5"


@dataclass(frozen=True)
class PostgresServer:
    """Where a linked service points.

    Attributes:
        options: of libpq's connection, password included.
        command_seconds: `commandTimeout`; 0 is without limit, None is not given.
    """

    options: dict[str, str]
    command_seconds: float | None = None

    @staticmethod
    def read(properties: dict[str, Any]) -> PostgresServer:
        """Take the typeProperties of the linked service, evaluated, secrets resolved.

        Raises:
            CopyError: one is missing or wrong.
        """
        known = {name.lower(): value for name, value in properties.items()}
        host, _, port = str(known.get("server", "")).partition(":")
        password = known.get("password")
        if not isinstance(password, dict) or not password.get("value"):
            raise CopyError("UserErrorMissingCredential", "the linked service has no password")
        options = {
            "host": host,
            "port": str(known.get("port") or port or 5432),
            "dbname": str(known.get("database", "")),
            "user": str(known.get("username", "")),
            "password": str(password["value"]),
            "sslmode": _ssl_mode(known.get("sslmode", 2)),
            "connect_timeout": str(int(float(known.get("connectiontimeout") or 15))),
            "application_name": "devcloud-datafactory",
            "client_encoding": "UTF8",
        }
        settings = {"TimeZone": known.get("timezone") or "UTC", "DateStyle": "ISO"}
        if known.get("schema"):
            settings["search_path"] = known["schema"]
        options["options"] = " ".join(f"-c {name}={_escaped(v)}" for name, v in settings.items())
        if known.get("trustservercertificate") in (True, "true", "True"):
            options["sslmode"] = min(options["sslmode"], "require", key=_SSL_MODES.index)
        seconds = known.get("commandtimeout")
        return PostgresServer(options, None if seconds in (None, "") else float(str(seconds)))

    @property
    def place(self) -> str:
        """Server and database, for messages."""
        return f"{self.options['host']}:{self.options['port']}/{self.options['dbname']}"

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection, in which each statement is a transaction.

        Raises:
            CopyError: it cannot be made.
        """
        try:
            connection = psycopg.connect(autocommit=True, **self.options)  # type: ignore[arg-type]
        except psycopg.Error as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise CopyError(
                "UserErrorFailedToConnectToPostgreSql",
                f"Cannot connect to PostgreSQL: '{self.place}', user "
                f"'{self.options['user']}': {why}",
            ) from error
        with closing(connection):
            yield connection


def _ssl_mode(value: Any) -> str:
    text = str(value).strip().lower().replace("-", "").replace("_", "")
    try:
        return _SSL_MODES[int(text)] if text.isdigit() else _SSL_NAMES[text]
    except (KeyError, IndexError):
        raise CopyError("UserErrorInvalidLinkedService", f"{_NO_SSL_MODE}, not {value!r}") from None


def _escaped(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace(" ", "\\ ")


@dataclass
class PostgresRows:
    """The rows of one query; counts what goes over the wire.

    Attributes:
        seconds: how long the statement may take; 0 is without limit.
        bytes_read: of text, so far.
    """

    server: PostgresServer
    query: str
    stop: threading.Event
    seconds: float = _DEFAULT_TIMEOUT
    bytes_read: int = 0
    hierarchical: bool = field(default=False, init=False)
    skipped: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """For messages."""
        return self.server.place

    def batches(self, _names: list[str] | None) -> Generator[pa.RecordBatch, None, None]:
        """The rows; at least one batch, empty where there are none.

        Raises:
            CopyError: connection, statement or a value failed.
            CopyStoppedError: the run has ended.
        """
        blocks: queue.Queue[_Block] = queue.Queue(_BLOCKS_AHEAD)
        given_up = threading.Event()
        thread = threading.Thread(
            target=self._fetch, args=(blocks, given_up), name="postgres-fetch", daemon=True
        )
        thread.start()
        try:
            read: _BlockReader | None = None
            while True:
                block = blocks.get()
                if isinstance(block, Exception):
                    raise block
                if isinstance(block, list):
                    read = _BlockReader(block)
                    yield read.empty
                elif block is None:
                    return
                else:
                    assert read is not None  # noqa: S101  (the columns come first)
                    yield read(block)
        finally:
            given_up.set()
            while thread.is_alive():
                with suppress(queue.Empty):
                    blocks.get(timeout=0.02)
            thread.join()

    def documents(self) -> Iterator[Any]:
        """A result has rows, no documents."""
        raise NotImplementedError

    def _fetch(self, blocks: queue.Queue[_Block], given_up: threading.Event) -> None:
        """Put the columns, the blocks of text and None; or the error."""

        def put(block: _Block) -> None:
            while not given_up.is_set():
                with suppress(queue.Full):
                    blocks.put(block, timeout=_WAIT_SECONDS)
                    return
            raise CopyStoppedError

        try:
            with self.server.connect() as connection:
                wire = _Wire(connection.pgconn, self.stop, given_up, self.seconds)
                put(wire.columns(self.query))
                for block in wire.copy(self.query):
                    self.bytes_read += len(block)
                    put(block)
            put(None)
        except (CopyError, CopyStoppedError) as error:
            with suppress(CopyStoppedError):
                put(error)
        except (psycopg.Error, OSError) as error:
            with suppress(CopyStoppedError):
                put(CopyError(OPERATION_FAILED, f"'{self.name}': {error}", "SystemError"))


_Block = bytes | list[PostgresColumn] | Exception | None


class _BlockReader:
    """Reads blocks of CSV as batches of a schema."""

    def __init__(self, columns: list[PostgresColumn]) -> None:
        self._columns = columns
        self._schema = schema(columns)
        # By place: a CSV reader takes names for types, and the names may be any text.
        self._names = [f"c{number}" for number in range(len(columns))]
        self._convert = pa_csv.ConvertOptions(
            column_types=dict(zip(self._names, (c.read_as for c in columns), strict=True)),
            true_values=["t"],
            false_values=["f"],
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        self._parse = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)

    @property
    def empty(self) -> pa.RecordBatch:
        """No rows, with the schema."""
        return pa.RecordBatch.from_arrays(
            [pa.nulls(0, field.type) for field in self._schema], schema=self._schema
        )

    def __call__(self, block: bytes) -> pa.RecordBatch:
        reading = pa_csv.ReadOptions(
            use_threads=False, column_names=self._names, block_size=len(block) + 1
        )
        try:
            table = pa_csv.read_csv(
                io.BytesIO(block),
                read_options=reading,
                parse_options=self._parse,
                convert_options=self._convert,
            )
        except pa.ArrowInvalid as error:
            raise self._fault(str(error)) from error
        arrays = [
            column.finish(values.combine_chunks())
            for column, values in zip(self._columns, table.columns, strict=True)
        ]
        return pa.record_batch(arrays, schema=self._schema)

    def _fault(self, message: str) -> CopyError:
        """The reader names a column by its place; infinite and BC times are what it may meet."""
        place = message.partition("CSV column #")[2].partition(":")[0]
        column = self._columns[int(place)].name if place.isdigit() else "?"
        value = message.rpartition("invalid value")[2].strip() or message
        return CopyError(
            "UserErrorInvalidColumnValue",
            f"Column '{column}' holds the value {value}, which Copy cannot read",
        )


class _Wire:
    """The exchange with the server, without ever blocking for long."""

    def __init__(
        self,
        connection: pq.abc.PGconn,
        stop: threading.Event,
        given_up: threading.Event,
        seconds: float,
    ) -> None:
        self._connection = connection
        self._stop = stop
        self._given_up = given_up
        self._deadline = time.monotonic() + seconds if seconds else None
        self._seconds = seconds

    def columns(self, query: str) -> list[PostgresColumn]:
        """The columns of a query's result, described without running it."""
        self._connection.send_prepare(b"", _bare(query))
        self._results()
        self._connection.send_describe_prepared(b"")
        described = self._results()[-1]
        if not described.nfields:
            raise CopyError(OPERATION_FAILED, "the query gives no result set")
        return [
            PostgresColumn((described.fname(n) or b"").decode(), described.ftype(n),
                           described.fmod(n))
            for n in range(described.nfields)
        ]  # fmt: skip

    def copy(self, query: str) -> Iterator[bytes]:
        """The rows of a query as CSV, in blocks of whole rows."""
        self._connection.send_query(b"COPY (" + _bare(query) + b") TO STDOUT (FORMAT csv)")
        self._wait_for_result()
        started = self._connection.get_result()
        if started is None or started.status != pq.ExecStatus.COPY_OUT:
            raise _statement_error(started, self._connection)
        block = io.BytesIO()
        write, get = block.write, self._connection.get_copy_data
        size = 0
        while True:
            length, row = get(1)
            if length > 0:
                size += write(row)
                if size >= _BLOCK:
                    yield block.getvalue()
                    block = io.BytesIO()
                    write, size = block.write, 0
            elif length == 0:
                self._wait()
            else:
                break
        self._results()
        if size:
            yield block.getvalue()

    def _results(self) -> list[pq.abc.PGresult]:
        """All results of what was sent.

        Raises:
            CopyError: one is an error.
        """
        results: list[pq.abc.PGresult] = []
        while True:
            self._wait_for_result()
            result = self._connection.get_result()
            if result is None:
                return results
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise _statement_error(result, self._connection)
            results.append(result)

    def _wait_for_result(self) -> None:
        while True:
            self._connection.flush()
            if not self._connection.is_busy():
                return
            self._wait()

    def _wait(self) -> None:
        """Wait for the server's bytes; stop the statement where the run or its time has ended."""
        if self._stop.is_set() or self._given_up.is_set():
            self._cancel()
            raise CopyStoppedError
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._cancel()
            raise CopyError(
                "UserErrorQueryTimeout",
                f"The command execution timeout of {self._seconds:g} seconds is reached; raise "
                "queryTimeout, or read less at once",
            )
        readable, _, _ = select.select([self._connection.socket], [], [], _WAIT_SECONDS)
        if readable:
            try:
                self._connection.consume_input()
            except psycopg.OperationalError as error:
                raise CopyError(
                    OPERATION_FAILED, f"the connection was lost: {error}", "SystemError"
                ) from error

    def _cancel(self) -> None:
        with suppress(psycopg.Error):
            self._connection.get_cancel().cancel()


def _bare(query: str) -> bytes:
    return query.strip().rstrip(";").rstrip().encode()


def _statement_error(result: pq.abc.PGresult | None, connection: pq.abc.PGconn) -> CopyError:
    state, message = "", b""
    if result is not None:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    text = (message or connection.error_message).decode(errors="replace").strip()
    lost = not state or state.startswith(_TRANSIENT)
    kind = "SystemError" if lost else "UserError"
    return CopyError(OPERATION_FAILED, f"'{state or '08006'}: {text}'", kind)


def one_row(
    server: PostgresServer, query: str, stop: threading.Event, seconds: float
) -> dict[str, Any] | None:
    """The first row of a query by column, for what a partitioned read has to know."""
    for batch in PostgresRows(server, query, stop, seconds).batches(None):
        if batch.num_rows:
            row: dict[str, Any] = batch.slice(0, 1).to_pylist()[0]
            return row
    return None
