"""What a drop can live through, and what must be true of it in the end, whatever happened.

Where an operator asks something of a run that has ended, it is that request which is disturbed; it
is sent again under its key until it is answered, as a client would.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import httpx

from tests.e2e.drops import users
from tests.faults.environment import FINAL, FaultEnvironment, Json, wait

GOOD = 40
OPEN = "manifest/batches/users/current.json"
_numbers = count()


@dataclass(frozen=True)
class Scenario:
    """One kind of drop: its content by its number, and the state that it must end in."""

    name: str
    content: Callable[[int], bytes]
    end: str
    verb: str = ""
    """What an operator asks of the run when it has ended: the last part of the route."""


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


ACCEPTED = Scenario("accepted, with rejects", accepted, "succeeded")
REFUSED = Scenario("refused", refused, "quarantined")
REPEATED = Scenario("content seen before", repeated, "duplicate")
RETRIED = Scenario("refused, then retried", refused, "quarantined", verb="retry")
REPLAYED = Scenario("accepted, then replayed", accepted, "succeeded", verb="replay")
SCENARIOS = (ACCEPTED, REFUSED, REPEATED, RETRIED, REPLAYED)


@dataclass(frozen=True)
class ScenarioResult:
    """How a journey went: the problem is empty where all is as it must be."""

    problem: str
    seconds: float
    struck: bool


def prepare(environment: FaultEnvironment) -> None:
    """Let the content of `REPEATED` be accepted, and everything warm up."""
    told = run_scenario(environment, Scenario("the first of its content", repeated, "succeeded"))
    if told.problem:
        raise AssertionError(f"nothing was disturbed, and yet: {told.problem}")


def run_scenario(
    environment: FaultEnvironment, scenario: Scenario, *faults: tuple[str, Json]
) -> ScenarioResult:
    """Land a drop, let it meet its faults, tick until it has ended, and look at what is there."""
    environment.reset_faults()
    if environment.exists(
        OPEN
    ):  # of a worker that died after its last member: the next drop closes it
        _run_scenario(environment, ACCEPTED)
        wait(lambda: not environment.exists(OPEN), 5)
    return _run_scenario(environment, scenario, *faults)


def _run_scenario(
    environment: FaultEnvironment, scenario: Scenario, *faults: tuple[str, Json]
) -> ScenarioResult:
    number = next(_numbers)
    path = f"landing/users/drop-{number}.csv"
    environment.reset_faults()
    if scenario.verb:
        problem = _ended_before(environment, scenario, path, number)
        if problem:
            return ScenarioResult(problem, 0, struck=False)
    loads, ended = len(environment.loads("users")), environment.jobs_ended()
    for service, rule in faults:
        environment.arm(service, **rule)
    began = time.monotonic()
    if scenario.verb:
        _ask(environment, scenario.verb, path)
    else:
        environment.land(path, scenario.content(number))
    # Until the fault has struck nothing else may stir, or it would strike something else.
    wait(
        lambda: (
            environment.struck() or environment.jobs_ended() > ended or _filed(environment, path)
        ),
        5,
    )
    _tick_on(environment, path)
    seconds = time.monotonic() - began
    struck = environment.struck() > 0
    return ScenarioResult(_problem(environment, scenario, path, loads), seconds, struck)


def _tick_on(environment: FaultEnvironment, path: str) -> None:
    began = time.monotonic()
    while time.monotonic() - began < environment.patience and not _over(environment, path):
        environment.tick()
        wait(lambda: _over(environment, path), 0.4)


def _ended_before(environment: FaultEnvironment, scenario: Scenario, path: str, number: int) -> str:
    """Let the drop come to its first end undisturbed; what is wrong with that."""
    loads = len(environment.loads("users"))
    environment.land(path, scenario.content(number))
    _tick_on(environment, path)
    problem = _problem(environment, replace(scenario, verb=""), path, loads)
    environment.reset_faults()
    return problem


def _ask(environment: FaultEnvironment, verb: str, path: str) -> None:
    """Ask it of the path's run, under one key until there is an answer."""
    (run,) = environment.runs_of(path)
    key = {"Idempotency-Key": f"{verb}-{run['run_id']}"}

    def answered() -> bool:
        try:
            reply = environment.http.post(f"/runs/{run['run_id']}/{verb}", json={}, headers=key)
        except httpx.HTTPError:
            return False
        return reply.is_success

    wait(answered, environment.patience, pause=0.3)


def _filed(environment: FaultEnvironment, path: str) -> bool:
    return any(run["source"]["path"] == path for run in environment.documents(active=False))


def _over(environment: FaultEnvironment, path: str) -> bool:
    """Nothing is in landing, no run is active, and the drop's run is filed."""
    idle = not environment.exists(path) and not any(environment.documents(active=True))
    return idle and _filed(environment, path)


def _problem(environment: FaultEnvironment, scenario: Scenario, path: str, loads: int) -> str:
    runs = environment.runs_of(path)
    states = [run["state"] for run in runs]
    if states != [scenario.end]:
        return f"{len(runs)} runs, {', '.join(states) or 'none'}: {_causes(runs)}"
    (run,) = runs
    changes = [
        each for each in environment.loads("users")[loads:] if each["inserted"] + each["updated"]
    ]
    rows = sum(each["inserted"] for each in changes)
    verdict = run["verdict"]
    good = scenario.end == "succeeded"
    # What is replayed is copied again and loaded again, and is in silver already.
    new = good and not scenario.verb
    count = verdict["rows"], verdict["accepted"], verdict["rejected"]
    expected = {ACCEPTED.content: (GOOD + 1, GOOD, 1), REFUSED.content: (GOOD, 0, GOOD)}
    asked = [line for line in run["history"] if line["request"]]
    wanted = {
        "copies that wrote": (environment.copies(run["run_id"]), int(good)),
        "loads that changed silver": (len(changes), int(new)),
        "rows that silver got": (rows, GOOD if new else 0),
        "rows, accepted, rejected": (count, expected.get(scenario.content, (GOOD, GOOD, 0))),
        "requests that moved it": (len(asked), int(bool(scenario.verb))),
        "final transitions": (
            sum(line["state"] in FINAL for line in run["history"]),
            1 + len(asked),
        ),
        "the file where it belongs": (environment.exists(run["raw"]), True),
        "the report": (environment.exists(verdict["report"]), True),
        "the rejects": (environment.exists(verdict["rejects"] or ""), True),
        "still in landing": (environment.exists(path), False),
        # A claim that stood still meanwhile may write the record anew, find it filed, and drop it.
        "filed": (wait(lambda: not any(environment.documents(active=True)), 5), True),
    }
    wrong = [f"{what}: {is_} for {must}" for what, (is_, must) in wanted.items() if is_ != must]
    return "; ".join(wrong)


def _causes(runs: list[Json]) -> str:
    return " | ".join(str(run["history"][-1]["cause"]) for run in runs)
