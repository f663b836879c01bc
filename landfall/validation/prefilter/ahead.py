"""Prefilters batches in threads, ahead of the record validator, and yields them in file order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from landfall.validation.batches import RecordBatch, ScanResult
from landfall.validation.memory import release_free_memory
from landfall.validation.problems import Refusal
from landfall.validation.record_validator import RecordValidator

WORKERS = 2
"""Number of threads; Polars and numpy release the global interpreter lock while they work."""
_RELEASE_EVERY = 16
"""Number of batches after which freed memory is released."""


def prefiltered(
    batches: Iterator[RecordBatch], validator: RecordValidator
) -> Iterator[tuple[RecordBatch, ScanResult | None]]:
    """Yield each batch with its scan.

    At most one batch more than there are workers is in memory. If reading raises `Refusal`, the
    batches before it are yielded first.
    """
    read: deque[RecordBatch] = deque()
    refusal: Refusal | None = None

    def next_batch() -> RecordBatch | None:
        nonlocal refusal
        try:
            return None if refusal else next(batches, None)
        except Refusal as error:
            refusal = error
            return None

    read.extend(batch for batch in (next_batch(), next_batch()) if batch is not None)
    if len(read) < WORKERS:  # a small file needs no threads
        for batch in read:
            yield batch, validator.scan(batch)
    else:
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="prefilter") as pool:
            waiting: deque[tuple[RecordBatch, Future[ScanResult | None]]] = deque()
            done = 0
            while read or waiting:
                while read:
                    waiting.append((read[0], pool.submit(validator.scan, read.popleft())))
                batch, scan = waiting.popleft()
                result = scan.result()
                if (following := next_batch()) is not None:
                    read.append(following)
                    waiting.append((following, pool.submit(validator.scan, read.pop())))
                yield batch, result
                done += 1
                if done % _RELEASE_EVERY == 0:
                    release_free_memory()
    if refusal is not None:
        raise refusal
