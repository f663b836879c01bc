"""``python -m marketplace``: writes the users in parts, and the aggregates over all of them."""

import argparse
import sys
from pathlib import Path

from marketplace.aggregates import Aggregates, write_aggregates
from marketplace.users import write_users


def main(arguments: list[str] | None = None) -> int:
    """Write the files and print their paths, one a line."""
    parser = argparse.ArgumentParser(prog="marketplace", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="users over all parts")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other users")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--parts", type=int, default=1, help="files the users are spread over")
    given = parser.parse_args(arguments)
    if given.rows < 1 or not 1 <= given.parts <= given.rows:
        parser.error("--rows must be 1 or more, --parts between 1 and --rows")
    given.out.mkdir(parents=True, exist_ok=True)
    aggregates = Aggregates()
    written = []
    for part in range(given.parts):
        begin = given.rows * part // given.parts
        end = given.rows * (part + 1) // given.parts
        name = "users.csv" if given.parts == 1 else f"users-{part + 1}.csv"
        path = given.out / name
        write_users(path, end - begin, given.seed, offset=begin, watch=aggregates.add)
        written.append(path)
    written += write_aggregates(aggregates, given.out)
    sys.stdout.writelines(f"{path}\n" for path in written)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
