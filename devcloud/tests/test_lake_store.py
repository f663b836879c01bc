"""The folder under the lake: clock, properties, and life beside other processes."""

import os
from pathlib import Path

import pytest

from devcloud.lake.errors import LakeError
from devcloud.lake.properties import ATTRIBUTE, Properties
from devcloud.lake.store import LakeStore, StoredEntry, VersionClock


@pytest.fixture(params=[True, False], ids=["attributes", "beside"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> LakeStore:
    """A store with one container; properties in extended attributes, or beside."""
    made = LakeStore(tmp_path / "lake", attributes=request.param)
    made.create_container("box")
    return made


def put(store: LakeStore, key: str, data: bytes, **more: object) -> StoredEntry:
    """Publish a file."""
    staged = store.stage()
    Path(staged).write_bytes(data)
    properties = Properties(**more)  # type: ignore[arg-type]
    return store.publish("box", key, staged, properties, current=store.entry("box", key))


def found(store: LakeStore, key: str) -> StoredEntry:
    """A path that must be there."""
    entry = store.entry("box", key)
    assert entry is not None
    return entry


def test_the_clock_never_repeats() -> None:
    """However coarse the time, each tick is later than the one before and than what it follows."""
    clock = VersionClock(lambda: 1000)
    assert [clock.tick(), clock.tick(), clock.tick(5000), clock.tick()] == [1000, 1001, 5001, 5002]


def test_properties_move_with_a_file(store: LakeStore) -> None:
    """Metadata, creation time and ETag survive a rename, also of a directory above."""
    before = put(store, "a/b/c", b"x", metadata={"k": "ü"}, md5="hash")
    (store.root / "box" / "z").mkdir()
    store.rename(before, "box", "a/b/d")
    store.rename(found(store, "a"), "box", "z/a")
    after = found(store, "z/a/b/d")
    assert (after.etag, after.properties) == (before.etag, before.properties)


def test_an_edit_from_outside_is_a_new_version(store: LakeStore) -> None:
    """A file changed in place has another ETag, and no hash of its old content."""
    before = put(store, "a", b"xx", metadata={"k": "v"}, md5="hash", blocks=[("a", 2)])
    path = Path(before.local)
    path.write_bytes(b"yy")
    os.utime(path, ns=(before.modified + 1, before.modified + 1))
    after = found(store, "a")
    assert after.etag != before.etag
    assert (after.properties.md5, after.properties.blocks) == ("", [])


def test_a_file_replaced_from_outside_has_no_properties(store: LakeStore) -> None:
    """Spark's new file under the name of an old one has nothing of the old one."""
    before = put(store, "a", b"xx", metadata={"k": "v"})
    Path(before.local).unlink()
    Path(before.local).write_bytes(b"yy")
    assert found(store, "a").properties.metadata == {}


def test_an_overwrite_forgets_what_was_beside(store: LakeStore) -> None:
    """No properties are left of files that are gone, whose inodes come again."""
    for n in range(5):
        put(store, "a", b"x", metadata={"n": str(n)})
        put(store, "b", b"x", metadata={"n": str(n)})
    store.delete(found(store, "a"))
    kept = {int(p.name) for p in (store.system / "properties").iterdir()}
    assert found(store, "b").properties.metadata == {"n": "4"}
    assert kept <= {found(store, "b").inode, found(store, "").inode}


def test_directories_keep_their_etag(store: LakeStore) -> None:
    """A directory's ETag is its own, whoever made it, and not changed by what comes into it."""
    (store.root / "box" / "spark").mkdir()
    before = found(store, "spark")
    put(store, "spark/part-0", b"x")
    assert found(store, "spark").etag == before.etag


def test_more_properties_than_an_attribute_holds(tmp_path: Path) -> None:
    """What does not fit into an extended attribute is kept beside, and comes back if it shrinks."""
    store = LakeStore(tmp_path / "lake")
    store.create_container("box")
    big = {f"k{n}": "v" * 200 for n in range(400)}
    entry = put(store, "a", b"x", metadata=big)
    assert found(store, "a").properties.metadata == big
    store.change(entry, Properties(metadata={"k": "v"}))
    assert found(store, "a").properties.metadata == {"k": "v"}
    assert ATTRIBUTE in os.listxattr(entry.local) or list((store.system / "properties").iterdir())


def test_links_are_not_followed(store: LakeStore, tmp_path: Path) -> None:
    """A symbolic link is neither file nor directory of the lake."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    (store.root / "box" / "link").symlink_to(secret)
    assert store.entry("box", "link") is None


def test_leftovers_of_a_crash_go(store: LakeStore) -> None:
    """Files of unfinished uploads are removed when the lake opens again."""
    Path(store.stage()).write_bytes(b"half")
    again = LakeStore(store.root)
    assert list((again.system / "staging").iterdir()) == []


def test_create_is_atomic_beside_other_processes(store: LakeStore) -> None:
    """A file that another process made since we looked is not overwritten by a create."""
    staged = store.stage()
    Path(staged).write_bytes(b"ours")
    (store.root / "box" / "a").write_bytes(b"theirs")
    with pytest.raises(LakeError) as error:
        store.publish("box", "a", staged, Properties(), current=None, absent=True)
    assert error.value.code == "BlobAlreadyExists"
    assert (store.root / "box" / "a").read_bytes() == b"theirs"
