"""azcopy on the lake: 45 operations, each by the real program.

It is not among the packages that a developer has; it runs where `AZCOPY` names the executable or
one stands on the PATH. Those that fail are marked with the reason, and must fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import generate_account_sas

from devcloud.testing.lake import RunningLake, running_lake, until

AZCOPY = os.environ.get("AZCOPY") or shutil.which("azcopy")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(AZCOPY is None, reason="no azcopy: name one in AZCOPY"),
]

BIG = os.urandom(1 << 20) * 20
TREE = {
    "a.csv": b"id\n1\n",
    "empty.csv": b"",
    "deep/er/b ü+&.csv": b"2",
    "deep/100%25#?.txt": b"3",
    "deep/c.bin": bytes(range(256)) * 5000,
}


@dataclass
class Azcopy:
    """The program, a lake, and a folder with files to send."""

    lake: RunningLake
    folder: Path
    signature: str

    def url(self, place: str) -> str:
        """A place of the lake, with the signature."""
        return f"{self.lake.config.lake_url}/{place}?{self.signature}"

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Run the program to its end; what it printed. It must succeed."""
        assert AZCOPY is not None
        ended = subprocess.run(
            [AZCOPY, *arguments], input=stdin, env=self.environment(), capture_output=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, (ended.stdout + ended.stderr).decode()[-3000:]
        return ended.stdout

    def environment(self) -> dict[str, str]:
        """The variables that keep what the program writes in the folder."""
        return {
            "AZCOPY_LOG_LOCATION": str(self.folder / "logs"),
            "AZCOPY_JOB_PLAN_LOCATION": str(self.folder / "plans"),
            "AZCOPY_DISABLE_SYSLOG": "true",
            "AZCOPY_CONCURRENCY_VALUE": "4",
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
        }

    def local(self, name: str, files: dict[str, bytes] | None = None) -> Path:
        """A new folder with files."""
        folder = self.folder / name
        for path, content in (TREE if files is None else files).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        folder.mkdir(exist_ok=True)
        return folder

    def put(self, place: str, files: dict[str, bytes] | None = None) -> None:
        """Files in a folder of the lake."""
        container, _, folder = place.partition("/")
        for path, content in (TREE if files is None else files).items():
            self.lake.put(f"{folder}/{path}", content, container)

    def tree(self, place: str) -> dict[str, bytes]:
        """The files below a folder of the lake."""
        container, _, folder = place.partition("/")
        return files_below(self.lake.local(folder, container))


def files_below(folder: Path) -> dict[str, bytes]:
    """Name and content of all files below a folder."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture(scope="module")
def azcopy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azcopy]:
    """The program with a lake of its own."""
    folder = tmp_path_factory.mktemp("azcopy")
    with running_lake(folder / "lake") as lake:
        signature = generate_account_sas(
            lake.config.account,
            lake.config.account_key,
            resource_types="sco",
            permission="racwdlmetf",
            expiry=datetime.now(UTC) + timedelta(hours=2),
        )
        yield Azcopy(lake, folder, signature)


Operation = Callable[[Azcopy, str], None]
OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    """Register an operation; it is called with its name, for what it makes."""
    OPERATIONS[function.__name__.removeprefix("_")] = function
    return function


def _upload(az: Azcopy, name: str, *options: str, kind: str = "LocalBlob") -> None:
    folder = az.local(name)
    az.run("copy", f"{folder}/*", az.url(f"bronze/{name}"), "--recursive", f"--from-to={kind}",
           *options)  # fmt: skip
    assert az.tree(f"bronze/{name}") == TREE


def _big(az: Azcopy, name: str, kind: str, *options: str) -> None:
    folder = az.local(name, {"big.bin": BIG})
    target = az.url(f"bronze/{name}.bin")
    az.run("copy", f"{folder}/big.bin", target, f"--from-to={kind}", *options)
    assert az.lake.read(f"{name}.bin", "bronze") == BIG


def _download(az: Azcopy, name: str, *options: str, kind: str = "BlobLocal") -> None:
    az.put(f"bronze/{name}")
    folder = az.local(name, {})
    az.run("copy", az.url(f"bronze/{name}"), str(folder), "--recursive", f"--from-to={kind}",
           *options)  # fmt: skip
    assert files_below(folder / name) == TREE


def _one(az: Azcopy, name: str, kind: str, *options: str, content: bytes = b"1") -> None:
    folder = az.local(name, {"one.csv": content})
    target = az.url(f"bronze/{name}.csv")
    az.run("copy", f"{folder}/one.csv", target, f"--from-to={kind}", *options)
    assert az.lake.read(f"{name}.csv", "bronze") == content


@operation
def _upload_file(az: Azcopy, name: str) -> None:
    _one(az, name, "LocalBlob")


@operation
def _upload_file_blobfs(az: Azcopy, name: str) -> None:
    _one(az, name, "LocalBlobFS")


@operation
def _upload_empty_file(az: Azcopy, name: str) -> None:
    _one(az, name, "LocalBlob", content=b"")


@operation
def _upload_folder(az: Azcopy, name: str) -> None:
    _upload(az, name)


@operation
def _upload_folder_blobfs(az: Azcopy, name: str) -> None:
    _upload(az, name, kind="LocalBlobFS")


@operation
def _upload_big_in_blocks_of_8_mb(az: Azcopy, name: str) -> None:
    _big(az, name, "LocalBlob", "--block-size-mb=8")


@operation
def _upload_big_in_one_block(az: Azcopy, name: str) -> None:
    _big(az, name, "LocalBlob", "--block-size-mb=100")


@operation
def _upload_big_blobfs(az: Azcopy, name: str) -> None:
    _big(az, name, "LocalBlobFS", "--block-size-mb=8")


@operation
def _upload_with_md5(az: Azcopy, name: str) -> None:
    _big(az, name, "LocalBlob", "--put-md5", "--block-size-mb=8")
    blob = az.lake.container("bronze").get_blob_client(f"{name}.bin")
    assert blob.get_blob_properties().content_settings.content_md5


@operation
def _upload_with_md5_blobfs(az: Azcopy, name: str) -> None:
    _big(az, name, "LocalBlobFS", "--put-md5")


@operation
def _upload_with_metadata_and_headers(az: Azcopy, name: str) -> None:
    _one(az, name, "LocalBlob", "--metadata=Owner=me;day=1", "--content-type=text/csv",
         "--cache-control=no-store")  # fmt: skip
    properties = az.lake.container("bronze").get_blob_client(f"{name}.csv").get_blob_properties()
    settings = properties.content_settings
    assert (settings.content_type, settings.cache_control) == ("text/csv", "no-store")
    assert properties.metadata == {"Owner": "me", "day": "1"}


@operation
def _upload_to_a_tier(az: Azcopy, name: str) -> None:
    _one(az, name, "LocalBlob", "--block-blob-tier=Cool")
    blob = az.lake.container("bronze").get_blob_client(f"{name}.csv")
    assert blob.get_blob_properties().blob_tier == "Cool"


@operation
def _upload_append_blob(az: Azcopy, name: str) -> None:
    _big(az, name, "LocalBlob", "--blob-type=AppendBlob", "--block-size-mb=4")


@operation
def _upload_with_tags(az: Azcopy, name: str) -> None:
    _one(az, name, "LocalBlob", "--blob-tags=a=b")


@operation
def _upload_by_pattern(az: Azcopy, name: str) -> None:
    folder = az.local(name)
    az.run("copy", f"{folder}/*", az.url(f"bronze/{name}"), "--recursive", "--from-to=LocalBlob",
           "--include-pattern=*.csv")  # fmt: skip
    assert az.tree(f"bronze/{name}") == {k: v for k, v in TREE.items() if k.endswith(".csv")}


@operation
def _upload_dry_run(az: Azcopy, name: str) -> None:
    folder = az.local(name)
    az.run("copy", f"{folder}/*", az.url(f"bronze/{name}"), "--recursive", "--from-to=LocalBlob",
           "--dry-run")  # fmt: skip
    assert az.tree(f"bronze/{name}") == {}


@operation
def _overwrite_never(az: Azcopy, name: str) -> None:
    az.lake.put(f"{name}.csv", b"old", "bronze")
    folder = az.local(name, {"one.csv": b"new"})
    target = az.url(f"bronze/{name}.csv")
    az.run("copy", f"{folder}/one.csv", target, "--from-to=LocalBlob", "--overwrite=false")
    assert az.lake.read(f"{name}.csv", "bronze") == b"old"


@operation
def _overwrite_if_newer(az: Azcopy, name: str) -> None:
    folder = az.local(name, {"one.csv": b"older"})
    os.utime(folder / "one.csv", (1, 1))
    az.lake.put(f"{name}.csv", b"newer", "bronze")
    target = az.url(f"bronze/{name}.csv")
    command = ("--from-to=LocalBlob", "--overwrite=ifSourceNewer")
    az.run("copy", f"{folder}/one.csv", target, *command)
    assert az.lake.read(f"{name}.csv", "bronze") == b"newer"


@operation
def _pipe_up(az: Azcopy, name: str) -> None:
    az.run("copy", az.url(f"bronze/{name}.bin"), "--from-to=PipeBlob", stdin=BIG)
    assert az.lake.read(f"{name}.bin", "bronze") == BIG


@operation
def _pipe_down(az: Azcopy, name: str) -> None:
    az.lake.put(f"{name}.bin", b"piped", "bronze")
    assert az.run("copy", az.url(f"bronze/{name}.bin"), "--from-to=BlobPipe") == b"piped"


@operation
def _download_file(az: Azcopy, name: str) -> None:
    az.lake.put(f"{name}.bin", BIG, "bronze")
    folder = az.local(name, {})
    az.run("copy", az.url(f"bronze/{name}.bin"), f"{folder}/got.bin", "--from-to=BlobLocal",
           "--block-size-mb=8")  # fmt: skip
    assert (folder / "got.bin").read_bytes() == BIG


@operation
def _download_folder(az: Azcopy, name: str) -> None:
    _download(az, name)


@operation
def _download_folder_blobfs(az: Azcopy, name: str) -> None:
    _download(az, name, kind="BlobFSLocal")


@operation
def _download_and_check_md5(az: Azcopy, name: str) -> None:
    _big(az, name, "LocalBlob", "--put-md5")
    folder = az.local(f"{name}-down", {})
    az.run("copy", az.url(f"bronze/{name}.bin"), f"{folder}/got.bin", "--from-to=BlobLocal",
           "--check-md5=FailIfDifferentOrMissing")  # fmt: skip
    assert (folder / "got.bin").read_bytes() == BIG


@operation
def _list_blobs(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    listed = az.run("list", az.url(f"bronze/{name}"), "--location=Blob").decode()
    assert all(f"{path};" in listed for path in TREE)


@operation
def _list_paths(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    listed = az.run("list", az.url(f"bronze/{name}"), "--location=BlobFS").decode()
    assert all(f"{path};" in listed for path in TREE)


@operation
def _list_machine_readable(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    listed = az.run("list", az.url(f"bronze/{name}"), "--location=Blob", "--machine-readable",
                    "--properties=ContentMD5;LastModifiedTime")  # fmt: skip
    assert b"1280000" in listed


def _sync(az: Azcopy, name: str, kind: str, *options: str) -> None:
    folder = az.local(name)
    az.put(f"bronze/{name}", {"a.csv": b"other", "old.csv": b"x"})
    os.utime(folder / "a.csv", (4102444800, 4102444800))  # newer than any upload
    az.run("sync", str(folder), az.url(f"bronze/{name}"), f"--from-to={kind}", *options)
    kept = {} if any("delete-destination" in each for each in options) else {"old.csv": b"x"}
    assert az.tree(f"bronze/{name}") == {**TREE, **kept}


@operation
def _sync_up(az: Azcopy, name: str) -> None:
    _sync(az, name, "LocalBlob")


@operation
def _sync_up_and_delete(az: Azcopy, name: str) -> None:
    _sync(az, name, "LocalBlob", "--delete-destination=true")


@operation
def _sync_up_by_hash(az: Azcopy, name: str) -> None:
    _sync(az, name, "LocalBlob", "--compare-hash=MD5", "--put-md5")


@operation
def _sync_up_blobfs(az: Azcopy, name: str) -> None:
    _sync(az, name, "LocalBlobFS", "--delete-destination=true")


@operation
def _sync_down(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    folder = az.local(name, {"old.csv": b"x"})
    az.run("sync", az.url(f"bronze/{name}"), str(folder), "--from-to=BlobLocal",
           "--delete-destination=true")  # fmt: skip
    assert files_below(folder) == TREE


@operation
def _remove_file(az: Azcopy, name: str) -> None:
    az.lake.put(f"{name}.csv", b"1", "bronze")
    az.run("remove", az.url(f"bronze/{name}.csv"), "--from-to=BlobTrash")
    assert not az.lake.local(f"{name}.csv", "bronze").exists()


@operation
def _remove_by_pattern(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}", {"a.csv": b"1", "b.txt": b"2"})
    az.run("remove", az.url(f"bronze/{name}"), "--recursive", "--include-pattern=*.csv",
           "--from-to=BlobTrash")  # fmt: skip
    assert az.tree(f"bronze/{name}") == {"b.txt": b"2"}


@operation
def _remove_folder_blobfs(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    az.run("remove", az.url(f"bronze/{name}"), "--recursive", "--from-to=BlobFSTrash")
    assert not az.lake.local(name, "bronze").exists()


@operation
def _remove_folder(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    az.run("remove", az.url(f"bronze/{name}"), "--recursive", "--from-to=BlobTrash")
    assert az.tree(f"bronze/{name}") == {}


@operation
def _copy_blob_to_blob(az: Azcopy, name: str) -> None:
    az.lake.put(f"{name}.bin", BIG, "bronze")
    az.run("copy", az.url(f"bronze/{name}.bin"), az.url(f"silver/{name}.bin"),
           "--from-to=BlobBlob", "--block-size-mb=8")  # fmt: skip
    assert az.lake.read(f"{name}.bin", "silver") == BIG


@operation
def _copy_folder_blob_to_blob(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    az.run("copy", az.url(f"bronze/{name}/*"), az.url(f"silver/{name}"), "--recursive",
           "--from-to=BlobBlob")  # fmt: skip
    assert az.tree(f"silver/{name}") == TREE


@operation
def _copy_folder_blobfs_to_blobfs(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    az.run("copy", az.url(f"bronze/{name}/*"), az.url(f"silver/{name}"), "--recursive",
           "--from-to=BlobFSBlobFS")  # fmt: skip
    assert az.tree(f"silver/{name}") == TREE


@operation
def _sync_blob_to_blob(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    az.put(f"silver/{name}", {"old.csv": b"x"})
    az.run("sync", az.url(f"bronze/{name}"), az.url(f"silver/{name}"), "--from-to=BlobBlob",
           "--delete-destination=true")  # fmt: skip
    assert az.tree(f"silver/{name}") == TREE


@operation
def _sync_blobfs_to_blobfs(az: Azcopy, name: str) -> None:
    az.put(f"bronze/{name}")
    az.put(f"silver/{name}", {"a.csv": b"other"})
    az.run("sync", az.url(f"bronze/{name}"), az.url(f"silver/{name}"),
           "--from-to=BlobFSBlobFS", "--mirror-mode=true")  # fmt: skip
    assert az.tree(f"silver/{name}") == TREE


@operation
def _resume_killed_upload(az: Azcopy, name: str) -> None:
    folder = az.local(name, {"big.bin": BIG})
    target = az.url(f"bronze/{name}.bin")
    blob = az.lake.container("bronze").get_blob_client(f"{name}.bin")
    assert AZCOPY is not None
    slow = [AZCOPY, "copy", f"{folder}/big.bin", target, "--from-to=LocalBlob",
            "--block-size-mb=1", "--cap-mbps=16"]  # fmt: skip
    running = subprocess.Popen(slow, env=az.environment(), stdout=subprocess.PIPE)
    try:
        until(lambda: _staged_blocks(blob) > 0, 60)
    finally:
        running.kill()
        printed, _ = running.communicate()
    job = re.search(rb"Job (\S{36}) has started", printed)
    assert job
    assert not blob.exists()
    az.run("jobs", "resume", job[1].decode(), f"--destination-sas={az.signature}")
    assert az.lake.read(f"{name}.bin", "bronze") == BIG


def _staged_blocks(blob: Any) -> int:
    try:
        return len(blob.get_block_list("uncommitted")[1])
    except ResourceNotFoundError:
        return 0


@operation
def _set_tier(az: Azcopy, name: str) -> None:
    az.lake.put(f"{name}.csv", b"1", "bronze")
    az.run("set-properties", az.url(f"bronze/{name}.csv"), "--from-to=BlobNone",
           "--block-blob-tier=Cool")  # fmt: skip
    blob = az.lake.container("bronze").get_blob_client(f"{name}.csv")
    assert blob.get_blob_properties().blob_tier == "Cool"


@operation
def _set_tags(az: Azcopy, name: str) -> None:
    az.lake.put(f"{name}.csv", b"1", "bronze")
    az.run("set-properties", az.url(f"bronze/{name}.csv"), "--from-to=BlobNone", "--blob-tags=a=b")


@operation
def _make_container(az: Azcopy, name: str) -> None:
    az.run("make", az.url(name.replace("_", "-")))
    assert az.lake.container(name.replace("_", "-")).exists()


FAIL = {
    "remove_folder": "azcopy deletes folders before what is in them; 409, as in Azure",
    "upload_with_tags": "an account with a hierarchical namespace has no tags: refused",
    "set_tags": "an account with a hierarchical namespace has no tags: refused",
    "make_container": "azcopy takes no URL with the account in its path",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.xfail(reason=FAIL[name], strict=True)] if name in FAIL else []
        )
        for name in OPERATIONS
    ],
)
def test_azcopy(azcopy: Azcopy, name: str) -> None:
    """One operation, and what it left in the lake or on the disk."""
    OPERATIONS[name](azcopy, name)
