"""Prepares the files of the demo from the published tables, or generates them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from landfall.cli.errors import CliError
from marketplace.generator import Aggregates, break_records, write_aggregates, write_users

PARTS = 5
PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "data" / "c2c"
SMALL_ROWS = 200
"""Rows of the drop that is timed."""
_AGGREGATES = {
    "buyers_by_country.csv": "Buyers-repartition-by-country.csv",
    "top_seller_countries.csv": "Countries-with-Top-Sellers-(Fashion-C2C).csv",
    "sellers_compared.csv": "Comparison-of-Sellers-by-Gender-and-Country.csv",
}
_FLAWED_ROWS = 500
_FLAWS = {"bad_type": 1, "bad_enum": 1, "below_range": 1}
_BROKEN_ROWS = 900
_BREAKS = {"missing_required": 90, "bad_type": 80, "bad_enum": 70, "below_range": 60}


def check(data: str) -> None:
    """Check whether `prepare` can find its data.

    Raises:
        CliError: the published tables were requested and are not present.
    """
    if data == "real" and not PUBLISHED.is_dir():
        raise CliError(f"the published tables are not in {PUBLISHED}; use --data generated")


def prepare(folder: Path, data: str, rows: int | None, seed: int = 7) -> str:
    """Put every file of the scenario into a folder; return a short description of their source.

    Args:
        folder: must exist.
        data: `real`, `generated`, or `auto`: real if the published tables are present.
        rows: number of users; None for all published ones, or a default number of generated ones.
        seed: seed of generated users and of the damage.

    Raises:
        CliError: the published tables were requested and are not present.
    """
    check(data)
    if data == "generated" or not PUBLISHED.is_dir():
        source = _generate(folder, rows or 20_000, seed)
    else:
        source = _copy_published(folder, rows)
    # The valid rows of a damaged file are also in the good file that it was made from, so the
    # tables have the content of the good files in the end.
    _write_damaged(folder / "users-5.csv", folder / "users-flawed.csv", _FLAWED_ROWS, _FLAWS, seed)
    _write_damaged(folder / "users-3.csv", folder / "users-broken.csv", _BROKEN_ROWS, _BREAKS, seed)
    _head(folder / "users-2.csv", folder / "users-small.csv", SMALL_ROWS)
    return source


def _copy_published(folder: Path, rows: int | None) -> str:
    rows_per_file = None if rows is None else max(rows // PARTS, 1)
    for part in range(1, PARTS + 1):
        _head(PUBLISHED / f"users-{part}.csv", folder / f"users-{part}.csv", rows_per_file)
    for name, published in _AGGREGATES.items():
        shutil.copyfile(PUBLISHED / published, folder / name)
    return "the published C2C tables"


def _head(source: Path, target: Path, rows: int | None) -> None:
    with source.open("rb") as lines, target.open("wb") as copy:
        copy.writelines(lines if rows is None else islice(lines, rows + 1))


def _write_damaged(
    source: Path, target: Path, rows: int, damage: Mapping[str, int], seed: int
) -> None:
    whole = target.with_suffix(".whole")
    _head(source, whole, rows)
    break_records(whole, target, damage, seed)
    whole.unlink()


def _generate(folder: Path, rows: int, seed: int) -> str:
    aggregates = Aggregates()
    for part in range(PARTS):
        begin, end = rows * part // PARTS, rows * (part + 1) // PARTS
        write_users(
            folder / f"users-{part + 1}.csv",
            end - begin,
            seed,
            offset=begin,
            watch=aggregates.add,
        )
    write_aggregates(aggregates, folder)
    return f"{rows:,} generated users"
