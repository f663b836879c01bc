"""The register of extracts: one document an object, written by compare-and-set, and one an extract.

An object's document has its watermark and what is under way; an extract's is written once it was
delivered, and says that a range needs no second reading.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from ingest import paths
from ingest.errors import AlreadyExists, Damaged, NotFound, Stale
from ingest.ports import Lake
from ingest.sources.document import (
    Extract,
    ObjectState,
    dump,
    parse_extract,
    parse_state,
    writer_of,
)

TRIES = 8
"""How often a change is tried again that others were faster than."""


@dataclass(frozen=True)
class StoredState:
    """An object's state as it stands; `etag` is None where it has no document yet."""

    state: ObjectState
    etag: str | None


def _random_id() -> str:
    return uuid.uuid4().hex


class ExtractRegister:
    """Reads and writes the documents of objects and extracts."""

    def __init__(self, lake: Lake, new_id: Callable[[], str] = _random_id) -> None:
        self._lake = lake
        self._new_id = new_id

    def get(self, source: str, entry: str) -> StoredState:
        """The state of an object; of one that was never extracted an empty one.

        Raises:
            Damaged: its document cannot be read.
        """
        path = paths.source_state(source, entry)
        try:
            body, etag = self._lake.get(path)
        except NotFound:
            return StoredState(ObjectState(source, entry), None)
        try:
            return StoredState(parse_state(body), etag)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{path} cannot be read: {type(error).__name__}: {error}") from error

    def put(self, stored: StoredState, state: ObjectState) -> StoredState:
        """Write a new state, if nobody has since.

        Raises:
            Stale: somebody has.
        """
        path, writer = paths.source_state(state.source, state.object), self._new_id()
        body = dump(state, writer)
        try:
            if stored.etag is None:
                return StoredState(state, self._lake.put(path, body, if_absent=True))
            return StoredState(state, self._lake.put(path, body, if_match=stored.etag))
        except (AlreadyExists, Stale) as error:
            # The SDK repeats a write whose acknowledgement was lost: it meets its own document.
            try:
                current, etag = self._lake.get(path)
            except NotFound:
                current, etag = b"{}", ""
            if writer_of(current) == writer:
                return StoredState(state, etag)
            raise Stale(f"{path} was written by somebody else") from error

    def change(
        self, source: str, entry: str, change: Callable[[ObjectState], ObjectState]
    ) -> ObjectState:
        """Change the state as it stands, whoever else writes it meanwhile.

        Raises:
            Stale: others were faster each time.
        """
        for _ in range(TRIES):
            stored = self.get(source, entry)
            state = change(stored.state)
            if state == stored.state:
                return state
            try:
                return self.put(stored, state).state
            except Stale:
                continue
        raise Stale(f"{paths.source_state(source, entry)} is being written by others; ask again")

    def extract(self, source: str, entry: str, extract_id: str) -> Extract | None:
        """A delivered extract, if there is one of that id.

        Raises:
            Damaged: its document cannot be read.
        """
        path = paths.extract_document(source, entry, extract_id)
        try:
            return parse_extract(self._lake.get(path)[0])
        except NotFound:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{path} cannot be read: {type(error).__name__}: {error}") from error

    def keep(self, source: str, entry: str, extract: Extract) -> None:
        """Write down that an extract was delivered."""
        path = paths.extract_document(source, entry, extract.extract_id)
        self._lake.put(path, dump(extract, self._new_id()))
