"""Files of an AzureBlobStorage linked service: copied, looked up, asked about and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from devcloud.testing.factory import FactoryHost, configure, hosting


def dataset(kind: str, folder: str, file: str = "", **more: Any) -> dict[str, Any]:
    """A dataset in the container `landing`."""
    location = {"type": "AzureBlobStorageLocation", "container": "landing", "folderPath": folder}
    if file:
        location["fileName"] = file
    return {
        "type": kind,
        "linkedServiceName": {"referenceName": "blobs", "type": "LinkedServiceReference"},
        "typeProperties": {"location": location, **more},
    }


def named(name: str) -> dict[str, Any]:
    """A reference to a dataset."""
    return {"referenceName": name, "type": "DatasetReference"}


def secure(text: str) -> dict[str, Any]:
    """A linked service with a connection string."""
    inside = {"connectionString": {"type": "SecureString", "value": text}}
    return {"type": "AzureBlobStorage", "typeProperties": inside}


READ = {"type": "AzureBlobStorageReadSettings", "recursive": True, "wildcardFileName": "*.csv"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactoryHost]:
    """A factory and a lake, with the datasets of all tests."""
    with hosting(configure(tmp_path_factory.mktemp("cloud")), lake=True) as running:
        running.put("linked_services", "blobs", secure(running.config.lake_connection_string))
        running.put("datasets", "csv", dataset("DelimitedText", "in", firstRowAsHeader=True))
        running.put("datasets", "json", dataset("Json", "out", "rows.json"))
        running.put("datasets", "one", dataset("Binary", "in", "a.csv"))
        yield running


def copying(source: dict[str, Any], *, read: str = "csv") -> dict[str, Any]:
    """A Copy from the folder of text to the JSON file."""
    sink = {
        "type": "JsonSink",
        "storeSettings": {"type": "AzureBlobStorageWriteSettings", "copyBehavior": "MergeFiles"},
        "formatSettings": {"type": "JsonWriteSettings", "quoteAllText": True},
    }
    return {
        "name": "Copy",
        "type": "Copy",
        "inputs": [named(read)],
        "outputs": [named("json")],
        "typeProperties": {"source": source, "sink": sink},
    }


def test_copied_asked_about_and_deleted(host: FactoryHost) -> None:
    """Two files become one; GetMetadata sees them; Delete takes them away."""
    for name in ("a", "b"):
        host.write(f"landing/in/{name}.csv", f"id,name\n1,{name}\n".encode())
    source = {"type": "DelimitedTextSource", "storeSettings": READ}
    fields = {"fieldList": ["exists", "itemName", "size"], "dataset": named("one")}
    delete = {"dataset": named("csv"), "storeSettings": READ}
    host.pipeline(
        "blobs",
        copying(source),
        {"name": "Ask", "type": "GetMetadata", "typeProperties": fields},
        {
            "name": "Remove",
            "type": "Delete",
            "typeProperties": delete,
            "dependsOn": [
                {"activity": name, "dependencyConditions": ["Succeeded"]}
                for name in ("Copy", "Ask")
            ],
        },
    )
    run = host.run("blobs")
    assert (run.status, run.message) == ("Succeeded", "")
    done = host.activities(run.run_id)
    assert done["Copy"]["output"]["rowsCopied"] == 2
    details = done["Copy"]["output"]["executionDetails"][0]
    assert details["source"] == {"type": "AzureBlobStorage"}
    asked = done["Ask"]["output"]
    assert (asked["exists"], asked["itemName"], asked["size"]) == (True, "a.csv", 12)
    assert done["Remove"]["output"]["filesDeleted"] == 2
    assert host.read("landing/out/rows.json").decode().splitlines() == [
        '{"id":"1","name":"a"}',
        '{"id":"1","name":"b"}',
    ]


TREE = ("a.bin", "b/a.bin", "b/c/a.bin", "b/c/x.txt", "d/c/a.bin", "d/c/e/a.bin")


@pytest.mark.parametrize(
    ("settings", "copied"),
    [
        ({}, {"a.bin", "b/a.bin", "b/c/a.bin", "d/c/a.bin", "d/c/e/a.bin"}),
        ({"recursive": False}, {"a.bin"}),
        ({"wildcardFolderPath": "tree/*/c", "recursive": False}, {"b/c/a.bin", "d/c/a.bin"}),
        ({"wildcardFolderPath": "tree/?/c"}, {"b/c/a.bin", "d/c/a.bin", "d/c/e/a.bin"}),
        ({"wildcardFolderPath": "tree/b"}, {"a.bin", "c/a.bin"}),
        ({"wildcardFileName": "a.bin", "recursive": False}, {"a.bin"}),
    ],
)
def test_folders_by_pattern(host: FactoryHost, settings: dict[str, Any], copied: set[str]) -> None:
    """Which files a folder means, and where each goes: in folders like its own."""
    for name in TREE:
        host.write(f"landing/tree/{name}", name.encode())
    lake = host.lake
    assert lake is not None
    bronze = lake.get_container_client("bronze")
    for name in TREE:
        for place in (f"kept/{name}", f"kept/c/{name.rpartition('/')[2]}"):
            blob = bronze.get_blob_client(place)
            if blob.exists():
                blob.delete_blob()
    host.put("datasets", "tree", dataset("Binary", "tree"))
    kept = dataset("Binary", "kept")
    kept["typeProperties"]["location"]["container"] = "bronze"
    host.put("datasets", "kept", kept)
    read = {"type": "AzureBlobStorageReadSettings", "wildcardFileName": "*.bin", **settings}
    copy = {
        "name": "Copy",
        "type": "Copy",
        "inputs": [named("tree")],
        "outputs": [named("kept")],
        "typeProperties": {
            "source": {"type": "BinarySource", "storeSettings": read},
            "sink": {"type": "BinarySink"},
        },
    }
    host.pipeline("tree", copy)
    run = host.run("tree")
    assert (run.status, run.message) == ("Succeeded", "")
    listed = {
        each.name.removeprefix("kept/")
        for each in bronze.list_blobs("kept/", include=["metadata"])
        if (each.metadata or {}).get("hdi_isfolder") != "true"
    }
    assert listed == copied


def test_what_cannot_be_read_says_so(host: FactoryHost) -> None:
    """A connection string without a key, and a location of another store."""
    host.put("linked_services", "keyless", secure("BlobEndpoint=http://127.0.0.1:9/a;"))
    keyless = dataset("Json", "in", "a.json")
    keyless["linkedServiceName"]["referenceName"] = "keyless"
    host.put("datasets", "keyless", keyless)
    strange = dataset("Json", "in", "a.json")
    strange["typeProperties"]["location"] = {"type": "AzureBlobFSLocation", "fileSystem": "landing"}
    host.put("datasets", "strange", strange)
    for name, words in (("keyless", "AccountKey"), ("strange", "AzureBlobStorageLocation")):
        host.pipeline("no", copying({"type": "JsonSource"}, read=name))
        run = host.run("no")
        assert run.status == "Failed"
        assert words in run.message


def test_a_key_in_plain_text_is_refused(host: FactoryHost) -> None:
    """It would be told to everybody who may read the definition."""
    plain = {
        "type": "AzureBlobStorage",
        "typeProperties": {"connectionString": host.config.lake_connection_string},
    }
    with pytest.raises(HttpResponseError, match="SecureString"):
        host.put("linked_services", "plain", plain)
