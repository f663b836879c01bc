"""The dfs API, through azure-storage-file-datalake as everybody installs it."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.filedatalake import ContentSettings

from devcloud.testing.lake import RunningLake, code, running_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module; each test uses names of its own."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        yield running


def file(lake: RunningLake, key: str, container: str = "landing") -> Any:
    """The client of a path."""
    return lake.filesystem(container).get_file_client(key)


def test_filesystems(lake: RunningLake) -> None:
    """A filesystem is a container, made, found, listed and deleted."""
    filesystem = lake.filesystem("some-files")
    filesystem.create_file_system(metadata={"a": "b"})
    with pytest.raises(ResourceExistsError):
        filesystem.create_file_system()
    assert filesystem.exists()
    assert filesystem.get_file_system_properties().metadata == {"a": "b"}
    assert "some-files" in {f.name for f in lake.paths.list_file_systems()}
    filesystem.delete_file_system()
    assert not filesystem.exists()


def test_directories(lake: RunningLake) -> None:
    """Directories are real: made with their parents, empty or not, listed, with metadata."""
    directory = lake.filesystem().create_directory("dirs/a/b", metadata={"k": "v"})
    assert directory.exists()
    found = directory.get_directory_properties()
    assert found.metadata == {"k": "v", "hdi_isfolder": "true"}
    assert lake.local("dirs/a/b").is_dir()
    etag = found.etag
    directory.create_file("child")
    assert directory.get_directory_properties().etag == etag
    with pytest.raises(ResourceExistsError) as error:
        lake.filesystem().get_directory_client("dirs/a").create_directory(
            match_condition=MatchConditions.IfMissing
        )
    assert code(error) == (409, "PathAlreadyExists")


def test_upload_data(lake: RunningLake) -> None:
    """upload_data creates, appends and flushes; it overwrites when told to."""
    client = file(lake, "up/data.csv")
    settings = ContentSettings(content_type="text/csv")
    client.upload_data(b"1" * 1000, overwrite=True, metadata={"k": "v"}, content_settings=settings)
    found = client.get_file_properties()
    assert (found.size, found.metadata) == (1000, {"k": "v"})
    assert found.content_settings.content_type == "text/csv"
    client.upload_data(b"two", overwrite=True)
    assert client.download_file().readall() == b"two"


def test_upload_data_never_creates_without_overwrite(lake: RunningLake) -> None:
    """Without overwrite, upload_data appends to a file that must exist."""
    with pytest.raises(ResourceNotFoundError) as error:
        file(lake, "up/never").upload_data(b"x", overwrite=False)
    assert code(error) == (404, "PathNotFound")


def test_append_in_any_order(lake: RunningLake) -> None:
    """Appends wait, in whatever order they come, and are nothing to readers before the flush."""
    client = file(lake, "append/a")
    client.create_file()
    client.append_data(b"world", offset=6)
    client.append_data(b"hello ", offset=0)
    assert client.download_file().readall() == b""
    with pytest.raises(HttpResponseError) as error:
        client.flush_data(20)
    assert code(error) == (400, "InvalidFlushPosition")
    before = client.get_file_properties().etag
    assert client.flush_data(11)["etag"] != before
    assert client.download_file().readall() == b"hello world"
    client.append_data(b"!", offset=11, flush=True)
    assert client.download_file().readall() == b"hello world!"


def test_a_gap_cannot_be_flushed(lake: RunningLake) -> None:
    """Data that does not join what is there is refused at the flush."""
    client = file(lake, "append/gap")
    client.create_file()
    client.append_data(b"late", offset=4)
    with pytest.raises(HttpResponseError) as error:
        client.flush_data(8)
    assert code(error) == (400, "InvalidFlushPosition")


def test_flush_retains_what_it_is_told_to(lake: RunningLake) -> None:
    """Data behind the flush is dropped, or with retain_uncommitted_data waits on."""
    client = file(lake, "append/retain")
    client.create_file()
    client.append_data(b"aa", offset=0)
    client.append_data(b"bb", offset=2)
    client.flush_data(2, retain_uncommitted_data=True)
    client.flush_data(4)
    assert client.download_file().readall() == b"aabb"
    client.append_data(b"cc", offset=4)
    client.append_data(b"dd", offset=6)
    client.flush_data(6)
    with pytest.raises(HttpResponseError):
        client.flush_data(8)


def test_flush_under_a_condition(lake: RunningLake) -> None:
    """A flush that names a version fails with 412 when another is there."""
    client = file(lake, "append/if")
    etag = client.create_file()["etag"]
    client.append_data(b"mine", offset=0)
    client.set_metadata({"somebody": "else"})
    with pytest.raises(ResourceModifiedError):
        client.flush_data(4, etag=etag, match_condition=MatchConditions.IfNotModified)
    assert client.download_file().readall() == b""


def test_appends_of_nothing_and_to_nothing(lake: RunningLake) -> None:
    """A zero-length append is 400; one to a path that is not there 404."""
    client = file(lake, "append/zero")
    client.create_file()
    with pytest.raises(HttpResponseError) as error:
        client.append_data(b"", offset=0, length=0)
    assert error.value.status_code == 400
    with pytest.raises(ResourceNotFoundError):
        file(lake, "append/none").append_data(b"x", offset=0)


def test_create_conditions(lake: RunningLake) -> None:
    """Creating a file overwrites, unless a condition forbids it."""
    client = file(lake, "create/a")
    first = client.create_file()["etag"]
    second = client.create_file()["etag"]
    assert first != second
    with pytest.raises(ResourceExistsError) as exists:
        client.create_file(match_condition=MatchConditions.IfMissing)
    assert code(exists) == (409, "PathAlreadyExists")
    with pytest.raises(ResourceModifiedError):
        client.create_file(etag=first, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(HttpResponseError) as conflict:
        file(lake, "create/a/below").create_file()
    assert code(conflict) == (409, "PathConflict")


def test_rename_file(lake: RunningLake) -> None:
    """A rename moves content, metadata and ETag; the source is gone."""
    lake.put("move/a.csv", b"data", metadata={"k": "v"})
    lake.filesystem("raw").create_directory("move")
    before = file(lake, "move/a.csv").get_file_properties()
    moved = file(lake, "move/a.csv").rename_file("raw/move/b c.csv")
    after = moved.get_file_properties()
    assert (after.etag, after.metadata, after.last_modified) == (
        before.etag,
        {"k": "v"},
        before.last_modified,
    )
    assert lake.read("move/b c.csv", "raw") == b"data"
    assert not file(lake, "move/a.csv").exists()


def test_rename_overwrites_a_file(lake: RunningLake) -> None:
    """A rename replaces the file that is there, unless a condition on it forbids."""
    lake.put("over/a", b"new")
    lake.put("over/b", b"old")
    with pytest.raises(ResourceExistsError):
        file(lake, "over/a").rename_file(
            "landing/over/b", match_condition=MatchConditions.IfMissing
        )
    assert lake.read("over/b") == b"old"
    file(lake, "over/a").rename_file("landing/over/b")
    assert lake.read("over/b") == b"new"


def test_rename_makes_no_parents(lake: RunningLake) -> None:
    """The folder of the destination must exist."""
    lake.put("parents/a")
    with pytest.raises(ResourceNotFoundError) as error:
        file(lake, "parents/a").rename_file("landing/no/such/folder/b")
    assert code(error) == (404, "RenameDestinationParentPathNotFound")
    with pytest.raises(ResourceNotFoundError) as error:
        file(lake, "parents/none").rename_file("landing/parents/b")
    assert code(error) == (404, "SourcePathNotFound")


def test_rename_under_conditions_of_the_source(lake: RunningLake) -> None:
    """A rename that names a version of the source moves that version or nothing."""
    etag = lake.put("source/a", b"1")
    lake.put("source/a", b"2")
    with pytest.raises(HttpResponseError) as error:
        file(lake, "source/a").rename_file(
            "landing/source/b",
            source_etag=etag,
            source_match_condition=MatchConditions.IfNotModified,
        )
    assert code(error) == (412, "SourceConditionNotMet")
    assert lake.read("source/a") == b"2"
    etag = str(file(lake, "source/a").get_file_properties().etag)
    file(lake, "source/a").rename_file(
        "landing/source/b", source_etag=etag, source_match_condition=MatchConditions.IfNotModified
    )
    assert lake.read("source/b") == b"2"


def test_rename_directories(lake: RunningLake) -> None:
    """A directory moves with all in it, into no full directory and not into itself."""
    for n in range(20):
        lake.put(f"tree/sub/{n}")
    tree = lake.filesystem().get_directory_client("tree")
    etag = tree.get_directory_properties().etag
    with pytest.raises(HttpResponseError) as error:
        tree.rename_directory("landing/tree/sub/inside")
    assert code(error) == (409, "InvalidRenameSourcePath")
    lake.put("full/x")
    with pytest.raises(ResourceExistsError):
        tree.rename_directory("landing/full")
    moved = tree.rename_directory("raw/tree")
    assert moved.get_directory_properties().etag == etag
    assert len(list(lake.filesystem("raw").get_paths("tree"))) == 21


def test_delete(lake: RunningLake) -> None:
    """A directory with something in it goes only with all of it."""
    lake.put("gone/a/b")
    lake.put("gone/c")
    file(lake, "gone/c").delete_file()
    lake.filesystem().get_directory_client("gone").delete_directory()
    assert not lake.local("gone").exists()
    with pytest.raises(ResourceNotFoundError) as error:
        file(lake, "gone/c").delete_file()
    assert code(error) == (404, "PathNotFound")


def test_listing(lake: RunningLake) -> None:
    """Paths are listed flat or deep, with size, ETag and time, in pages that go on."""
    for n in range(7):
        lake.put(f"list/{n % 3}/{n}", b"x" * n)
    deep = list(lake.filesystem().get_paths("list", recursive=True, max_results=2))
    names = ["0", "0/0", "0/3", "0/6", "1", "1/1", "1/4", "2", "2/2", "2/5"]
    assert [p.name for p in deep] == [f"list/{name}" for name in names]
    assert [p.is_directory for p in deep[:2]] == [True, False]
    assert deep[3].content_length == 6
    found = file(lake, "list/0/6").get_file_properties()
    assert f'"{deep[3].etag}"' == found.etag
    assert deep[3].last_modified == found.last_modified.replace(tzinfo=None)
    flat = lake.filesystem().get_paths("list", recursive=False)
    assert [p.name for p in flat] == ["list/0", "list/1", "list/2"]
    with pytest.raises(ResourceNotFoundError):
        list(lake.filesystem().get_paths("list/none"))


@pytest.mark.parametrize("recursive", [False, True])
def test_listing_a_file(lake: RunningLake, recursive: bool) -> None:
    """The list of a file is that file, by its full name."""
    etag = lake.put("list-one/a b.csv", b"12")
    lake.put("list-one/a b.csv.other")
    [found] = lake.filesystem().get_paths("list-one/a b.csv", recursive=recursive)
    assert found.name == "list-one/a b.csv"
    assert (found.is_directory, found.content_length) == (False, 2)
    assert etag == f'"{found.etag}"'


def test_access_control_is_kept_not_enforced(lake: RunningLake) -> None:
    """What is set as owner, permissions or ACL is told again."""
    client = file(lake, "access")
    client.create_file(permissions="0640")
    assert client.get_access_control()["permissions"] == "rw-r-----"
    assert client.get_access_control()["owner"] == "$superuser"
    client.set_access_control(owner="somebody", permissions="rwxr-x---")
    found = client.get_access_control()
    assert (found["owner"], found["permissions"]) == ("somebody", "rwxr-x---")
    assert found["acl"] == "user::rwx,group::r-x,other::---"
    client.set_access_control(acl="user::rw-,group::r--,other::---")
    assert client.get_access_control()["acl"] == "user::rw-,group::r--,other::---"
    with pytest.raises(HttpResponseError):
        client.set_access_control(permissions="all of them")


@pytest.mark.parametrize("metadata", [{"a b": "1"}, {"a": "1\r\nx: 2"}, {"": "1"}])
def test_metadata_that_no_header_could_tell(lake: RunningLake, metadata: dict[str, str]) -> None:
    """Names and values that would break a header are refused."""
    with pytest.raises(HttpResponseError) as error:
        file(lake, "bad-metadata").create_file(metadata=metadata)
    assert code(error) == (400, "InvalidHeaderValue")


def test_metadata_headers_and_leases(lake: RunningLake) -> None:
    """Metadata, content headers and leases work on paths as on blobs."""
    client = file(lake, "props")
    client.upload_data(b"x", overwrite=True)
    client.set_metadata({"a": "1"})
    client.set_http_headers(ContentSettings(content_type="text/csv"))
    found = client.get_file_properties()
    assert (found.metadata, found.content_settings.content_type) == ({"a": "1"}, "text/csv")
    lease = client.acquire_lease(15)
    with pytest.raises(HttpResponseError) as error:
        client.append_data(b"y", offset=1)
    assert code(error) == (412, "LeaseIdMissing")
    client.append_data(b"y", offset=1, lease=lease)
    client.flush_data(2, lease=lease)
    lease.release()


def test_an_overwrite_breaks_a_lease(lake: RunningLake) -> None:
    """A lease is no fence: a create, or a rename onto the path, goes through and ends it."""
    lake.put("fence/a")
    file(lake, "fence/a").acquire_lease(-1)
    file(lake, "fence/a").create_file()
    assert file(lake, "fence/a").get_file_properties().lease.state == "available"
    file(lake, "fence/a").acquire_lease(-1)
    lake.put("fence/b", b"b")
    file(lake, "fence/b").rename_file("landing/fence/a")
    assert lake.read("fence/a") == b"b"
    file(lake, "fence/a").acquire_lease(-1)
    with pytest.raises(HttpResponseError) as error:
        file(lake, "fence/a").rename_file("landing/fence/c")
    assert code(error) == (412, "LeaseIdMissing")
