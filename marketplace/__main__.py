"""Writes the files of a synthetic marketplace from a seed: the same options give the same bytes.

users         people with their activity, and three tables computed from them
products      listings: category, brand, condition, price, seller; each is one piece, sold once
orders        who bought when, for how much, and whether it was cancelled
order_lines   what was in them, and what came back
interactions  views, likes and wishes

With --into the tables of trade go to a PostgreSQL database, as the shop's own; with --live it then
goes on: orders come in, move on and are deleted, and some transactions commit late.

References are valid: sellers, buyers and visitors are users, lines are of orders and products.
manifest.json has the number of records of each file and which of them were damaged.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from marketplace.generator.market import (
    DATASETS,
    LINES_A_ORDER,
    SPLITS,
    USERS,
    MarketPlan,
    Watch,
    write_market,
)


def _datasets(text: str) -> tuple[str, ...]:
    if text == "all":
        return DATASETS
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in DATASETS]:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is not one of {', '.join(DATASETS)}, or all"
        )
    return tuple(name for name in DATASETS if name in names)


def _size(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 0.5:  # noqa: PLR2004 - half
        raise argparse.ArgumentTypeError("must lie between 0 and 0.5")
    return share


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    result = argparse.ArgumentParser(
        prog="python -m marketplace",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
examples:
  python -m marketplace --out drops                        10,000 users
  python -m marketplace --datasets all --out drops         all five tables
  python -m marketplace --datasets orders,order_lines --rows 100000 --orders 1000000 \\
      --by month --dirt 0.01 --out drops                   a file a month, 1 % damaged
  python -m marketplace --datasets orders --into postgresql://me@localhost/shop --live 1000""",
    )
    target = result.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="DIR", help="folder to write to")
    target.add_argument("--into", metavar="DSN", help="PostgreSQL database to write to")
    result.add_argument("--live", type=_size, default=0, metavar="N",
                        help="with --into: so many changes of orders afterwards")  # fmt: skip
    result.add_argument("--pause", type=float, default=0.1, metavar="SECONDS",
                        help="with --live: between two changes (0.1)")  # fmt: skip
    result.add_argument("--seed", type=int, default=1, help="another seed, another marketplace")
    result.add_argument(
        "--datasets", type=_datasets, default=(USERS,), metavar="LIST",
        help="with commas between, or all (default: users)",
    )  # fmt: skip
    sizes = result.add_argument_group("sizes; those not given follow from the users")
    sizes.add_argument("--rows", type=_size, default=10_000, metavar="N", help="users (10,000)")
    sizes.add_argument("--products", type=_size, default=0, metavar="N", help="2.8 for an order")
    sizes.add_argument("--orders", type=_size, default=0, metavar="N", help="one a user")
    sizes.add_argument("--visits", type=_size, default=0, metavar="N", help="8 a user")
    cut = result.add_argument_group("time and files")
    cut.add_argument("--start", type=date.fromisoformat, default=MarketPlan.start,
                     metavar="YYYY-MM-DD",
                     help=f"first day of trade ({MarketPlan.start})")  # fmt: skip
    cut.add_argument("--days", type=_size, default=MarketPlan.days, metavar="N",
                     help=f"how many days ({MarketPlan.days})")  # fmt: skip
    cut.add_argument("--by", choices=tuple(SPLITS), default="whole",
                     help="the tables of trade whole, or a file a month or day")  # fmt: skip
    cut.add_argument("--parts", type=_size, default=1, metavar="N",
                     help="files that the users are spread over")  # fmt: skip
    result.add_argument("--dirt", type=_share, default=0.0, metavar="SHARE",
                       help="share of each file's records to damage, 0 to 0.5 (0)")  # fmt: skip
    result.add_argument("--truth", action="store_true",
                        help="also write what the data was drawn from, to DIR/truth")  # fmt: skip
    return result


def main(arguments: list[str] | None = None) -> int:
    """Write the files and print their paths, one a line; progress goes to the error output."""
    options_parser = parser()
    options = options_parser.parse_args(arguments)
    if options.parts > options.rows:
        options_parser.error("--parts is more than --rows")
    plan = MarketPlan(
        datasets=options.datasets, users=options.rows, products=options.products,
        orders=options.orders, visits=options.visits, seed=options.seed,
        parts=options.parts, start=options.start, days=options.days, split=options.by,
        dirt=options.dirt, truth=options.truth,
    )  # fmt: skip
    if options.live and (not options.into or "orders" not in options.datasets):
        options_parser.error("--live needs --into, and orders among --datasets")
    if options.into:
        _write_into(options, plan)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    with _progress(plan) as watch:
        written = write_market(plan, options.out, watch)
    sys.stdout.writelines(f"{path}\n" for path in written)
    return 0


def _write_into(options: argparse.Namespace, plan: MarketPlan) -> None:
    """Write the tables into a database, and let them live on."""
    from marketplace import shop  # noqa: PLC0415 - needs a client of PostgreSQL

    with tempfile.TemporaryDirectory(prefix="marketplace-") as name, _progress(plan) as watch:
        written = write_market(plan, Path(name), watch)
        for dataset in plan.datasets:
            files = [path for path in written if _dataset_of(path) == dataset]
            rows = shop.fill(options.into, dataset, files)
            sys.stdout.write(f"public.{dataset}: {rows:,} rows\n")
    with shop.living(options.into, plan.seed) as life:
        for _ in range(options.live):
            life.step()
            time.sleep(options.pause)
    if options.live:
        sys.stdout.write(f"{options.live:,} steps, {life.changed:,} rows changed\n")


def _dataset_of(path: Path) -> str | None:
    """The dataset of a written file: `orders-2024-11.csv` is of orders."""
    return path.stem.partition("-")[0] if path.suffix == ".csv" else None


@contextmanager
def _progress(plan: MarketPlan) -> Iterator[Watch]:
    """Show a progress bar for each table on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _, __: None
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    expected = {
        "users": plan.users,
        "products": plan.number_of_products,
        "orders": plan.number_of_orders,
        "order_lines": int(LINES_A_ORDER * plan.number_of_orders),
        "interactions": int(1.22 * plan.number_of_visits) + int(2.9 * plan.number_of_orders),
    }
    progress = Progress(
        TextColumn("{task.description:13}"),
        BarColumn(),
        TextColumn("{task.completed:>13,.0f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with progress:
        datasets = dict.fromkeys((USERS, *plan.datasets))
        tasks = {name: progress.add_task(name, total=expected[name]) for name in datasets}
        yield lambda name, rows: progress.advance(tasks[name], rows)
        for task in tasks.values():
            done = progress.tasks[task].completed
            progress.update(task, total=done)


if __name__ == "__main__":
    raise SystemExit(main())
