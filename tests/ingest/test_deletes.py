"""Deletes by comparison of keys: what is gone from a source is marked in silver, by a drop."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ingest.http import sources
from landfall.sources import reader, sql
from landfall.sources.ranges import Range
from tests.ingest.conftest import Clock
from tests.ingest.extracting import SOURCE, Extracting, project
from tests.ingest.memory import InMemoryAccount
from tests.shop_source import orders_contract

CONTRACT = orders_contract(
    "      - {name: note, logicalType: string}\n",
    """\
      - name: deleted_at
        logicalType: timestamp
        logicalTypeOptions: {timezone: false}
""",
    custom="customProperties:\n  - {property: deletedWhen, value: deleted_at}\n",
)
COMPARED = SOURCE.replace(
    "    lag: 60s\n",
    "    lag: 60s\n    deletes: {kind: compare, every: 1d, maxDeletedRatio: 0.5}\n",
    1,
)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Extracting:
    """A shop whose orders are compared, with nothing in silver yet."""
    folder = project(tmp_path / "team", COMPARED)
    (folder / "contracts" / "orders.odcs.yaml").write_text(CONTRACT)
    clock = Clock()
    return Extracting(InMemoryAccount(clock), clock, folder)


def silver(shop: Extracting, folder: Path, *rows: tuple[int, str, datetime | None], age: float = 60,
           column: bool = True) -> None:  # fmt: skip
    """Add rows to the silver table that landed so many minutes ago."""
    landed = shop.clock() - timedelta(minutes=age)
    columns: dict[str, Any] = {
        "id": pa.array([row[0] for row in rows], pa.int64()),
        "note": pa.array([row[1] for row in rows], pa.string()),
        "_landed_at": pa.array([landed] * len(rows), pa.timestamp("us", "UTC")),
    }
    if column:
        times = [row[2] for row in rows]
        columns["deleted_at"] = pa.array(times, pa.timestamp("us", "UTC"))
    write_deltalake(str(folder), pa.table(columns), mode="append", schema_mode="merge")
    for path in folder.rglob("*"):
        if path.is_file():
            key = path.relative_to(folder)
            shop.storage_account.lake.put(f"silver/orders/{key}", path.read_bytes())


def compare(shop: Extracting, keys: list[int], name: str = "a") -> Any:
    """One pipeline run that reads these keys; the answer to its finish."""
    begun = shop.ask(sources.begin, {"adf_run_id": name}, entry="orders__keys").body
    assert begun["granted"], begun
    assert begun["query"] == 'SELECT "id" FROM "public"."orders"'
    buffer = io.BytesIO()
    pl.DataFrame({"id": pl.Series(keys, dtype=pl.Int32)}).write_parquet(buffer)
    path = f"{begun['container']}/{begun['folder']}/{begun['file']}"
    shop.storage_account.lake.put(path, buffer.getvalue())
    done = {"adf_run_id": name, "extract_id": begun["extract_id"], "rows": len(keys)}
    return shop.ask(sources.finish, done, entry="orders__keys")


def delivered(shop: Extracting) -> list[dict[str, Any]]:
    """The rows of the drops that came to landing."""
    rows: list[dict[str, Any]] = []
    for entry in shop.storage_account.lake.list("raw/orders/"):
        rows += pl.read_parquet(
            io.BytesIO(shop.storage_account.lake.get(entry.version.path)[0])
        ).to_dicts()
    return sorted(rows, key=lambda row: int(row["id"]))


def test_rows_whose_keys_are_gone_are_marked(shop: Extracting, tmp_path: Path) -> None:
    """Each comes as it stands, with the time; the others do not come at all."""
    silver(shop, tmp_path / "t", (1, "one", None), (2, "two", None), (3, "three", None))
    done = compare(shop, [1, 3])
    assert (done.body["delivered"], done.body["rows"]) == (True, 1)
    (row,) = delivered(shop)
    assert (row["id"], row["note"]) == (2, "two")
    assert row["deleted_at"] == shop.clock().replace(tzinfo=None)
    assert not list(shop.storage_account.lake.list("raw/_extracts/"))


def test_nothing_gone_is_no_drop(shop: Extracting, tmp_path: Path) -> None:
    """Rows that are marked already are not marked again."""
    silver(shop, tmp_path / "t", (1, "one", None), (2, "two", LONG_AGO))
    assert compare(shop, [1]).body["delivered"] is False
    assert delivered(shop) == []


def test_a_row_that_is_there_again_comes_without_the_mark(shop: Extracting, tmp_path: Path) -> None:
    """The newest of its versions in silver counts."""
    silver(shop, tmp_path / "t", (1, "one", None), (2, "old", None), age=90)
    silver(shop, tmp_path / "t", (2, "two", LONG_AGO))
    compare(shop, [1, 2])
    (row,) = delivered(shop)
    assert (row["id"], row["note"], row["deleted_at"]) == (2, "two", None)


def test_rows_younger_than_the_question_are_left_alone(shop: Extracting, tmp_path: Path) -> None:
    """They may have been inserted after the keys were read."""
    silver(shop, tmp_path / "t", (1, "one", None), (2, "two", None))
    silver(shop, tmp_path / "t", (3, "new", None), age=-1)
    compare(shop, [1, 2])
    assert delivered(shop) == []


def test_files_from_before_the_column_are_read(shop: Extracting, tmp_path: Path) -> None:
    """A contract that gets `deletedWhen` has a table already."""
    silver(shop, tmp_path / "t", (1, "one", None), (2, "two", None), (3, "x", None), column=False)
    silver(shop, tmp_path / "t", (4, "four", None))
    compare(shop, [1, 3, 4])
    assert [row["id"] for row in delivered(shop)] == [2]


@pytest.mark.parametrize("keys", [[1], []])
def test_a_mass_deletion_is_taken_for_a_fault(
    shop: Extracting, tmp_path: Path, keys: list[int]
) -> None:
    """Nothing is marked; the reason is seen, and the next comparison can go on."""
    silver(shop, tmp_path / "t", (1, "one", None), (2, "two", None), (3, "three", None))
    assert compare(shop, keys).status == 409
    assert delivered(shop) == []
    state = shop.ask(sources.get_object, {}, entry="orders__keys").body
    assert "believed" in state["failure"]["error"]
    assert state["running"] == []
    assert compare(shop, [1, 2], "b").body["rows"] == 1


def test_the_keys_are_read_as_often_as_the_file_says(shop: Extracting, tmp_path: Path) -> None:
    """Beside the object itself, by the same pipeline."""
    silver(shop, tmp_path / "t", (1, "one", None), (2, "two", None))
    text = COMPARED.replace("    mode: window\n", "    mode: window\n    enabled: false\n")
    (shop.project / "sources" / "shop.yaml").write_text(text)

    def planned() -> list[str]:
        items = shop.ask(sources.plan, {"adf_run_id": "x"}).body["items"]
        return [item["object"] for item in items]

    assert "orders__keys" in planned()
    compare(shop, [1, 2])
    assert "orders__keys" not in planned()
    shop.clock.turn(hours=25)
    assert "orders__keys" in planned()


def test_the_column_of_deletes_is_not_asked_of_the_table(shop: Extracting) -> None:
    """It is silver's: the comparison fills it in. By a flag it is the table's own."""
    folder = shop.service.extraction.catalog.files.current
    entry = folder.sources["shop"].object("orders")
    extent = Range(None, LONG_AGO, "incremental")
    assert sql.read_query(entry, "postgresql", extent).startswith('SELECT "id", "note" FROM')
    contracts = shop.service.contracts
    flagged = COMPARED.replace("kind: compare, every: 1d, maxDeletedRatio: 0.5",
                               "kind: flag, column: deleted_at")  # fmt: skip
    source = reader.parse(flagged, file="shop.yaml", contracts=contracts)
    assert "deleted_at" in source.object("orders").columns
    with pytest.raises(reader.SourceError, match="the contract says 'deleted_at'"):
        reader.parse(flagged.replace("column: deleted_at", "column: note"), file="shop.yaml",
                     contracts=contracts)  # fmt: skip
