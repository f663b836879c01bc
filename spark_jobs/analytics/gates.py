"""Gates: numbers in, verdict with its reason out. What does not pass is not published."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gate:
    """A measured value against its bar.

    Attributes:
        id: as in the reference of the gates, such as `R2`.
        value, bar: what was measured, and what it is compared with.
        passed: a value that is not a number never passes.
        says: what is measured, in words, with the direction of the bar.
        blocks: whether the model is not published where it fails; else it warns.
    """

    id: str
    value: float
    bar: float
    passed: bool
    says: str
    blocks: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return its form in documents; a value that is not finite is null."""
        return {
            "id": self.id,
            "value": round(self.value, 6) if math.isfinite(self.value) else None,
            "bar": self.bar,
            "passed": self.passed,
            "says": self.says,
            "blocks": self.blocks,
        }


def at_least(id_: str, value: float, bar: float, says: str, *, blocks: bool = True) -> Gate:
    """Return a gate that passes from the bar on."""
    return Gate(id_, float(value), bar, bool(value >= bar), f"{says}: at least {bar:g}", blocks)


def at_most(id_: str, value: float, bar: float, says: str, *, blocks: bool = True) -> Gate:
    """Return a gate that passes up to the bar."""
    return Gate(id_, float(value), bar, bool(value <= bar), f"{says}: at most {bar:g}", blocks)


def failures(gates: Iterable[Gate]) -> list[Gate]:
    """Return the gates that stop the publication."""
    return [gate for gate in gates if gate.blocks and not gate.passed]


def reason(gates: Iterable[Gate]) -> str:
    """Return why something is not published, in words; empty where it is."""
    return "; ".join(f"{gate.id} is {gate.value:.4g}, {gate.says}" for gate in failures(gates))
