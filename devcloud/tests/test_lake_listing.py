"""Listing blobs: flat and by hierarchy, in pages, with metadata; what is hidden and what is not."""

from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobPrefix

from devcloud.testing.lake import RunningLake, code, running_lake

COUNT = 2000


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module; each test uses names of its own."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        yield running


def names(lake: RunningLake, prefix: str, **more: object) -> list[str]:
    """Names of a flat listing."""
    return [b.name for b in lake.container().list_blobs(name_starts_with=prefix, **more)]


def test_flat(lake: RunningLake) -> None:
    """A flat listing holds directories too, each before what is in it."""
    for key in ("flat/b/1", "flat/a", "flat/b.csv", "flat/b/0"):
        lake.put(key)
    listed = ["flat/a", "flat/b", "flat/b/0", "flat/b/1", "flat/b.csv"]
    assert names(lake, "flat/") == listed
    assert names(lake, "flat/b") == listed[1:]
    assert names(lake, "flat/b/1") == ["flat/b/1"]
    assert names(lake, "fla") == ["flat", *listed]
    for nothing in ("flat//", "/flat", "flat/../", "none/x"):
        assert names(lake, nothing) == []


def test_hierarchy(lake: RunningLake) -> None:
    """With a delimiter, directories are prefixes and not entered."""
    for key in ("tree/a/1", "tree/b", "tree/c/d/2"):
        lake.put(key)
    found = lake.container().walk_blobs("tree/", delimiter="/")
    assert sorted((b.name, isinstance(b, BlobPrefix)) for b in found) == [
        ("tree/a/", True),
        ("tree/b", False),
        ("tree/c/", True),
    ]


def test_pages(lake: RunningLake) -> None:
    """Pages go on where the last one ended, even if what was there is gone meanwhile."""
    for n in range(25):
        lake.put(f"pages/{n % 5}/{n:02}")
    everything = names(lake, "pages/")
    assert len(everything) == 30
    for size in (4, 30, 100):
        assert names(lake, "pages/", results_per_page=size) == everything
    pages = lake.container().list_blobs("pages/", results_per_page=3).by_page()
    first = [b.name for b in next(pages)]
    lake.container().delete_blob(first[-1])
    rest = lake.container().list_blobs("pages/", results_per_page=3)
    again = [b.name for page in rest.by_page(pages.continuation_token) for b in page]
    assert [*first, *again] == everything


def test_thousands(lake: RunningLake) -> None:
    """Thousands of files, made by another process, are listed 5,000 to a page."""
    folder = lake.local("thousands")
    folder.mkdir()
    for n in range(COUNT):
        (folder / f"{n:05}").touch()
    pages = [len(list(p)) for p in lake.container().list_blobs("thousands/").by_page()]
    assert pages == [COUNT]
    paths = list(lake.filesystem().get_paths("thousands", max_results=500))
    assert [p.name for p in paths] == [f"thousands/{n:05}" for n in range(COUNT)]


def test_metadata_and_properties(lake: RunningLake) -> None:
    """A listing tells all that a HEAD tells, metadata if asked for."""
    lake.put("told/a", b"abc", metadata={"state": "claimed", "name": "a <b> & c"})
    [plain] = lake.container().list_blobs("told/")
    [told] = lake.container().list_blobs("told/", include=["metadata"])
    head = lake.container().get_blob_client("told/a").get_blob_properties()
    assert plain.metadata is None or plain.metadata == {}
    assert told.metadata == {"state": "claimed", "name": "a <b> & c"}
    assert f'"{told.etag}"' == head.etag
    assert (told.size, told.last_modified) == (head.size, head.last_modified)
    assert told.content_settings.content_md5 == head.content_settings.content_md5


def test_checksum_files_of_hadoop(lake: RunningLake) -> None:
    """A .crc file that Hadoop left is hidden, and goes with its file's content."""
    lake.local("crc").mkdir()
    for name in ("part-0", ".part-0.crc", "._SUCCESS.crc", ".other"):
        lake.local(f"crc/{name}").write_bytes(b"x")
    lake.put("crc/.mine.crc")
    assert names(lake, "crc/") == ["crc/.mine.crc", "crc/.other", "crc/part-0"]
    lake.put("crc/part-0", b"new content, so the checksum is wrong")
    assert not lake.local("crc/.part-0.crc").exists()


def test_a_directory_of_checksum_files_is_empty(lake: RunningLake) -> None:
    """Hidden files do not keep a directory from being deleted."""
    lake.local("crc-only").mkdir()
    lake.local("crc-only/.x.crc").touch()
    lake.container().delete_blob("crc-only")
    assert not lake.local("crc-only").exists()


def test_what_a_listing_cannot_do(lake: RunningLake) -> None:
    """Other delimiters, tags and strange markers are refused."""
    with pytest.raises(HttpResponseError) as error:
        list(lake.container().walk_blobs("", delimiter=":"))
    assert code(error) == (501, "NotImplemented")
    with pytest.raises(HttpResponseError) as error:
        names(lake, "", include=["tags"])
    assert code(error) == (501, "NotImplemented")
    with pytest.raises(HttpResponseError) as error:
        next(lake.container().list_blobs().by_page("no such marker"))
    assert error.value.status_code == 400


def test_a_listing_from_a_name_on(lake: RunningLake) -> None:
    """With startFrom the names are in their own order, from that one on, page by page."""
    names = ["from/a a/b", "from/a%a", "from/a/a b", "from/a/a/b", "from/a/b", "from/aa"]
    for name in names:
        lake.put(name)
    for start in (*names, "from/a", "from/a/a"):
        listed = lake.container().list_blobs("from/", start_from=start, results_per_page=2)
        files = [each.name for each in listed if each.size]
        assert files == sorted(name for name in names if name >= start)
