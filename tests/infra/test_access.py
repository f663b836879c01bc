"""Each role is the least that serves the calls for which it is assigned, and each is made."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from tests.infra.bicep import INFRA, ROOT

TABLE = json.loads((INFRA / "access.json").read_text())
ROWS = [(where, row) for where, rows in TABLE.items() if isinstance(rows, list) for row in rows]

# What calls need of a container, by the operation that the SDK or the runtime makes of them.
READS = {
    "download_blob",
    "get_blob_properties",
    "list_blobs",
    "walk_blobs",
    "AzureBlobFSReadSettings",
    ".read",
}
WRITES = {
    "upload_blob",
    "stage_block",
    "commit_block_list",
    "rename_file",
    "create_directory",
    "delete_blob",
    "delete_directory",
    "AzureBlobFSWriteSettings",
    ".write",
    "deadLetterDestination",
}
NOT_REQUESTS = {
    "get_blob_client",
    "get_container_client",
    "get_file_client",
    "get_directory_client",
}
# https://learn.microsoft.com/azure/role-based-access-control/permissions/analytics
ACTIONS = {
    "create_run": ["pipelines/createrun/action"],
    "query_by_factory": ["querypipelineruns/action", "querypipelineruns/read"],
    "pipeline_runs.get": ["pipelineruns/read"],
    "query_by_pipeline_run": [
        "pipelineruns/queryactivityruns/action",
        "pipelineruns/queryactivityruns/read",
    ],
    "cancel": ["pipelineruns/cancel/action"],
}


def test_every_role_is_justified_by_a_call() -> None:
    """Each row names the calls it is for, and they are in the code."""
    for _, row in ROWS:
        assert row["code"], row
        for reference in row["code"]:
            path, _, call = reference.partition(": ")
            assert call in (ROOT / path).read_text(), reference


def test_containers_get_the_least_role() -> None:
    """Reader where all calls read, Contributor where one writes; never Owner."""
    for row in TABLE["containers"]:
        calls = {reference.partition(": ")[2] for reference in row["code"]}
        assert calls <= READS | WRITES, row
        kind = "Contributor" if calls & WRITES else "Reader"
        assert row["role"] == f"Storage Blob Data {kind}", row


def test_every_call_of_the_lake_is_accounted_for() -> None:
    """A new call of the storage SDK needs a look at the table."""
    text = (ROOT / "ingest" / "azure" / "lake.py").read_text()
    requests = {name for name in _calls(text) if re.search(r"blob|file|directory|block", name)}
    own = {"_blob", "_make_directory"}
    assert requests - own <= READS | WRITES | NOT_REQUESTS
    assert {"rename_file", "upload_blob", "download_blob"} < requests


def test_the_custom_role_is_what_the_copy_service_calls() -> None:
    """No action without a call, and no call of Data Factory without its action."""
    expected = {f"Microsoft.DataFactory/factories/{a}" for each in ACTIONS.values() for a in each}
    assert set(TABLE["pipelineRunner"]["actions"]) == expected
    calls = [reference.partition(": ")[2] for reference in TABLE["factory"][0]["code"]]
    assert calls == list(ACTIONS)
    text = (ROOT / "ingest" / "azure" / "datafactory.py").read_text()
    made = re.findall(r"self\.client\.(\w+\.\w+)", text)
    assert all(any(call in each for call in ACTIONS) for each in made)
    assert len(set(made)) == len(ACTIONS)


def test_nobody_may_change_what_runs() -> None:
    """No identity of the system is Owner or Contributor of anything but data."""
    for _, row in ROWS:
        assert row["role"] not in {"Owner", "Contributor", "Data Factory Contributor"}
        owner = row["role"] == "Storage Blob Data Owner"
        assert not owner or row["account"] == "host"


def _calls(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
