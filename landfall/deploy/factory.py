"""Deploys a factory's folder to a Data Factory, local or in Azure, with its management API.

All files are read and checked before the first request. Equal definitions are not changed, so that
deploying twice changes nothing; started triggers are stopped while they change. Nothing is deleted:
definitions that are not in the folder stay.
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

# Properties that the service adds to a definition.
_SERVER_OWNED = ("runtimeState", "lastPublishTime", "encryptedCredential", "provisioningState")


@dataclass(frozen=True)
class FactoryChange:
    """Change of one resource.

    Attributes:
        kind: "factory", "linkedService", "dataset", "pipeline" or "trigger".
        action: "created", "updated", "unchanged"; of triggers also "started", "stopped".
        why: the reason, if the action needs one.
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
    """Deploy a folder to a factory.

    Args:
        folder: in Git-integration layout: factory/, linkedService/, dataset/, pipeline/, trigger/.
        client: client for the subscription; see `landfall.azure.arm.data_factory_client`.
        resource_group: must exist in Azure.
        factory: its name; created if absent.
        overrides: values of the environment.

    Returns:
        The changes in their order.

    Raises:
        DefinitionError: the folder is wrong; nothing was changed.
        azure.core.exceptions.HttpResponseError: a request was refused; earlier changes stay.
    """
    expected = read(folder, overrides)
    target = _Target(client, resource_group, factory)
    changes = [target.put_factory(expected.factory)]
    for definition in expected.definitions:
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

    def put_factory(self, expected: Mapping[str, Any]) -> FactoryChange:
        factories: Any = self.client.factories  # raw JSON is accepted as well as models
        try:
            present = factories.get(self.group, self.factory).as_dict()
        except ResourceNotFoundError:
            factories.create_or_update(self.group, self.factory, dict(expected))
            return FactoryChange("factory", self.factory, "created")
        properties = present.get("properties", {})
        if _covers(properties, expected["properties"]):
            return FactoryChange("factory", self.factory, "unchanged")
        # A put replaces the factory: settings of others (repository, network, encryption) are kept.
        kept = {
            key: value
            for key, value in properties.items()
            if key not in ("provisioningState", "createTime", "version")
        }
        body = {
            **dict(expected),
            "location": present.get("location", expected.get("location")),
            "tags": present.get("tags") or {},
            "identity": _identity(present, expected),
            "properties": {**kept, **expected["properties"]},
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
        why = "has a secret, which the service does not return for comparison" if secret else ""
        return FactoryChange(definition.kind, definition.name, "updated", why)

    def put_trigger(self, definition: FactoryDefinition, *, start: bool) -> list[FactoryChange]:
        """Put a trigger, stopped while it changes, then started if it is started in the folder."""
        changes: list[FactoryChange] = []
        present = self._present(definition)
        running = present is not None and present.get("runtimeState") == "Started"
        expected = start and definition.properties.get("runtimeState") == "Started"
        same = present is not None and _same(present, definition.properties)
        if running and not (same and expected):
            self.client.triggers.begin_stop(self.group, self.factory, definition.name).result()
            changes.append(FactoryChange("trigger", definition.name, "stopped"))
            running = False
        changes.append(self.put(definition))
        if expected and not running:
            self.client.triggers.begin_start(self.group, self.factory, definition.name).result()
            changes.append(FactoryChange("trigger", definition.name, "started"))
        return changes

    def _present(self, definition: FactoryDefinition) -> dict[str, Any] | None:
        try:
            response = self._operations(definition.kind).get(
                self.group, self.factory, definition.name
            )
        except ResourceNotFoundError:
            return None
        if response is None:
            return None
        properties: dict[str, Any] = response.as_dict()["properties"]
        return properties

    def _operations(self, kind: str) -> Any:
        return {
            "linkedService": self.client.linked_services,
            "dataset": self.client.datasets,
            "pipeline": self.client.pipelines,
            "trigger": self.client.triggers,
        }[kind]


def _identity(present: Mapping[str, Any], expected: Mapping[str, Any]) -> Any:
    """Return the identity of a factory; for user-assigned ones only their names."""
    identity = present.get("identity") or expected.get("identity")
    if not identity:
        return None
    kept: dict[str, Any] = {"type": identity["type"]}
    assigned = identity.get("userAssignedIdentities")
    if assigned:
        kept["userAssignedIdentities"] = {name: {} for name in assigned}
    return kept


def _same(present: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return bool(_normalized(present) == _normalized(expected))


def _covers(present: Any, expected: Any) -> bool:
    """Whether every expected value is present."""
    if isinstance(expected, Mapping):
        return isinstance(present, Mapping) and all(
            key in present and _covers(present[key], value) for key, value in expected.items()
        )
    return bool(present == expected)


def _normalized(document: Any) -> Any:
    """Return a definition without server properties and empty parts, for comparison."""
    if isinstance(document, Mapping):
        kept = {
            key: _normalized(value) for key, value in document.items() if key not in _SERVER_OWNED
        }
        return {key: value for key, value in kept.items() if value not in (None, [], {})}
    if isinstance(document, list):
        return [_normalized(item) for item in document]
    return document


def _has_secret(document: Any) -> bool:
    if isinstance(document, Mapping):
        return document.get("type") == "SecureString" or any(
            _has_secret(value) for value in document.values()
        )
    return isinstance(document, list) and any(_has_secret(item) for item in document)
