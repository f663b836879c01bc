"""A disk that is full, and one that must have everything before it is acknowledged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient
from azure.storage.filedatalake import DataLakeServiceClient

from devcloud.config import CloudConfig, create
from devcloud.lake.app import create_app
from devcloud.serving import serve_in_thread
from devcloud.testing.lake import code, until

MOUNT = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" -m devcloud.lake --root "$3"'
UNSHARE = shutil.which("unshare")
CAN_MOUNT = (
    UNSHARE is not None and subprocess.run([UNSHARE, "-rm", "true"], check=False).returncode == 0
)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[CloudConfig]:
    """A lake on a disk of 8 MB of its own."""
    config = create(tmp_path, tmp_path)
    config.lake_folder.mkdir()
    shell = ["sh", "-c", MOUNT, "sh", str(config.lake_folder), sys.executable, str(tmp_path)]
    with subprocess.Popen(["unshare", "-rm", *shell]) as process:
        health = f"{config.url('lake')}/_devcloud/health"

        def answers() -> bool:
            try:
                return httpx.get(health).is_success
            except httpx.TransportError:
                return False

        try:
            until(answers, 30)
            yield config
        finally:
            process.terminate()


@pytest.mark.skipif(not CAN_MOUNT, reason="needs a mount namespace of its own")
def test_a_full_disk(small: CloudConfig) -> None:
    """It is said in Azure's form; nothing partial is left, and deleting makes room."""
    given = small.lake_connection_string
    blobs: Any = BlobServiceClient.from_connection_string(given, retry_total=0)
    paths: Any = DataLakeServiceClient.from_connection_string(given, retry_total=0)
    with blobs, paths:
        container = blobs.get_container_client("landing")
        for number in range(6):
            container.upload_blob(f"full/{number}", b"x" * (1 << 20))
        big = b"y" * (3 << 20)
        with pytest.raises(HttpResponseError) as error:
            container.upload_blob("full/big", big)
        assert code(error) == (500, "InternalError")
        assert "No space left" in str(error.value)
        file = paths.get_file_client("landing", "full/file")
        file.create_file()
        with pytest.raises(HttpResponseError) as error:
            file.append_data(big, 0, len(big))
        assert code(error) == (500, "InternalError")
        names = {each.name for each in container.list_blobs("full/")} - {"full"}
        assert names == {*(f"full/{number}" for number in range(6)), "full/file"}
        for number in range(3):
            container.delete_blob(f"full/{number}")
        container.upload_blob("full/big", big)
        assert container.download_blob("full/big").readall() == big


def test_what_is_acknowledged_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fsync a file, and the folder that names it, are synced before the answer."""
    config = create(tmp_path, tmp_path)
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    landing = str(config.lake_folder / "landing")
    with (
        serve_in_thread(create_app(config, subscribers=(), durable=True), config.ports["lake"]),
        BlobServiceClient.from_connection_string(config.lake_connection_string) as service,
    ):
        blob = service.get_blob_client("landing", "deep/a")

        def during(act: Any) -> list[str]:
            synced.clear()
            act()
            return list(synced)

        first = during(lambda: blob.upload_blob(b"x"))
        assert {landing, f"{landing}/deep"} <= set(first)
        assert any(".lake/staging/" in each for each in first)
        assert f"{landing}/deep/a" in during(lambda: blob.set_blob_metadata({"a": "b"}))
        assert any(
            ".lake/blocks/" in each for each in during(lambda: blob.stage_block("aaaa", b"x"))
        )
        assert f"{landing}/deep" in during(blob.delete_blob)
