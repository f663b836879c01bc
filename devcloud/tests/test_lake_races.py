"""Sixteen at once: exactly one wins what only one can have, and nobody reads half of anything."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock

from devcloud.testing.lake import RACERS, RunningLake, code, race, running_lake, winners


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module; each test uses names of its own."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        yield running


def test_create_if_absent(lake: RunningLake) -> None:
    """Of sixteen that create the same blob, one does, and its content is there."""
    results = race(lambda n: lake.put("race/create", b"%d" % n, overwrite=False))
    [winner] = winners(results)
    assert lake.read("race/create") == b"%d" % winner
    assert sum(isinstance(r, ResourceExistsError) for r in results) == RACERS - 1


def test_compare_and_set(lake: RunningLake) -> None:
    """Of sixteen that replace the same version, one does."""
    etag = lake.put("race/cas", b"start")
    matching: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    results = race(lambda n: lake.put("race/cas", b"%d" % n, **matching))
    [winner] = winners(results)
    assert lake.read("race/cas") == b"%d" % winner
    assert sum(isinstance(r, ResourceModifiedError) for r in results) == RACERS - 1


def test_commit_block_list(lake: RunningLake) -> None:
    """Of sixteen that commit blocks under a condition, one does."""
    blob = lake.container().get_blob_client("race/blocks")
    blob.stage_block("a", b"block")

    def commit(_n: int) -> object:
        return blob.commit_block_list([BlobBlock("a")], match_condition=MatchConditions.IfMissing)

    results = race(commit)
    assert len(winners(results)) == 1
    assert lake.read("race/blocks") == b"block"


def test_one_source_many_renames(lake: RunningLake) -> None:
    """Of sixteen that rename the same version away, one does; it is there once."""
    etag = lake.put("race/source", b"content")
    lake.filesystem("raw").create_directory("race")

    def rename(n: int) -> object:
        client = lake.filesystem().get_file_client("race/source")
        return client.rename_file(
            f"raw/race/{n}", source_etag=etag, source_match_condition=MatchConditions.IfNotModified
        )

    results = race(rename)
    [winner] = winners(results)
    assert [p.name for p in lake.filesystem("raw").get_paths("race")] == [f"race/{winner}"]
    assert sum(isinstance(r, ResourceNotFoundError) for r in results) == RACERS - 1


def test_many_renames_one_target(lake: RunningLake) -> None:
    """Of sixteen renames onto a path that must be absent, one arrives; the others stay."""
    for n in range(RACERS):
        lake.put(f"race/from/{n}", b"%d" % n)

    def rename(n: int) -> object:
        client = lake.filesystem().get_file_client(f"race/from/{n}")
        return client.rename_file("landing/race/target", match_condition=MatchConditions.IfMissing)

    [winner] = winners(race(rename))
    assert lake.read("race/target") == b"%d" % winner
    left = {p.name for p in lake.filesystem().get_paths("race/from")}
    assert left == {f"race/from/{n}" for n in range(RACERS) if n != winner}


def test_rename_against_overwrite(lake: RunningLake) -> None:
    """A conditional rename and an overwrite: either it moved what it named, or nothing."""
    for attempt in range(4):
        key = f"race/overwrite-{attempt}"
        etag = lake.put(key, b"old")
        client = lake.filesystem().get_file_client(key)

        def act(n: int, key: str = key, etag: str = etag, client: Any = client) -> object:
            if n:
                return lake.put(key, b"new")
            return client.rename_file(
                f"raw/moved-{key[5:]}",
                source_etag=etag,
                source_match_condition=MatchConditions.IfNotModified,
            )

        results = race(act)
        target = lake.local(f"moved-{key[5:]}", "raw")
        assert isinstance(results[0], Exception) or target.read_bytes() == b"old"
        assert lake.read(key) == b"new"


def test_leases(lake: RunningLake) -> None:
    """Of sixteen that acquire a lease, one does."""
    lake.put("race/lease")
    blob = lake.container().get_blob_client("race/lease")
    assert len(winners(race(lambda _: blob.acquire_lease(15)))) == 1


def test_readers_never_see_half(lake: RunningLake) -> None:
    """While a blob is overwritten again and again, each read is one version, whole."""
    sizes = (100_000, 400_000)
    lake.put("race/whole", b"0" * sizes[0])
    stop = threading.Event()
    wrong: list[bytes] = []

    def read() -> None:
        while not stop.is_set():
            data = lake.read("race/whole")
            if len(data) not in sizes or len(set(data)) != 1:
                wrong.append(data[:10])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(20):
        lake.put("race/whole", b"%d" % (n % 10) * sizes[n % 2])
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_lost_acknowledgement_of_a_create(lake: RunningLake) -> None:
    """A reply lost after the effect: the blob is there, and creating it again is refused."""
    lake.fault(fault="reset", when="after", method="PUT", path="lost/create", times=1)
    with pytest.raises(Exception, match=r"[Cc]onnection"):
        lake.put("lost/create", b"mine", overwrite=False)
    with pytest.raises(ResourceExistsError):
        lake.put("lost/create", b"mine", overwrite=False)
    assert lake.read("lost/create") == b"mine"


def test_lost_acknowledgement_of_a_rename(lake: RunningLake) -> None:
    """A rename whose reply was lost: again it is 404, and the target has the source's ETag."""
    etag = lake.put("lost/a", b"1")
    lake.fault(fault="status", when="after", status=500, path="lost/b", times=1)
    client = lake.filesystem().get_file_client("lost/a")
    with pytest.raises(HttpResponseError) as error:
        client.rename_file("landing/lost/b")
    assert error.value.status_code == 500
    with pytest.raises(ResourceNotFoundError) as missing:
        client.rename_file("landing/lost/b")
    assert code(missing) == (404, "SourcePathNotFound")
    assert lake.container().get_blob_client("lost/b").get_blob_properties().etag == etag


def test_a_body_cut_short_changes_nothing(lake: RunningLake) -> None:
    """A client that leaves in the middle of an upload leaves nothing behind."""
    lake.put("cut", b"whole")
    sent = []
    lake.container().get_blob_client("cut").upload_blob(
        b"x" * 1000, overwrite=True, raw_request_hook=lambda r: sent.append(r.http_request)
    )
    headers = {**sent[0].headers, "Content-Length": "1000"}
    lake.put("cut", b"whole")

    def half() -> Iterator[bytes]:
        yield b"x" * 500
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.control.put(sent[0].url, headers=headers, content=half())
    assert lake.read("cut") == b"whole"
    staging = lake.config.lake_folder / ".lake" / "staging"
    assert list(staging.iterdir()) == []


def test_a_truncated_download_is_noticed(lake: RunningLake) -> None:
    """A reply that ends halfway is no shorter blob to the SDK: it asks once more."""
    lake.put("truncated", b"x" * 300_000)
    lake.fault(fault="truncate", method="GET", path="truncated", times=1)
    lake.control.delete("/_devcloud/requests")
    assert len(lake.read("truncated")) == 300_000
    assert lake.control.get("/_devcloud/requests").json()["total"] == 2


def test_restart(tmp_path: Path) -> None:
    """All of it survives a restart: content, properties, ETags, blocks, appends, leases, keys."""
    with running_lake(tmp_path) as before:
        etag = before.put("kept/a", b"data", metadata={"k": "v"})
        before.container().get_blob_client("kept/blocks").stage_block("a", b"block")
        path = before.filesystem().get_file_client("kept/appended")
        path.create_file()
        path.append_data(b"append", offset=0)
        before.put("kept/leased")
        before.container().get_blob_client("kept/leased").acquire_lease(-1)
    with running_lake(tmp_path) as after:
        found = after.container().get_blob_client("kept/a").get_blob_properties()
        assert (found.etag, found.metadata) == (etag, {"k": "v"})
        after.container().get_blob_client("kept/blocks").commit_block_list([BlobBlock("a")])
        assert after.read("kept/blocks") == b"block"
        after.filesystem().get_file_client("kept/appended").flush_data(6)
        assert after.read("kept/appended") == b"append"
        with pytest.raises(HttpResponseError) as error:
            after.put("kept/leased")
        assert code(error) == (412, "LeaseIdMissing")
