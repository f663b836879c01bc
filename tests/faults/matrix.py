"""The crash matrix: every fault at every boundary of every journey.

    python -m tests.faults.matrix [--spark] [--out docs/reference/crash-matrix.md]

Starts a local cloud, listens to a drop that nothing disturbs, and then lets one drop after the
other meet one fault at one of the points that were found. The load is a light task in a real job
run; with `--spark` it is the product's own, and the process is killed after each point of a drop
that is accepted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.boundaries import Boundary, boundaries_of
from tests.faults.environment import OUTSIDE, FaultEnvironment, Json, fault_environment
from tests.faults.scenarios import (
    ACCEPTED,
    SCENARIOS,
    Scenario,
    ScenarioResult,
    prepare,
    run_scenario,
)

KILLED_BEFORE, KILLED_AFTER = "killed before", "killed after"
FAULTS: dict[str, Json] = {
    KILLED_BEFORE: {"fault": "kill", "when": "before", "times": 1},
    KILLED_AFTER: {"fault": "kill", "when": "after", "times": 1},
    "effect, then 503": {"fault": "status", "status": 503, "when": "after", "times": 1},
    "effect, then reset": {"fault": "reset", "when": "after", "times": 1},
    "reply cut": {"fault": "truncate", "times": 1},
    "429": {"fault": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 1},
    "503 for a while": {"fault": "status", "status": 503, "times": 4},
    "stalls 3 s": {"fault": "stall", "when": "after", "seconds": 3, "times": 1},
}
LAG = "killed after, queries lag"
"""Data Factory's queries show what was 3 s ago: of its own requests only."""
TRIES = 6
LOOKS = 2
"""How many looks at one thing are told apart."""


@dataclass
class Row:
    """One boundary, and how each fault there went."""

    scenario: Scenario
    boundary: Boundary
    cells: dict[str, ScenarioResult]


def listen(harmed: FaultEnvironment, scenarios: Iterable[Scenario] = SCENARIOS) -> list[Row]:
    """The boundaries of all journeys; one that an earlier journey has met is not told again.

    Ticks look at the same things for as long as a job runs: the first looks stand for all.
    """
    rows: list[Row] = []
    known: set[Boundary] = set()
    for scenario in scenarios:
        told = run_scenario(harmed, scenario)
        if told.problem:
            raise AssertionError(f"nothing was disturbed, and yet: {told.problem}")
        for boundary in boundaries_of({service: harmed.journal(service) for service in OUTSIDE}):
            repeated = boundary.method == "GET" and boundary.nth >= LOOKS
            if boundary not in known and not repeated:
                known.add(boundary)
                rows.append(Row(scenario, boundary, {}))
    return rows


def strike(harmed: FaultEnvironment, row: Row, name: str, fault: Json) -> ScenarioResult:
    """One drop meets one fault at one boundary.

    A step may be spared now and then, because a tick was faster than a message: then again.
    """
    boundary = row.boundary
    faults = [(boundary.service, fault | boundary.rule())]
    if name == LAG:
        faults.append(("datafactory", {"fault": "query_lag", "seconds": 3}))
    for _ in range(TRIES):
        told = row.cells[name] = run_scenario(harmed, row.scenario, *faults)
        if told.problem or told.struck:
            break
    return told


def fill(harmed: FaultEnvironment, rows: Iterable[Row], name: str, fault: Json) -> None:
    """One fault at every boundary; says what it does, for it takes its time."""
    for row in rows:
        if name == LAG and row.boundary.service != "datafactory":
            continue
        told = strike(harmed, row, name, fault)
        word = told.problem or ("ok" if told.struck else "was not met")
        sys.stderr.write(f"{told.seconds:5.1f} s  {row.boundary.name}, {name}: {word}\n")


def wrong(rows: Iterable[Row]) -> list[str]:
    """What is not as it must be, or was not tried."""
    return [
        f"{row.scenario.name}: {row.boundary.name}, {name}: {told.problem or 'was not met'}"
        for row in rows
        for name, told in row.cells.items()
        if told.problem or not told.struck
    ]


_HEAD = """# The crash matrix{title}

Made by `make test-crash`; not to be edited.
{points} points at which the service touches the outside, found by listening to drops that nothing
disturbs. {cells} drops, each harmed once at one of them, {kills} of them by `kill -9` of the
process. {wrong} wrong. {minutes} minutes.

A cell tells the seconds from the upload to the end, after which is true: one run, in one final
state; one copy that wrote; one load that changed silver, by the right number of rows; file, report
and rejects where they belong; nothing left over.
A refused drop and a repeated one are neither copied nor loaded.
Where an operator has a run taken up again, his request is harmed, and sent again under its key
until it is answered: it moves the run once, and a replay changes nothing that silver has.
An empty cell is a fault that does not apply.

{load}
Why each point is safe: [what each request is for](../explanation/what-each-request-is-for.md)."""


_LIGHT = """The load is a light task in a real job run.
With true Spark: [the same, where a drop is accepted](crash-matrix-spark.md)."""
_SPARK = """The load is the product's own job, on true Spark; what it did to silver is read from
Delta's log. Every other fault, with a light load: [the whole matrix](crash-matrix.md)."""


def page(rows: list[Row], seconds: float, *, spark: bool = False) -> str:
    """The matrix as a page of the documentation."""
    columns = [*FAULTS, LAG]
    cells = sum(len(row.cells) for row in rows)
    kills = sum("killed" in name for row in rows for name in row.cells)
    text = [
        _HEAD.format(
            points=len(rows),
            cells=cells,
            kills=kills,
            wrong=len(wrong(rows)),
            minutes=round(seconds / 60),
            title=" on true Spark" if spark else "",
            load=_SPARK if spark else _LIGHT,
        )
    ]
    for scenario in SCENARIOS:
        mine = [row for row in rows if row.scenario is scenario]
        if mine:
            used = [name for name in columns if any(name in row.cells for row in mine)]
            text += ["", f"## {scenario.name.capitalize()}", ""]
            text += [f"| point | {' | '.join(used)} |", f"|---|{'---|' * len(used)}"]
            text += [_line(row, used) for row in mine]
    return "\n".join(text) + "\n"


def _line(row: Row, columns: list[str]) -> str:
    cells = [_cell(row.cells.get(name)) for name in columns]
    return f"| {row.boundary.service}: `{row.boundary.name}` | {' | '.join(cells)} |"


def _cell(told: ScenarioResult | None) -> str:
    if told is None:
        return ""
    if told.problem:
        return f"**{told.problem}**"
    return f"{told.seconds:.1f}" if told.struck else "not met"


def main() -> int:
    """Fill the matrix and write it; 1 where a cell is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix")
    parser.add_argument("--out", type=Path, help="write the page there")
    parser.add_argument("--spark", action="store_true", help="load with the product's own job")
    options = parser.parse_args()
    began = time.monotonic()

    def save(rows: list[Row]) -> str:
        text = page(rows, time.monotonic() - began, spark=options.spark)
        if options.out:
            options.out.write_text(text)
        return text

    with (
        tempfile.TemporaryDirectory() as folder,
        fault_environment(Path(folder) / "cloud", spark=options.spark) as harmed,
    ):
        prepare(harmed)
        rows = listen(harmed, [ACCEPTED] if options.spark else SCENARIOS)
        every = FAULTS | {LAG: FAULTS[KILLED_AFTER]}
        for name in [KILLED_AFTER] if options.spark else every:
            fill(harmed, rows, name, every[name])
            save(rows)
    sys.stdout.write(save(rows))
    faulty = wrong(rows)
    sys.stderr.write("".join(f"WRONG {each}\n" for each in faulty))
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
