"""Workspace files: by the SDK, and by the calls that the official Databricks CLI makes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
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
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language, ObjectType

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


MARKED = b"# Databricks notebook source\nprint(1)"


def test_notebooks_are_stored(workspace: LocalWorkspace) -> None:
    """A notebook has a language and a name without ending; it comes back as it went in."""
    files = workspace.client.workspace
    files.mkdirs(f"{HOME}/notes")
    files.upload(f"{HOME}/notes/n.py", MARKED, format=ImportFormat.AUTO)
    files.upload(f"{HOME}/notes/q", b"select 1", format=ImportFormat.SOURCE, language=Language.SQL)
    files.upload(f"{HOME}/notes/plain.py", b"print(1)", format=ImportFormat.AUTO)
    listed = {str(each.path).rpartition("/")[2]: each for each in files.list(f"{HOME}/notes")}
    assert {name: (each.object_type, each.language) for name, each in listed.items()} == {
        "n": (ObjectType.NOTEBOOK, Language.PYTHON),
        "q": (ObjectType.NOTEBOOK, Language.SQL),
        "plain.py": (ObjectType.FILE, None),
    }
    with files.download(f"{HOME}/notes/n", format=ExportFormat.SOURCE) as stream:
        assert stream.read() == MARKED
    with files.download(f"{HOME}/notes/q") as stream:
        assert stream.read() == b"-- Databricks notebook source\nselect 1"
    exported = files.export(f"{HOME}/notes/n", format=ExportFormat.SOURCE)
    assert exported.file_type == "py"
    with pytest.raises(DatabricksError, match="a notebook is there"):
        files.upload(f"{HOME}/notes/n", b"x", format=ImportFormat.RAW, overwrite=True)
    files.delete(f"{HOME}/notes", recursive=True)
    files.mkdirs(f"{HOME}/notes")
    files.upload(f"{HOME}/notes/n", b"x", format=ImportFormat.RAW)
    assert files.get_status(f"{HOME}/notes/n").object_type == ObjectType.FILE


def test_other_forms_of_notebooks_are_refused(workspace: LocalWorkspace) -> None:
    """What could not be given back as it came is not taken."""
    files = workspace.client.workspace
    with pytest.raises(NotSupported, match="JUPYTER"):
        files.upload(f"{HOME}/n.ipynb", b"{}", format=ImportFormat.JUPYTER)
    body = {"path": f"{HOME}/n", "format": "SOURCE", "content": ""}
    with pytest.raises(InvalidParameterValue, match="language"):
        workspace.client.api_client.do("POST", "/api/2.0/workspace/import", body=body)


def test_what_there_is_none_of(workspace: LocalWorkspace) -> None:
    """What tools ask for first is answered: lists that are empty, one user, one Spark."""
    w = workspace.client
    lists: list[Any] = [
        w.clusters.list(),
        w.clusters.list_node_types().node_types,
        w.cluster_policies.list(),
        w.instance_pools.list(),
        w.warehouses.list(),
        w.queries.list(),
        w.alerts.list(),
        w.pipelines.list_pipelines(),
        w.serving_endpoints.list(),
        w.repos.list(),
        w.git_credentials.list(),
        w.tokens.list(),
        w.groups.list(),
        w.lakeview.list(),
        w.global_init_scripts.list(),
    ]
    assert [list(each or []) for each in lists] == [[]] * len(lists)
    assert [each.user_name for each in w.users.list()] == ["landfall@localhost"]
    (spark,) = w.clusters.spark_versions().versions or []
    assert str(spark.key).endswith("-local")
    assert w.workspace_conf.get_status(keys="enableTokensConfig") == {"enableTokensConfig": None}


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
