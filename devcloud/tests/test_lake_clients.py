"""Clients that people bring: adlfs, delta-rs, asynchronous SDKs, and azcopy's way of asking."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import adlfs
import deltalake
import httpx
import pyarrow as pa
import pytest
from azure.storage.blob import generate_account_sas
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.filedatalake.aio import DataLakeServiceClient
from pyarrow import fs

from devcloud.lake.events import Subscription
from devcloud.testing import account
from devcloud.testing.lake import RunningLake, running_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module; a subscriber that never answers keeps all its events pending."""
    nobody = [Subscription("all", "http://127.0.0.1:9/", event_types=())]
    with running_lake(tmp_path_factory.mktemp("lake"), nobody) as running:
        yield running


def sas(lake: RunningLake) -> str:
    """A signature of the account that permits all."""
    return generate_account_sas(
        lake.config.account,
        lake.config.account_key,
        resource_types="sco",
        permission="racwdlm",
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )


def test_adlfs(lake: RunningLake) -> None:
    """Adlfs writes, reads, lists, copies, moves and deletes; its uploads raise events."""
    files = adlfs.AzureBlobFileSystem(
        connection_string=lake.config.lake_connection_string, skip_instance_cache=True
    )
    files.pipe("landing/adlfs/a b+.csv", b"1,2\n")
    before = lake.events()["raised"]
    with files.open("landing/adlfs/big.bin", "wb", blocksize=1 << 20) as file:
        for _ in range(3):
            file.write(b"x" * (1 << 20))
    assert lake.events()["raised"] == before + 1
    assert files.cat("landing/adlfs/a b+.csv") == b"1,2\n"
    assert files.info("landing/adlfs/big.bin")["size"] == 3 << 20
    assert sorted(files.ls("landing/adlfs", detail=False)) == [
        "landing/adlfs/a b+.csv",
        "landing/adlfs/big.bin",
    ]
    assert files.isdir("landing/adlfs")
    assert sorted(files.find("landing/adlfs")) == sorted(files.glob("landing/adlfs/*"))
    files.cp_file("landing/adlfs/big.bin", "raw/adlfs/copy.bin")
    files.mv("landing/adlfs/a b+.csv", "landing/adlfs/moved.csv")
    assert files.cat("landing/adlfs/moved.csv") == b"1,2\n"
    assert not files.exists("landing/adlfs/a b+.csv")
    files.mkdir("adlfs-made")
    assert files.exists("adlfs-made")
    files.rm("landing/adlfs", recursive=True)
    assert not files.exists("landing/adlfs/moved.csv")


def test_delta_rs(lake: RunningLake) -> None:
    """delta-rs writes, appends to, merges and reads a table, with the key or a signature."""
    config = lake.config
    endpoint = {"azure_storage_endpoint": config.lake_url, "azure_allow_http": "true"}
    account = {"azure_storage_account_name": config.account, **endpoint}
    keyed = {**account, "azure_storage_account_key": config.account_key}
    signed = {**account, "azure_storage_sas_token": sas(lake)}
    url = f"abfss://silver@{config.account}.dfs.core.windows.net/users by name"
    rows = pa.table({"id": [1, 2, 3], "name": ["a", "b", "c"]})
    deltalake.write_deltalake(url, rows, storage_options=keyed)
    deltalake.write_deltalake(url, rows, mode="append", storage_options=signed)
    table = deltalake.DeltaTable(url, storage_options=keyed)
    merge = table.merge(rows, "t.id = s.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().execute()
    found = deltalake.DeltaTable(url, storage_options=signed)
    assert (found.version(), found.to_pyarrow_table().num_rows) == (2, 6)
    for options in (keyed, signed):  # batches of deletes
        old = deltalake.DeltaTable(url, storage_options=options)
        old.delete("id = 1")
        gone = old.vacuum(0, dry_run=False, enforce_retention_duration=False)
        assert gone
        assert not any((lake.local("users by name", "silver") / each).exists() for each in gone)
        deltalake.write_deltalake(url, rows, mode="append", storage_options=keyed)
    assert (lake.local("users by name", "silver") / "_delta_log").is_dir()


def test_errors_without_a_body_name_no_type(lake: RunningLake) -> None:
    """Neither API names the type of a body that is not there; clients would parse it."""
    url = f"{lake.config.lake_url}/landing/absent?{sas(lake)}"
    for accept in ("application/xml", "application/json"):  # the blob API, the dfs API
        answer = httpx.head(url, headers={"accept": accept})
        assert (answer.status_code, answer.headers.get("content-type")) == (404, None)
        assert httpx.get(url, headers={"accept": accept}).headers["content-type"].startswith(accept)


def test_pyarrow_native(lake: RunningLake) -> None:
    """Pyarrow's own file system, which stands on the Azure SDK for C++."""
    where = lake.control.base_url.netloc.decode()
    file_system: Any = fs.AzureFileSystem  # its stubs are wrong
    azure = file_system(
        lake.config.account,
        account_key=lake.config.account_key,
        blob_storage_authority=where,
        dfs_storage_authority=where,
        blob_storage_scheme="http",
        dfs_storage_scheme="http",
    )
    azure.create_dir("bronze/native/deep")
    with azure.open_output_stream("bronze/native/deep/a b.bin", metadata={"Kind": "x"}) as out:
        out.write(b"12345" * 1000)
    assert azure.open_input_file("bronze/native/deep/a b.bin").read_at(5, 4995) == b"12345"
    absent, file = azure.get_file_info(["bronze/native/none", "bronze/native/deep/a b.bin"])
    assert (absent.type, file.type, file.size) == (fs.FileType.NotFound, fs.FileType.File, 5000)
    azure.copy_file("bronze/native/deep/a b.bin", "bronze/native/copy.bin")
    azure.move("bronze/native/copy.bin", "bronze/native/moved.bin")
    listed = azure.get_file_info(fs.FileSelector("bronze/native", recursive=True))
    assert sorted(each.path for each in listed) == [
        "bronze/native/deep",
        "bronze/native/deep/a b.bin",
        "bronze/native/moved.bin",
    ]
    with pytest.raises(FileNotFoundError):
        azure.open_input_file("bronze/native/copy.bin")
    azure.delete_file("bronze/native/moved.bin")
    azure.delete_dir("bronze/native")
    assert azure.get_file_info("bronze/native").type == fs.FileType.NotFound


DUCKDB = """
import pathlib, sys
import duckdb, duckdb_extension_azure

folder = pathlib.Path(duckdb_extension_azure.__file__).parent
database = duckdb.connect()
database.execute(f"LOAD '{next(folder.rglob('azure.duckdb_extension'))}'")
database.execute(f"CREATE SECRET (TYPE azure, CONNECTION_STRING '{sys.argv[1]}')")
database.execute("CREATE TABLE t AS SELECT i % 2 AS n, i FROM range(2000) AS r(i)")
for number in (0, 1):
    target = f"'az://gold/duck/n={number}/part.parquet'"
    database.execute(f"COPY (FROM t WHERE n = {number}) TO {target}")
pattern = "read_parquet('az://gold/duck/*/part.parquet', hive_partitioning = true)"
counted = database.sql(f"SELECT n, count(*), max(i) FROM {pattern} GROUP BY n ORDER BY n")
assert counted.fetchall() == [(0, 1000, 1998), (1, 1000, 1999)]
assert database.sql("FROM read_csv('az://gold/duck/*.csv')").fetchall() == [(1, "x")]
try:
    database.sql("FROM 'az://gold/duck/none.parquet'").fetchall()
except duckdb.Error as error:
    assert "No files found" in str(error)
else:
    raise AssertionError("it found what is not there")
"""


def test_duckdb(lake: RunningLake) -> None:
    """DuckDB's azure extension writes, finds by pattern and reads; what is missing is said.

    It runs in a process of its own: it waits for its replies with Python's lock in its hands.
    """
    pytest.importorskip("duckdb_extension_azure")
    lake.put("duck/a.csv", b"a,b\n1,x\n", "gold")
    command = [sys.executable, "-c", DUCKDB, lake.config.lake_connection_string]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_asynchronous_sdks(lake: RunningLake) -> None:
    """The SDKs on aiohttp sign escaped names in their own way, which is right as well."""
    given = lake.config.lake_connection_string

    async def act() -> tuple[bytes, list[str]]:
        async with BlobServiceClient.from_connection_string(given) as blobs:
            blob = blobs.get_blob_client("landing", "async/a b+ü%2F.csv")
            await blob.upload_blob(b"1")
            read = await (await blob.download_blob()).readall()
        async with DataLakeServiceClient.from_connection_string(given) as paths:
            filesystem = paths.get_file_system_client("landing")
            file = filesystem.get_file_client("async/c d+é.csv")
            await file.upload_data(b"2", overwrite=True)
            await file.rename_file("landing/async/e f+é.csv")
            return read, [p.name async for p in filesystem.get_paths("async", recursive=False)]

    assert asyncio.run(act()) == (b"1", ["async/a b+ü%2F.csv", "async/e f+é.csv"])


def test_the_account_that_suites_of_others_expect() -> None:
    """It is Azurite's, with the containers that are asked for and no others."""
    with account.serving(containers=("test",)) as given:

        async def names() -> list[str]:
            async with BlobServiceClient.from_connection_string(given) as blobs:
                return [each.name async for each in blobs.list_containers()]

        assert asyncio.run(names()) == ["test"]
    assert f"AccountName={account.ACCOUNT};AccountKey={account.KEY};" in given


def test_what_azcopy_sends(lake: RunningLake) -> None:
    """The requests of `azcopy copy` with a signature in the URL, to Blob and to BlobFS."""
    signature = sas(lake)
    url = f"{lake.config.lake_url}/landing"
    version = {"x-ms-version": "2023-08-03"}
    with httpx.Client(headers=version) as client:
        assert client.head(f"{url}/azcopy/a.bin?{signature}").status_code == 404
        listing = f"{url}?comp=list&maxresults=1&prefix=azcopy%2F&restype=container&{signature}"
        assert client.get(listing).status_code == 200
        account = f"{url}/azcopy/a.bin?comp=properties&restype=account&{signature}"
        assert client.get(account).headers["x-ms-is-hns-enabled"] == "true"
        small = {"x-ms-blob-type": "BlockBlob", "x-ms-blob-content-type": "text/csv"}
        put = client.put(f"{url}/azcopy/small.csv?{signature}", headers=small, content=b"a")
        assert put.status_code == 201
        block = f"{url}/azcopy/a.bin?blockid=AAAA&comp=block&{signature}"
        assert client.put(block, content=b"x" * 100).status_code == 201
        listed = client.get(f"{url}/azcopy/a.bin?blocklisttype=all&comp=blocklist&{signature}")
        assert b"<UncommittedBlocks><Block><Name>AAAA</Name><Size>100</Size>" in listed.content
        body = b'<?xml version="1.0"?><BlockList><Latest>AAAA</Latest></BlockList>'
        commit = client.put(f"{url}/azcopy/a.bin?comp=blocklist&{signature}", content=body)
        assert commit.status_code == 201
        head = client.head(f"{url}/azcopy/a.bin?{signature}")
        assert head.headers["content-length"] == "100"
        for _ in range(2):  # it makes the folder whether it is there or not
            folder = client.put(f"{url}/azcopy?resource=directory&{signature}")
            assert folder.status_code == 201
        assert client.put(f"{url}/azcopy/fs?resource=file&{signature}").status_code == 201
        part = f"{url}/azcopy/fs?action=append&position=0&{signature}"
        assert client.patch(part, content=b"fs").status_code == 202
        end = "action=flush&close=true&position=2&retainUncommittedData=false"
        assert client.patch(f"{url}/azcopy/fs?{end}&{signature}").status_code == 200
    assert (lake.read("azcopy/a.bin"), lake.read("azcopy/fs")) == (b"x" * 100, b"fs")


def test_what_hadoop_sends(lake: RunningLake) -> None:
    """The requests of Hadoop's ABFS driver: PATCH said in a header, roots with two slashes."""
    signature = sas(lake)
    url = f"{lake.config.lake_url}/bronze"
    patch = {"X-HTTP-Method-Override": "PATCH"}
    with httpx.Client(headers={"Accept": "application/json, application/octet-stream"}) as client:
        root = client.head(f"{url}//?upn=false&action=getAccessControl&{signature}")
        assert root.headers["x-ms-acl"] == "user::rwx,group::r-x,other::---"
        status = client.head(f"{url}//?upn=false&{signature}")
        assert status.headers["x-ms-resource-type"] == "directory"
        assert status.headers["x-ms-permissions"] == "rwxr-x---"
        file = f"{url}/hadoop/part-0"
        headers = {"x-ms-permissions": "rw-r--r--", "x-ms-umask": "0022", "If-None-Match": "*"}
        created = client.put(f"{file}?resource=file&{signature}", headers=headers)
        assert created.status_code == 201
        appended = client.put(
            f"{file}?action=append&position=0&flush=true&close=true&{signature}",
            headers=patch,
            content=b"data",
        )
        assert (appended.status_code, lake.read("hadoop/part-0", "bronze")) == (202, b"data")
        conflict = client.put(
            f"{url}/hadoop?resource=directory&{signature}", headers={"If-None-Match": "*"}
        )
        assert conflict.status_code == 409
        assert conflict.headers["x-ms-existing-resource-type"] == "directory"
        renamed = client.put(
            f"{url}/hadoop/part-1?{signature}",
            headers={"x-ms-rename-source": "/bronze/hadoop/part-0", "If-None-Match": "*"},
        )
        assert renamed.status_code == 201
        missing = client.head(f"{file}?action=getStatus&upn=false&{signature}")
        assert missing.status_code == 404
        listed = client.get(
            f"{url}?resource=filesystem&directory=hadoop&recursive=false&maxResults=5000&{signature}"
        )
        assert [p["name"] for p in listed.json()["paths"]] == ["hadoop/part-1"]
        deleted = client.delete(f"{url}/hadoop?recursive=true&paginated=true&{signature}")
        assert deleted.status_code == 200
