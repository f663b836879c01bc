"""A subject is found in drops of each format, and nothing else of a drop changes."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date

import openpyxl
import polars as pl
import pytest
import zstandard

from landfall.contract.folder import parse
from landfall.erasure.documents import ERASED, Redaction
from landfall.erasure.files import Unreadable, find, rewrite
from landfall.erasure.parquet import accepted_rows, find_accepted, rewrite_accepted
from landfall.erasure.subject import Found, Subject, SubjectError, referring, subject_of
from landfall.validation import Writer, validate
from landfall.validation.local_files import BytesSource
from tests.unit.validation import CONTRACTS, Findings

PEOPLE = parse(
    """
apiVersion: v3.2.0
kind: DataContract
id: people
version: 1.0.0
schema:
  - name: people
    properties:
      - {name: id, logicalType: integer, primaryKey: true, required: true}
      - {name: name, logicalType: string, classification: personal}
      - {name: town, logicalType: string, classification: internal}
customProperties:
  - {property: maxRejectedRatio, value: 1.0}
""",
    file="people.odcs.yaml",
)
VISITS = parse(
    """
apiVersion: v3.2.0
kind: DataContract
id: visits
version: 1.0.0
schema:
  - name: visits
    properties:
      - {name: person, logicalType: string, primaryKey: true, primaryKeyPosition: 1, required: true}
      - name: day
        logicalType: date
        primaryKey: true
        primaryKeyPosition: 2
        required: true
        logicalTypeOptions: {format: dd.MM.yyyy}
      - {name: amount, logicalType: integer}
customProperties:
  - {property: maxRejectedRatio, value: 1.0}
""",
    file="visits.odcs.yaml",
)
CSV = "id,name,town\n7,Ann,Oslo\n42,Bob,Bergen\n420,Cy,Oslo\n"
WITHOUT = "id,name,town\n7,Ann,Oslo\n420,Cy,Oslo\n"
BOB = subject_of(PEOPLE, 42)


def without(content: bytes, name: str, subject: Subject = BOB, contract: object = PEOPLE) -> bytes:
    """A file without the subject."""
    sink = io.BytesIO()
    rewrite(BytesSource(content, 11), contract, name, subject, sink)  # type: ignore[arg-type]
    return sink.getvalue()


def zipped(content: bytes) -> bytes:
    """An archive with one file."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.csv", content)
    return sink.getvalue()


def test_a_workbook_is_looked_through_and_not_written() -> None:
    """Its drop goes as a whole: there is typed Parquet of its records."""
    book = openpyxl.Workbook()
    for row in csv.reader(io.StringIO(CSV)):
        book.worksheets[0].append([int(cell) if cell.isdigit() else cell for cell in row])
    sink = io.BytesIO()
    book.save(sink)
    found = find(BytesSource(sink.getvalue()), PEOPLE, "a.xlsx", BOB)
    assert (found.records, found.rewritable) == (1, False)
    assert found.cells["name"] == {"Bob"}


@pytest.mark.parametrize(
    ("name", "pack", "unpack"),
    [
        ("a.csv", str.encode, bytes.decode),
        ("a.csv.gz", lambda t: gzip.compress(t.encode()), lambda b: gzip.decompress(b).decode()),
        (
            "a.csv.zst",
            lambda t: zstandard.ZstdCompressor().compress(t.encode()),
            lambda b: zstandard.ZstdDecompressor().decompressobj().decompress(b).decode(),
        ),
        (
            "a.csv",
            lambda t: codecs.BOM_UTF16_LE + t.encode("utf-16-le"),
            lambda b: b.removeprefix(codecs.BOM_UTF16_LE).decode("utf-16-le"),
        ),
        (
            "a.zip",
            lambda t: zipped(t.encode()),
            lambda b: zipfile.ZipFile(io.BytesIO(b)).read("inner.csv").decode(),
        ),
        ("a.csv", lambda t: codecs.BOM_UTF8 + t.encode(), lambda b: b.decode("utf-8-sig")),
    ],
)
def test_text_keeps_all_other_bytes(
    name: str, pack: Callable[[str], bytes], unpack: Callable[[bytes], str]
) -> None:
    """Encoding, byte order mark and compression stay, and each record that is another's."""
    content = pack(CSV)
    found = find(BytesSource(content), PEOPLE, name, BOB)
    assert found.records == 1
    assert found.cells["name"] == {"Bob"}
    after = without(content, name)
    assert unpack(after) == WITHOUT
    assert find(BytesSource(after), PEOPLE, name, BOB).records == 0


def test_objects_of_a_line_and_of_an_array() -> None:
    """JSON is found by the name of the key, wherever it stands in the object."""
    rows = [{"id": 7, "name": "Ann"}, {"town": "Bergen", "id": 42}, {"id": 420}]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert [json.loads(line)["id"] for line in without(lines, "a.jsonl").splitlines()] == [7, 420]
    array = without(json.dumps(rows, indent=1).encode(), "a.json")
    assert [row["id"] for row in json.loads(array)] == [7, 420]
    assert json.loads(without(json.dumps(rows[1:2]).encode(), "a.json")) == []


def test_parquet_keeps_columns_and_types() -> None:
    """Also those that the contract does not have."""
    frame = pl.DataFrame(
        {"id": [7, 42, 420], "name": ["Ann", "Bob", "Cy"], "town": ["Oslo"] * 3, "more": [1.5] * 3}
    ).with_columns(pl.lit(date(2026, 1, 1)).alias("day"))
    sink = io.BytesIO()
    frame.write_parquet(sink, row_group_size=2)
    after = without(sink.getvalue(), "a.parquet")
    assert pl.read_parquet(io.BytesIO(after)).equals(frame.filter(pl.col("id") != 42))


def test_a_composite_key_is_written_as_the_contract_says() -> None:
    """The subject is named in plain form, the drop writes days in its own."""
    subject = subject_of(VISITS, {"person": "a,b", "day": "2026-03-01"})
    content = b'person,day,amount\n"a,b",01.03.2026,1\n"a,b",02.03.2026,2\nc,01.03.2026,3\n'
    expected = b'person,day,amount\n"a,b",02.03.2026,2\nc,01.03.2026,3\n'
    assert without(content, "v.csv", subject, VISITS) == expected


def test_malformed_records_are_found_by_their_text() -> None:
    """A record with a field too many cannot be read by columns: its text has the key."""
    content = b"id,name,town\n42,Bob,Bergen,twice\n7,Ann,Oslo\n4242,Cy,Oslo,twice\n"
    assert without(content, "a.csv") == b"id,name,town\n7,Ann,Oslo\n4242,Cy,Oslo,twice\n"


def test_a_file_of_other_columns_is_read_by_the_key_alone() -> None:
    """A refused drop has the subject too."""
    content = b"town,id,colour\nOslo,7,red\nBergen,42,blue\n"
    assert without(content, "a.csv") == b"town,id,colour\nOslo,7,red\n"


def test_what_cannot_be_read_says_whether_it_has_the_key() -> None:
    """Such a file goes whole; of a packed one its bytes tell nothing."""
    for content, has_key in ((b"x,y\n1,42\n", True), (b"x,y\n1,421\n", False), (b"PK\3\4ab", None)):
        with pytest.raises(Unreadable) as caught:
            find(BytesSource(content, 3), PEOPLE, "a.csv", BOB)
        assert caught.value.has_key is has_key


def accepted_of(content: bytes) -> bytes:
    """What validation writes of a drop."""

    class Accepting(Findings):
        def accepted(self) -> AbstractContextManager[Writer]:
            return self._open("accepted")

    outputs = Accepting()
    validate(BytesSource(content), PEOPLE, name="a.csv", outputs=outputs)
    return outputs.kept["accepted"].getvalue()


def test_accepted_parquet_is_as_if_the_subject_had_not_been_there() -> None:
    """All other rows are as validation wrote them, with their places."""
    content = accepted_of(CSV.encode())
    assert find_accepted(BytesSource(content), PEOPLE, BOB).records == 1
    sink = io.BytesIO()
    written = rewrite_accepted(BytesSource(content), PEOPLE, BOB, sink)
    after = sink.getvalue()
    assert (written.rows, written.size) == (2, len(after))
    assert accepted_rows(BytesSource(after)) == 2
    kept = pl.read_parquet(io.BytesIO(content)).filter(pl.col("id") != 42)
    assert pl.read_parquet(io.BytesIO(after)).equals(kept)
    assert b"Bob" not in after


@pytest.mark.parametrize("given", ["forty", None, True, {"id": 1, "x": 2}, {"x": 1}, "", 1.5])
def test_a_key_is_of_the_contract(given: object) -> None:
    """What is no key says what is expected."""
    with pytest.raises(SubjectError, match="id"):
        subject_of(PEOPLE, given)


def test_datasets_that_refer_to_the_subject() -> None:
    """By relationships of their contracts, under the names of their own columns."""
    subject = subject_of(CONTRACTS["users"], 5)
    assert Subject("orders", {"buyer_id": "5"}) in referring(subject, CONTRACTS)
    assert referring(BOB, CONTRACTS) == []


def test_the_hash_needs_the_secret() -> None:
    """Another secret, another key, another dataset: another hash."""
    hashes = {
        BOB.keyed_hash(b"a"),
        BOB.keyed_hash(b"b"),
        subject_of(PEOPLE, 43).keyed_hash(b"a"),
        Subject("others", BOB.values).keyed_hash(b"a"),
    }
    assert len(hashes) == 4
    assert subject_of(PEOPLE, "42").keyed_hash(b"a") in hashes


def test_reports_show_nothing_of_the_subject() -> None:
    """Samples, examples, extremes and reasons; counts stay."""
    content = b"id,name,town\n4711,Bob,Bergen\n4711,Bob,Bergen\n7,Ann,Oslo\nx,Cy,Oslo\n"
    subject = subject_of(PEOPLE, 4711)
    outputs = Findings()
    report = validate(BytesSource(content), PEOPLE, name="a.csv", outputs=outputs).to_dict()
    report = json.loads(json.dumps(report))
    assert "4711" in json.dumps([report["checks"], report["examples"], report["profile"]])
    redaction = Redaction(subject, PEOPLE, find(BytesSource(content), PEOPLE, "a.csv", subject))
    after = redaction.report(report)
    shown = json.dumps([after["checks"], after["examples"], after["profile"]])
    assert ERASED in shown
    assert "4711" not in shown
    assert "Bergen" not in shown
    assert [check["failed"] for check in after["checks"]] == [
        check["failed"] for check in report["checks"]
    ]
    reasons = redaction.reasons(outputs.kept["reasons"].getvalue())
    assert b"4711" not in reasons
    assert reasons.count(b"\n") == 2
    assert Redaction(subject, PEOPLE, Found()).report(after) == after
