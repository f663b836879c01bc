"""The sources and their objects by name, and where each object stands."""

from __future__ import annotations

from dataclasses import dataclass

from ingest import paths
from ingest.errors import Conflict, NotFound
from ingest.sources.document import ObjectState
from ingest.sources.files import SourceFiles
from ingest.sources.register import ExtractRegister
from landfall.contract.folder import Contract
from landfall.sources.model import Source, SourceObject


@dataclass(frozen=True)
class SourceCatalog:
    """What there is to extract."""

    files: SourceFiles
    register: ExtractRegister

    def source(self, name: str) -> Source:
        """A source by its name.

        Raises:
            NotFound: there is none.
            Conflict: its file is wrong; says where.
        """
        folder = self.files.current
        if name in folder.errors:
            raise Conflict(f"the source {name} cannot be used: {folder.errors[name]}")
        if name not in folder.sources:
            known = ", ".join(sorted(folder.sources)) or "none"
            raise NotFound(f"there is no source {name!r}; there are: {known}")
        return folder.sources[name]

    def entry(self, source: Source, name: str) -> SourceObject:
        """An object of a source by its name; raises NotFound."""
        try:
            return source.object(name)
        except KeyError:
            known = ", ".join(entry.name for entry in source.objects)
            raise NotFound(f"{source.name} has no object {name!r}; there are: {known}") from None

    def named(self, name: str, object_name: str) -> tuple[Source, SourceObject]:
        """A source and an object of it; see `source` and `entry`."""
        source = self.source(name)
        return source, self.entry(source, object_name)

    def state(self, source: Source, entry: SourceObject) -> ObjectState:
        """Where an object stands."""
        return self.register.get(source.name, entry.name).state

    def contract(self, entry: SourceObject) -> Contract:
        """The contract of the dataset that an object feeds."""
        return self.files.contract(entry.dataset)

    def staged(self, dataset: str) -> tuple[list[str], frozenset[str]]:
        """The folders where extracts of a dataset are staged, and the files in delivery there."""
        folders: list[str] = []
        moving: set[str] = set()
        for source in self.files.current.sources.values():
            for entry in source.objects:
                if entry.dataset == dataset:
                    folders.append(paths.staged_extracts(source.name, entry.name))
                    moving.update(each.staged for each in self.state(source, entry).running)
        return folders, frozenset(moving)
