"""The shop's own database: tables of the marketplace in PostgreSQL, and a life of theirs.

`Life` changes what is there as a shop does: orders come in, move on and are deleted, and some
transactions take their time before they commit. The same seed gives the same changes.
"""

from __future__ import annotations

import csv
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from landfall.contract.folder import Contract, load_folder
from marketplace.generator.market import MarketPlan, write_trade
from marketplace.generator.people import People
from marketplace.generator.users import User

CONTRACTS = Path(__file__).resolve().parent / "contracts"
_TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "numeric(14,2)",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "time": "time",
}
_TOUCH = """
CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$
"""


def fill(dsn: str, dataset: str, files: Sequence[Path]) -> int:
    """Make a table of CSV files, in the place of one that is there; return its number of rows.

    It has the columns of the contract, `updated_at`, which every change sets, and `deleted_at`.
    """
    contract = load_folder(CONTRACTS)[dataset]
    table = sql.Identifier("public", dataset)
    with psycopg.connect(dsn) as connection:
        connection.execute(_TOUCH)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        connection.execute(_definition(contract, table))
        connection.execute(
            sql.SQL(
                "CREATE TRIGGER touch BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION touch()"
            ).format(table)
        )
        columns = sql.SQL(", ").join(sql.Identifier(c.name) for c in contract.columns)
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(table, columns)
        with connection.cursor() as cursor:
            for file in files:
                with cursor.copy(copy) as sink, file.open("rb") as source:
                    while block := source.read(1 << 20):
                        sink.write(block)
        connection.execute(sql.SQL("CREATE INDEX ON {} (updated_at)").format(table))
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    return int(row[0]) if row else 0


def _definition(contract: Contract, table: sql.Identifier) -> sql.Composed:
    lines: list[sql.Composable] = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(_TYPES[column.logical_type]),
            sql.SQL(" NOT NULL" if column.required else ""),
        )
        for column in contract.columns
    ]
    lines += [
        sql.SQL("updated_at timestamptz NOT NULL DEFAULT now()"),
        sql.SQL("deleted_at timestamptz"),
    ]
    if contract.key:
        key = sql.SQL(", ").join(sql.Identifier(name) for name in contract.key)
        lines.append(sql.SQL("PRIMARY KEY ({})").format(key))
    return sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(lines))


def create_database(dsn: str, name: str) -> str:
    """Make a database beside that of a DSN, if there is none yet; return its DSN."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{dsn.rsplit('/', 1)[0]}/{name}"


def write_orders(users: Sequence[Path], file: Path, count: int, seed: int) -> None:
    """Write orders of the users of CSV files."""
    plan = MarketPlan(datasets=("orders",), orders=count, seed=seed)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        (path,) = write_trade(plan, people_of(users, seed), Path(folder))
        path.replace(file)


def people_of(users: Sequence[Path], seed: int) -> People:
    """Return the people of CSV files, as the generator knows them."""
    people = People(seed)
    for path in users:
        for user in read_users(path):
            people.add(user)
    return people


def read_users(path: Path) -> Iterator[User]:
    """Yield the users of a CSV file, with what they have done; other fields are as text."""
    counts = ("identifierHash", "socialProductsLiked", "productsListed", "productsSold",
              "productsWished", "productsBought")  # fmt: skip
    with path.open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            values: dict[str, Any] = dict(record) | {name: int(record[name]) for name in counts}
            yield User(**values | {"countryCode": record["countryCode"].lower()})


# Rows that an open transaction holds are passed over, as a shop's own workers do.
_CHANGES: dict[str, LiteralString] = {
    "insert": """
        INSERT INTO public.orders (order_id, buyer_id, ordered_at, status, country_code, channel,
            payment_method, items, amount, shipping, currency)
        SELECT (SELECT max(order_id) FROM public.orders) + row_number() OVER (),
            buyer_id, date_trunc('second', now() AT TIME ZONE 'UTC'), 'placed',
            country_code, channel, payment_method, items, amount + 1, shipping, currency
        FROM public.orders ORDER BY md5(order_id::text || %(salt)s) LIMIT %(rows)s
    """,
    "update": """
        UPDATE public.orders SET amount = amount + 1, status = CASE status
            WHEN 'placed' THEN 'shipped' WHEN 'shipped' THEN 'delivered' ELSE status END
        WHERE order_id IN (
            SELECT order_id FROM public.orders
            WHERE status <> 'cancelled' AND deleted_at IS NULL
            ORDER BY md5(order_id::text || %(salt)s) LIMIT %(rows)s FOR UPDATE SKIP LOCKED)
    """,
    "delete": """
        UPDATE public.orders SET deleted_at = now()
        WHERE order_id IN (
            SELECT order_id FROM public.orders
            WHERE status <> 'cancelled' AND deleted_at IS NULL
            ORDER BY md5(order_id::text || %(salt)s) LIMIT %(rows)s FOR UPDATE SKIP LOCKED)
    """,
}


class Life:
    """What happens to the orders of a shop, step by step.

    Args:
        dsn: of the shop's database.
        seed: of what happens.
        held: most transactions that are open at once.
    """

    def __init__(self, dsn: str, seed: int = 1, held: int = 2) -> None:
        self._dsn = dsn
        self._chance = random.Random(seed)  # noqa: S311 - a shop, no secret
        self._most = held
        self._open: list[psycopg.Connection[Any]] = []
        self.changed = 0

    def step(self) -> str:
        """Let one thing happen; return what."""
        if self._open and (len(self._open) >= self._most or self._chance.random() < 0.5):  # noqa: PLR2004
            self._commit(self._open.pop(0))
            return "late commit"
        what = self._chance.choices(("insert", "update", "delete", "begin"), weights=(4, 6, 1, 2))[
            0
        ]
        if what == "begin":
            connection = psycopg.connect(self._dsn)
            self._change(connection, "update", 3)
            self._open.append(connection)
            return "open transaction"
        with psycopg.connect(self._dsn) as connection:
            self._change(connection, what, self._chance.randint(1, 20))
        return what

    def settle(self) -> None:
        """Commit what is open."""
        while self._open:
            self._commit(self._open.pop(0))

    @staticmethod
    def _commit(connection: psycopg.Connection[Any]) -> None:
        connection.commit()
        connection.close()

    def change(self, rows: int) -> int:
        """Change that many orders in one transaction; return how many there were."""
        with psycopg.connect(self._dsn) as connection:
            return self._change(connection, "update", rows)

    def _change(self, connection: psycopg.Connection[Any], what: str, rows: int) -> int:
        salt = str(self._chance.random())
        cursor = connection.execute(_CHANGES[what], {"salt": salt, "rows": rows})
        self.changed += cursor.rowcount
        return cursor.rowcount


@contextmanager
def living(dsn: str, seed: int = 1) -> Iterator[Life]:
    """A life whose open transactions are committed at its end."""
    life = Life(dsn, seed)
    try:
        yield life
    finally:
        life.settle()
