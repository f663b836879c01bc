"""Screens batches ahead of the record validator, in threads, and hands them over in file order."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from landfall.validation.batches import RecordBatch, ScanResult
from landfall.validation.memory import give_back
from landfall.validation.problems import Refusal
from landfall.validation.record_validator import RecordValidator

WORKERS = 2
"""Threads that screen; Polars and numpy let go of the interpreter while they work."""
_TIDY = 16
"""Batches after which freed memory is given back."""


def prefiltered(
    batches: Iterator[RecordBatch], validator: RecordValidator
) -> Iterator[tuple[RecordBatch, ScanResult | None]]:
    """Each batch with what the prefilter saw of it.

    At most one batch more than there are workers is under way. Where reading ends in a
    `Refusal`, what was read before comes first.
    """
    held: deque[RecordBatch] = deque()
    refusal: Refusal | None = None

    def more() -> RecordBatch | None:
        nonlocal refusal
        try:
            return None if refusal else next(batches, None)
        except Refusal as found:
            refusal = found
            return None

    held.extend(batch for batch in (more(), more()) if batch is not None)
    if len(held) < WORKERS:  # a small file needs no threads
        for batch in held:
            yield batch, validator.scan(batch)
    else:
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="prefilter") as pool:
            waiting: deque[tuple[RecordBatch, Future[ScanResult | None]]] = deque()
            done = 0
            while held or waiting:
                while held:
                    waiting.append((held[0], pool.submit(validator.scan, held.popleft())))
                batch, scan = waiting.popleft()
                found = scan.result()
                if (following := more()) is not None:
                    held.append(following)
                    waiting.append((following, pool.submit(validator.scan, held.pop())))
                yield batch, found
                done += 1
                if done % _TIDY == 0:
                    give_back()
    if refusal is not None:
        raise refusal
