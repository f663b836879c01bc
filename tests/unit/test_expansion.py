"""Small files that expand to very much, and files in which nothing is right: all are bounded."""

from __future__ import annotations

import io
import json
import os
import random
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landfall.validation import tolerance
from landfall.validation.readers import footer
from tests.unit.test_validate_bad_input import MB, REPOSITORY, RUN
from tests.unit.validation import SMALL_YAML, run_validation, small

SECONDS = 60
BOUND = 400 * MB
LONG = random.Random(1).randbytes(MB // 2).hex()  # noqa: S311 - test data


def repeated(rows: int, value: str = "a") -> pa.Table:
    """A table of `rows` rows that differ in nothing but their `id`."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))
    return pa.table(
        {
            "id": pa.array(range(rows)),
            "name": values,
            "secret": pa.array(["s"] * rows),
        }
    )


def as_parquet(table: pa.Table) -> bytes:
    """The table as a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def equal_rows(path: Path) -> None:
    """30 million equal rows, in 0.3 MB."""
    piece = repeated(MB).set_column(0, "id", pa.array([1] * MB))
    with pq.ParquetWriter(path, piece.schema, compression="zstd") as writer:
        for _ in range(30):
            writer.write_table(piece)


def long_value(path: Path) -> None:
    """A million rows that share one value of a megabyte, in 2 MB."""
    path.write_bytes(as_parquet(repeated(MB, LONG)))


def stray_quotes(path: Path) -> None:
    """100 MB of records, each with a quote in the middle."""
    with path.open("wb") as file:
        file.write(b"id,name,secret\n")
        file.writelines(b'1,a"b,s\n' * (MB // 8) for _ in range(100))


def quotes_and_lines(path: Path) -> None:
    """100 MB of quotes and line ends."""
    with path.open("wb") as file:
        file.write(b"id,name,secret\n")
        file.writelines(b'"\n' * (MB // 2) for _ in range(100))


FILES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "30 million equal rows": (equal_rows, "a.parquet", "expands more than 200 times"),
    "one long value": (long_value, "a.parquet", "expands more than 200 times"),
    "stray quotes": (stray_quotes, "a.csv", "the rest of the file was not validated"),
    "quotes and line ends": (quotes_and_lines, "a.csv", "the rest of the file was not validated"),
}


@pytest.mark.large
@pytest.mark.parametrize("case", FILES)
def test_a_verdict_within_a_minute_and_400_mb(case: str, tmp_path: Path) -> None:
    """The command says the verdict, in a process of its own whose time and memory are measured."""
    write, name, reason = FILES[case]
    path, contract = tmp_path / name, tmp_path / "small.odcs.yaml"
    write(path)
    contract.write_text(SMALL_YAML.replace("RATIO", "0.1").replace("EXTRA", ""))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    done = subprocess.run(
        [sys.executable, "-c", RUN, "validate", path, "--contract", contract, "--json"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        env=os.environ,
    )

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    assert report["verdict"] == "refused"
    assert reason in report["problem"]["reason"]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    assert peak is None or int(peak[1]) * 1024 < BOUND


def test_what_the_footer_declares_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No row group is read of a file that declares too many values."""
    monkeypatch.setattr(footer, "FREE_EXPANSION", MB)
    data = as_parquet(repeated(200_000).set_column(0, "id", pa.array([1] * 200_000)))

    report, _ = run_validation(data, small(), name="a.parquet")

    assert report.problem is not None
    assert "expands more than 200 times" in report.problem.reason
    assert report.rows == 0


def test_one_value_for_many_rows_is_counted_as_often_as_it_is_read() -> None:
    """The dictionary of a column is small, what its rows hold is not; others are accepted."""
    many, _ = run_validation(as_parquet(repeated(1500, LONG)), small(), name="a.parquet")
    few, findings = run_validation(as_parquet(repeated(50, LONG)), small(), name="a.parquet")

    assert many.problem is not None
    assert "expands more than 200 times" in many.problem.reason
    assert (few.problem, few.rows) == (None, 50)
    assert findings.parquet()["name"].to_list() == [LONG] * 50


def test_a_record_beyond_the_limit_is_named() -> None:
    """As in text formats, a record has at most 8 MiB."""
    table = pa.table({"id": [1, 2], "name": ["a", "x" * (9 * MB)], "secret": ["s", "s"]})

    report, _ = run_validation(as_parquet(table), small(), name="a.parquet")

    assert report.problem is not None
    assert report.problem.reason == "record 2 of the Parquet file is longer than 8 MiB"
    assert report.problem.line == 2


def test_a_page_that_is_damaged_is_told_by_its_checksum() -> None:
    """A flipped bit that still decodes would be another value."""
    table = pa.table({"id": [1], "name": ["landfall" * 9], "secret": ["s"]})
    sink = io.BytesIO()
    pq.write_table(
        table, sink, compression="none", write_page_checksum=True, write_statistics=False
    )
    sound = sink.getvalue()

    good, _ = run_validation(sound, small(), name="a.parquet")
    bad, _ = run_validation(sound.replace(b"fallland", b"fellland", 1), small(), name="a.parquet")

    assert good.problem is None
    assert bad.problem is not None
    assert "checksum" in bad.problem.reason


def test_an_encrypted_file_is_called_so() -> None:
    """By its magic number, if the footer is encrypted too."""
    report, _ = run_validation(b"PARE" + b"\x07" * 200 + b"PARE", small(), name="a.parquet")

    assert report.problem is not None
    assert "encrypted" in report.problem.reason


def test_a_file_with_categories_has_its_other_types() -> None:
    """Columns that Arrow calls dictionaries are read as text; times stay what they are."""
    report, findings = run_validation(as_parquet(repeated(3, "ä")), small(), name="a.parquet")

    assert (report.problem, report.rejected) == (None, 0)
    assert findings.rows() == [{"id": at, "name": "ä", "secret": "s"} for at in range(3)]


@pytest.mark.parametrize(("ratio", "stops"), [(0.1, True), (0.6, True), (1.0, False)])
def test_a_file_in_which_all_is_wrong_is_given_up(
    ratio: float, stops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the contract tolerates all of it; what was rejected so far is kept."""
    monkeypatch.setattr(tolerance, "STOP_AFTER", 1000)
    data = b"id,name,secret\n" + b"x,a,s\n" * 40_000

    report, findings = run_validation(data, small(ratio), name="a.csv")

    if not stops:
        assert (report.problem, report.rejected) == (None, 40_000)
        return
    assert report.problem is not None
    assert "the rest of the file was not validated" in report.problem.reason
    assert 1000 <= report.rejected < 40_000
    assert (findings["rejects"] or b"").count(b"\n") == report.rejected + 1


def test_half_of_a_file_may_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with as many sound records is validated to its end."""
    monkeypatch.setattr(tolerance, "STOP_AFTER", 1000)
    data = b"id,name,secret\n" + b"".join(b"%d,a,s\nx,a,s\n" % at for at in range(5000))

    report, _ = run_validation(data, small(0.1), name="a.csv")

    assert (report.rows, report.rejected) == (10_000, 5000)
