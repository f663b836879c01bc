"""Writes the files of all tables, and a manifest of their contents."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple
from zlib import crc32

from marketplace.generator.aggregates import Aggregates, write_aggregates
from marketplace.generator.calendar import Period
from marketplace.generator.dirt import inject_faults
from marketplace.generator.listings import Catalogue
from marketplace.generator.orders import Trade
from marketplace.generator.people import Crowd, People
from marketplace.generator.stock import Stock
from marketplace.generator.tables import Frame, write_csv
from marketplace.generator.truth import write_truth
from marketplace.generator.users import User, write_users
from marketplace.generator.visits import Visits

USERS = "users"
TRADE = ("products", "orders", "order_lines", "interactions")
DATASETS = (USERS, *TRADE)
SPLITS: dict[str, Callable[[date], str]] = {
    "whole": lambda _: "",
    "month": lambda day: f"-{day:%Y-%m}",
    "day": lambda day: f"-{day:%Y-%m-%d}",
}
"""Suffix of a file's name by the days in it."""

LINES_A_ORDER = 1.75
"""Mean number of lines."""

Watch = Callable[[str, int], None]
"""Called with dataset and number of records as they are written."""


@dataclass(frozen=True)
class MarketPlan:
    """Options of the generator. Sizes that are 0 follow from the number of users.

    Attributes:
        datasets: those of `DATASETS` that get files.
        users: number of users, in `parts` files.
        products: number of products; each is one piece.
        orders: number of orders, as long as there is something to buy; each has some
            `LINES_A_ORDER` lines.
        visits: number of product views; likes, wishes and views before orders are added.
        start: first day of the time range.
        days: length of the time range.
        split: a key of `SPLITS`: how the trade tables are split into files.
        dirt: share of each file's records that is damaged.
        truth: whether to write what the data was drawn from, to `truth/` (see `truth.py`).
    """

    datasets: tuple[str, ...] = (USERS,)
    users: int = 10_000
    products: int = 0
    orders: int = 0
    visits: int = 0
    seed: int = 1
    parts: int = 1
    start: date = date(2024, 11, 1)
    days: int = 730
    split: str = "whole"
    dirt: float = 0.0
    truth: bool = False

    @property
    def number_of_orders(self) -> int:
        """One a user."""
        return self.orders or self.users

    @property
    def number_of_products(self) -> int:
        """At least 1.6 for each line of an order, as only part of what is listed is sold."""
        return self.products or max(round(LINES_A_ORDER * 1.6 * self.number_of_orders), 10)

    @property
    def number_of_visits(self) -> int:
        """Eight a user."""
        return self.visits or 8 * self.users


class Written(NamedTuple):
    """A file and its number of records, damaged ones included."""

    dataset: str
    path: Path
    rows: int


@dataclass
class _MarketFiles:
    """Writes the files of one table, one at a time, in the order of their names."""

    dataset: str
    folder: Path
    watch: Watch
    written: list[Written] = field(default_factory=list)
    _file: IO[bytes] | None = None

    def add(self, suffix: str, frame: Frame) -> None:
        path = self.folder / f"{self.dataset}{suffix}.csv"
        fresh = not self.written or self.written[-1].path != path
        if fresh:
            self.close()
            self._file = path.open("wb")
            self.written.append(Written(self.dataset, path, 0))
        if self._file is None:
            raise ValueError(f"{path} was closed")
        rows = write_csv(self._file, frame, header=fresh)
        self.written[-1] = self.written[-1]._replace(rows=self.written[-1].rows + rows)
        self.watch(self.dataset, rows)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def write_market(plan: MarketPlan, folder: Path, watch: Watch = lambda _, __: None) -> list[Path]:
    """Write the files of a plan, then a `manifest.json` of their contents.

    Memory has a few numbers for each user and product; orders and interactions are written
    day by day. The same plan gives the same bytes.

    Returns:
        All paths, in the order of the datasets; the aggregates after the users, the manifest last.
    """
    people = People(plan.seed)
    aggregates = Aggregates()
    written = _write_users(plan, folder, people, aggregates, watch)
    tables = write_aggregates(aggregates, folder) if USERS in plan.datasets else []
    if set(TRADE) & set(plan.datasets):
        market = _Market(plan, people.freeze(plan.days))
        written += _write_trade(market, plan, folder, watch)
        if plan.truth:
            truth = folder / "truth"
            tables += write_truth(truth, market.crowd, market.catalogue, market.window)
    files = [_inject_and_describe(plan, file) for file in written]
    manifest = folder / "manifest.json"
    stated = asdict(plan) | {"start": plan.start.isoformat(), "datasets": list(plan.datasets)}
    manifest.write_text(json.dumps({"plan": stated, "files": files}, indent=1) + "\n")
    return [*(file.path for file in written), *tables, manifest]


def write_trade(plan: MarketPlan, people: People, folder: Path) -> list[Path]:
    """Write the tables of trade of people that are there already; return the paths."""
    market = _Market(plan, people.freeze(plan.days))
    return [file.path for file in _write_trade(market, plan, folder, lambda _, __: None)]


def _write_users(
    plan: MarketPlan, folder: Path, people: People, aggregates: Aggregates, watch: Watch
) -> list[Written]:
    seen = 0

    def add_user(user: User) -> None:
        nonlocal seen
        people.add(user)
        aggregates.add(user)
        seen += 1
        if seen % 1000 == 0 or seen == plan.users:
            watch(USERS, (seen - 1) % 1000 + 1)

    written = []
    for part in range(plan.parts):
        begin = plan.users * part // plan.parts
        end = plan.users * (part + 1) // plan.parts
        path = folder / ("users.csv" if plan.parts == 1 else f"users-{part + 1}.csv")
        write_users(path, end - begin, plan.seed, offset=begin, watch=add_user)
        written.append(Written(USERS, path, end - begin))
    if USERS in plan.datasets:
        return written
    for file in written:
        file.path.unlink()
    return []


class _Market:
    """A crowd and what it trades in."""

    def __init__(self, plan: MarketPlan, crowd: Crowd) -> None:
        self.crowd, self.window = crowd, Period(plan.seed, plan.start, plan.days)
        self.catalogue = Catalogue(crowd, plan.number_of_products, self.window)
        self.stock = Stock(self.catalogue, self.window)
        goods = crowd, self.catalogue, self.stock
        self.trade = Trade(*goods, plan.number_of_orders, self.window)
        self.visits = Visits(*goods, plan.number_of_visits, self.window)


def _write_trade(market: _Market, plan: MarketPlan, folder: Path, watch: Watch) -> list[Written]:
    files = {name: _MarketFiles(name, folder, watch) for name in TRADE if name in plan.datasets}
    try:
        for name, suffix, frame in _frames(market, plan):
            if name in files:
                files[name].add(suffix, frame)
    finally:
        for table in files.values():
            table.close()
    return [file for name in TRADE if name in files for file in files[name].written]


def _frames(market: _Market, plan: MarketPlan) -> Iterator[tuple[str, str, Frame]]:
    """Yield dataset, suffix of the file's name and records, in the order of time.

    The products come last: what became of them is known at the end.
    """
    suffix = SPLITS[plan.split]
    for number, day in enumerate(market.window.days()):
        market.stock.open(number)
        bought = market.trade.day(number)
        yield "orders", suffix(day), bought.orders
        yield "order_lines", suffix(day), bought.lines
        if "interactions" in plan.datasets:
            yield "interactions", suffix(day), market.visits.day(number, bought)
    catalogue, stock = market.catalogue, market.stock
    for number in range(-1, plan.days):
        # Products listed before the window are in the file of its first day.
        day = plan.start + timedelta(days=max(number, 0))
        for index in catalogue.listed_on(number):
            yield (
                "products",
                suffix(day),
                {**catalogue.records(number, index), **stock.columns(index)},
            )


def _inject_and_describe(plan: MarketPlan, file: Written) -> dict[str, Any]:
    seed = crc32(f"{plan.seed} {file.path.name}".encode())
    dirt = inject_faults(file.path, file.dataset, file.rows, plan.dirt, seed)
    return {"dataset": file.dataset, "name": file.path.name, "rows": file.rows, **dirt}
