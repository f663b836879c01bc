"""Whole CSV files: accepted, with rejects, or refused with a reason and an action."""

import codecs
import gzip
import json
import resource

import pytest
import zstandard

from landfall.contract.folder import parse
from tests.unit.prefilters import PREFILTERS, use_prefilter
from tests.unit.validation import CONTRACTS, faults, run_validation, small

GOOD = b"id,name,secret\n1,a,s\n2,b,s\n3,,\n"


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.rstrip(b"\n"),
        GOOD.replace(b"\n", b"\r\n"),
        codecs.BOM_UTF8 + GOOD,
        GOOD.replace(b",", b";"),
        GOOD.replace(b",", b"\t"),
        GOOD.replace(b",", b"|"),
        GOOD.decode().encode("utf-16"),
        codecs.BOM_UTF16_BE + GOOD.decode().encode("utf-16-be"),
        gzip.compress(GOOD),
        gzip.compress(GOOD[:20]) + gzip.compress(GOOD[20:]),
        b"\n\n" + GOOD.replace(b"\n", b"\n\n"),
        b'"id","name","secret"\n"1","a","s"\n"2","b\n""x""","s"\n3,"",""\n',
        b"secret,id,name\ns,1,a\ns,2,b\n,3,\n",
    ],
    ids=[
        "plain",
        "no last line end",
        "CRLF",
        "BOM",
        "semicolons",
        "tabs",
        "pipes",
        "UTF-16",
        "UTF-16 BE",
        "gzip",
        "two gzip members",
        "blank lines",
        "quoted",
        "reordered",
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_accepted_in_every_format(data: bytes, chunk: int) -> None:
    """Line ends, marks, delimiters, encodings, compression and column order do not matter."""
    report, findings = run_validation(data, small(), chunk=chunk)

    assert (report.verdict, report.rows, report.rejected) == ("accepted", 3, 0), report.problem
    assert set(findings.kept) == {"accepted"}
    assert [row["id"] for row in findings.rows()] == [1, 2, 3]
    assert report.sha256 is not None


def test_encodings_by_declaration() -> None:
    """The contract declares another encoding than UTF-8."""
    contract = small(extra="  - {property: encoding, value: ISO-8859-1}\n")

    report, findings = run_validation("id,name,secret\n1,é,s\nx,ü,s\n".encode("latin-1"), contract)

    assert faults(report) == {("type", "id"): (1, [3])}
    assert findings["rejects"] == "id,name,secret\nx,ü,s\n".encode("latin-1")
    assert findings.rows() == [{"id": 1, "name": "é", "secret": "s"}]
    assert report.format.encoding == "ISO-8859-1"


def test_utf16_rejects_keep_their_encoding() -> None:
    """Rejects have the byte order mark and the encoding of the file."""
    data = codecs.BOM_UTF16_BE + "id,name,secret\n1,é,s\nx,ü,s\n".encode("utf-16-be")

    _, findings = run_validation(data, small())

    rejects = codecs.BOM_UTF16_BE + "id,name,secret\nx,ü,s\n".encode("utf-16-be")
    assert findings["rejects"] == rejects


def test_rejects_reasons_and_accepted_records() -> None:
    """Bad records go to the rejects with their reasons, all others to the typed Parquet."""
    data = b'id,name,secret\r\n1,a,s\r\n1,"b\r\nc",q\r\nx,\xff\xe9,s\r\n4,d\r\n5,e,s'

    report, findings = run_validation(data, small())

    assert report.verdict == "accepted_with_rejects"
    assert (report.rows, report.accepted, report.rejected) == (5, 2, 3)
    assert findings["rejects"] == (b'id,name,secret\r\n1,"b\r\nc",q\r\nx,\xff\xe9,s\r\n4,d\r\n')
    assert findings.parquet().rows() == [(1, "a", "s", 1, 2), (5, "e", "s", 5, 7)]
    assert findings["reasons"] is not None
    assert [json.loads(line) for line in findings["reasons"].splitlines()] == [
        {
            "line": 3,
            "faults": [
                {"rule": "enum", "column": "secret", "value": "***"},
                {"rule": "unique", "column": "id", "value": "1"},
            ],
        },
        {
            "line": 5,
            "faults": [
                {"rule": "type", "column": "id", "value": "x"},
                {"rule": "encoding", "column": "name", "value": "\\xff\\xe9"},
            ],
        },
        {
            "line": 6,
            "faults": [{"rule": "fieldCount", "column": None, "value": "2 fields instead of 3"}],
        },
    ]


def test_compressed_data_is_written_typed() -> None:
    """The compression of a drop is gone with its format."""
    report, findings = run_validation(gzip.compress(b"id,name,secret\n1,a,s\nx,b,s\n"), small())

    assert findings.rows() == [{"id": 1, "name": "a", "secret": "s"}]
    assert report.format.compression == "gzip"


def test_corrected_rejects_are_accepted() -> None:
    """A rejects file with corrected cells is accepted as a drop."""
    _, findings = run_validation(b"id,name,secret\n1,a,s\nx,b,s\n", small())
    assert findings["rejects"] is not None

    report, _ = run_validation(findings["rejects"].replace(b"x,", b"7,"), small())

    assert report.verdict == "accepted"


def test_counts_are_exact_and_samples_capped() -> None:
    """All faults are counted and five are shown."""
    rows = b"".join(b"%d,a,q\n" % n for n in range(1000))

    report, _ = run_validation(b"id,name,secret\n" + rows, small())

    assert faults(report) == {("enum", "secret"): (1000, [2, 3, 4, 5, 6])}
    assert {s.value for c in report.checks for s in c.samples} == {"***"}


@pytest.mark.parametrize(("bad", "verdict"), [(2, "accepted_with_rejects"), (3, "refused")])
def test_tolerance_decides(bad: int, verdict: str) -> None:
    """Up to the tolerated share of rejects the rest is accepted, beyond it the file is refused."""
    rows = [b"%d,a,%s\n" % (n, b"q" if n < bad else b"s") for n in range(10)]

    report, findings = run_validation(b"id,name,secret\n" + b"".join(rows), small(ratio=0.2))

    assert report.verdict == verdict
    assert (findings["accepted"] is not None) == (verdict != "refused")
    assert (report.parquet is not None) == (verdict != "refused")
    assert (report.problem is not None) == (verdict == "refused")


def test_extra_columns_are_reported_and_not_validated() -> None:
    """Columns that are not in the contract are ignored."""
    report, _ = run_validation(b"x,id,name,y,secret\n?,1,a,?,s\n", small())

    assert report.verdict == "accepted"
    assert report.columns.extra == ("x", "y")
    assert not report.columns.reordered


def test_reordered_columns_are_matched_by_name() -> None:
    """Cells are never shifted: the fault is in the column where it is."""
    report, _ = run_validation(b"secret,name,id\ns,a,1\nq,b,2\n", small())

    assert faults(report) == {("enum", "secret"): (1, [3])}
    assert report.columns.reordered


HEADER = b"id,name,secret\n"
PNG = b"\x89PNG\r\n\x1a\n"
REFUSED: dict[str, tuple[bytes, str, str, str]] = {
    "empty": (b"", "a.csv", "empty", "send it again"),
    "empty gzip": (gzip.compress(b""), "a.csv.gz", "empty", "send it again"),
    "blank": (b"\n\r\n", "a.csv", "blank", "send it again"),
    "header only": (HEADER, "a.csv", "no records", "send it again"),
    "header without end": (HEADER.strip(), "a.csv", "no records", "send it again"),
    "no header": (b"1,a,s\n", "a.csv", "not the header", "put a header"),
    "missing": (b"name,secret\na,s\n", "a.csv", "'id' is missing", "add column 'id'"),
    "misspelt": (b"id,nam,secret\n1,a,s\n", "a.csv", "'name' is missing", "rename 'nam'"),
    "renamed": (b"id,Na_me,secret\n1,a,s\n", "a.csv", "nearest", "rename 'Na_me' to 'name'"),
    "twice": (b"id,name,id,secret\n1,a,1,s\n", "a.csv", "more than once", "unique name"),
    "latin header": (b"id,n\xe4me,secret\n", "a.csv", "not UTF-8", "UTF-8"),
    "quote in header": (b'id,"name,secret\n1,a,s\n', "a.csv", "not closed", "close it"),
    "unclosed": (HEADER + b'1,a,s\n2,"b,s\n3,c,s\n', "a.csv", "opened on line 3", "close it"),
    "old Mac": (HEADER.replace(b"\n", b"\r") + b"1,a,s\r", "a.csv", "carriage", "LF"),
    "wide": ("id,name\n".encode("utf-16-le"), "a.csv", "UTF-16", "UTF-8"),
    "half a pair": ("id,name\n".encode("utf-16")[:-1], "a.csv", "utf-16", "UTF-8"),
    "image": (PNG, "a.csv", "PNG", "send CSV"),
    "workbook": (b"PK\x03\x04x", "a.csv", "Excel", ".xlsx"),
    "Parquet by another name": (b"PAR1xPAR1", "a.csv", "Parquet", "name the file"),
    "no Parquet": (HEADER, "a.parquet", "not Parquet", "name it after"),
    "no gzip": (HEADER, "a.csv.gz", "not gzip", "drop .gz"),
    "cut gzip": (gzip.compress(GOOD)[:-9], "a.csv.gz", "too early", "again whole"),
    "bad gzip": (
        gzip.compress(GOOD)[:15] + b"\0\xff" * 20,
        "a.csv",
        "gzip",
        "again",
    ),
    "no JSON": (HEADER, "a.json", "says JSON", "one object a line"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_reason_and_action(case: str) -> None:
    """A refused file has a reason and an action."""
    data, name, reason, action = REFUSED[case]

    report, findings = run_validation(data, small(), name=name)

    assert report.verdict == "refused"
    assert report.problem is not None
    assert reason in report.problem.reason
    assert action in report.problem.action
    assert findings["accepted"] is None


def test_another_delimiter_than_declared() -> None:
    """If the contract has a delimiter, another one is refused."""
    contract = small(extra='  - {property: delimiter, value: ","}\n')

    report, _ = run_validation(GOOD.replace(b",", b";"), contract)

    assert report.problem is not None
    assert "';'" in report.problem.reason
    assert "','" in report.problem.action


def test_wrong_delimiter_of_a_real_dataset() -> None:
    """The users' contract says comma."""
    header = ";".join(column.name for column in CONTRACTS["users"].columns)

    report, _ = run_validation(header.encode() + b"\n1;user\n", CONTRACTS["users"])

    assert report.problem is not None
    assert "delimited by ';'" in report.problem.reason


def test_missing_columns_are_all_named() -> None:
    """The report names all missing columns."""
    report, _ = run_validation(b"id\n1\n", small())

    assert report.columns.missing == ("name", "secret")


def test_everything_before_a_refusal_is_counted() -> None:
    """Faults before an unclosed quote are counted."""
    report, findings = run_validation(b'id,name,secret\nx,a,s\n2,a,q\n3,"a,s\n', small())

    assert report.verdict == "refused"
    assert faults(report) == {("type", "id"): (1, [2]), ("enum", "secret"): (1, [3])}
    assert findings["rejects"] == b"id,name,secret\nx,a,s\n2,a,q\n"


def test_a_field_of_two_megabytes_is_data() -> None:
    """A long field is valid."""
    report, _ = run_validation(b'id,name,secret\n1,"%s",s\n2,b,s\n' % (b"a" * 2_000_000), small())

    assert (report.verdict, report.rows) == ("accepted", 2)


@pytest.mark.parametrize(
    "data",
    [
        b"a" * 50_000_000,
        b"id,name,secret\n" + b"a" * 50_000_000,
        b'id,name,secret\n1,"' + b"a\n" * 25_000_000,
        gzip.compress(b"id,name,secret\n" + b"\n" * 50_000_000),
    ],
    ids=["one line", "one record", "open quote", "bomb"],
)
def test_what_does_not_end_is_refused_in_bounded_memory(data: bytes) -> None:
    """Only a few blocks are in memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    report, _ = run_validation(data, small())

    assert report.verdict == "refused"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


def test_two_hundred_columns() -> None:
    """Extra columns are only read."""
    names = ["id", "name", "secret", *(f"c{n}" for n in range(10_000))]
    row = ["1", "a", "s", *["x"] * 10_000]
    data = (",".join(names) + "\n" + ",".join(row) + "\n").encode()

    report, _ = run_validation(data, small())

    assert (report.verdict, len(report.columns.extra)) == ("accepted", 10_000)


def test_formulas_are_data() -> None:
    """Formulas are text in the report and in the rejects."""
    report, findings = run_validation(b"id,name,secret\n=cmd|'/C calc'!A0,b,s\n", small())

    assert report.checks[0].samples[0].value == "=cmd|'/C calc'!A0"
    assert findings["rejects"] == b"id,name,secret\n=cmd|'/C calc'!A0,b,s\n"


def test_empty_parts_of_a_composite_key() -> None:
    """In a composite key an empty value counts as a value."""
    contract = CONTRACTS["sellers_compared"]
    names = [column.name for column in contract.columns]

    def row(country: str, sex: str) -> str:
        cells = ["1" if c.logical_type == "integer" else "1.5" for c in contract.columns[2:]]
        return ",".join([country, sex, *cells]) + "\n"

    text = ",".join(names) + "\n" + row("", "Male") + row("", "") + row("Italie", "Male")

    assert run_validation(text.encode(), contract)[0].verdict == "accepted"
    report, _ = run_validation((text + row("", "Male")).encode(), contract)
    assert faults(report) == {("unique", "country,sex"): (1, [5])}


ZSTD = zstandard.ZstdCompressor()


def test_zstd_is_read() -> None:
    """Several frames are one file."""
    data = b"id,name,secret\n1,a,s\n2,b,s\n"

    report, findings = run_validation(ZSTD.compress(data) + ZSTD.compress(b"3,c,s\n"), small())

    assert (report.verdict, report.rows, report.format.compression) == ("accepted", 3, "zstd")
    assert [row["name"] for row in findings.rows()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ZSTD.compress(b"id,name,secret\n" * 999)[:-9], "ends too early"),
        (ZSTD.compress(b"id,name,secret\n")[:6] + b"\xff" * 40, "damaged"),
        (ZSTD.compress(b"id,name,secret\n" + b"\n" * 50_000_000), "expands more than"),
    ],
)
def test_damaged_zstd_is_refused(data: bytes, reason: str) -> None:
    """Incomplete, damaged or a decompression bomb, which is refused in bounded memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    report, _ = run_validation(data, small(), name="drop.csv.zst")

    assert report.problem is not None
    assert reason in report.problem.reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


@pytest.mark.parametrize("prefilter", PREFILTERS)
def test_mixed_line_ends_and_nul_bytes(prefilter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LF and CRLF may alternate; a NUL or a lone carriage return is a fault of its record."""
    use_prefilter(prefilter, monkeypatch)
    data = b'id,name,secret\n1,a\0,s\n2,b,s\r\n3,c,s\n\n\r\n4,"d\r\ne",s\r\n5,f,s\r6,g,s\n7,h,s'

    report, findings = run_validation(data, small())

    assert faults(report) == {("encoding", "name"): (1, [2]), ("newline", None): (1, [9])}
    assert (report.rows, report.rejected) == (6, 2)
    assert findings.parquet()["name"].to_list() == ["b", "c", "d\r\ne", "h"]
    assert findings.parquet()["_line"].to_list() == [3, 4, 7, 10]


@pytest.mark.parametrize("prefilter", PREFILTERS)
def test_faults_before_an_open_quote_are_kept(
    prefilter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any prefilter, the faults before the place where reading ends are reported."""
    use_prefilter(prefilter, monkeypatch)

    report, findings = run_validation(b'id,name,secret\nx,a,s\n2,a,q\n3,"b,s\n4,a,s\n', small())

    assert (report.verdict, report.rows, report.rejected) == ("refused", 2, 2)
    assert report.problem is not None
    assert report.problem.line == 4
    assert findings["rejects"] == b"id,name,secret\nx,a,s\n2,a,q\n"


def test_numbers_beyond_64_bits_and_invalid_dates() -> None:
    """Values that a lenient reader would accept are rejected."""
    contract = parse(
        """
apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: n, logicalType: integer}
      - {name: d, logicalType: date}
customProperties: [{property: maxRejectedRatio, value: 1}]
""",
        file="t",
    )
    rows = b"9223372036854775807,2024-02-29\n9223372036854775808,2024-02-30\n"

    report, _ = run_validation(b"n,d\n" + rows, contract)

    assert faults(report) == {("type", "n"): (1, [3]), ("type", "d"): (1, [3])}


@pytest.mark.parametrize(
    ("policy", "header"),
    [("extraColumns", "id,name,secret,x"), ("reorderedColumns", "name,id,secret")],
)
def test_frozen_columns(policy: str, header: str) -> None:
    """A change of frozen columns is refused."""
    frozen = small(extra=f"  - {{property: drift, value: {{{policy}: freeze}}}}\n")
    data = f"{header}\n" + "1," * header.count(",") + "s\n"

    report, _ = run_validation(data.encode(), frozen)

    assert report.verdict == "refused"
    assert report.problem is not None
    assert "does not allow" in report.problem.reason
