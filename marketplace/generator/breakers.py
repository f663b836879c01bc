"""Injects known faults into good files, and returns which records were damaged."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class Injected(NamedTuple):
    """One damaged record: its physical line, and the rule and column that it breaks.

    `column` is None if the whole record is malformed.
    """

    line: int
    kind: str
    rule: str
    column: str | None


Cells = list[bytes]
Change = Callable[[Cells, Mapping[str, int], random.Random], Cells]
"""Damages the cells of a record, given the positions of columns."""


class Damage(NamedTuple):
    """One kind of damage to a record: what it breaks, and how its cells change."""

    rule: str
    column: str | None
    change: Change


def set_to(column: str, *values: bytes) -> Change:
    """Return a change that sets the column to one of the values."""

    def change(cells: Cells, at: Mapping[str, int], rng: random.Random) -> Cells:
        cells[at[column]] = rng.choice(values)
        return cells

    return change


def remove_fields(cells: Cells, _: Mapping[str, int], rng: random.Random) -> Cells:
    """Remove fields."""
    return cells[: rng.randrange(1, len(cells))]


def add_fields(cells: Cells, _: Mapping[str, int], rng: random.Random) -> Cells:
    """Add fields."""
    return [*cells, *[b"more"] * rng.randint(1, 3)]


def unchanged(cells: Cells, _: Mapping[str, int], __: random.Random) -> Cells:
    """Return the cells unchanged; used for keys, which are duplicated by `break_records`."""
    return cells


def _newline(cells: Cells, at: Mapping[str, int], _: random.Random) -> Cells:
    cells[at["language"]] = b'"e\nn"'
    return cells


DAMAGES = {
    "bad_type": Damage(
        "type",
        "socialNbFollows",
        set_to("socialNbFollows", b"many", b"3.5", b"1e3", b" 12", b"+4", b"99999999999999999999"),
    ),
    "bad_number": Damage(
        "type", "productsPassRate", set_to("productsPassRate", b"high", b"1.5.5", b"NaN", b"12 %")
    ),
    "bad_boolean": Damage("type", "hasIosApp", set_to("hasIosApp", b"yes", b"1", b"T", b"ja")),
    "bad_enum": Damage("enum", "gender", set_to("gender", b"X", b"f", b"Female")),
    "bad_pattern": Damage("pattern", "countryCode", set_to("countryCode", b"FR", b"f1", b"fra")),
    "missing_required": Damage("required", "country", set_to("country", b"", b'""')),
    "below_range": Damage("minimum", "productsSold", set_to("productsSold", b"-1", b"-20")),
    "above_range": Damage(
        "maximum", "productsPassRate", set_to("productsPassRate", b"100.5", b"1e3")
    ),
    "duplicate_key": Damage("unique", "identifierHash", unchanged),
    "short_record": Damage("fieldCount", None, remove_fields),
    "long_record": Damage("fieldCount", None, add_fields),
    "bad_bytes": Damage("encoding", "country", set_to("country", b"Su\xe8de", b"\xff\xfe")),
    "stray_quote": Damage("quote", "type", set_to("type", b'us"er', b'"us"er')),
    "newline_in_cell": Damage("enum", "language", _newline),
}
"""Kinds of damage to records of the users table."""


def break_records(
    source: Path,
    target: Path,
    counts: Mapping[str, int],
    seed: int,
    damages: Mapping[str, Damage] = DAMAGES,
) -> list[Injected]:
    """Copy a good file and damage a number of records by kind, each record at most once.

    The records are drawn from the seed. The first record of a duplicate key is not damaged. Memory
    is bounded by the number of damaged records.

    Returns:
        The injected faults in file order, with lines of `target`.

    Raises:
        ValueError: an unknown kind, or more faults than records.
    """
    if unknown := sorted(set(counts) - set(damages)):
        raise ValueError(f"unknown damage {unknown[0]!r}; known: {', '.join(damages)}")
    rng = random.Random(seed)  # noqa: S311 - test data
    with source.open("rb") as lines:
        rows = sum(1 for _ in lines) - 1
    total = sum(counts.values())
    # The first record is not damaged, so that a duplicate has a key to repeat.
    if total > rows - 1:
        raise ValueError(f"{rows} records cannot take {total} faults")
    chosen = rng.sample(range(1, rows), total)
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    plan = dict(zip(chosen, kinds, strict=True))
    return _copy(source, target, plan, rng, damages)


def _copy(
    source: Path,
    target: Path,
    plan: dict[int, str],
    rng: random.Random,
    damages: Mapping[str, Damage],
) -> list[Injected]:
    injected: list[Injected] = []
    with source.open("rb") as lines, target.open("wb") as out:
        header = next(lines)
        out.write(header)
        at = {name.decode(): i for i, name in enumerate(header.strip().split(b","))}
        line_number = 2
        last_good: Cells = []
        for index, line in enumerate(lines):
            kind = plan.get(index)
            if kind is None:
                last_good = line.rstrip(b"\r\n").split(b",")
                out.write(line)
                line_number += 1
                continue
            damage = damages[kind]
            cells = damage.change(line.rstrip(b"\r\n").split(b","), at, rng)
            if kind == "duplicate_key":
                for column in (damage.column or "").split(","):
                    cells[at[column]] = last_good[at[column]]
            injected.append(Injected(line_number, kind, damage.rule, damage.column))
            broken = b",".join(cells) + b"\n"
            out.write(broken)
            line_number += broken.count(b"\n")
    return injected


def _rewrite_header(data: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    header, _, rest = data.partition(b"\n")
    return b",".join(change(header.rstrip(b"\r").split(b","))) + b"\n" + rest


def _without_column(data: bytes) -> bytes:
    at = data.partition(b"\n")[0].split(b",").index(b"gender")
    lines = (line.split(b",") for line in data.splitlines())
    return b"\n".join(b",".join(line[:at] + line[at + 1 :]) for line in lines) + b"\n"


WRECKS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "header_only": lambda data: data.partition(b"\n")[0] + b"\n",
    "no_header": lambda data: data.partition(b"\n")[2],
    "wrong_delimiter": lambda data: data.replace(b",", b";"),
    "missing_column": _without_column,
    "renamed_column": lambda data: data.replace(b"countryCode", b"country_code", 1),
    "duplicate_header": lambda data: _rewrite_header(data, lambda n: [*n[:-1], n[0]]),
    "unclosed_quote": lambda data: data.rstrip(b"\n") + b'\n1,"user\n',
    "not_text": lambda data: b"\x89PNG\r\n\x1a\n" + data,
}
"""Ways to damage a whole file so that it must be refused, as functions of its content."""
