"""Parquet files: row groups, and inconsistent footers and pages."""

import io
import json
import random
from collections.abc import Iterator
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.contract.folder import parse
from landfall.validation.readers import thrift
from landfall.validation.readers.footer import COLUMNS, MAX_CELLS, assemble, groups_of
from tests.unit.validation import faults, run_validation, small


def parquet(frame: pl.DataFrame, **options: Any) -> bytes:
    """`frame` as the bytes of a Parquet file."""
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
    report, findings = run_validation(parquet(FRAME, **options), small(), name="drop.parquet")

    assert report.verdict == "accepted_with_rejects"
    assert (report.rows, report.rejected) == (1200, 401)
    assert faults(report)["enum", "secret"] == (400, [2, 5, 8, 11, 14])
    assert faults(report)["unique", "id"] == (1, [1200])
    assert report.columns.extra == ("more",)
    first = json.loads((findings["rejects"] or b"").splitlines()[0])
    assert first == {"id": 1, "name": "é", "secret": "q"}
    assert len(findings.rows()) == 799


def test_parquet_types_are_the_contracts() -> None:
    """A column of another type is refused, with both types named."""
    frame = FRAME.with_columns(pl.col("id").cast(pl.String))

    report, _ = run_validation(parquet(frame), small(), name="drop.parquet")

    assert report.problem is not None
    assert "'id' is String in the file, the contract says integer" in report.problem.reason


def test_parquet_lacks_a_column() -> None:
    """As in a CSV, with the nearest name."""
    report, _ = run_validation(
        parquet(FRAME.rename({"name": "Name"})), small(), name="drop.parquet"
    )

    assert report.columns.missing == ("name",)


@pytest.mark.parametrize("cut", [5, 200, -1, -9])
def test_damaged_parquet_is_refused(cut: int) -> None:
    """A file without its footer, or with damaged pages, is refused."""
    data = parquet(FRAME)
    for damaged in (data[:cut], data[:cut] + b"\xff" * 40 + data[cut:][40:]):
        report, _ = run_validation(damaged, small(), name="drop.parquet")
        assert report.rows == report.accepted + report.rejected
        if damaged is not data[:cut]:
            continue
        assert report.verdict == "refused"
        assert report.problem is not None
        assert "Parquet" in report.problem.reason


def parts(whole: bytes) -> tuple[bytes, thrift.Struct]:
    """A file's magic and pages, and its footer."""
    length = int.from_bytes(whole[-8:-4], "little")
    return whole[: -8 - length], thrift.decode(whole[-8 - length : -8])


def structs(fields: thrift.Struct) -> Iterator[thrift.Struct]:
    """A struct of a footer and all below it."""
    yield fields
    for item in fields:
        inside = item.value.values if isinstance(item.value, thrift.Items) else [item.value]
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


@pytest.mark.large
@given(st.data(), st.none() | VALUES)
@settings(max_examples=300, deadline=None)
def test_an_inconsistent_footer_is_refused(
    data: st.DataObject, other: tuple[int, Any] | None
) -> None:
    """A field is missing or has another value: the file is refused or validated without a crash."""
    body, footer = parts(parquet(FRAME.select("id", "name", "secret"), row_group_size=400))
    chosen = data.draw(st.sampled_from([struct for struct in structs(footer) if struct]))
    at = data.draw(st.integers(0, len(chosen) - 1))
    chosen[at : at + 1] = [] if other is None else [thrift.Field(chosen[at].id, *other)]

    report, _ = run_validation(assemble(body[4:], footer), small(), name="drop.parquet")

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
    return assemble(data[4:at] + header + data[behind:], footer)


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
def test_pages_of_every_writer_are_accepted(kind: str) -> None:
    """Pages of all common writers are accepted."""
    report, _ = run_validation(PAGED[kind], small(), name="drop.parquet")

    assert (report.rows, report.rejected) == (1200, 401)


@pytest.mark.large
@given(st.data(), st.sampled_from(sorted(PAGED)), st.none() | VALUES)
@settings(max_examples=300, deadline=None)
def test_an_inconsistent_page_is_refused(
    data: st.DataObject, kind: str, other: tuple[int, Any] | None
) -> None:
    """A reader that trusts the counts of a page would allocate too much memory."""
    body, footer = parts(PAGED[kind])
    place = data.draw(st.sampled_from(list(pages(body, footer))))
    header, _ = thrift.decode_at(body, place[1])
    chosen = data.draw(st.sampled_from([struct for struct in structs(header) if struct]))
    at = data.draw(st.integers(0, len(chosen) - 1))
    chosen[at : at + 1] = [] if other is None else [thrift.Field(chosen[at].id, *other)]

    report, _ = run_validation(
        with_header(body, footer, place, thrift.encode(header)), small(), name="drop.parquet"
    )

    assert (report.problem is not None) == (report.verdict == "refused")
    assert report.rows == report.accepted + report.rejected


@pytest.mark.parametrize("field_id", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("count", [-1, 1 << 31, 1 << 62])
def test_a_page_counts_what_it_has(field_id: int, count: int) -> None:
    """Each count of a page of the second version, one by one: the refusal names the row group."""
    body, footer = parts(PAGED["second version"])
    place = list(pages(body, footer))[1]
    header, _ = thrift.decode_at(body, place[1])
    thrift.put(thrift.get(header, 8), field_id, count)

    report, _ = run_validation(
        with_header(body, footer, place, thrift.encode(header)), small(), name="drop.parquet"
    )

    assert report.problem is not None
    assert "row group 1 of the Parquet file cannot be read" in report.problem.reason


def test_a_row_group_that_is_too_large_is_refused() -> None:
    """Sixty-seven million empty values take gigabytes when read, in a file of any size."""
    sink = io.BytesIO()
    rows = MAX_CELLS // 3 + 1
    columns: dict[str, Any] = dict.fromkeys(("id", "name", "secret"), pa.nulls(rows))
    noise = pa.array([random.Random(1).randbytes(6 << 20)]).take(pa.array([0], pa.int64()))  # noqa: S311 - test data
    other = pa.chunked_array([noise, pa.nulls(rows - 1, noise.type)])
    columns["other"] = other
    table = pa.table(columns)
    pq.write_table(table, sink, row_group_size=rows, use_dictionary=False)

    report, _ = run_validation(sink.getvalue(), small(), name="drop.parquet")

    assert report.problem is not None
    assert "larger than" in report.problem.reason


def test_a_row_group_without_rows_is_skipped() -> None:
    """Some writers write an empty row group."""
    sink = io.BytesIO()
    table = FRAME.select("id", "name", "secret").to_arrow()
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table.slice(0, 0))
        writer.write_table(table)

    report, _ = run_validation(sink.getvalue(), small(), name="drop.parquet")

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

    report, findings = run_validation(parquet(frame), contract, name="drop.parquet")

    assert faults(report) == {
        ("minimum", "d"): (1, [2]),
        ("minimum", "t"): (1, [2]),
        ("maximum", "n"): (1, [2]),
    }
    assert json.loads(findings["rejects"] or b"")["d"] == "2023-12-31"
