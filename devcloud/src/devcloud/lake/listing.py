"""Walking the tree in pages that can be continued.

Order: by path segment, a directory before what is in it. (A flat account compares whole names;
one with a hierarchical namespace, like this, walks directories.) Checksum files that Hadoop's
local file system leaves beside its files are not listed, unless somebody uploaded one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from devcloud.lake.errors import LakeError
from devcloud.lake.messages import check_key
from devcloud.lake.store import LakeStore, StoredEntry, is_checksum

LONGEST_PAGE = 5000
AFTER = "\0"  # no name begins so
BY_NAME = "name!"  # begins the markers of listings in the order of whole names
AT_ONCE = 250  # entries read before others are served


@dataclass(slots=True)
class Page:
    """Some entries, and the marker of the next page; empty on the last."""

    entries: list[StoredEntry]
    marker: str


@dataclass(slots=True, frozen=True)
class Selection:
    """What to list.

    Attributes:
        container: an existing one.
        directory: key of the folder to begin in.
        prefix: that names in that folder begin with.
        recursive: whether to enter folders.
        after: key after which to go on; empty for the beginning.
    """

    container: str
    directory: str = ""
    prefix: str = ""
    recursive: bool = True
    after: str = ""


def walk(store: LakeStore, selection: Selection) -> Iterator[StoredEntry]:
    """Entries in order."""
    folder = selection.directory
    after = selection.after
    if folder and after:
        if after != folder and not after.startswith(f"{folder}/"):
            raise LakeError("InvalidQueryParameterValue", "The marker is of another listing.")
        after = after[len(folder) + 1 :]
    start = after.split("/") if after else []
    yield from _walk(store, selection, folder, selection.prefix, start)


def _walk(
    store: LakeStore, selection: Selection, folder: str, prefix: str, start: list[str]
) -> Iterator[StoredEntry]:
    local = store.local(selection.container, folder)
    names = _names(store, local)
    first = bisect_left(names, max(prefix, start[0] if start else ""))
    for index in range(first, len(names)):
        name = names[index]
        if not name.startswith(prefix):
            return
        reached = bool(start) and name == start[0]  # it was listed before, not what is in it
        key = f"{folder}/{name}" if folder else name
        entry = _entry(store, f"{local}/{name}", name, key)
        if entry is None:
            continue
        if not reached:
            yield entry
        if selection.recursive and entry.directory:
            yield from _walk(store, selection, key, "", start[1:] if reached else [])


def _names(store: LakeStore, local: str) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder."""
    try:
        return store.folders.names(local)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entry(store: LakeStore, local: str, name: str, key: str) -> StoredEntry | None:
    try:
        status = os.lstat(local)
        key.encode()
    except (FileNotFoundError, UnicodeEncodeError):  # just removed, or a name that is not UTF-8
        return None
    entry = store.describe(local, key, status)
    if entry is not None and is_checksum(name) and not entry.properties.version:
        return None
    return entry


def walk_by_name(store: LakeStore, selection: Selection, first: str) -> Iterator[StoredEntry]:
    """Entries in the order of their whole names, from a name on.

    Args:
        store: of the entries.
        selection: what to list; its `after` is not looked at.
        first: the least name that is wanted.
    """
    below = f"{selection.directory}/" if selection.directory else ""
    if first.startswith(below):
        first = first[len(below) :]
    elif first > below:
        return
    else:
        first = ""
    yield from _walk_by_name(store, selection, selection.directory, selection.prefix, first)


def _walk_by_name(
    store: LakeStore, selection: Selection, folder: str, prefix: str, first: str
) -> Iterator[StoredEntry]:
    """What is in a folder; what is in a directory comes where its name with a `/` belongs."""
    local = store.local(selection.container, folder)
    names = _names(store, local)
    waiting: list[str] = []  # directories whose turn has not come, each with its `/`; a heap

    def inside(directory: str) -> Iterator[StoredEntry]:
        if directory < first and not first.startswith(directory):
            return
        rest = first.removeprefix(directory) if first.startswith(directory) else ""
        key = f"{folder}/{directory[:-1]}" if folder else directory[:-1]
        yield from _walk_by_name(store, selection, key, "", rest)

    for name in _names_from(names, prefix, first):
        while waiting and waiting[0] < name:
            yield from inside(heappop(waiting))
        key = f"{folder}/{name}" if folder else name
        entry = _entry(store, f"{local}/{name}", name, key)
        if entry is None:
            continue
        if name >= first:
            yield entry
        if selection.recursive and entry.directory:
            heappush(waiting, f"{name}/")
    while waiting:
        yield from inside(heappop(waiting))


def _names_from(names: list[str], prefix: str, first: str) -> Iterator[str]:
    """Those with the prefix that are not before a name, and before them what may hold such."""
    for length in range(1, len(first)):
        name = first[:length]
        place = bisect_left(names, name)
        if name.startswith(prefix) and place < len(names) and names[place] == name:
            yield name
    for index in range(bisect_left(names, max(prefix, first)), len(names)):
        if not names[index].startswith(prefix):
            return
        yield names[index]


async def page(store: LakeStore, selection: Selection, limit: int) -> Page:
    """The next entries, `limit` at most, which is cut to 5,000."""
    return await _page(walk(store, selection), limit)


async def page_by_name(store: LakeStore, selection: Selection, start: str, limit: int) -> Page:
    """The next entries in the order of whole names, as a listing with `startFrom` has them.

    Args:
        store: of the entries.
        selection: what to list; its `after` is not looked at.
        start: the first name that is wanted; or, with `AFTER` before it, the last one had.
        limit: of the page, which is cut to 5,000.
    """
    first = start.removeprefix(AFTER)
    entries = walk_by_name(store, selection, first)
    if start != first:
        entries = (entry for entry in entries if entry.key != first)
    listed = await _page(entries, limit)
    return Page(listed.entries, f"{BY_NAME}{listed.marker}" if listed.marker else "")


async def _page(walked: Iterator[StoredEntry], limit: int) -> Page:
    limit = min(limit, LONGEST_PAGE)
    entries: list[StoredEntry] = []
    for entry in walked:
        if len(entries) == limit:
            return Page(entries, marker_of(entries[-1].key))
        entries.append(entry)
        if len(entries) % AT_ONCE == 0:
            await asyncio.sleep(0)
    return Page(entries, "")


def marker_of(key: str) -> str:
    """The opaque form in which a client gets the key to go on after."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def key_of(marker: str) -> str:
    """The opposite.

    Raises:
        LakeError: InvalidQueryParameterValue.
    """
    try:
        return check_key(base64.urlsafe_b64decode(marker.encode()).decode())
    except (binascii.Error, UnicodeError):
        raise LakeError("InvalidQueryParameterValue", f"No marker of ours: {marker!r}.") from None
