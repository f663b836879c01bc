"""Many instances, and a drop in the batch that no load takes: whose runs fail, and for what?

    python -m tests.faults.many [--trials 40]

Each instance is a process of the service with a memory of its own; all are on one lake in memory.
A tick comes every 10 s to any of them, each message of it goes to any of them, a job takes 60 s.
The batch has one poisoned drop. It alone may fail; every other succeeds by the job run that loaded
it, and no job run that succeeded may have had it twice.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ingest.errors import LandfallError
from landfall.protocol import State
from tests.ingest.instances import Instances

INSTANCES = (1, 2, 3, 5, 20)
SIZES = (2, 8)
TRIALS = 40
TICK, JOB = timedelta(seconds=10), timedelta(seconds=60)
_MOST_TICKS = 400


@dataclass(frozen=True)
class Trial:
    """What became of one batch: run ids of good drops."""

    failed: tuple[str, ...]
    failed_and_loaded: tuple[str, ...]
    not_by_own_load: tuple[str, ...]
    unfinished: tuple[str, ...]
    poisoned: State

    @property
    def good(self) -> bool:
        """Whether the poisoned drop failed, and no other, and each success was loaded."""
        wrong = self.failed or self.not_by_own_load or self.unfinished
        return not wrong and self.poisoned is State.FAILED


def trial(folder: Path, instances: int, size: int, seed: int) -> Trial:
    """One batch of so many drops, taken on by so many instances."""
    chance = random.Random(seed)  # noqa: S311 - chances that can be had again
    many = Instances(folder)
    hosts = [many.process() for _ in range(instances)]
    names = many.copied(hosts[0], *(f"x{number}.csv" for number in range(size)))
    poisoned = chance.choice(names)
    many.jobs.poison = {poisoned}
    for _ in range(_MOST_TICKS):
        if not many.active():
            break
        many.clock.turn(seconds=TICK.total_seconds())
        many.jobs.end(JOB)
        try:
            queue = chance.choice(hosts).reconcile()
        except LandfallError:
            continue
        while queue:
            queue += many.hand(chance.choice(hosts), queue.pop(0))
    good = [name for name in names if name != poisoned]
    runs = {name: many.run(name) for name in good}
    failed = tuple(name for name in good if runs[name].state is State.FAILED)
    return Trial(
        failed=failed,
        failed_and_loaded=tuple(name for name in failed if many.loaded(name)),
        not_by_own_load=tuple(
            name
            for name, run in runs.items()
            if run.state is State.SUCCEEDED and not many.own_load(run)
        ),
        unfinished=tuple(name for name in good if not runs[name].final),
        poisoned=many.run(poisoned).state,
    )


def table(trials: int, numbers: tuple[int, ...] = INSTANCES) -> Iterator[tuple[int, list[Trial]]]:
    """The trials by number of instances, of all sizes of batches."""
    with tempfile.TemporaryDirectory() as folder:
        for instances in numbers:
            yield (
                instances,
                [
                    trial(Path(folder), instances, size, seed)
                    for size in SIZES
                    for seed in range(trials)
                ],
            )


def main() -> None:
    """Print the table; exit with 1 where a trial went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.many")
    parser.add_argument("--trials", type=int, default=TRIALS)
    trials = parser.parse_args().trials
    logging.disable(logging.ERROR)
    say = sys.stdout.write
    say(
        "| instances | trials with a good drop failed: batch of 2 | batch of 8 | good drops failed "
        "| of them loaded | successes that their own job did not load | unfinished |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    good = True
    for instances, found in table(trials):
        halves = (found[:trials], found[trials:])
        bad = [sum(bool(each.failed) for each in half) for half in halves]
        counts = [
            sum(len(getattr(each, name)) for each in found)
            for name in ("failed", "failed_and_loaded", "not_by_own_load", "unfinished")
        ]
        cells = [instances, *(f"{number} of {trials}" for number in bad), *counts]
        say(f"| {' | '.join(map(str, cells))} |\n")
        sys.stdout.flush()
        good = good and all(each.good for each in found)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
