"""What a service of the local cloud was asked: counts, and the last requests one by one."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

REMEMBERED = 20_000


class RequestCounter:
    """Counts of requests by caller and by operation, and the latest of them in their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Count from zero again."""
        self.total = 0
        self.by_caller: Counter[str] = Counter()
        self.by_operation: Counter[str] = Counter()
        self._latest: deque[dict[str, str]] = deque(maxlen=REMEMBERED)

    def count(self, caller: str, method: str, operation: str, target: str) -> None:
        """Count one request."""
        with self._lock:
            self.total += 1
            self.by_caller[caller] += 1
            self.by_operation[f"{caller} {method} {operation}"] += 1
            self._latest.append(
                {"caller": caller, "method": method, "operation": operation, "target": target}
            )

    def to_json(self) -> dict[str, Any]:
        """The counts as the control route shows them."""
        return {
            "total": self.total,
            "by_caller": dict(self.by_caller),
            "by_operation": dict(self.by_operation),
        }

    def latest(self) -> list[dict[str, str]]:
        """The last `REMEMBERED` requests, oldest first: `caller, method, operation, target`."""
        with self._lock:
            return list(self._latest)
