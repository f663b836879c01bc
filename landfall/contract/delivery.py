"""Reads the delivery options of a contract: kind of drop, load order, size of batches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from landfall.contract.model import DeliveryOptions
from landfall.contract.reader import Node

DELIVERY = (
    "dropKind",
    "loadOrder",
    "batchMaxDrops",
    "batchMaxRows",
    "batchWindowSeconds",
    "referenceWaitSeconds",
)
"""The custom properties that are read here."""


def read_delivery(custom: Mapping[str, Node]) -> DeliveryOptions:
    """Read the delivery options from the contract's custom properties.

    Raises:
        ContractError: an unknown value, or a number that cannot be a limit.
    """
    kind, order = custom.get("dropKind"), custom.get("loadOrder")
    if kind is not None:
        kind.one_of(("file", "folder"))
    if order is not None:
        order.one_of(("any", "landed"))
    window, reference_wait = custom.get("batchWindowSeconds"), custom.get("referenceWaitSeconds")
    return DeliveryOptions(
        kind="file" if kind is None else kind.text(),
        ordered=order is not None and order.text() == "landed",
        batch_drops=_count(custom.get("batchMaxDrops")),
        batch_rows=_count(custom.get("batchMaxRows")),
        batch_window=None if window is None else _seconds(window),
        reference_wait=None if reference_wait is None else _seconds(reference_wait),
    )


def _count(node: Node | None) -> int | None:
    if node is None:
        return None
    number = node.number()
    if number < 1 or number != int(number):
        raise node.error(f"is {number}; a whole number from 1 on is needed")
    return int(number)


def _seconds(node: Node) -> timedelta:
    number = node.number()
    if not 0 <= number <= 24 * 3600:
        raise node.error(f"is {number}; seconds from 0 to {24 * 3600} are needed")
    return timedelta(seconds=float(number))
