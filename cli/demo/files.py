"""The files that the demo drops: the published tables where they are, else generated ones."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from cli.demo.scenario import BAD_ROWS, SMALL_ROWS
from cli.target import REPOSITORY
from cli.trouble import Trouble

PARTS = 5
PUBLISHED = REPOSITORY.parent / "shared" / "data" / "c2c"
_AGGREGATES = {
    "buyers_by_country.csv": "Buyers-repartition-by-country.csv",
    "top_seller_countries.csv": "Countries-with-Top-Sellers-(Fashion-C2C).csv",
    "sellers_compared.csv": "Comparison-of-Sellers-by-Gender-and-Country.csv",
}
_GOOD_ROWS_OF_FLAWED = 500
_ROWS_OF_BROKEN = 900
_BROKEN_EVERY = 3

Record = dict[str, str]


def prepare(folder: Path, data: str, rows: int | None, seed: int = 7) -> str:
    """Put every file of the scenario into a folder; says in a few words where they come from.

    Args:
        folder: must exist.
        data: `real`, `generated`, or `auto`: real where the published tables stand.
        rows: users in all; None for all that are published, or a default of generated ones.
        seed: of the generated ones.

    Raises:
        Trouble: the published tables were asked for and are not there.
    """
    if data == "real" and not PUBLISHED.is_dir():
        raise Trouble(f"the published tables are not in {PUBLISHED}; use --data generated")
    if data == "generated" or not PUBLISHED.is_dir():
        source = _generate(folder, rows or 20_000, seed)
    else:
        source = _take_published(folder, rows)
    _spoil(
        folder / "users-5.csv",
        folder / "users-flawed.csv",
        rows=_GOOD_ROWS_OF_FLAWED + BAD_ROWS,
        bad=lambda number: number >= _GOOD_ROWS_OF_FLAWED,
    )
    _spoil(
        folder / "users-3.csv",
        folder / "users-broken.csv",
        rows=_ROWS_OF_BROKEN,
        bad=lambda number: number % _BROKEN_EVERY == 0,
    )
    _head(folder / "users-2.csv", folder / "users-small.csv", SMALL_ROWS)
    return source


def _take_published(folder: Path, rows: int | None) -> str:
    each = None if rows is None else max(rows // PARTS, 1)
    for part in range(1, PARTS + 1):
        _head(PUBLISHED / f"users-{part}.csv", folder / f"users-{part}.csv", each)
    for name, published in _AGGREGATES.items():
        shutil.copyfile(PUBLISHED / published, folder / name)
    return "the published C2C tables"


def _head(source: Path, target: Path, rows: int | None) -> None:
    with source.open("rb") as lines, target.open("wb") as copy:
        copy.writelines(lines if rows is None else islice(lines, rows + 1))


# Each breaks another rule of the users contract. The good rows of a spoilt file are those of the
# file it was made from, so that what the tables hold in the end is what the good files say.
_WRONGS: Sequence[Record] = (
    {"gender": "X"},
    {"productsBought": "-4"},
    {"seniority": "eight years"},
    {"identifierHash": ""},
)


def _spoil(source: Path, target: Path, *, rows: int, bad: Callable[[int], bool]) -> None:
    with (
        source.open(newline="", encoding="utf-8") as lines,
        target.open("w", newline="", encoding="utf-8") as copy,
    ):
        records = csv.DictReader(lines)
        writer = csv.DictWriter(copy, records.fieldnames or (), lineterminator="\n")
        writer.writeheader()
        writer.writerows(_with_wrongs(islice(records, rows), bad))


def _with_wrongs(records: Iterable[Record], bad: Callable[[int], bool]) -> Iterable[Record]:
    wrongs = 0
    for number, record in enumerate(records):
        if bad(number):
            yield record | _WRONGS[wrongs % len(_WRONGS)]
            wrongs += 1
        else:
            yield record


def _generate(folder: Path, rows: int, seed: int) -> str:
    raise NotImplementedError
