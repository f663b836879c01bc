"""What a drop can live through, and what must be true of it in the end, whatever happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from tests.e2e.drops import users
from tests.faults.world import FINAL, Json, World, wait

GOOD = 40
OPEN = "manifest/batches/users/current.json"
_numbers = count()


@dataclass(frozen=True)
class Journey:
    """One kind of drop: its content by its number, and the state that it must end in."""

    name: str
    content: Callable[[int], bytes]
    end: str


def _ids(number: int) -> range:
    return range(1000 * number, 1000 * number + GOOD)


def accepted(number: int) -> bytes:
    """Forty good rows and a bad one: the contract tolerates it, so there are rejects too."""
    bad = users([1000 * number + 999], gender="X").splitlines()[1]
    return f"{users(_ids(number))}{bad}\n".encode()


def refused(number: int) -> bytes:
    """Nothing but bad rows."""
    return users(_ids(number), gender="X").encode()


def repeated(_number: int) -> bytes:
    """What the world has accepted before; see `prepare`."""
    return users(range(900_000_000, 900_000_000 + GOOD)).encode()


ACCEPTED = Journey("accepted, with rejects", accepted, "succeeded")
REFUSED = Journey("refused", refused, "quarantined")
REPEATED = Journey("content seen before", repeated, "duplicate")
JOURNEYS = (ACCEPTED, REFUSED, REPEATED)


@dataclass(frozen=True)
class Told:
    """How a journey went: the problem is empty where all is as it must be."""

    problem: str
    seconds: float
    struck: bool


def prepare(world: World) -> None:
    """Let the content of `REPEATED` be accepted, and everything warm up."""
    told = travel(world, Journey("the first of its content", repeated, "succeeded"))
    if told.problem:
        raise AssertionError(f"nothing was disturbed, and yet: {told.problem}")


def travel(world: World, journey: Journey, *faults: tuple[str, Json]) -> Told:
    """Land a drop, let it meet its faults, tick until it has ended, and look at what is there."""
    world.calm()
    if world.exists(OPEN):  # of a worker that died after its last member: the next drop closes it
        _travel(world, ACCEPTED)
        wait(lambda: not world.exists(OPEN), 5)
    return _travel(world, journey, *faults)


def _travel(world: World, journey: Journey, *faults: tuple[str, Json]) -> Told:
    number = next(_numbers)
    path = f"landing/users/drop-{number}.csv"
    world.calm()
    loads, ended = len(world.loads("users")), world.jobs_ended()
    for service, rule in faults:
        world.arm(service, **rule)
    began = time.monotonic()
    world.land(path, journey.content(number))
    # Until the fault has struck nothing else may stir, or it would strike something else.
    wait(lambda: world.struck() or world.jobs_ended() > ended or _filed(world, path), 5)
    while time.monotonic() - began < world.patience and not _over(world, path):
        world.tick()
        wait(lambda: _over(world, path), 0.4)
    seconds = time.monotonic() - began
    struck = world.struck() > 0
    return Told(_problem(world, journey, path, loads), seconds, struck)


def _filed(world: World, path: str) -> bool:
    return any(run["source"]["path"] == path for run in world.documents(active=False))


def _over(world: World, path: str) -> bool:
    """Nothing is in landing, no run is active, and the drop's run is filed."""
    idle = not world.exists(path) and not any(world.documents(active=True))
    return idle and _filed(world, path)


def _problem(world: World, journey: Journey, path: str, loads: int) -> str:
    runs = world.runs_of(path)
    states = [run["state"] for run in runs]
    if states != [journey.end]:
        return f"{len(runs)} runs, {', '.join(states) or 'none'}: {_causes(runs)}"
    (run,) = runs
    changes = [each for each in world.loads("users")[loads:] if each["inserted"] + each["updated"]]
    rows = sum(each["inserted"] for each in changes)
    verdict = run["verdict"]
    good = journey.end == "succeeded"
    count = verdict["rows"], verdict["accepted"], verdict["rejected"]
    expected = {
        "accepted, with rejects": (GOOD + 1, GOOD, 1),
        "refused": (GOOD, 0, GOOD),
    }.get(journey.name, (GOOD, GOOD, 0))
    wanted = {
        "copies that wrote": (world.copies(run["run_id"]), int(good)),
        "loads that changed silver": (len(changes), int(good)),
        "rows that silver got": (rows, GOOD if good else 0),
        "rows, accepted, rejected": (count, expected),
        "final transitions": (sum(line["state"] in FINAL for line in run["history"]), 1),
        "the file where it belongs": (world.exists(run["raw"]), True),
        "the report": (world.exists(verdict["report"]), True),
        "the rejects": (world.exists(verdict["rejects"] or ""), True),
        "still in landing": (world.exists(path), False),
        # A claim that stood still meanwhile may write the record anew, find it filed, and drop it.
        "filed": (wait(lambda: not any(world.documents(active=True)), 5), True),
    }
    wrong = [f"{what}: {is_} for {must}" for what, (is_, must) in wanted.items() if is_ != must]
    return "; ".join(wrong)


def _causes(runs: list[Json]) -> str:
    return " | ".join(str(run["history"][-1]["cause"]) for run in runs)
