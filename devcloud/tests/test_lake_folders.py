"""The kept names of big folders: a page costs what it holds, and no change is missed."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from devcloud.lake import folders
from devcloud.lake.folders import FolderNames
from devcloud.lake.listing import AFTER, Selection, key_of, page, page_by_name
from devcloud.lake.store import LakeStore

SETTLED = 200_000_000  # nanoseconds


class CountingDisk:
    """Counts how often a folder is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = 0
        self._listdir = os.listdir
        monkeypatch.setattr(os, "listdir", self._count)

    def _count(self, folder: str) -> list[str]:
        self.read += 1
        return self._listdir(folder)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> CountingDisk:
    """The disk, with a counter."""
    return CountingDisk(monkeypatch)


def later(folder: Path) -> FolderNames:
    """Names read well after the last change of the folder."""
    return FolderNames(lambda: folder.stat().st_ctime_ns + SETTLED)


def fill(folder: Path, count: int) -> list[str]:
    """Files in a folder; their names in order."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{n:05}" for n in range(count)]
    for name in names:
        (folder / name).write_bytes(b"")
    return names


def test_a_folder_that_rests_is_read_once(tmp_path: Path, disk: CountingDisk) -> None:
    """The names are those of the disk, and asked for again they cost no reading."""
    names, kept = fill(tmp_path / "many", 600), later(tmp_path / "many")
    for _ in range(3):
        assert kept.names(str(tmp_path / "many")) == names
    assert disk.read == 1


def test_changes_of_other_processes_are_seen(tmp_path: Path) -> None:
    """Whatever adds, removes, renames or replaces: the next listing has it."""
    folder = tmp_path / "many"
    expected, kept = fill(folder, 600), later(folder)
    (tmp_path / "other").write_bytes(b"")
    for change in (
        lambda: (folder / "new").write_bytes(b""),
        (folder / "00007").unlink,
        lambda: (folder / "00008").rename(folder / "renamed"),
        lambda: (tmp_path / "other").replace(folder / "00009"),
        (folder / "sub").mkdir,
    ):
        kept.names(str(folder))
        change()
        os.utime(folder, ns=(0, 0))  # nobody's modification time is trusted
        expected = sorted(each.name for each in folder.iterdir())
        assert kept.names(str(folder)) == expected


def test_a_folder_that_changed_just_now_is_read_again(tmp_path: Path, disk: CountingDisk) -> None:
    """Change times have the ticks of a clock: what follows in the same tick must not be missed."""
    folder = tmp_path / "many"
    fill(folder, 600)
    soon = FolderNames(lambda: folder.stat().st_ctime_ns + 1_000_000)
    for _ in range(3):
        soon.names(str(folder))
    assert disk.read == 3


def test_old_folders_make_room(
    tmp_path: Path, disk: CountingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for longest ago is forgotten first."""
    monkeypatch.setattr(folders, "_MOST_NAMES", 1300)
    for name in ("a", "b", "c"):
        fill(tmp_path / name, 600)
    kept = FolderNames(lambda: (tmp_path / "c").stat().st_ctime_ns + SETTLED)
    for name in ("a", "b", "c", "c", "b", "a"):
        kept.names(str(tmp_path / name))
    assert disk.read == 4  # a, b, c, and a again


def test_a_page_reads_only_what_it_holds(
    tmp_path: Path, disk: CountingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folder with many files, a page of ten looks at eleven, wherever it begins."""
    store = LakeStore(tmp_path / "lake")
    store.create_container("landing")
    folder = tmp_path / "lake/landing/runs"
    names = fill(folder, 3000)
    store.folders = later(folder)
    disk.read = 0
    looked = 0
    describe = store.describe

    def counted(*arguments: object) -> object:
        nonlocal looked
        looked += 1
        return describe(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "describe", counted)
    selection = Selection("landing", "runs")
    first = asyncio.run(page(store, selection, 10))
    after = Selection("landing", "runs", after=key_of(first.marker))
    second = asyncio.run(page(store, after, 10))
    prefixed = asyncio.run(page(store, Selection("landing", "runs", "02"), 10))
    named = asyncio.run(page_by_name(store, selection, "runs/01500", 10))
    listed = [[each.key for each in each_page.entries] for each_page in (first, second)]
    assert listed == [[f"runs/{name}" for name in names[n : n + 10]] for n in (0, 10)]
    assert prefixed.entries[0].key == "runs/02000"
    assert named.entries[0].key == "runs/01500"
    assert looked <= 4 * 12
    assert disk.read == 1


def test_order_of_whole_names(tmp_path: Path) -> None:
    """With `startFrom`, any start and any page give what sorting all names would give."""
    store = LakeStore(tmp_path / "lake")
    store.create_container("landing")
    root = tmp_path / "lake/landing"
    chance = random.Random(22)  # noqa: S311 - names, not secrets
    letters = ["a", "b", "a.b", "a-b", "a b", "ab", "a0", "ä", "z"]
    for _ in range(120):
        file = root.joinpath(*(chance.choice(letters) for _ in range(chance.randint(1, 4))))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            continue
    everything = sorted(str(each.relative_to(root)) for each in root.rglob("*"))
    starts = [*everything, "", "a", "a/", "a.", "a/b/", "a/a.", "b0", "zz", "a-b/a"]
    for start in starts:
        for folder in ("", "a"):
            below = [e for e in everything if e >= start and (not folder or e.startswith("a/"))]
            got: list[str] = []
            place, limit = start, 7
            while True:
                part = asyncio.run(page_by_name(store, Selection("landing", folder), place, limit))
                got += [entry.key for entry in part.entries]
                if not part.marker:
                    break
                place = AFTER + got[-1]
            assert got == below, (start, folder)
