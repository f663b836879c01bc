"""The stages against a real lake: devcloud's, through the unmodified SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.filedatalake import DataLakeServiceClient

from devcloud.config import CloudConfig, create
from devcloud.lake.app import create_app
from devcloud.serving import serve_in_thread
from ingest.azure.lake import AzureLake
from ingest.ports import Version
from ingest.runs.register import Register
from ingest.settings import LakeSettings

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Clock:
    """A clock that a test turns."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **amount: float) -> None:
        """Let time pass: `turn(minutes=5)`."""
        self.now += timedelta(**amount)


@dataclass
class StorageAccount:
    """The lake as a test uses it: the product's client, a producer's client, and the faults."""

    config: CloudConfig
    lake: AzureLake

    def land(self, path: str, content: bytes) -> Version:
        """Upload a file as a producer would; returns the landed version."""
        container, _, key = path.partition("/")
        service = DataLakeServiceClient.from_connection_string(self.config.lake_connection_string)
        with service:
            service.get_file_client(container, key).upload_data(content, overwrite=True)
        version = self.lake.head(path)
        assert version is not None
        return version

    def fault(self, **rule: Any) -> None:
        """Let requests fail; see devcloud/faults.py for the rules."""
        httpx.post(f"{self.config.url('lake')}/_devcloud/faults", json=rule).raise_for_status()

    def reset_faults(self) -> None:
        """No more faults."""
        httpx.delete(f"{self.config.url('lake')}/_devcloud/faults").raise_for_status()


@pytest.fixture(scope="module")
def storage_account_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageAccount]:
    """One lake for the tests of a module."""
    config = create(tmp_path_factory.mktemp("cloud"), REPOSITORY)
    with serve_in_thread(create_app(config), config.ports["lake"]):
        settings = LakeSettings(
            config.lake_connection_string, None, config.account, config.lake_url
        )
        yield StorageAccount(config, AzureLake(settings))


@pytest.fixture
def storage_account(storage_account_server: StorageAccount) -> Iterator[StorageAccount]:
    """That lake, without the faults of the test before."""
    storage_account_server.reset_faults()
    yield storage_account_server
    storage_account_server.reset_faults()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at the present until it is turned."""
    return Clock()


@pytest.fixture
def manifest(storage_account: StorageAccount) -> Register:
    """A manifest as a fresh worker has it, without anything remembered."""
    return Register(storage_account.lake)
