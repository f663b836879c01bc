"""The console over a real lake."""

from tests.ingest.conftest import (  # noqa: F401 - fixtures
    clock,
    storage_account,
    storage_account_server,
)
