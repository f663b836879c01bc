"""The names in folders, in order, kept while a folder does not change.

A page of a listing needs a few of them, and reading and sorting those of a folder with 100,000
files costs more than the page. A folder's change time tells whether the names kept are still
current: adding, removing or renaming a file, in this process or another, changes it, and no
program can set it.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_LEAST_NAMES = 500  # a smaller folder is read as fast as asked about
_MOST_NAMES = 2_000_000  # of all folders together
# Change times advance in the ticks of the kernel's clock, of 10 ms at most. Names read sooner
# after a change could miss another one of the same tick.
_SETTLED_NS = 100_000_000


@dataclass(slots=True)
class _KeptNames:
    inode: int
    changed: int
    names: list[str]


class FolderNames:
    """The sorted names of folders; used by one thread at a time."""

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        """Use a clock in nanoseconds, that of the disk's change times."""
        self._now = now
        self._kept: OrderedDict[str, _KeptNames] = OrderedDict()
        self._count = 0

    def names(self, folder: str) -> list[str]:
        """All names in a folder, sorted; not to be changed.

        Raises:
            FileNotFoundError, NotADirectoryError: there is no such folder.
        """
        status = os.stat(folder)  # noqa: PTH116 - paths cost several times more
        kept = self._kept.get(folder)
        if kept is not None:
            if (kept.inode, kept.changed) == (status.st_ino, status.st_ctime_ns):
                self._kept.move_to_end(folder)
                return kept.names
            self._drop(folder)
        began = self._now()
        names = sorted(os.listdir(folder))  # noqa: PTH208
        if len(names) >= _LEAST_NAMES and status.st_ctime_ns < began - _SETTLED_NS:
            self._kept[folder] = _KeptNames(status.st_ino, status.st_ctime_ns, names)
            self._count += len(names)
            while self._count > _MOST_NAMES:
                self._drop(next(iter(self._kept)))
        return names

    def _drop(self, folder: str) -> None:
        self._count -= len(self._kept.pop(folder).names)
