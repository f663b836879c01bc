"""Screens batches ahead of the judge, in threads, and hands them over in file order."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from ingest.validate.batches import Look, Records
from ingest.validate.judge import Jury
from ingest.validate.memory import give_back
from ingest.validate.problems import Refusal

WORKERS = 2
"""Threads that screen; Polars and numpy let go of the interpreter while they work."""
_TIDY = 16
"""Batches after which freed memory is given back."""


def screened(batches: Iterator[Records], jury: Jury) -> Iterator[tuple[Records, Look | None]]:
    """Each batch with what the screen saw of it.

    At most one batch more than there are workers is under way. Where reading ends in a
    ``Refusal``, what was read before comes first.
    """
    held: deque[Records] = deque()
    refusal: Refusal | None = None

    def more() -> Records | None:
        nonlocal refusal
        try:
            return None if refusal else next(batches, None)
        except Refusal as found:
            refusal = found
            return None

    held.extend(batch for batch in (more(), more()) if batch is not None)
    if len(held) < WORKERS:  # a small file needs no threads
        for batch in held:
            yield batch, jury.look(batch)
    else:
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="screen") as pool:
            waiting: deque[tuple[Records, Future[Look | None]]] = deque()
            done = 0
            while held or waiting:
                while held:
                    waiting.append((held[0], pool.submit(jury.look, held.popleft())))
                batch, look = waiting.popleft()
                found = look.result()
                if (following := more()) is not None:
                    held.append(following)
                    waiting.append((following, pool.submit(jury.look, held.pop())))
                yield batch, found
                done += 1
                if done % _TIDY == 0:
                    give_back()
    if refusal is not None:
        raise refusal
