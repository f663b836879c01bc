"""Workspace files: by the SDK, and by the calls that the official Databricks CLI makes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    ResourceAlreadyExists,
)
from databricks.sdk.errors import NotImplemented as NotSupported
from databricks.sdk.service.workspace import ImportFormat
from devcloud.testing.workspace import HOME, LocalWorkspace, local_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """One workspace for all tests here; its worker starts no Spark."""
    with local_workspace(tmp_path_factory.mktemp("workspace")) as running:
        yield running


@pytest.fixture
def http(workspace: LocalWorkspace) -> Iterator[httpx.Client]:
    """Plain HTTP with the workspace's token."""
    headers = {"Authorization": f"Bearer {workspace.config.databricks_token}"}
    with httpx.Client(base_url=workspace.url, headers=headers) as session:
        yield session


def test_upload_and_download(workspace: LocalWorkspace) -> None:
    """Any bytes come back as they went in; `/Workspace` before a path makes no difference."""
    files = workspace.client.workspace
    content = bytes(range(256)) * 1000 + b"\r\n--boundary--\r\n"
    files.upload(f"{HOME}/a b.bin", io.BytesIO(content), format=ImportFormat.RAW)
    with files.download(f"{HOME.removeprefix('/Workspace')}/a b.bin") as stream:
        assert stream.read() == content
    with pytest.raises(ResourceAlreadyExists):
        files.upload(f"{HOME}/a b.bin", b"other", format=ImportFormat.RAW)
    files.upload(f"{HOME}/a b.bin", b"other", format=ImportFormat.RAW, overwrite=True)
    assert [e.path for e in files.list(HOME) if e.size == 5] == [f"{HOME}/a b.bin"]


def test_folders(workspace: LocalWorkspace) -> None:
    """Folders are made with those above them, and deleted with what they hold only if told to."""
    files = workspace.client.workspace
    files.mkdirs(f"{HOME}/one/two")
    files.upload(f"{HOME}/one/two/f", b"x", format=ImportFormat.RAW)
    assert files.get_status(f"{HOME}/one").object_type.value == "DIRECTORY"  # type: ignore[union-attr]
    with pytest.raises(BadRequest, match="not empty"):
        files.delete(f"{HOME}/one")
    files.delete(f"{HOME}/one", recursive=True)
    with pytest.raises(NotFound):
        files.get_status(f"{HOME}/one/two/f")
    with pytest.raises(NotFound, match="parent folder"):
        files.upload(f"{HOME}/gone/f", b"x", format=ImportFormat.RAW)


@pytest.mark.parametrize("path", ["relative", f"{HOME}/../../etc/passwd", "/a\0b"])
def test_paths_that_lead_elsewhere(workspace: LocalWorkspace, path: str) -> None:
    """A path stays inside the workspace or is refused."""
    with pytest.raises(InvalidParameterValue, match="absolute"):
        workspace.client.workspace.mkdirs(path)


def test_notebooks_are_refused(workspace: LocalWorkspace) -> None:
    """There are no notebooks here, and a file is not taken for one in silence."""
    with pytest.raises(NotSupported, match="notebooks"):
        workspace.client.workspace.upload(f"{HOME}/n.py", b"# Databricks notebook source\n1")


def test_calls_of_the_cli(http: httpx.Client) -> None:
    """The requests of `databricks bundle deploy`, with the answers that it expects."""
    root = f"{HOME}/.bundle/trial/dev"
    status = "/api/2.0/workspace/get-status"
    missing = http.get(status, params={"path": f"{root}/state", "return_export_info": "true"})
    assert (missing.status_code, missing.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    upload = f"/api/2.0/workspace-files/import-file/{quote(f'{root}/files/src/a b.py', safe='')}"
    parentless = http.post(upload, params={"overwrite": "true"}, content=b"print(1)")
    assert parentless.status_code == 404  # the CLI makes the folder then, and tries again
    http.post("/api/2.0/workspace/mkdirs", json={"path": f"{root}/files/src"})
    assert http.post(upload, params={"overwrite": "true"}, content=b"print(1)").json() == {}
    assert http.post(upload, params={"overwrite": "false"}, content=b"").status_code == 409
    export = {"path": f"{root}/files/src/a b.py", "direct_download": "true"}
    assert http.get("/api/2.0/workspace/export", params=export).content == b"print(1)"
    there = http.get(status, params={"path": f"{root}/files"}).json()
    assert (there["path"], there["object_type"]) == (f"{root}/files", "DIRECTORY")
    deleted = http.post("/api/2.0/workspace/delete", json={"path": root, "recursive": True})
    assert deleted.json() == {}
    telemetry = http.post("/telemetry-ext", json={})
    assert (telemetry.status_code, telemetry.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
