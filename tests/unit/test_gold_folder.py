"""Gold tables of a team's folder: what is read, and what is refused with file, place and reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from landfall.contract.folder import load_folder
from landfall.gold import GoldFolder, read_gold
from spark_jobs.gold.definitions import parse

MARKETPLACE = Path(__file__).resolve().parents[2] / "marketplace"
TOUCHED = "SELECT DISTINCT day FROM changed_orders"
BY_DAY = "refresh: {by: day, expression: CAST(at AS DATE), dataset: orders}\n"


def read(folder: Path, files: dict[str, str], *datasets: str) -> GoldFolder:
    """Write the files and read the folder."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return read_gold(folder, set(datasets or ("orders", "users")))


def test_one_statement_suffices(tmp_path: Path) -> None:
    """What it reads is taken from it, but not from its comments and literals."""
    sql = (
        "-- not silver_users\nSELECT 'silver_products', \"gold_x\" /* silver_returns */\n"
        "FROM silver_orders AS o JOIN silver_users USING (id);\n"
    )
    (table,) = read(tmp_path, {"sales.sql": sql}).tables
    assert (table.name, table.datasets, table.tables) == ("sales", ("orders", "users"), ())
    assert table.parts is None
    assert not table.sql.endswith(";")


def test_the_yaml_beside_it_says_the_rest(tmp_path: Path) -> None:
    """Description, grain and refreshing by parts."""
    folder = read(
        tmp_path,
        {
            "sales.sql": "SELECT CAST(at AS DATE) AS day FROM silver_orders",
            "sales.touched.sql": TOUCHED,
            "sales.yaml": f"description: Sales.\ngrain: one a day\nsources: [orders]\n{BY_DAY}",
        },
    )
    (table,) = folder.tables
    assert folder.problems == ()
    assert (table.description, table.grain) == ("Sales.", "one a day")
    assert table.parts
    assert (table.parts.column, table.parts.touched) == ("day", TOUCHED)


def test_tables_stand_after_those_that_they_read(tmp_path: Path) -> None:
    """However they are named."""
    files = {
        "a.sql": "SELECT * FROM gold_b",
        "b.sql": "SELECT * FROM gold_c",
        "c.sql": "SELECT * FROM silver_users",
    }
    folder = read(tmp_path, files)
    assert [table.name for table in folder.tables] == ["c", "b", "a"]
    assert folder.document() == read_gold(tmp_path, {"users"}).document()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"t.sql": "SELECT 1"}, r"t\.sql: reads neither silver_<dataset> nor gold_<table>"),
        ({"t.sql": ""}, r"t\.sql: line 1: begins with ''"),
        ({"t.sql": "DROP TABLE silver_users"}, r"t\.sql: line 1: begins with 'DROP'"),
        (
            {"t.sql": "SELECT ';' -- ;\nFROM silver_users;\nDELETE FROM silver_users"},
            r"t\.sql: line 2: has a second statement",
        ),
        ({"T-1.sql": "SELECT * FROM silver_users"}, r"'T-1' is no name for a gold table"),
        ({"t.sql": "SELECT * FROM silver_nobody"}, r"t\.sql: reads dataset nobody, which does not"),
        ({"t.sql": "SELECT * FROM gold_nobody"}, r"t\.sql: reads gold table nobody, which does"),
        ({"t.sql": "SELECT * FROM gold_t"}, r"reads gold_t, which is the table itself"),
        (
            {"t.sql": "SELECT * FROM gold_u", "u.sql": "SELECT * FROM gold_t"},
            r"t\.sql: tables read each other in a circle: .*t -> u",
        ),
        (
            {"t.sql": "SELECT * FROM silver_users", "t.yaml": "sources: [users, orders]"},
            r"t\.yaml: sources: has orders, which it does not read",
        ),
        (
            {"t.sql": "SELECT * FROM silver_users", "t.yaml": "sources: []"},
            r"t\.yaml: sources: lacks users",
        ),
        (
            {"t.sql": "SELECT * FROM silver_users", "t.yaml": "grain: x\nowner: me"},
            r"t\.yaml: owner: is not a field",
        ),
        (
            {"t.sql": "SELECT * FROM silver_users", "t.yaml": "a: b\n c: [d"},
            r"t\.yaml: line 2: mapping values",
        ),
        (
            {"t.sql": "SELECT * FROM silver_orders", "t.yaml": BY_DAY},
            r"t\.yaml: refresh: needs t\.touched\.sql",
        ),
        (
            {
                "t.sql": "SELECT * FROM silver_users",
                "t.yaml": BY_DAY,
                "t.touched.sql": TOUCHED,
            },
            r"t\.yaml: refresh\.dataset: is 'orders', which it does not read",
        ),
        (
            {"t.sql": "SELECT * FROM silver_users", "t.yaml": "refresh: daily"},
            r"t\.yaml: refresh: must be `whole`, or",
        ),
        ({"t.yaml": "grain: x"}, r"t\.yaml: stands alone: there is no t\.sql"),
    ],
)
def test_a_wrong_table_is_named_with_file_and_place(
    tmp_path: Path, files: dict[str, str], problem: str
) -> None:
    """It alone is left out: a sound one beside it is read."""
    folder = read(tmp_path, files | {"sound.sql": "SELECT * FROM silver_orders"})
    assert [table.name for table in folder.tables] == ["sound"]
    with pytest.raises(type(folder.problems[0]), match=problem):
        raise folder.problems[0]


def test_what_reads_a_wrong_table_cannot_be_built_either(tmp_path: Path) -> None:
    """Each is named, in the order of cause and effect."""
    files = {
        "a.sql": "SELECT * FROM gold_b",
        "b.sql": "SELECT * FROM silver_nobody",
        "c.sql": "SELECT * FROM gold_a",
    }
    folder = read(tmp_path, files)
    assert folder.tables == ()
    assert [problem.file for problem in folder.problems] == ["b.sql", "a.sql", "c.sql"]


def test_a_statement_of_ten_thousand_lines_is_read(tmp_path: Path) -> None:
    """Bounded by bytes, not by lines."""
    sql = "SELECT *\n" + "-- silver_nobody ';\n" * 10_000 + "FROM silver_users"
    (table,) = read(tmp_path, {"long.sql": sql}).tables
    assert table.datasets == ("users",)
    folder = read(tmp_path, {"huge.sql": sql * 6})
    assert "has more than 1,048,576 bytes" in str(folder.problems[0])


def test_the_marketplaces_tables_are_sound_and_described() -> None:
    """What a reader finds in the catalog: what one row is, and what the table shows."""
    folder = read_gold(MARKETPLACE / "gold", load_folder(MARKETPLACE / "contracts"))
    assert folder.problems == ()
    assert len(folder.tables) >= 8
    assert all(table.grain and table.description for table in folder.tables)


def test_the_columns_of_deleted_rows_are_part_of_the_document(tmp_path: Path) -> None:
    """The jobs leave such rows out; without any the document is as ever."""
    folder = read(tmp_path, {"counts.sql": "SELECT count(*) AS n FROM silver_orders"}, "orders")
    marked = replace(folder, deleted={"orders": "deleted_at"})
    assert b"deleted" not in folder.document()
    assert marked.digest != folder.digest
    (table,) = parse(marked.document().decode())
    assert table.deleted == {"silver/orders": "deleted_at"}
    assert table.digest != parse(folder.document().decode())[0].digest
