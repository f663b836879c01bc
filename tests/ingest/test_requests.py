"""What a drop costs the lake: requests of the service from its event to `succeeded`.

`python -m benchmarks.control drops` counts them at a real lake; here calls are counted, of which
each is one request at these sizes.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ingest.runs.messages import Advance
from ingest.service import Landfall
from landfall.protocol import State
from tests.ingest.instances import Instances

ALONE, IN_A_BURST = 20, 14
"""At most; see docs/explanation/what-each-request-is-for.md."""


class Counting:
    """The lake, whose calls are counted."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return method(*arguments, **named)

        return call


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake on which nothing has happened yet."""
    return Instances(tmp_path)


def warm(many: Instances, *hosts: Landfall) -> None:
    """Let processes take a drop the whole way: what they do once for a contract is done."""
    for number, host in enumerate(hosts):
        many.copied(host, f"warm{number}.csv")
        many.settle(host)


def test_a_drop_alone(many: Instances) -> None:
    """One process, one drop, and the one tick that sees its load end."""
    lake = Counting(many.lake)
    one = many.process(lake=lake)
    warm(many, one)
    lake.calls.clear()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    many.run_on(one, messages=one.on_landing("landing/things/x.csv"))
    many.jobs.end()
    many.run_on(one, messages=one.reconcile())
    assert many.state(name) == [State.SUCCEEDED]
    assert lake.calls.total() <= ALONE, lake.calls


@pytest.mark.parametrize("instances", [1, 3])
def test_a_drop_of_a_burst(many: Instances, instances: int) -> None:
    """A hundred drops at once, ticks included; with several processes each step may be another's.

    Then the documents that a process remembers are often old or not there: that may cost some more.
    """
    lake = Counting(many.lake)
    hosts = [many.process(lake=lake) for _ in range(instances)]
    warm(many, *hosts)
    lake.calls.clear()
    number = 100
    names = [
        many.land(f"landing/things/x{i}.csv", f"id\n{i + 9**9}\n".encode()) for i in range(number)
    ]
    turn = 0

    def host() -> Landfall:
        nonlocal turn
        turn += 1
        return hosts[turn % instances]

    queue = [
        message for i in range(number) for message in host().on_landing(f"landing/things/x{i}.csv")
    ]
    for _ in range(20):
        while queue:
            queue += host().handle(queue.pop(0))
        ended = many.pipe(host())
        queue = [Advance(run) for run in ended]
        if not queue and not many.active():
            break
        if not queue:
            many.clock.turn(seconds=10)
            many.jobs.end()
            queue = host().reconcile()
    assert set(many.state(*names)) == {State.SUCCEEDED}
    most = IN_A_BURST if instances == 1 else IN_A_BURST + 4
    assert lake.calls.total() / number <= most, lake.calls
