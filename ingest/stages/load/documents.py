"""The batch document `current.json` of each dataset: read, and written on conditions alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ingest import paths
from ingest.errors import AlreadyExists, NotFound, Stale
from ingest.ports import Lake
from ingest.stages.load.batch import Batch, dump, parse


class CurrentBatch(NamedTuple):
    """A batch as it was read, and whether this very step has written it."""

    batch: Batch
    etag: str
    new: bool = False


@dataclass(frozen=True)
class BatchDocuments:
    """The current batches of all datasets, in the lake."""

    lake: Lake

    def read(self, dataset: str) -> CurrentBatch | None:
        """The current batch of a dataset; None where it has none.

        Raises:
            Damaged: the document cannot be read.
        """
        try:
            body, etag = self.lake.get(paths.current_batch(dataset))
        except NotFound:
            return None
        return CurrentBatch(parse(body), etag)

    def create(self, batch: Batch) -> CurrentBatch | None:
        """Make a batch the current one of its dataset; the one that is there, where one is."""
        path = paths.current_batch(batch.dataset)
        try:
            etag = self.lake.put(path, dump(batch), if_absent=True)
        except AlreadyExists:
            return self.read(batch.dataset)
        return CurrentBatch(batch, etag, new=True)

    def confirm(self, batch: Batch, etag: str) -> None:
        """See that the batch is still what was read of it.

        Raises:
            Stale: it is not.
        """
        current = self.read(batch.dataset)
        if current is None or current.etag != etag:
            raise Stale(f"batch {batch.batch_id} has been changed by another worker")

    def rewrite(self, batch: Batch, etag: str) -> str:
        """Write a batch in the place of the version that was read; return its ETag.

        Raises:
            Stale: it has been changed meanwhile.
        """
        return self.lake.put(paths.current_batch(batch.dataset), dump(batch), if_match=etag)

    def close(self, batch: Batch, etag: str) -> None:
        """File a batch whose load has ended.

        Raises:
            Stale: it has been changed meanwhile.
        """
        source = paths.current_batch(batch.dataset)
        target = paths.done_batch(batch.dataset, batch.batch_id)
        try:
            self.lake.rename(source, target, etag=etag)
        except NotFound:
            return  # closed before, by an answer that was lost or by somebody else
