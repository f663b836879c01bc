"""Deploys the asset bundle through the Databricks SDK: to the local workspace or to Azure alike.

Layout in the workspace, under `/Workspace/Users/<me>/.bundle/<bundle>/<target>`:

    artifacts/<content hash>/<wheel>   a running job keeps the wheel that it started with
    files/<path>                       what `sync` names
    state/deployment.json              what was deployed last, to tell what changed since
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
    """What deploying did to one thing.

    Attributes:
        kind: "wheel", "file" or "job"; name: what it is called in the bundle.
        action: "created", "updated", "deleted" or "unchanged".
        id: job id of a job, workspace path of the others.
    """

    kind: str
    name: str
    action: str
    id: str


@dataclass
class _State:
    """What the last deployment left: content hashes of files, ids and hashes of jobs."""

    files: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)


def deploy_bundle(
    folder: Path,
    client: WorkspaceClient,
    target: str = "",
    variables: Mapping[str, Any] | None = None,
) -> list[BundleChange]:
    """Bring a workspace to what the bundle says; deploying again changes nothing.

    Args:
        folder: where `databricks.yml` lies.
        client: of the workspace.
        target: one of the bundle's targets; "" takes its default one.
        variables: values laid over those of the bundle.

    Raises:
        BundleError: the bundle is malformed, or says what this deployer does not understand.
        WheelError: a wheel cannot be built.
        databricks.sdk.errors.DatabricksError: the workspace refused.
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
            change = _put_wheel(files, bundle, wheel)
            wheels[source] = change.id
            changes.append(change)
    changes += _sync_files(files, bundle, state)
    for key, job in bundle.jobs.items():
        settings = _settings(key, _with_remote_paths(job, bundle, wheels))
        changes.append(_put_job(client, key, settings, state))
    files.write(f"{bundle.root}/state/deployment.json", _state_bytes(state))
    return changes


class _BundleFiles:
    """The few things done to workspace files."""

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


def _put_wheel(files: _BundleFiles, bundle: Bundle, wheel: Path) -> BundleChange:
    content = wheel.read_bytes()
    path = f"{bundle.root}/artifacts/{_hash(content)}/{wheel.name}"
    if files.exists(path):
        return BundleChange("wheel", wheel.name, "unchanged", path)
    files.write(path, content)
    return BundleChange("wheel", wheel.name, "created", path)


def _sync_files(files: _BundleFiles, bundle: Bundle, state: _State) -> Iterator[BundleChange]:
    found = {str(path.relative_to(bundle.folder)): path for path in _files_to_sync(bundle)}
    for name, path in found.items():
        content = path.read_bytes()
        remote = f"{bundle.root}/files/{name}"
        before = state.files.get(name)
        if before == _hash(content):
            yield BundleChange("file", name, "unchanged", remote)
            continue
        files.write(remote, content)
        state.files[name] = _hash(content)
        yield BundleChange("file", name, "updated" if before else "created", remote)
    for name in sorted(set(state.files) - set(found)):
        files.delete(f"{bundle.root}/files/{name}")
        del state.files[name]
        yield BundleChange("file", name, "deleted", f"{bundle.root}/files/{name}")


def _files_to_sync(bundle: Bundle) -> Iterator[Path]:
    for each in bundle.sync:
        start = bundle.folder / each
        if not start.exists():
            raise BundleError(f"sync names {each}, which is not there.")
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            parts = path.relative_to(bundle.folder).parts
            hidden = any(part.startswith(".") or part.endswith(".egg-info") for part in parts)
            if path.is_file() and not hidden and not LEFT_OUT & set(parts):
                yield path


def _with_remote_paths(value: Any, bundle: Bundle, wheels: Mapping[str, str]) -> Any:
    """Replace local paths by where they were put: `./x/dist/*.whl` by the wheel of folder x."""

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
            return {key: walk(each, change) for key, each in item.items()}
        if isinstance(item, list):
            return [walk(each, change) for each in item]
        return change(item) if isinstance(item, str) else item

    return walk(value, replaced)


def _settings(key: str, document: dict[str, Any]) -> JobSettings:
    """The SDK's settings; what it would silently leave out is refused."""
    settings = JobSettings.from_dict(document)
    lost = _first_difference(document, settings.as_dict())
    if lost:
        raise BundleError(f"resources.jobs.{key}.{lost} is not a setting that Databricks knows.")
    return settings


def _put_job(
    client: WorkspaceClient, key: str, settings: JobSettings, state: _State
) -> BundleChange:
    name = settings.name or key
    wanted = settings.as_dict()
    digest = _hash(json.dumps(wanted, sort_keys=True).encode())
    known = state.jobs.get(key)
    job_id = known["id"] if known else _job_named(client, name)
    if job_id is not None:
        try:
            there = client.jobs.get(job_id).settings
        except NotFound:
            job_id = None
        else:
            # The service adds defaults of its own, so what it has need only contain ours.
            same = there is not None and not _first_difference(wanted, there.as_dict())
            if known and known["settings"] == digest and same:
                return BundleChange("job", name, "unchanged", str(job_id))
            client.jobs.reset(job_id, settings)
            state.jobs[key] = {"id": job_id, "settings": digest}
            return BundleChange("job", name, "updated", str(job_id))
    job_id = client.jobs.create(**vars(settings)).job_id
    state.jobs[key] = {"id": job_id, "settings": digest}
    return BundleChange("job", name, "created", str(job_id))


def _job_named(client: WorkspaceClient, name: str) -> int | None:
    """A job that an earlier deployment made but could not write down."""
    found = [job.job_id for job in client.jobs.list(name=name)]
    if len(found) > 1:
        raise BundleError(
            f"The workspace has {len(found)} jobs named {name!r}: delete all but one."
        )
    return found[0] if found else None


def _first_difference(wanted: Any, there: Any, path: str = "") -> str:
    """Path of the first part of a document that another does not contain; "" if it has all."""
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            # An empty list or object and an absent one are the same to the service.
            missing = not isinstance(there, Mapping) or key not in there
            if missing and value in ([], {}, None):
                continue
            found = _first_difference(value, None if missing else there[key], f"{path}.{key}")
            if found:
                return found.lstrip(".")
        return ""
    if isinstance(wanted, list):
        if not isinstance(there, list) or len(there) != len(wanted):
            return path
        pairs = zip(wanted, there, strict=True)
        found_each = (
            _first_difference(one, other, f"{path}[{n}]") for n, (one, other) in enumerate(pairs)
        )
        return next(filter(None, found_each), "")
    return "" if wanted == there else path


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
