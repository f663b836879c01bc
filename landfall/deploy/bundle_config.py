"""Reads a Databricks asset bundle: includes, overrides of a target, variables.

Only keys that this repository's bundle uses are supported. Any other key is an error, because
ignoring it would deploy something else than the bundle says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT_KEYS = frozenset(
    {"bundle", "include", "variables", "artifacts", "sync", "workspace", "resources", "targets"}
)
TARGET_KEYS = frozenset({"default", "mode", "variables", "resources", "workspace"})
# Lists that a target merges by the key of their entries, as the Databricks CLI does.
LIST_KEYS = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "environments": "environment_key",
    "parameters": "name",
}
SUBSTITUTION = re.compile(r"\$\{([^}]+)\}")
ROOT_PATH = (
    "/Workspace/Users/${workspace.current_user.userName}/.bundle/${bundle.name}/${bundle.target}"
)


class BundleError(Exception):
    """The bundle cannot be deployed; the message says where and why."""


@dataclass(frozen=True)
class Bundle:
    """A bundle for one target, with every `${...}` replaced.

    Attributes:
        folder: folder of `databricks.yml`; relative paths start there.
        root: workspace folder of the deployment.
        artifacts: source folders of the wheels, relative.
        sync: files and folders to upload, relative.
        jobs: settings of each job, by its key in the bundle.
    """

    folder: Path
    name: str
    target: str
    root: str
    artifacts: list[str]
    sync: list[str]
    jobs: dict[str, dict[str, Any]]


def load_bundle(
    folder: Path, target: str, user: str, variables: Mapping[str, Any] | None = None
) -> Bundle:
    """Read `databricks.yml` and its includes.

    Args:
        folder: folder of `databricks.yml`.
        target: a target; "" is the default target.
        user: name of the user who deploys.
        variables: values that override those of the bundle.

    Raises:
        BundleError: it is malformed, or has a key that is not supported.
    """
    document = _read(folder / "databricks.yml")
    _check_keys(document, ROOT_KEYS, "databricks.yml")
    resources: dict[str, Any] = document.get("resources") or {}
    for pattern in document.get("include") or []:
        for path in sorted(folder.glob(pattern)):
            included = _read(path)
            _check_keys(included, frozenset({"resources"}), str(path.relative_to(folder)))
            resources = merge(resources, included["resources"])
    target, chosen = _target(document, target)
    resources = merge(resources, chosen.get("resources") or {})
    _check_keys(resources, frozenset({"jobs"}), "resources")
    workspace = merge(document.get("workspace") or {}, chosen.get("workspace") or {})
    _check_keys(workspace, frozenset({"root_path"}), "workspace")

    values = _variables(document, chosen, variables or {})
    values |= {
        "bundle.name": document["bundle"]["name"],
        "bundle.target": target,
        "workspace.current_user.userName": user,
    }
    root = resolve_variables(workspace.get("root_path", ROOT_PATH), values)
    values |= {"workspace.root_path": root, "workspace.file_path": f"{root}/files"}
    return Bundle(
        folder=folder,
        name=document["bundle"]["name"],
        target=target,
        root=root,
        artifacts=list(_artifacts(document)),
        sync=_sync(document),
        jobs=resolve_variables(resources.get("jobs") or {}, values),
    )


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merge one document into another: objects deeply, keyed lists by key, other lists appended."""
    merged = dict(base)
    for key, value in overrides.items():
        earlier = merged.get(key)
        if isinstance(earlier, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(earlier, value)
        elif isinstance(earlier, list) and isinstance(value, list):
            merged[key] = _merge_lists(earlier, value, LIST_KEYS.get(key))
        else:
            merged[key] = value
    return merged


def resolve_variables(value: Any, values: Mapping[str, Any]) -> Any:
    """Replace `${name}`; a value that is only a reference keeps the type of the variable.

    Raises:
        BundleError: an unknown name.
    """

    def look_up(name: str) -> Any:
        if name not in values:
            raise BundleError(f"${{{name}}} is not known. Known: {', '.join(sorted(values))}.")
        return values[name]

    if isinstance(value, Mapping):
        return {key: resolve_variables(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_variables(item, values) for item in value]
    if not isinstance(value, str):
        return value
    whole = SUBSTITUTION.fullmatch(value)
    if whole:
        return look_up(whole[1])
    return SUBSTITUTION.sub(lambda match: str(look_up(match[1])), value)


def _merge_lists(base: list[Any], overrides: list[Any], key: str | None) -> list[Any]:
    if key is None:
        return [*base, *overrides]
    merged = {item[key]: item for item in base}
    for item in overrides:
        merged[item[key]] = merge(merged.get(item[key], {}), item)
    return list(merged.values())


def _target(document: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    targets = document.get("targets") or {}
    if not name:
        name = next((key for key, target_ in targets.items() if (target_ or {}).get("default")), "")
    if name not in targets:
        raise BundleError(f"The bundle has no target {name!r}; it has {', '.join(targets)}.")
    chosen = targets[name] or {}
    _check_keys(chosen, TARGET_KEYS, f"targets.{name}")
    if chosen.get("mode", "production") != "production":
        raise BundleError(
            f"targets.{name}.mode: {chosen['mode']} renames and pauses jobs; leave it out."
        )
    return name, chosen


def _variables(
    document: Mapping[str, Any], target: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    declared = document.get("variables") or {}
    overlaid = {**(target.get("variables") or {}), **given}
    for name in overlaid:
        if name not in declared:
            raise BundleError(f"Variable {name!r} is not declared under 'variables'.")
    values = {}
    for name, definition in declared.items():
        _check_keys(definition, frozenset({"description", "default"}), f"variables.{name}")
        if name not in overlaid and "default" not in definition:
            raise BundleError(f"Variable {name!r} has no default and was given no value.")
        values[f"var.{name}"] = overlaid.get(name, definition.get("default"))
    return values


def _artifacts(document: Mapping[str, Any]) -> Iterator[str]:
    for name, artifact in (document.get("artifacts") or {}).items():
        # `build` is the command of the Databricks CLI; here a copy of the folder is built.
        _check_keys(artifact, frozenset({"type", "path", "build"}), f"artifacts.{name}")
        if artifact.get("type") != "whl":
            raise BundleError(f"artifacts.{name}.type: only whl is supported.")
        yield str(Path(artifact["path"]))


def _sync(document: Mapping[str, Any]) -> list[str]:
    sync = document.get("sync") or {}
    _check_keys(sync, frozenset({"paths"}), "sync")
    return list(sync.get("paths") or [])


def _check_keys(document: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(document) - known)
    if unknown:
        raise BundleError(f"{where}: {unknown[0]!r} is not supported by this deployer.")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise BundleError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise BundleError(f"{path} must have an object.")
    return document
