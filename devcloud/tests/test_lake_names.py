"""Any name that Azure takes is a name here, and none leaves the lake's folder."""

import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from azure.core.exceptions import HttpResponseError

from devcloud.testing.lake import RunningLake, code, running_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module; each test uses names of its own."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        yield running


NAMES = [
    "plain.csv",
    "with space.csv",
    " leading and trailing ",
    "ünïcödé/日本語/🎉.csv",
    "literal%2Fpercent.csv",
    "100%.csv",
    "a+b=c&d;e,f.csv",
    "quotes'\"`.csv",
    "brackets[1](2){3}<4>.csv",
    "hash#question?.csv",
    "tilde~at@colon:dollar$.csv",
    "back\\slash.csv",
    "dots/...hidden/..a/b..",
    "x" * 255,
    "/".join(["deep"] * 60),
    "landfall/landing/like-a-url.csv",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names(lake: RunningLake, name: str) -> None:
    """A name is kept to the letter by both APIs: written, read, listed, renamed, deleted."""
    lake.put(f"blob/{name}", b"1")
    assert lake.local(f"blob/{name}").read_bytes() == b"1"
    path = lake.filesystem().get_file_client(f"dfs/{name}")
    path.upload_data(b"22", overwrite=True)
    assert (lake.read(f"blob/{name}"), lake.read(f"dfs/{name}")) == (b"1", b"22")
    assert f"blob/{name}" in {b.name for b in lake.container().list_blobs(name_starts_with="blob")}
    assert f"dfs/{name}" in {p.name for p in lake.filesystem().get_paths("dfs")}
    lake.filesystem("raw").create_directory(f"moved/{name}").delete_directory()
    # rename_file decodes the path of its client, so it cannot name a source with a literal escape
    target = lake.filesystem("raw").get_file_client(f"moved/{name}")
    target._rename_path(f"/landing/dfs/{quote(name)}")
    assert lake.read(f"moved/{name}", "raw") == b"22"
    lake.container().delete_blob(f"blob/{name}")
    assert not lake.local(f"blob/{name}").exists()


def raw(lake: RunningLake, target: str) -> int:
    """Status of a request whose target is sent as it is, which no client would do."""
    with socket.create_connection(("127.0.0.1", lake.config.ports["lake"]), 5) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return int(connection.recv(100).split()[1])


@pytest.mark.parametrize(
    "target",
    [
        "/landfall/landing/../../devcloud.json",
        "/landfall/landing/%2e%2e/%2e%2e/devcloud.json",
        "/landfall/landing/..%2f..%2fdevcloud.json",
        "/landfall/landing/a/%2E%2E/b",
        "/landfall/../devcloud.json",
        "/landfall/%2e%2e/devcloud.json",
        "/../devcloud.json",
        "/landfall/landing/./a",
        "/landfall/landing/a//b",
        "/landfall/landing/%00",
        "/landfall/landing/%ff%fe",
        "/landfall/landing/" + "x" * 256,
        "/landfall/landing/" + "/".join(["y" * 100] * 11),
    ],
)
def test_no_name_leaves_the_folder(lake: RunningLake, target: str) -> None:
    """Dots, empty segments, zeros, broken UTF-8 and what is too long are refused with 400."""
    assert raw(lake, target) == 400


def test_the_lakes_own_folder_is_out_of_reach(lake: RunningLake) -> None:
    """Where uploads wait is no container."""
    assert raw(lake, "/landfall/.lake/events/x") == 400
    with pytest.raises(HttpResponseError) as error:
        lake.put("leases.json", container=".lake")
    assert code(error) == (400, "InvalidResourceName")


def test_a_rename_cannot_take_from_outside(lake: RunningLake) -> None:
    """The source of a rename is checked like any path."""
    lake.put("target")
    client = lake.filesystem().get_file_client("target")
    for source in ("/landing/../../devcloud.json", "/landing/%2e%2e/%2e%2e/devcloud.json"):
        with pytest.raises(HttpResponseError) as error:
            client._rename_path(source)
        assert code(error) == (400, "InvalidUri")
