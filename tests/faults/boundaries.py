"""The points at which the product touches the outside, found by listening to it.

A boundary is a request as the service at the other end saw it, without what differs from drop to
drop, and which one of its kind it is. Nobody lists them by hand: whatever a step sends in a journey
that nothing disturbs is a boundary, and a request that is added to the product adds one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.environment import FOREIGN, OUTSIDE

_PARTS = {
    "<id>": r"\d{8}T\d{6}Z-[a-z0-9_]+-[0-9a-f]{16}(?:\.a?\d+)?",
    "<extract>": r"(?:\d{8}T\d{6}Z|n?\d{19})-[0-9a-f]{8}(?![0-9a-f])",
    "<attempt>": r"(?<=/)v[0-9a-f]{12}(?=[/?&]|$)",
    "<digest>": r"(?<=/)[0-9a-f]{24}(?=\.odcs)",
    "<uuid>": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "<sha256>": r"[0-9a-f]{64}",
    "<token>": r"(?<=requests/)[0-9a-f]{32}",
    "<day>": r"\d{4}/\d{2}/\d{2}|(?<=/)\d{8}(?=/)",
    "<drop>": r"drop-\d+",
    "<number>": r"(?<==)\d+$",
}
_NOISE = re.compile(
    r"^/landfall/|/subscriptions/.*/factories/landfall/|\?mode=legacy|[?&]api-version=[^&]*"
    r"|restype=container&comp=list&?|&?include=metadata|^/api/2.\d/"
)


@dataclass(frozen=True)
class Boundary:
    """The `nth` request of one shape that a journey sends to a service, counted from 0."""

    service: str
    method: str
    shape: str
    nth: int
    operation: str

    @property
    def name(self) -> str:
        """As a table shows it."""
        place = _NOISE.sub("", self.shape).rstrip("?&")
        what = self.operation if self.service == "lake" else self.method
        return f"{what} {place}" + (f" ({self.nth + 1})" if self.nth else "")

    def rule(self) -> dict[str, Any]:
        """What a fault rule needs to strike here and nowhere else."""
        pattern = re.escape(self.shape)
        for part, expression in _PARTS.items():
            pattern = pattern.replace(re.escape(part), expression)
        return {
            "method": self.method,
            "path": f"^{pattern}$",
            "service_caller": FOREIGN,
            "skip": self.nth,
        }


def boundaries_of(journals: Mapping[str, Iterable[Mapping[str, str]]]) -> list[Boundary]:
    """All boundaries of a journey, by service, in the order in which they were met."""
    return [boundary for service in OUTSIDE for boundary in _of(service, journals[service])]


def _of(service: str, journal: Iterable[Mapping[str, str]]) -> Iterator[Boundary]:
    met: Counter[tuple[str, str]] = Counter()
    for request in journal:
        if not re.search(FOREIGN, request["caller"]):
            continue
        shape = request["target"]
        for part, expression in _PARTS.items():
            shape = re.sub(expression, part, shape)
        kind = (request["method"], shape)
        yield Boundary(service, *kind, met[kind], request["operation"])
        met[kind] += 1
