"""JSON documents by kind and name, kept in one file of the workspace's folder."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class Documents:
    """A file of documents; every method reads it anew and is one step, from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def get(self, kind: str, name: str) -> Document | None:
        """A document; None if it is not there."""
        with self._lock:
            return self._read().get(kind, {}).get(name)

    def all(self, kind: str) -> list[Document]:
        """All of a kind, the oldest first."""
        with self._lock:
            return list(self._read().get(kind, {}).values())

    def put(self, kind: str, name: str, document: Document) -> None:
        """Create or replace a document."""
        with self._lock:
            kept = self._read()
            kept.setdefault(kind, {})[name] = document
            self._write(kept)

    def delete(self, kind: str, name: str) -> bool:
        """Delete a document; whether it was there."""
        with self._lock:
            kept = self._read()
            existed = kept.get(kind, {}).pop(name, None) is not None
            self._write(kept)
            return existed

    def _read(self) -> dict[str, dict[str, Document]]:
        if not self._path.exists():
            return {}
        kept: dict[str, dict[str, Document]] = json.loads(self._path.read_text())
        return kept

    def _write(self, kept: dict[str, dict[str, Document]]) -> None:
        staged = self._path.with_suffix(".tmp")
        staged.write_text(json.dumps(kept, indent=1))
        staged.replace(self._path)
