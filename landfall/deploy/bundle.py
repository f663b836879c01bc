"""Deploys the asset bundle to a local workspace; in Azure the Databricks CLI does.

Layout in the workspace, under `/Workspace/Users/<me>/.bundle/<bundle>/<target>`:

    artifacts/<content hash>/<wheel>   a running job keeps its wheel
    files/<path>                       files of `sync`
    state/deployment.json              hashes of the last deployment
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service.jobs import JobSettings
from databricks.sdk.service.workspace import ImportFormat

from landfall.deploy.bundle_config import Bundle, BundleError, load_bundle
from landfall.deploy.wheel import build_wheel

LEFT_OUT = {"__pycache__", "build", "dist"}


@dataclass(frozen=True)
class BundleChange:
    """Change of one resource.

    Attributes:
        kind: "wheel", "file" or "job"; name: its name in the bundle.
        action: "created", "updated", "deleted" or "unchanged".
        id: job id of a job, else the workspace path.
    """

    kind: str
    name: str
    action: str
    id: str


@dataclass
class _State:
    """State of the last deployment: content hashes of files, ids and hashes of jobs."""

    files: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)


def deploy_bundle(
    folder: Path,
    client: WorkspaceClient,
    target: str = "",
    variables: Mapping[str, Any] | None = None,
) -> list[BundleChange]:
    """Deploy a bundle to a workspace; deploying again changes nothing.

    Args:
        folder: folder of `databricks.yml`.
        client: client of the workspace.
        target: a target of the bundle; "" is the default target.
        variables: values that override those of the bundle.

    Raises:
        BundleError: the bundle is malformed, or has a key that is not supported.
        WheelError: a wheel cannot be built.
        databricks.sdk.errors.DatabricksError: the workspace refused a request.
    """
    user = client.current_user.me().user_name or ""
    bundle = load_bundle(folder, target, user, variables)
    files = _BundleFiles(client)
    state = _read_state(files, bundle.root)
    changes: list[BundleChange] = []
    with tempfile.TemporaryDirectory(prefix="bundle-") as built:
        wheels: dict[str, str] = {}
        for source in bundle.artifacts:
            wheel = build_wheel(folder / source, Path(built))
            change = _upload_wheel(files, bundle, wheel)
            wheels[source] = change.id
            changes.append(change)
    changes += _sync_files(files, bundle, state)
    for key, job in bundle.jobs.items():
        settings = _settings(key, _with_remote_paths(job, bundle, wheels))
        changes.append(_put_job(client, key, settings, state))
    files.write(f"{bundle.root}/state/deployment.json", _state_bytes(state))
    return changes


class _BundleFiles:
    """Reads and writes workspace files."""

    def __init__(self, client: WorkspaceClient) -> None:
        self._workspace = client.workspace
        self._made: set[str] = set()

    def exists(self, path: str) -> bool:
        try:
            self._workspace.get_status(path)
        except NotFound:
            return False
        return True

    def read(self, path: str) -> bytes | None:
        try:
            with self._workspace.download(path) as stream:
                return stream.read()
        except NotFound:
            return None

    def write(self, path: str, content: bytes) -> None:
        parent = str(PurePosixPath(path).parent)
        if parent not in self._made:
            self._workspace.mkdirs(parent)
            self._made.add(parent)
        self._workspace.upload(path, content, format=ImportFormat.RAW, overwrite=True)

    def delete(self, path: str) -> None:
        with suppress(NotFound):
            self._workspace.delete(path)


def _upload_wheel(files: _BundleFiles, bundle: Bundle, wheel: Path) -> BundleChange:
    content = wheel.read_bytes()
    path = f"{bundle.root}/artifacts/{_hash(content)}/{wheel.name}"
    if files.exists(path):
        return BundleChange("wheel", wheel.name, "unchanged", path)
    files.write(path, content)
    return BundleChange("wheel", wheel.name, "created", path)


def _sync_files(files: _BundleFiles, bundle: Bundle, state: _State) -> Iterator[BundleChange]:
    paths = {str(path.relative_to(bundle.folder)): path for path in _files_to_sync(bundle)}
    for name, path in paths.items():
        content = path.read_bytes()
        remote = f"{bundle.root}/files/{name}"
        before = state.files.get(name)
        if before == _hash(content):
            yield BundleChange("file", name, "unchanged", remote)
            continue
        files.write(remote, content)
        state.files[name] = _hash(content)
        yield BundleChange("file", name, "updated" if before else "created", remote)
    for name in sorted(set(state.files) - set(paths)):
        files.delete(f"{bundle.root}/files/{name}")
        del state.files[name]
        yield BundleChange("file", name, "deleted", f"{bundle.root}/files/{name}")


def _files_to_sync(bundle: Bundle) -> Iterator[Path]:
    for name in bundle.sync:
        start = bundle.folder / name
        if not start.exists():
            raise BundleError(f"sync has {name}, which does not exist.")
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            parts = path.relative_to(bundle.folder).parts
            hidden = any(part.startswith(".") or part.endswith(".egg-info") for part in parts)
            if path.is_file() and not hidden and not LEFT_OUT & set(parts):
                yield path


def _with_remote_paths(value: Any, bundle: Bundle, wheels: Mapping[str, str]) -> Any:
    """Replace local paths by workspace paths: `./x/dist/*.whl` by the wheel of folder x."""

    def replaced(text: str) -> str:
        if not text.startswith("./"):
            return text
        if text.endswith(".whl"):
            source = str(PurePosixPath(text).parent.parent)
            if PurePosixPath(text).parent.name == "dist" and source in wheels:
                return wheels[source]
            raise BundleError(f"{text} is not the dist folder of one of the bundle's artifacts.")
        return f"{bundle.root}/files/{PurePosixPath(text)}"

    def walk(item: Any, change: Callable[[str], str]) -> Any:
        if isinstance(item, Mapping):
            return {key: walk(child, change) for key, child in item.items()}
        if isinstance(item, list):
            return [walk(child, change) for child in item]
        return change(item) if isinstance(item, str) else item

    return walk(value, replaced)


def _settings(key: str, document: dict[str, Any]) -> JobSettings:
    """Return the SDK's settings; raise BundleError for a key that the SDK would ignore."""
    settings = JobSettings.from_dict(document)
    lost = _first_difference(document, settings.as_dict())
    if lost:
        raise BundleError(f"resources.jobs.{key}.{lost} is not a setting of Databricks.")
    return settings


def _put_job(
    client: WorkspaceClient, key: str, settings: JobSettings, state: _State
) -> BundleChange:
    name = settings.name or key
    expected = settings.as_dict()
    digest = _hash(json.dumps(expected, sort_keys=True).encode())
    known = state.jobs.get(key)
    job_id = known["id"] if known else _job_named(client, name)
    if job_id is not None:
        try:
            present = client.jobs.get(job_id).settings
        except NotFound:
            job_id = None
        else:
            # The service adds defaults, so its settings need only contain ours.
            same = present is not None and not _first_difference(expected, present.as_dict())
            if known and known["settings"] == digest and same:
                return BundleChange("job", name, "unchanged", str(job_id))
            client.jobs.reset(job_id, settings)
            state.jobs[key] = {"id": job_id, "settings": digest}
            return BundleChange("job", name, "updated", str(job_id))
    job_id = client.jobs.create(**vars(settings)).job_id
    state.jobs[key] = {"id": job_id, "settings": digest}
    return BundleChange("job", name, "created", str(job_id))


def _job_named(client: WorkspaceClient, name: str) -> int | None:
    """Return a job that an earlier deployment created but did not save in its state."""
    job_ids = [job.job_id for job in client.jobs.list(name=name)]
    if len(job_ids) > 1:
        raise BundleError(
            f"The workspace has {len(job_ids)} jobs named {name!r}: delete all but one."
        )
    return job_ids[0] if job_ids else None


def _first_difference(expected: Any, present: Any, path: str = "") -> str:
    """Return the path of the first part of a document that another lacks; "" if there is none."""
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            # The service treats an empty list or object like an absent one.
            missing = not isinstance(present, Mapping) or key not in present
            if missing and value in ([], {}, None):
                continue
            difference = _first_difference(
                value, None if missing else present[key], f"{path}.{key}"
            )
            if difference:
                return difference.lstrip(".")
        return ""
    if isinstance(expected, list):
        if not isinstance(present, list) or len(present) != len(expected):
            return path
        pairs = zip(expected, present, strict=True)
        differences = (
            _first_difference(item, other, f"{path}[{n}]") for n, (item, other) in enumerate(pairs)
        )
        return next(filter(None, differences), "")
    return "" if expected == present else path


def _read_state(files: _BundleFiles, root: str) -> _State:
    content = files.read(f"{root}/state/deployment.json")
    if content is None:
        return _State()
    document = json.loads(content)
    return _State(document["files"], document["jobs"])


def _state_bytes(state: _State) -> bytes:
    return json.dumps({"files": state.files, "jobs": state.jobs}, indent=1).encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
