"""Faults of the trade tables by dataset, injected in exact counts.

A fault that a contract rule finds has the name of that rule. `foreignKey` is an orphan, which is
found only if the other dataset is in the lake; `trimmed` is corrected on the way to silver.
"""

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketplace.generator.breakers import (
    DAMAGES,
    Cells,
    Damage,
    add_fields,
    break_records,
    remove_fields,
    set_to,
    unchanged,
)

_UNKNOWN_USER = b"4242"
"""A pseudonym is 64 bits of hash: that one of ten million is this number has odds of 1 in 10^12."""
_FAR = 10**12
"""Larger than every number in the tables."""
_NO_TIME = (b"2026-02-30 10:00:00", b"yesterday", b"2026/03/01 10:00", b"0")


def _orphan(column: str) -> Damage:
    """Set the column to a unique number that does not exist, so that no key is duplicated."""

    def change(cells: Cells, at: Mapping[str, int], _: random.Random) -> Cells:
        cells[at[column]] = b"%d" % (int(cells[at[column]]) + _FAR)
        return cells

    return Damage("foreignKey", column, change)


def _padded(column: str) -> Damage:
    def change(cells: Cells, at: Mapping[str, int], rng: random.Random) -> Cells:
        cells[at[column]] += rng.choice((b" ", b"  ", b"\t", "\u00a0".encode()))
        return cells

    return Damage("trimmed", column, change)


_SHAPES = {
    "short_record": Damage("fieldCount", None, remove_fields),
    "long_record": Damage("fieldCount", None, add_fields),
}

DIRT: Mapping[str, Mapping[str, Damage]] = {
    "users": DAMAGES,
    "products": _SHAPES
    | {
        "bad_price": Damage("type", "price", set_to("price", b"12.5.0", b"EUR 12", b"free")),
        "no_price": Damage("exclusiveMinimum", "price", set_to("price", b"0", b"-5.00", b"0.00")),
        "bad_condition": Damage("enum", "condition", set_to("condition", b"mint", b"NEW")),
        "missing_category": Damage("required", "category", set_to("category", b"")),
        "bad_time": Damage("type", "listed_at", set_to("listed_at", *_NO_TIME)),
        "duplicate_key": Damage("unique", "product_id", unchanged),
        "unknown_seller": Damage("foreignKey", "seller_id", set_to("seller_id", _UNKNOWN_USER)),
        "blank_at_end": _padded("colour"),
    },
    "orders": _SHAPES
    | {
        "bad_time": Damage("type", "ordered_at", set_to("ordered_at", *_NO_TIME)),
        "bad_status": Damage("enum", "status", set_to("status", b"lost", b"Delivered")),
        "bad_country": Damage("pattern", "country_code", set_to("country_code", b"FR", b"fra")),
        "negative_amount": Damage("minimum", "amount", set_to("amount", b"-1.00", b"-250")),
        "missing_buyer": Damage("required", "buyer_id", set_to("buyer_id", b"", b'""')),
        "duplicate_key": Damage("unique", "order_id", unchanged),
        "unknown_buyer": Damage("foreignKey", "buyer_id", set_to("buyer_id", _UNKNOWN_USER)),
    },
    "order_lines": _SHAPES
    | {
        "no_quantity": Damage("minimum", "quantity", set_to("quantity", b"0", b"-2")),
        "bad_quantity": Damage("type", "quantity", set_to("quantity", b"two", b"1.5", b" 1")),
        "bad_status": Damage("enum", "status", set_to("status", b"gone", b"SOLD")),
        "missing_product": Damage("required", "product_id", set_to("product_id", b"")),
        "duplicate_key": Damage("unique", "order_id,line_number", unchanged),
        "unknown_product": _orphan("product_id"),
        "unknown_order": _orphan("order_id"),
    },
    "interactions": _SHAPES
    | {
        "bad_kind": Damage("enum", "kind", set_to("kind", b"click", b"View")),
        "bad_time": Damage("type", "occurred_at", set_to("occurred_at", *_NO_TIME)),
        "missing_user": Damage("required", "user_id", set_to("user_id", b"")),
        "duplicate_key": Damage("unique", "interaction_id", unchanged),
        "unknown_user": Damage("foreignKey", "user_id", set_to("user_id", _UNKNOWN_USER)),
        "unknown_product": _orphan("product_id"),
    },
}


def inject_faults(path: Path, dataset: str, rows: int, share: float, seed: int) -> dict[str, Any]:
    """Damage a share of a file's records in place, evenly over the dataset's kinds.

    Returns:
        `damaged`: records by kind; `injected`: line, kind, rule and column of each.
    """
    damages = DIRT[dataset]
    # The first record is not damaged, so that a duplicate has a key to repeat.
    total = min(int(rows * share), max(rows - 1, 0))
    kinds = list(damages)
    counts = Counter(kinds[(seed + number) % len(kinds)] for number in range(total))
    if not counts:
        return {"damaged": {}, "injected": []}
    clean = path.with_suffix(".clean")
    path.replace(clean)
    injected = break_records(clean, path, counts, seed, damages)
    clean.unlink()
    return {
        "damaged": dict(sorted(counts.items())),
        "injected": [fault._asdict() for fault in injected],
    }
