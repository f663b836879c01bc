"""Which copied drops form the next batch of a dataset, and why the others wait. Pure.

Rules:

1. A dataset has one batch at a time, and only so many datasets load at once.
2. A copied drop waits a little for others that are on their way: a load costs nearly the same for
   one drop as for a hundred.
3. A batch has so many drops and rows at most, the oldest landing first; one drop always fits.
4. All drops of a batch were validated by the same version of the contract.
5. Where the contract asks for order, a drop waits for all that landed before it. One that ended
   badly is not waited for: it would hold its dataset up until somebody came. When it is corrected
   or tried again, its rows take the place in silver that their landing time gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.runs.document import Listed
from landfall.contract.folder import DeliveryOptions
from landfall.protocol import State

ON_THE_WAY = frozenset(
    {State.RECEIVED, State.CLAIMED, State.VALIDATING, State.VALIDATED, State.COPYING}
)
READY = frozenset({State.COPIED, State.LOADING})


@dataclass(frozen=True)
class Limits:
    """Of the batches of one dataset."""

    max_drops: int = 500
    max_rows: int | None = None
    window: timedelta = timedelta(seconds=10)
    ordered: bool = False

    def of(self, delivery: DeliveryOptions) -> Limits:
        """These limits where the contract does not say others."""
        window = delivery.batch_window
        return Limits(
            max_drops=delivery.batch_drops or self.max_drops,
            max_rows=delivery.batch_rows or self.max_rows,
            window=self.window if window is None else window,
            ordered=delivery.ordered,
        )


@dataclass(frozen=True)
class Choice:
    """The run ids of the next batch, or why there is none yet; neither where nothing is copied.

    Where there is none, it is worth another look when `coming` more are copied, or at `until`.
    """

    members: tuple[str, ...] = ()
    waits: str | None = None
    coming: int = 0
    until: datetime | None = None


def choose(
    active: Iterable[Listed],
    dataset: str,
    limits: Limits,
    max_loads: int,
    now: datetime,
    *,
    unclaimed: str | None = None,
) -> Choice:
    """The next batch of a dataset that has none, from all active runs.

    `unclaimed` is how the id would begin of the oldest drop that stands in `landing`, of which no
    run is known yet; it counts where order does.

    Runs of the dataset that are loading already belong to no batch: their worker died between
    marking them and freezing it. They join the next.
    """
    runs = list(active)
    mine = [run for run in runs if run.dataset == dataset]
    ready = sorted((run for run in mine if run.state in READY), key=lambda run: run.run_id)
    if not ready:
        return Choice()
    coming = [run.run_id for run in mine if run.state in ON_THE_WAY]

    def wait(why: str, until: datetime) -> Choice:
        return Choice(waits=why, coming=len(coming), until=until)

    loads = {run.dataset for run in runs if run.state is State.LOADING} - {dataset}
    if len(loads) >= max_loads:
        held = f"{len(loads)} loads are under way, as many as may be at once"
        return wait(held, now + limits.window)
    if limits.ordered and (coming or unclaimed):
        oldest = min([*coming, *([unclaimed] if unclaimed else [])])
        ready = [run for run in ready if run.run_id < oldest or run.state is State.LOADING]
        if not ready:
            what = f"a file of {oldest}" if oldest == unclaimed else f"run {oldest}"
            return wait(f"{what} landed earlier and is still on its way", now + limits.window)
    alike = [run for run in ready if _contract(run) == _contract(ready[0])]
    members = _cut(alike, limits)
    until = min(run.updated for run in ready) + limits.window
    full = len(members) < len(alike) or len(members) >= limits.max_drops
    if coming and not full and now < until:
        return wait(f"for {len(coming)} more on their way, a little while", until)
    return Choice(tuple(run.run_id for run in members))


def _contract(run: Listed) -> str | None:
    """The contract by which a run was validated."""
    digest: str | None = run.steering.get("contract")
    return digest


def _cut(ready: Sequence[Listed], limits: Limits) -> list[Listed]:
    members: list[Listed] = []
    rows = 0
    for run in ready[: limits.max_drops]:
        rows += run.summary.get("accepted") or 0
        if members and limits.max_rows is not None and rows > limits.max_rows:
            break
        members.append(run)
    return members
