"""JSON Lines, JSON arrays and Parquet: the same verdicts from values that have a type."""

import io
import json
from collections.abc import Iterator
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.contracts import parse
from ingest.validate import thrift
from ingest.validate.array import Elements
from ingest.validate.footer import COLUMNS, MAX_CELLS, assembled, groups_of
from tests.unit.validation import CONTRACTS, faults, judge, small

ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": "a", "secret": "s"},
    {"secret": "s", "id": 2, "more": [1]},
    {"id": 2, "name": None, "secret": "s"},
    {"id": "3", "name": "d", "secret": "q"},
    {"id": 4, "name": "line\nend", "secret": None},
]
EXPECTED = {
    ("unique", "id"): 1,
    ("type", "id"): 1,
    ("enum", "secret"): 1,
}


@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_json_lines(chunk: int) -> None:
    """One object a line, absent names are missing values, unknown names are extra."""
    data = "\n\n".join(json.dumps(row) for row in ROWS).encode()

    report, findings = judge(data, small(), name="drop.jsonl", chunk=chunk)

    assert {key: count for key, (count, _) in faults(report).items()} == EXPECTED
    assert faults(report)["unique", "id"] == (1, [5])
    assert report.columns.extra == ("more",)
    assert findings["rejects"] == "".join(json.dumps(r) + "\n" for r in ROWS[2:4]).encode()
    assert judge(findings["clean"] or b"", small(), name="x.jsonl")[0].verdict == "accepted"


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_array(chunk: int, indent: int | None) -> None:
    """An element's line is where it begins; rejects and clean copy are JSON Lines."""
    data = json.dumps(ROWS, indent=indent).encode()

    report, findings = judge(data, small(), name="drop.json", chunk=chunk)

    assert {key: count for key, (count, _) in faults(report).items()} == EXPECTED
    if indent:
        line = data[: data.index(b'"id": "3"')].count(b"\n")
        assert faults(report)["type", "id"] == (1, [line])
    rejects = [json.loads(line) for line in (findings["rejects"] or b"").splitlines()]
    clean = [json.loads(line) for line in (findings["clean"] or b"").splitlines()]
    assert rejects == ROWS[2:4]
    assert clean == [*ROWS[:2], ROWS[4]]
    assert report.clean is not None
    assert report.clean.kind == "jsonl"


BROKEN = [
    "{",
    "[1]",
    "1",
    "nul",
    '{"id": NaN}',
    '{"id": 1, "id": 2}',
    '{"id": 1}}',
    "[" * 10_000 + "]" * 10_000,
    '{"id":' * 10_000,
    '{"id": ' + "9" * 10_000 + "}",
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_malformed_line_harms_no_other(line: str) -> None:
    """It is one reject; the records around it stand."""
    data = f'{{"id": 1}}\n{line}\n{{"id": 2}}\n'.encode()

    report, _ = judge(data, small(), name="drop.ndjson")

    assert (report.rows, report.rejected) == (3, 1)
    assert report.checks[0].rule == "json"
    assert report.checks[0].samples[0].line == 2


def test_bytes_that_are_no_text_in_json() -> None:
    """A line that is not UTF-8 is a reject and goes back as it came."""
    report, findings = judge(b'{"id": 1}\n{"id": 2, "name": "\xe9"}\n', small(), name="a.jsonl")

    assert faults(report) == {("encoding", None): (1, [2])}
    assert findings["rejects"] == b'{"id": 2, "name": "\xe9"}\n'


@pytest.mark.parametrize(
    ("text", "rows", "rejected"),
    [
        ('[{"id": 1}, 5, {"id": 2}]', 3, 1),
        ('[{"id": 1}, {"id" 2}, {"id": 3}]', 3, 1),
        ('[{"id": 1},]', 2, 1),
        ('[{"id": 1} {"id": 2}, {"id": 3}]', 2, 1),
        ('[{"id": 1, "name": "]},{"}]', 1, 0),
        ('[{"id": 1, "name": "\\"]"}]  \n', 1, 0),
    ],
)
def test_malformed_elements(text: str, rows: int, rejected: int) -> None:
    """Elements are told apart by brackets and strings alone."""
    report, _ = judge(text.encode(), small(), name="drop.json")

    assert (report.rows, report.rejected) == (rows, rejected)


@pytest.mark.parametrize(
    "text", ["[]", '[{"id": 1}', '[{"id": 1}] x', "[", '[{"id": "', '[{"id": 1},']
)
def test_malformed_arrays_are_refused(text: str) -> None:
    """Empty, cut off, or followed by something else."""
    report, _ = judge(text.encode(), small(), name="drop.json")

    assert report.verdict == "refused"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON, max_size=6), st.sampled_from([None, 1]), st.integers(1, 40))
def test_elements_are_what_json_reads(values: list[Any], indent: int | None, chunk: int) -> None:
    """Cut in whatever chunks, the elements come back one by one."""
    data = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]

    found = [json.loads(text) for block in Elements(chunks) for text, _ in block]

    assert found == values


def parquet(frame: pl.DataFrame, **options: Any) -> bytes:
    """``frame`` as the bytes of a Parquet file."""
    file = io.BytesIO()
    frame.write_parquet(file, **options)
    return file.getvalue()


FRAME = pl.DataFrame(
    {
        "secret": ["s", "q", None] * 400,
        "id": [*range(1199), 7],
        "name": ["é"] * 1200,
        "more": [1.5] * 1200,
    }
)


@pytest.mark.parametrize("options", [{"row_group_size": 100}, {"compression": "snappy"}, {}])
def test_parquet(options: dict[str, Any]) -> None:
    """Row groups are read one by one; a record's line is its number."""
    report, findings = judge(parquet(FRAME, **options), small(), name="drop.parquet")

    assert report.verdict == "accepted_with_rejects"
    assert (report.rows, report.rejected) == (1200, 401)
    assert faults(report)["enum", "secret"] == (400, [2, 5, 8, 11, 14])
    assert faults(report)["unique", "id"] == (1, [1200])
    assert report.columns.extra == ("more",)
    first = json.loads((findings["rejects"] or b"").splitlines()[0])
    assert first == {"id": 1, "name": "é", "secret": "q"}
    assert len((findings["clean"] or b"").splitlines()) == 799


def test_parquet_types_are_the_contracts() -> None:
    """Another type is another table: refused, with both named."""
    frame = FRAME.with_columns(pl.col("id").cast(pl.String))

    report, _ = judge(parquet(frame), small(), name="drop.parquet")

    assert report.problem is not None
    assert "'id' is String in the file, the contract says integer" in report.problem.reason


def test_parquet_lacks_a_column() -> None:
    """As in a CSV, with the nearest name."""
    report, _ = judge(parquet(FRAME.rename({"name": "Name"})), small(), name="drop.parquet")

    assert report.columns.missing == ("name",)


@pytest.mark.parametrize("cut", [5, 200, -1, -9])
def test_damaged_parquet_is_refused(cut: int) -> None:
    """Without its footer, or with its pages overwritten, nothing can be read."""
    data = parquet(FRAME)
    for damaged in (data[:cut], data[:cut] + b"\xff" * 40 + data[cut:][40:]):
        report, _ = judge(damaged, small(), name="drop.parquet")
        assert report.rows == report.accepted + report.rejected
        if damaged is not data[:cut]:
            continue
        assert report.verdict == "refused"
        assert report.problem is not None
        assert "Parquet" in report.problem.reason


def structs(fields: thrift.Struct) -> Iterator[thrift.Struct]:
    """A struct of a footer and all below it."""
    yield fields
    for each in fields:
        inside = each.value.values if isinstance(each.value, thrift.Items) else [each.value]
        for value in inside:
            if isinstance(value, list):
                yield from structs(value)


VALUES = st.sampled_from(
    [
        *((kind, whole) for kind in (thrift.I32, thrift.I64) for whole in (-1, 0, 7, 1 << 62)),
        (thrift.BINARY, b"name"),
        (thrift.DOUBLE, bytes(8)),
        (thrift.TRUE, None),
        (thrift.LIST, thrift.Items(thrift.STRUCT, [])),
        (thrift.LIST, thrift.Items(thrift.I32, [1, 2])),
        (thrift.STRUCT, []),
    ]
)


@given(st.data(), st.none() | VALUES)
@settings(max_examples=300, deadline=None)
def test_a_footer_that_says_what_cannot_be_is_refused(
    data: st.DataObject, other: tuple[int, Any] | None
) -> None:
    """A field is gone or is something else: the file is refused or judged, and nothing dies."""
    whole = parquet(FRAME.select("id", "name", "secret"), row_group_size=400)
    length = int.from_bytes(whole[-8:-4], "little")
    pages, footer = whole[: -8 - length], thrift.decode(whole[-8 - length : -8])
    chosen = data.draw(st.sampled_from([each for each in structs(footer) if each]))
    at = data.draw(st.integers(0, len(chosen) - 1))
    chosen[at : at + 1] = [] if other is None else [thrift.Field(chosen[at].id, *other)]
    encoded = thrift.encode(footer)

    report, _ = judge(
        pages + encoded + len(encoded).to_bytes(4, "little") + b"PAR1", small(), name="drop.parquet"
    )

    assert (report.problem is not None) == (report.verdict == "refused")
    assert report.rows == report.accepted + report.rejected


Place = tuple[thrift.Struct, int, int]


def pages(data: bytes, footer: thrift.Struct) -> Iterator[Place]:
    """Of each page: the metadata of its column chunk, and where its header begins and ends."""
    for group in groups_of(footer):
        for chunk in thrift.get(group, COLUMNS).values:
            meta = thrift.get(chunk, 3)
            at = min(place for place in (thrift.get(meta, 9), thrift.get(meta, 11)) if place)
            end = at + thrift.get(meta, 7)
            while at < end:
                header, behind = thrift.decode_at(data, at)
                yield meta, at, behind
                at = behind + thrift.get(header, 3)


def with_header(data: bytes, footer: thrift.Struct, place: Place, header: bytes) -> bytes:
    """The file with another header of one page, and all offsets moved by what it is longer."""
    changed, at, behind = place
    more = len(header) - (behind - at)
    thrift.put(changed, 7, thrift.get(changed, 7) + more)
    for group in groups_of(footer):
        for chunk in thrift.get(group, COLUMNS).values:
            meta = thrift.get(chunk, 3)
            for field_id in (9, 11):
                if (thrift.get(meta, field_id) or 0) > at:
                    thrift.put(meta, field_id, thrift.get(meta, field_id) + more)
    return assembled(data[4:at] + header + data[behind:], footer)


def arrow(version: Literal["1.0", "2.0"], **options: Any) -> bytes:
    """A file that Arrow wrote: with dictionaries, and with pages of either version."""
    sink = io.BytesIO()
    table = FRAME.select("id", "name", "secret").to_arrow()
    pq.write_table(table, sink, data_page_version=version, row_group_size=400, **options)
    return sink.getvalue()


PAGED = {
    "polars": parquet(FRAME.select("id", "name", "secret"), row_group_size=400),
    "first version": arrow("1.0"),
    "second version": arrow("2.0", compression="none"),
    "small pages": arrow("2.0", data_page_size=64, write_batch_size=16),
}


@pytest.mark.parametrize("kind", PAGED)
def test_pages_of_every_writer_are_sound(kind: str) -> None:
    """What writers write is what is looked for."""
    report, _ = judge(PAGED[kind], small(), name="drop.parquet")

    assert (report.rows, report.rejected) == (1200, 401)


@given(st.data(), st.sampled_from(sorted(PAGED)), st.none() | VALUES)
@settings(max_examples=300, deadline=None)
def test_a_page_that_says_what_cannot_be_is_refused(
    data: st.DataObject, kind: str, other: tuple[int, Any] | None
) -> None:
    """A reader that believed a page's counts would ask for more memory than there is, and die."""
    whole = PAGED[kind]
    length = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[: -8 - length], thrift.decode(whole[-8 - length : -8])
    place = data.draw(st.sampled_from(list(pages(body, footer))))
    header, _ = thrift.decode_at(body, place[1])
    chosen = data.draw(st.sampled_from([each for each in structs(header) if each]))
    at = data.draw(st.integers(0, len(chosen) - 1))
    chosen[at : at + 1] = [] if other is None else [thrift.Field(chosen[at].id, *other)]

    report, _ = judge(
        with_header(body, footer, place, thrift.encode(header)), small(), name="drop.parquet"
    )

    assert (report.problem is not None) == (report.verdict == "refused")
    assert report.rows == report.accepted + report.rejected


@pytest.mark.parametrize("field_id", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("count", [-1, 1 << 31, 1 << 62])
def test_a_page_counts_what_it_has(field_id: int, count: int) -> None:
    """Each count of a page of the second version, one by one: the refusal names the row group."""
    whole = PAGED["second version"]
    length = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[: -8 - length], thrift.decode(whole[-8 - length : -8])
    place = list(pages(body, footer))[1]
    header, _ = thrift.decode_at(body, place[1])
    thrift.put(thrift.get(header, 8), field_id, count)

    report, _ = judge(
        with_header(body, footer, place, thrift.encode(header)), small(), name="drop.parquet"
    )

    assert report.problem is not None
    assert "row group 1 of the Parquet file cannot be read" in report.problem.reason


def test_a_row_group_that_unpacks_to_more_than_memory_is_refused() -> None:
    """Sixty-seven million empty values take some kilobytes in the file, and gigabytes when read."""
    sink = io.BytesIO()
    rows = MAX_CELLS // 3 + 1
    empty = dict.fromkeys(("id", "name", "secret"), pa.nulls(rows))
    pq.write_table(pa.table(empty), sink, row_group_size=rows)

    report, _ = judge(sink.getvalue(), small(), name="drop.parquet")

    assert len(sink.getvalue()) < 1 << 20
    assert report.problem is not None
    assert "larger than" in report.problem.reason


def test_a_row_group_without_rows_is_passed_over() -> None:
    """Some writers leave one."""
    sink = io.BytesIO()
    table = FRAME.select("id", "name", "secret").to_arrow()
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table.slice(0, 0))
        writer.write_table(table)

    report, _ = judge(sink.getvalue(), small(), name="drop.parquet")

    assert (report.rows, report.rejected) == (1200, 401)


def test_dates_and_times_of_parquet() -> None:
    """Dates, timestamps with and without a zone, decimals and categories are taken as they are."""
    contract = parse(
        """
apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: d, logicalType: date, logicalTypeOptions: {minimum: "2024-01-01"}}
      - {name: t, logicalType: timestamp, logicalTypeOptions: {minimum: "2024-01-01T00:00:00Z"}}
      - {name: n, logicalType: number, logicalTypeOptions: {maximum: 2}}
      - {name: c, logicalType: string}
""",
        file="t",
    )
    frame = pl.DataFrame({"d": ["2024-01-01", "2023-12-31"], "n": ["1.5", "2.5"]}).select(
        pl.col("d").str.to_date(),
        pl.col("d").str.to_datetime(time_unit="ns", time_zone="UTC").alias("t"),
        pl.col("n").cast(pl.Decimal(10, 2)),
        pl.lit("x").cast(pl.Categorical).alias("c"),
    )

    report, findings = judge(parquet(frame), contract, name="drop.parquet")

    assert faults(report) == {
        ("minimum", "d"): (1, [2]),
        ("minimum", "t"): (1, [2]),
        ("maximum", "n"): (1, [2]),
    }
    assert json.loads(findings["rejects"] or b"")["d"] == "2023-12-31"


def test_users_of_the_marketplace_in_every_kind() -> None:
    """One table, three ways to write it, one verdict."""
    from marketplace import generate_users  # noqa: PLC0415 - only here

    frame = pl.DataFrame([user._asdict() for user in generate_users(500, 3)])
    kinds = {
        "users.parquet": parquet(frame),
        "users.jsonl": frame.write_ndjson().encode(),
        "users.json": json.dumps(frame.to_dicts()).encode(),
        "users.csv": frame.write_csv(quote_style="always").encode(),
    }
    for name, data in kinds.items():
        report, _ = judge(data, CONTRACTS["users"], name=name)
        assert (report.verdict, report.rows) == ("accepted", 500), (name, report.checks)
