"""The factories and their definitions, one JSON file each; they survive a restart."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcloud.datafactory import check
from devcloud.datafactory.azure_error import AzureError, bad_request
from devcloud.datafactory.check import ResourceReference
from devcloud.datafactory.check_pipeline import pipeline as check_pipeline

KINDS = ("linkedservices", "datasets", "pipelines", "triggers")
_SPELLING = {"linkedservices": "linkedServices"}
_FACTORY_NAME = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_NAME = re.compile(r"[A-Za-z0-9_][^<>*#.%&:\\+?/]{0,259}")
_CHECKS: dict[str, Callable[[dict[str, Any]], Iterator[ResourceReference]]] = {
    "linkedservices": check.linked_service,
    "datasets": check.dataset,
    "pipelines": check_pipeline,
    "triggers": check.trigger,
}


@dataclass(frozen=True)
class FactoryId:
    """Where a factory stands; group and name compare without case."""

    subscription: str
    group: str
    name: str

    @property
    def path(self) -> str:
        """Its resource id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.DataFactory/factories/{self.name}"
        )

    @property
    def key(self) -> str:
        """The same for all spellings of one factory; fit for a folder name."""
        return f"{self.group.lower()}--{self.name.lower()}"


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file so that a reader sees the old or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    staged.write_text(json.dumps(document, indent=1))
    staged.replace(path)


class Resources:
    """All definitions, held in memory and on disk under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._factories: dict[str, dict[str, Any]] = {}
        self._children: dict[tuple[str, str, str], dict[str, Any]] = {}
        for file in sorted(folder.glob("*/factory.json")):
            self._factories[file.parent.name] = json.loads(file.read_text())
            for kind in KINDS:
                for each in sorted(file.parent.glob(f"{kind}/*.json")):
                    stored = json.loads(each.read_text())
                    self._children[file.parent.name, kind, stored["name"].lower()] = stored

    # Factories

    def factory(self, factory: FactoryId) -> dict[str, Any]:
        """A factory as it was put.

        Raises:
            AzureError: 404.
        """
        try:
            return self._factories[factory.key]
        except KeyError:
            raise _not_found("factory", factory.name, factory.group) from None

    def factory_by_key(self, key: str) -> dict[str, Any]:
        """A factory by `FactoryId.key`; KeyError if there is none."""
        return self._factories[key]

    def keys(self) -> list[str]:
        """`FactoryId.key` of all factories."""
        return list(self._factories)

    def factories(self) -> list[dict[str, Any]]:
        """All factories."""
        return list(self._factories.values())

    def put_factory(self, factory: FactoryId, body: dict[str, Any], match: str | None) -> Any:
        """Create or replace a factory; its definitions stay."""
        if not _FACTORY_NAME.fullmatch(factory.name):
            raise AzureError(400, "InvalidFactoryName", f"{factory.name!r} is no factory name")
        properties = body.get("properties") or {}
        list(check.factory(properties))
        _match(self._factories.get(factory.key), match)
        stored = {
            "id": factory.path,
            "name": factory.name,
            "type": "Microsoft.DataFactory/factories",
            "location": body.get("location", "local"),
            "identity": body.get("identity"),
            "tags": body.get("tags", {}),
            "properties": {**properties, "provisioningState": "Succeeded", "version": "2018-06-01"},
            "eTag": _new_etag(),
        }
        self._factories[factory.key] = stored
        write_json(self._folder / factory.key / "factory.json", stored)
        return stored

    def delete_factory(self, factory: FactoryId) -> bool:
        """Forget a factory and its definitions; whether there was one."""
        if self._factories.pop(factory.key, None) is None:
            return False
        for key in [key for key in self._children if key[0] == factory.key]:
            del self._children[key]
            self._file(*key).unlink(missing_ok=True)
        (self._folder / factory.key / "factory.json").unlink(missing_ok=True)
        return True

    def globals(self, key: str) -> dict[str, Any]:
        """The values of a factory's global parameters."""
        declared = self._factories[key]["properties"].get("globalParameters") or {}
        return {name: parameter["value"] for name, parameter in declared.items()}

    # Definitions

    def get(self, key: str, kind: str, name: str) -> dict[str, Any]:
        """A definition of the factory with that key, as it was put.

        Raises:
            AzureError: 404.
        """
        try:
            return self._children[key, kind, name.lower()]
        except KeyError:
            raise _not_found(_SPELLING.get(kind, kind), name, key) from None

    def list(self, key: str, kind: str) -> list[dict[str, Any]]:
        """All definitions of one kind, by name."""
        return [
            self._children[each]
            for each in sorted(self._children)
            if each[0] == key and each[1] == kind
        ]

    def put(
        self, factory: FactoryId, kind: str, name: str, body: dict[str, Any], match: str | None
    ) -> dict[str, Any]:
        """Create or replace a definition.

        Raises:
            AzureError: 400 if it is wrong, unknown, or refers to what is not there; 412 if the
                ETag given is not the present one.
        """
        self.factory(factory)
        if not _NAME.fullmatch(name):
            raise bad_request(f"{name!r} is not a name of a definition", "name")
        properties = body.get("properties")
        if not isinstance(properties, dict):
            raise bad_request("the body must have the object 'properties'", "properties")
        for needed in _CHECKS[kind](properties):
            known = needed.kind == kind and needed.name.lower() == name.lower()
            if not known and (factory.key, needed.kind, needed.name.lower()) not in self._children:
                raise bad_request(
                    f"the document creation or update failed because of invalid reference "
                    f"{needed.name!r} ({_SPELLING.get(needed.kind, needed.kind)})",
                    name,
                )
        _match(self._children.get((factory.key, kind, name.lower())), match)
        stored = {
            "id": f"{factory.path}/{_SPELLING.get(kind, kind)}/{name}",
            "name": name,
            "type": f"Microsoft.DataFactory/factories/{_SPELLING.get(kind, kind)}",
            "properties": properties,
            "etag": _new_etag(),
        }
        self._store(factory.key, kind, stored)
        return stored

    def set_state(self, key: str, name: str, state: str) -> dict[str, Any]:
        """Note that a trigger is "Started" or "Stopped"."""
        stored = self.get(key, "triggers", name)
        changed = {**stored, "properties": {**stored["properties"], "runtimeState": state}}
        self._store(key, "triggers", changed)
        return changed

    def delete(self, key: str, kind: str, name: str) -> bool:
        """Forget a definition; whether there was one.

        Raises:
            AzureError: 400 while another refers to it.
        """
        for (holder, other_kind, _), other in self._children.items():
            if holder != key or (other_kind, other["name"].lower()) == (kind, name.lower()):
                continue
            for needed in _CHECKS[other_kind](other["properties"]):
                if (needed.kind, needed.name.lower()) == (kind, name.lower()):
                    raise bad_request(
                        f"the document cannot be deleted since it is referenced by "
                        f"{other['name']!r}",
                        name,
                    )
        gone = self._children.pop((key, kind, name.lower()), None)
        self._file(key, kind, name.lower()).unlink(missing_ok=True)
        return gone is not None

    def _store(self, key: str, kind: str, stored: dict[str, Any]) -> None:
        name = stored["name"].lower()
        self._children[key, kind, name] = stored
        write_json(self._file(key, kind, name), stored)

    def _file(self, key: str, kind: str, name: str) -> Path:
        return self._folder / key / kind / f"{name}.json"


def _new_etag() -> str:
    return str(uuid.uuid4())


def _match(stored: dict[str, Any] | None, match: str | None) -> None:
    if match is None:
        return
    present = (stored.get("etag") or stored.get("eTag")) if stored else None
    if present is None or (match != "*" and match.strip('"') != present):
        raise AzureError(412, "PreconditionFailed", "the ETag given is not the present one")


def _not_found(what: str, name: str, where: str) -> AzureError:
    return AzureError(404, "ResourceNotFound", f"{what}: {name!r} was not found in {where!r}", name)
