"""Reads a Data Factory in Git-integration layout, and applies overrides of an environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("linkedService", "dataset", "pipeline", "trigger")
_REFERENCES = {
    "LinkedServiceReference": "linkedService",
    "DatasetReference": "dataset",
    "PipelineReference": "pipeline",
}


class DefinitionError(Exception):
    """A file of the factory's folder cannot be deployed; the message names the file."""


@dataclass(frozen=True)
class Overrides:
    """Values that differ between environments.

    Attributes:
        service_url: base URL of the function app, without a trailing slash.
        key_vault_url: base URL of the key vault.
        lake_url: endpoint of the storage account's dfs API.
        lake_key: account key; None is the factory's managed identity, as recommended in Azure.
        storage_account_id: resource id that storage-event triggers watch; None keeps the file's.
        location: Azure region of a factory that does not exist yet; None keeps the file's.
        start_triggers: whether to start triggers that are started in the folder.
    """

    service_url: str
    key_vault_url: str
    lake_url: str
    lake_key: str | None = field(default=None, repr=False)
    storage_account_id: str | None = None
    location: str | None = None
    start_triggers: bool = True


@dataclass(frozen=True)
class FactoryDefinition:
    """One file: kind is one of `KINDS`; body is the request body, `{"properties": ...}`."""

    kind: str
    name: str
    file: Path
    body: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """The properties of the definition."""
        properties: dict[str, Any] = self.body["properties"]
        return properties


@dataclass(frozen=True)
class Folder:
    """The checked files of a factory.

    Attributes:
        factory: the factory itself, `{"location", "identity", "properties"}`.
        definitions: ordered so that each comes after its references.
    """

    factory: Mapping[str, Any]
    definitions: tuple[FactoryDefinition, ...]


def read(folder: Path, overrides: Overrides) -> Folder:
    """Read a folder for an environment.

    Raises:
        DefinitionError: a file is not JSON, its name differs from its definition, or it refers to a
            definition that the folder does not have.
    """
    factories = sorted((folder / "factory").glob("*.json"))
    if len(factories) != 1:
        raise DefinitionError(f"{folder / 'factory'} must have one file, not {len(factories)}")
    factory = _factory(_load(factories[0]), overrides)
    definitions = [
        _definition(kind, file, overrides)
        for kind in KINDS
        for file in sorted((folder / kind).glob("*.json"))
    ]
    return Folder(factory, tuple(_ordered(definitions)))


def references(document: Any) -> Iterator[tuple[str, str]]:
    """Yield every (kind, name) that a part of a definition refers to."""
    if isinstance(document, list):
        for item in document:
            yield from references(item)
    elif isinstance(document, dict):
        kind = _REFERENCES.get(str(document.get("type")))
        if kind is not None and "referenceName" in document:
            yield kind, str(document["referenceName"])
        for item in document.values():
            yield from references(item)


def _load(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DefinitionError(f"{file} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("properties"), dict):
        raise DefinitionError(f"{file} must be an object with the object 'properties'")
    if document.get("name") != file.stem:
        raise DefinitionError(f"{file} defines {document.get('name')!r}: rename one of the two")
    return document


def _definition(kind: str, file: Path, overrides: Overrides) -> FactoryDefinition:
    document = _load(file)
    properties = deepcopy(document["properties"])
    inside = properties.get("typeProperties", {})
    if kind == "linkedService" and properties.get("type") == "AzureBlobFS":
        inside["url"] = overrides.lake_url
        if overrides.lake_key is not None:
            inside["accountKey"] = {"type": "SecureString", "value": overrides.lake_key}
    if kind == "linkedService" and properties.get("type") == "AzureKeyVault":
        inside["baseUrl"] = overrides.key_vault_url
    if properties.get("type") == "BlobEventsTrigger" and overrides.storage_account_id:
        inside["scope"] = overrides.storage_account_id
    return FactoryDefinition(kind, document["name"], file, {"properties": properties})


def _factory(document: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    factory = deepcopy(document)
    values = {"serviceUrl": overrides.service_url, "keyVaultUrl": overrides.key_vault_url}
    parameters = factory["properties"].setdefault("globalParameters", {})
    for name, value in values.items():
        parameters[name] = {"type": "string", "value": value.rstrip("/")}
    if overrides.location:
        factory["location"] = overrides.location
    factory.pop("name")
    return factory


def _ordered(definitions: list[FactoryDefinition]) -> Iterator[FactoryDefinition]:
    """Yield each definition after those it refers to."""
    known = {(definition.kind, definition.name): definition for definition in definitions}
    state: dict[tuple[str, str], str] = {}

    def visit(definition: FactoryDefinition) -> Iterator[FactoryDefinition]:
        key = (definition.kind, definition.name)
        if state.get(key) == "done":
            return
        if state.get(key) == "open":
            raise DefinitionError(f"{definition.file} refers to itself through other definitions")
        state[key] = "open"
        for needed in references(definition.properties):
            if needed not in known:
                raise DefinitionError(
                    f"{definition.file} refers to the {needed[0]} {needed[1]!r}, "
                    f"which the folder does not have"
                )
            yield from visit(known[needed])
        state[key] = "done"
        yield definition

    for definition in definitions:
        yield from visit(definition)
