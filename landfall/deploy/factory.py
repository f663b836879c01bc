"""Puts a factory's folder into a Data Factory, local or in Azure, through its management API.

Everything is read and checked before the first request. Definitions that are there already and
equal are left alone, so that deploying twice changes nothing; triggers that run are stopped while
they change. Nothing is deleted: what the folder does not know stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.datafactory import DataFactoryManagementClient

from landfall.deploy.definitions import DefinitionError, FactoryDefinition, Overrides, read

__all__ = ["DefinitionError", "FactoryChange", "Overrides", "deploy_factory"]

# What the service adds to a definition by itself.
_SERVER_OWNED = ("runtimeState", "lastPublishTime", "encryptedCredential", "provisioningState")


@dataclass(frozen=True)
class FactoryChange:
    """What was done to one resource.

    Attributes:
        kind: "factory", "linkedService", "dataset", "pipeline" or "trigger".
        action: "created", "updated", "unchanged"; of triggers also "started", "stopped".
        why: where the action needs a word.
    """

    kind: str
    name: str
    action: str
    why: str = ""


def deploy_factory(
    folder: Path,
    client: DataFactoryManagementClient,
    resource_group: str,
    factory: str,
    overrides: Overrides,
) -> list[FactoryChange]:
    """Make a factory what a folder says.

    Args:
        folder: in Git-integration layout: factory/, linkedService/, dataset/, pipeline/, trigger/.
        client: for the subscription; see `landfall.azure.arm.data_factory_client`.
        resource_group: must exist in Azure.
        factory: name; created if it is absent.
        overrides: what differs by environment.

    Returns:
        What was done, in the order in which it was done.

    Raises:
        DefinitionError: the folder is wrong; nothing was touched.
        azure.core.exceptions.HttpResponseError: the service refused; what was put before stays.
    """
    wanted = read(folder, overrides)
    target = _Target(client, resource_group, factory)
    changes = [target.put_factory(wanted.factory)]
    for definition in wanted.definitions:
        if definition.kind == "trigger":
            changes += target.put_trigger(definition, start=overrides.start_triggers)
        else:
            changes.append(target.put(definition))
    return changes


@dataclass(frozen=True)
class _Target:
    client: DataFactoryManagementClient
    group: str
    factory: str

    def put_factory(self, wanted: Mapping[str, Any]) -> FactoryChange:
        factories: Any = self.client.factories  # raw JSON is taken as well as models
        try:
            present = factories.get(self.group, self.factory).as_dict()
        except ResourceNotFoundError:
            factories.create_or_update(self.group, self.factory, dict(wanted))
            return FactoryChange("factory", self.factory, "created")
        properties = present.get("properties", {})
        if _covers(properties, wanted["properties"]):
            return FactoryChange("factory", self.factory, "unchanged")
        # A put replaces the whole: what others set (repository, network, encryption) goes along.
        kept = {
            key: value
            for key, value in properties.items()
            if key not in ("provisioningState", "createTime", "version")
        }
        body = {
            **dict(wanted),
            "location": present.get("location", wanted.get("location")),
            "tags": present.get("tags") or {},
            "identity": _identity(present, wanted),
            "properties": {**kept, **wanted["properties"]},
        }
        factories.create_or_update(self.group, self.factory, body)
        return FactoryChange("factory", self.factory, "updated")

    def put(self, definition: FactoryDefinition) -> FactoryChange:
        present = self._present(definition)
        secret = _has_secret(definition.properties)
        if present is not None and not secret and _same(present, definition.properties):
            return FactoryChange(definition.kind, definition.name, "unchanged")
        operations = self._operations(definition.kind)
        operations.create_or_update(self.group, self.factory, definition.name, definition.body)
        if present is None:
            return FactoryChange(definition.kind, definition.name, "created")
        why = "holds a secret, which the service never shows for comparison" if secret else ""
        return FactoryChange(definition.kind, definition.name, "updated", why)

    def put_trigger(self, definition: FactoryDefinition, *, start: bool) -> list[FactoryChange]:
        """Put a trigger, stopped while it changes; then started if the folder says so."""
        changes: list[FactoryChange] = []
        present = self._present(definition)
        running = present is not None and present.get("runtimeState") == "Started"
        wanted = start and definition.properties.get("runtimeState") == "Started"
        same = present is not None and _same(present, definition.properties)
        if running and not (same and wanted):
            self.client.triggers.begin_stop(self.group, self.factory, definition.name).result()
            changes.append(FactoryChange("trigger", definition.name, "stopped"))
            running = False
        changes.append(self.put(definition))
        if wanted and not running:
            self.client.triggers.begin_start(self.group, self.factory, definition.name).result()
            changes.append(FactoryChange("trigger", definition.name, "started"))
        return changes

    def _present(self, definition: FactoryDefinition) -> dict[str, Any] | None:
        try:
            found = self._operations(definition.kind).get(self.group, self.factory, definition.name)
        except ResourceNotFoundError:
            return None
        if found is None:
            return None
        properties: dict[str, Any] = found.as_dict()["properties"]
        return properties

    def _operations(self, kind: str) -> Any:
        return {
            "linkedService": self.client.linked_services,
            "dataset": self.client.datasets,
            "pipeline": self.client.pipelines,
            "trigger": self.client.triggers,
        }[kind]


def _identity(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> Any:
    """The identity that a factory has; of user-assigned ones only the names are sent."""
    identity = present.get("identity") or wanted.get("identity")
    if not identity:
        return None
    kept: dict[str, Any] = {"type": identity["type"]}
    assigned = identity.get("userAssignedIdentities")
    if assigned:
        kept["userAssignedIdentities"] = {name: {} for name in assigned}
    return kept


def _same(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return bool(_bare(present) == _bare(wanted))


def _covers(present: Any, wanted: Any) -> bool:
    """Whether every value that is wanted is there."""
    if isinstance(wanted, Mapping):
        return isinstance(present, Mapping) and all(
            key in present and _covers(present[key], value) for key, value in wanted.items()
        )
    return bool(present == wanted)


def _bare(document: Any) -> Any:
    """A definition without what the service adds and without empty parts, which it may drop."""
    if isinstance(document, Mapping):
        bare = {key: _bare(value) for key, value in document.items() if key not in _SERVER_OWNED}
        return {key: value for key, value in bare.items() if value not in (None, [], {})}
    if isinstance(document, list):
        return [_bare(item) for item in document]
    return document


def _has_secret(document: Any) -> bool:
    if isinstance(document, Mapping):
        return document.get("type") == "SecureString" or any(
            _has_secret(value) for value in document.values()
        )
    return isinstance(document, list) and any(_has_secret(item) for item in document)
