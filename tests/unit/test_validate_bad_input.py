"""Bad input: each kind ends in a refusal or in counted rejects with place and reason.

Every file is validated in a separate process, as by a producer. The process returns a report, does
not crash, and stays within its memory limit.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import zstandard

from tests.unit.validation import SMALL_YAML

REPOSITORY = Path(__file__).resolve().parents[2]
HEADER = b"id,name,secret\n"
MB = 1 << 20
BOUND = 350 * MB
"""Most memory of a process for any input."""


class Bad(NamedTuple):
    """A bad file, and its expected report.

    `reason` is a part of the reason, None if it is not refused; `faults` are rule, column,
    count and first line.
    """

    name: str
    data: Callable[[], bytes]
    reason: str | None = None
    line: int | None = None
    faults: tuple[tuple[str, str | None, int, int], ...] = ()


def parquet() -> bytes:
    """Return a valid Parquet file."""
    sink = io.BytesIO()
    rows = {"id": range(1000), "name": ["a"] * 1000, "secret": ["s"] * 1000}
    pl.DataFrame(rows).write_parquet(sink)
    return sink.getvalue()


def noise(size: int) -> bytes:
    """Random bytes, the same each time."""
    return random.Random(1).randbytes(size)  # noqa: S311 - test data


def bomb(piece: bytes, times: int) -> bytes:
    """A header, then many times the same, as gzip."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(HEADER), *(packer.compress(piece) for _ in range(times))]
    return b"".join([*parts, packer.flush()])


def deep(opening: bytes, closing: bytes) -> bytes:
    """An object with something nested 10,000 deep in it."""
    return b'{"id":1,"name":' + opening * 10_000 + closing * 10_000 + b',"secret":"s"}'


def many_columns() -> bytes:
    """Return 10,000 extra columns before those of the contract."""
    header = b",".join(b"c%d" % at for at in range(10_000)) + b"," + HEADER
    return header + b"".join(b"x," * 10_000 + b"%d,a,s\n" % at for at in range(100)) + b"1\n"


def rows(*lines: bytes) -> Callable[[], bytes]:
    """A file of these lines."""
    return lambda: HEADER + b"".join(line + b"\n" for line in lines)


GOOD = b"1,a,s"
NOT_WHOLE = "send it again whole"
CASES = {
    "unclosed quote": Bad("a.csv", rows(GOOD, b'2,"b,s', b"3,c,s"), "never closed", 3),
    "stray quote": Bad(
        "a.csv", rows(GOOD, b'2,b"x,s', b"3,c,s"), faults=(("quote", "name", 1, 3),)
    ),
    "text after a quote": Bad(
        "a.csv", rows(b'1,"a"x,s', b"2,b,s"), faults=(("quote", "name", 1, 2),)
    ),
    "NUL bytes": Bad("a.csv", rows(GOOD, b"2,b\0c,s"), faults=(("encoding", "name", 1, 3),)),
    "nothing but NUL": Bad("a.csv", lambda: b"\0" * 100_000, "looks like UTF-16"),
    "2 MB field": Bad(
        "a.csv",
        rows(b"1," + b"x" * (2 * MB) + b",s", b"2,b,t"),
        faults=(("enum", "secret", 1, 3),),
    ),
    "record without end": Bad("a.csv", lambda: HEADER + b"x" * (20 * MB), "longer than 8 MiB", 2),
    "quoted record without end": Bad(
        "a.csv", lambda: HEADER + b'1,"' + b"x\n" * (6 * MB), "longer than 8 MiB", 2
    ),
    "10,000 columns": Bad("a.csv", many_columns, faults=(("fieldCount", None, 1, 102),)),
    "no header": Bad("a.csv", lambda: b"1,a,s\n2,b,s\n", "is not the header of small", 1),
    "duplicate header names": Bad(
        "a.csv", lambda: b"id,name,secret,name\n1,a,s,b\n", "'name' more than once", 1
    ),
    "empty": Bad("a.csv", lambda: b"", "the file is empty"),
    "blank": Bad("a.csv", lambda: b"\n\r\n\n", "the file has only blank lines"),
    "header only": Bad("a.csv", lambda: HEADER, "holds no records"),
    "truncated gzip": Bad(
        "a.csv.gz", lambda: gzip.compress(HEADER + noise(100_000))[:-2000], "ends too early"
    ),
    "gzip bomb": Bad("a.csv.gz", lambda: bomb(b"\n" * MB, 400), "more than 200 times"),
    "gzip bomb of one record": Bad(
        "a.csv.gz", lambda: bomb(b"0" * MB, 2000), "longer than 8 MiB", 2
    ),
    "zstd bomb": Bad(
        "a.csv.zst",
        lambda: zstandard.ZstdCompressor(19).compress(HEADER + b"\n" * (100 * MB)),
        "more than 200 times",
    ),
    "PNG named .csv": Bad("a.csv", lambda: b"\x89PNG\r\n\x1a\n" + noise(3000), "is a PNG image"),
    "workbook named .csv": Bad("a.csv", lambda: b"PK\x03\x04" + noise(3000), "Excel workbook"),
    "CSV named .parquet": Bad("a.parquet", rows(GOOD), "the content is not Parquet"),
    "Parquet named .csv": Bad("a.csv", parquet, "the content is Parquet but the name says csv"),
    "Parquet without its end": Bad("a.parquet", lambda: parquet()[:-10], "has no footer"),
    "corrupt Parquet footer": Bad(
        "a.parquet", lambda: parquet()[:-300] + noise(250) + parquet()[-50:], "Parquet"
    ),
    "Parquet footer of 2 GB": Bad(
        "a.parquet", lambda: parquet()[:-8] + b"\xff\xff\xff\x7fPAR1", "has no footer"
    ),
    "corrupt Parquet pages": Bad(
        "a.parquet", lambda: parquet()[:4] + noise(200) + parquet()[204:], "row group 1"
    ),
    "JSON nested 10,000 deep": Bad(
        "a.jsonl",
        lambda: deep(b"[", b"]") + b'\n{"id":2,"name":"b"}\n',
        faults=(("json", None, 1, 1),),
    ),
    "JSON objects nested 10,000 deep": Bad(
        "a.jsonl",
        lambda: b'{"id":2,"name":"b"}\n' + deep(b'{"a":', b"}").replace(b":}", b":1}", 1) + b"\n",
        faults=(("json", None, 1, 2),),
    ),
    "JSON array nested 10,000 deep": Bad(
        "a.json",
        lambda: b"[" + deep(b"[", b"]") + b',\n{"id":2,"name":"b"}]',
        faults=(("json", None, 1, 1),),
    ),
    "JSON that only opens": Bad("a.json", lambda: b"[" * MB, "not closed", 1),
    "JSON with half a character": Bad(
        "a.jsonl", lambda: b'{"id":1,"name":"\\ud800"}\n{"id":2}\n', faults=(("json", None, 1, 1),)
    ),
    "JSON that is not a number": Bad(
        "a.jsonl", lambda: b'{"id":1}\n{"id":NaN}\n', faults=(("json", None, 1, 2),)
    ),
    "numbers beyond 64 bits": Bad(
        "a.csv",
        rows(b"9223372036854775808,a,s", b"-9223372036854775809,b,s", b"9" * 500 + b",c,s", GOOD),
        faults=(("type", "id", 3, 2),),
    ),
    "JSON numbers beyond 64 bits": Bad(
        "a.jsonl",
        lambda: (
            b'{"id":1}\n{"id":9223372036854775808}\n{"id":1e400}\n{"id":' + b"9" * 5000 + b"}\n"
        ),
        faults=(("json", None, 1, 4), ("type", "id", 2, 2)),
    ),
    "dates that never were": Bad(
        "dates.csv",
        lambda: b"id,day\n1,2024-02-29\n2,2024-02-30\n3,2023-02-29\n4,2024-13-01\n",
        faults=(("type", "day", 3, 3),),
    ),
    "mixed newlines": Bad(
        "a.csv",
        lambda: HEADER + b"1,a,s\r\n2,b,s\n3,c,s\r4,d,s\n",
        faults=(("newline", None, 1, 4),),
    ),
    "carriage returns alone": Bad(
        "a.csv", lambda: (HEADER + b"1,a,s\n").replace(b"\n", b"\r"), "carriage return alone", 1
    ),
    "invalid UTF-8": Bad(
        "a.csv", rows(GOOD, b"2,\xff\xfe,s"), faults=(("encoding", "name", 1, 3),)
    ),
    "invalid UTF-8 in the header": Bad(
        "a.csv", lambda: b"id,n\xffame,secret\n1,a,s\n", "the header is not UTF-8", 1
    ),
    "UTF-16 without a mark": Bad(
        "a.csv", lambda: (HEADER + b"1,a,s\n").decode().encode("utf-16-le"), "looks like UTF-16"
    ),
    "formulas": Bad(
        "a.csv",
        rows(b"1,=cmd|' /C calc'!A0,s", b"2,@SUM(1),s", b"+3,-1+1,s"),
        faults=(("type", "id", 1, 4),),
    ),
}
DATES = """
apiVersion: v3.2.0
kind: DataContract
id: dates
version: 1.0.0
schema:
  - name: dates
    properties: [{name: id, logicalType: integer}, {name: day, logicalType: date}]
customProperties: [{property: maxRejectedRatio, value: 1}]
"""


WIDE = DATES.replace(
    "{name: id, logicalType: integer}, {name: day, logicalType: date}",
    ", ".join(f"{{name: c{at}, logicalType: string, required: true}}" for at in range(40)),
)


RUN = """
import sys
from pathlib import Path
from landfall.cli.main import landfall
try:
    landfall()
finally:
    about = Path("/proc/self/status")
    sys.stderr.write(about.read_text() if about.exists() else "")
"""


def validated(path: Path, **settings: str) -> tuple[int, dict[str, Any], int]:
    """Exit code, report and peak of memory in bytes of `landfall validate`.

    The peak is that of the program alone, if the system reports it; that of `wait4` includes
    the memory of the parent process.
    """
    contract = path.with_name("small.odcs.yaml")
    small = SMALL_YAML.replace("RATIO", "1").replace("EXTRA", "")
    contract.write_text({"dates.csv": DATES, "wide.csv": WIDE}.get(path.name, small))
    page = path.with_name("page.html")
    command: list[str | Path] = [
        sys.executable,
        "-c",
        RUN,
        "validate",
        path,
        "--contract",
        contract,
    ]
    done = subprocess.run(
        [*command, "--json", "--html", page],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        env=os.environ | settings,
    )
    assert "=cmd|' " not in page.read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    return done.returncode, json.loads(done.stdout), int(peak[1]) * 1024 if peak else 0


@pytest.mark.large
@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str, tmp_path: Path) -> None:
    """The report has the verdict, the reason or the rule, and the place."""
    bad = CASES[case]
    path = tmp_path / bad.name
    path.write_bytes(bad.data())

    code, report, memory = validated(path)

    if bad.reason is None:
        assert (code, report["verdict"], report["problem"]) == (0, "accepted_with_rejects", None)
    else:
        assert (code, report["verdict"]) == (1, "refused")
        assert bad.reason in report["problem"]["reason"]
        assert report["problem"]["action"]
        assert report["problem"]["line"] == bad.line
    assert {
        (check["rule"], check["column"], check["failed"], check["samples"][0]["line"])
        for check in report["checks"]
    } == set(bad.faults)
    assert report["rejected"] == sum(count for _, _, count, _ in bad.faults)
    assert memory < BOUND


@pytest.mark.large
@pytest.mark.parametrize("kernel", ["on", "off"])
def test_a_file_of_only_faults(kernel: str, tmp_path: Path) -> None:
    """A million faults in one block are reported in pieces, in bounded memory."""
    path = tmp_path / "wide.csv"
    header = ",".join(f"c{at}" for at in range(40)).encode()
    path.write_bytes(header + (b"\n" + b"," * 39) * 25_000)

    _, report, memory = validated(path, LANDFALL_KERNEL=kernel)

    assert report["rejected"] == 25_000
    assert {check["failed"] for check in report["checks"]} == {25_000}
    assert memory < BOUND - 100 * MB


@pytest.mark.large
@pytest.mark.parametrize("kernel", ["on", "off"])
def test_long_values_are_not_cached(kernel: str, tmp_path: Path) -> None:
    """Hundreds of distinct values of a megabyte are validated in bounded memory."""
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(HEADER)
        file.writelines(b"%d,%d%s,s\n" % (at, at, b"x" * MB) for at in range(300))

    code, report, memory = validated(path, LANDFALL_KERNEL=kernel)

    assert (code, report["verdict"], report["rows"]) == (0, "accepted", 300)
    assert report["profile"][1]["distinct"] == pytest.approx(300, rel=0.03)
    assert memory < BOUND
