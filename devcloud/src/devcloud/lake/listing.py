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
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    try:
        with os.scandir(local) as dir_entries:
            children = {each.name: each for each in dir_entries if each.name.startswith(prefix)}
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(children):
        rest: list[str] = []
        skip = False
        if start:
            if name < start[0]:
                continue
            if name == start[0]:
                rest = start[1:]
                skip = True
        child = children[name]
        key = f"{folder}/{name}" if folder else name
        entry = _entry(store, child, key)
        if entry is None:
            continue
        if not skip:
            yield entry
        if selection.recursive and entry.directory:
            yield from _walk(store, selection, key, "", rest)


def _entry(store: LakeStore, child: os.DirEntry[str], key: str) -> StoredEntry | None:
    try:
        status = child.stat(follow_symlinks=False)
        key.encode()
    except (FileNotFoundError, UnicodeEncodeError):  # just removed, or a name that is not UTF-8
        return None
    entry = store.describe(child.path, key, status)
    if entry is not None and is_checksum(child.name) and not entry.properties.version:
        return None
    return entry


async def page(store: LakeStore, selection: Selection, limit: int) -> Page:
    """The next entries, `limit` at most, which is cut to 5,000."""
    limit = min(limit, LONGEST_PAGE)
    entries: list[StoredEntry] = []
    for entry in walk(store, selection):
        if len(entries) == limit:
            return Page(entries, marker_of(entries[-1].key))
        entries.append(entry)
        if len(entries) % AT_ONCE == 0:
            await asyncio.sleep(0)
    return Page(entries, "")


async def page_by_name(store: LakeStore, selection: Selection, start: str, limit: int) -> Page:
    """The next entries in the order of whole names, as a listing with `startFrom` has them.

    Args:
        store: of the entries.
        selection: what to list; its `after` is not looked at.
        start: the first name that is wanted; or, with `AFTER` before it, the last one had.
        limit: of the page, which is cut to 5,000.
    """
    exclusive, limit = start.startswith(AFTER), min(limit, LONGEST_PAGE)
    first = start.removeprefix(AFTER)
    entries: list[StoredEntry] = []
    for entry in walk(store, replace(selection, after="")):
        if entry.key > first or (entry.key == first and not exclusive):
            entries.append(entry)
        if len(entries) % AT_ONCE == 0:
            await asyncio.sleep(0)
    entries.sort(key=lambda entry: entry.key)
    marker = f"{BY_NAME}{marker_of(entries[limit - 1].key)}" if len(entries) > limit else ""
    return Page(entries[:limit], marker)


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
