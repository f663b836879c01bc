"""The soak: many drops, every event three times and out of order, faults and kills all the while.

    python -m tests.faults.soak [--drops 10000] [--out docs/reference/soak.md]

The services are the real ones of the local cloud, as processes; the load is a light task in a real
job run (see `merge_task`). Lost and doubled are counted from what stands in the lake and from what
its services were asked, not from what the product says.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import quote

import httpx

from landfall.contract import folder
from tests.e2e.drops import users
from tests.faults.environment import (
    FINAL,
    FOREIGN,
    OUTSIDE,
    FaultEnvironment,
    Json,
    fault_environment,
    wait,
)

ROWS = 5
TIMES = 3
WAVE = 50
OUTSTANDING = 400
"""How many drops may be on their way before the producers wait."""
SETTINGS = {
    "LANDFALL_TICK": "*/5 * * * * *",
    "LANDFALL_SETTLE_SECONDS": "20",
    "LANDFALL_NUDGE_SECONDS": "20",
    "LANDFALL_COPY_GRACE_SECONDS": "15",
    "LANDFALL_LEASE_SECONDS": "20",
}
FAULTS: tuple[Json, ...] = (
    {"fault": "status", "status": 503},
    {"fault": "status", "status": 503, "when": "after"},
    {"fault": "reset", "when": "after"},
    {"fault": "truncate"},
    {"fault": "status", "status": 429, "headers": {"Retry-After": "1"}},
)
SHARE = 0.05
"""Of all calls of the service that meet one of the faults."""


@dataclass(frozen=True)
class Drop:
    """One file of a producer, and the states in which its run may end."""

    path: str
    content: bytes
    ends: frozenset[str]
    rows: int


def drops(count: int) -> Iterator[Drop]:
    """Drops of three datasets: most are good, one in 25 is refused, one in 50 repeats another."""
    for number in range(count):
        dataset, write = _WRITERS[number % len(_WRITERS)]
        path = f"landing/{dataset}/drop-{number}.csv"
        ids = range(number * ROWS + 1, (number + 1) * ROWS + 1)
        if number % 25 == 24:
            yield Drop(path, write(ids, "not-one-of-them"), frozenset({"quarantined"}), 0)
        elif number % 50 == 40 and number >= len(_WRITERS):
            earlier = number - len(_WRITERS)
            twin = range(earlier * ROWS + 1, (earlier + 1) * ROWS + 1)
            yield Drop(path, write(twin, ""), frozenset({"succeeded", "duplicate"}), 0)
        else:
            yield Drop(path, write(ids, ""), frozenset({"succeeded", "duplicate"}), ROWS)


def _users(ids: range, wrong: str) -> bytes:
    return users(ids, **({"gender": wrong} if wrong else {})).encode()


def _invoices(ids: range, wrong: str) -> bytes:
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    rows = [
        f"{500000 + i // 10},S{i},Lantern {i},6,2026-11-01 10:00:00,2.55,17850.0,"
        f"{wrong[:1] or 'France'}"
        for i in ids
    ]
    return "\n".join([head, *rows, ""]).encode()


def _countries(ids: range, wrong: str) -> bytes:
    """Aggregates of made-up countries; every number in them is 1."""
    names = [column.name for column in _COUNTRIES.columns]
    rows = [[wrong[:1] or f"Land {i}", *("1" for _ in names[1:])] for i in ids]
    return "\n".join([",".join(names), *(",".join(row) for row in rows), ""]).encode()


_COUNTRIES = folder.load_folder(Path(__file__).resolve().parents[2] / "marketplace" / "contracts")[
    "buyers_by_country"
]
_WRITERS = (("users", _users), ("online_retail", _invoices), ("buyers_by_country", _countries))
"""Datasets that refer to no other: their light load keeps no table that could be looked up."""


@dataclass
class Soak:
    """The producers, Event Grid and the reaper, and what they did."""

    fault_environment: FaultEnvironment
    chance: random.Random
    events: int = 0
    kills: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def send(self, landed: list[Drop]) -> None:
        """Land a wave of drops; then their events, each several times, in any order."""
        for drop in landed:
            self.fault_environment.land(drop.path, drop.content)
        paths = [drop.path for drop in landed for _ in range(TIMES)]
        self.chance.shuffle(paths)
        for path in paths:
            self._notify(path)

    def _notify(self, path: str) -> None:
        """One delivery; Event Grid tries again while nobody takes it, here for a while only."""
        config = self.fault_environment.config
        event = {
            "id": str(self.events),
            "eventType": "Microsoft.Storage.BlobCreated",
            "data": {
                "api": "PutBlob",
                "url": f"{config.lake_url}/{path}",
                "eTag": "0x1",
                "blobType": "BlockBlob",
            },
        }
        hook = "/runtime/webhooks/blobs?functionName=Host.Functions.on_landing&code="
        for _ in range(3):
            with suppress(httpx.HTTPError):
                reply = self.fault_environment.http.post(
                    f"{hook}{quote(config.system_key, safe='')}",
                    headers={"aeg-event-type": "Notification"},
                    json=[event],
                    timeout=5,
                )
                if reply.is_success:
                    self.events += 1
                    return
            time.sleep(0.5)

    def reap(self) -> None:
        """Kill the functions host now and then, until it is over."""
        while not self.over.wait(self.chance.uniform(10, 30)):
            with suppress(OSError, RuntimeError):  # it may be dead, or just coming up
                self.fault_environment.supervisor.kill("functions")
                self.kills += 1

    def waiting(self) -> int:
        """How many drops have no end yet."""
        folder = self.fault_environment.config.lake_folder
        landing = sum(1 for path in (folder / "landing").rglob("*.csv"))
        return landing + sum(1 for _ in (folder / "manifest" / "active").glob("*.json"))


@dataclass
class Outcome:
    """What the soak found; `problems` is empty where the promises were kept."""

    facts: dict[str, str]
    problems: list[str]


def run(harmed: FaultEnvironment, count: int, seed: int = 1, patience: float = 1800) -> Outcome:
    """Let it all happen, wait for the tail, and count."""
    soak = Soak(harmed, random.Random(seed))  # noqa: S311 - chances that can be had again
    harmed.reset_faults()
    harmed.arm("lake", fault="event_drop")  # Event Grid is played by the soak itself
    for service in OUTSIDE:
        for number, fault in enumerate(FAULTS):
            share = {"probability": SHARE / len(FAULTS), "seed": seed + number}
            harmed.arm(service, service_caller=FOREIGN, **fault, **share)
    reaper = threading.Thread(target=soak.reap, daemon=True)
    reaper.start()
    began = time.monotonic()
    sent: list[Drop] = list(drops(count))
    for start in range(0, count, WAVE):
        wait(lambda: soak.waiting() < OUTSTANDING, patience, 0.5)
        soak.send(sent[start : start + WAVE])
        sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {start + WAVE} sent\n")
    landed = time.monotonic() - began
    wait(lambda: not soak.waiting(), patience, 0.5)
    lasted = time.monotonic() - began
    soak.over.set()
    reaper.join()
    return _count(soak, sent, landed, lasted)


def _count(soak: Soak, sent: list[Drop], landed: float, lasted: float) -> Outcome:
    harmed = soak.fault_environment
    runs: dict[str, list[Json]] = {}
    for active in (True, False):
        for run in harmed.documents(active=active):
            runs.setdefault(run["source"]["path"], []).append(run)
    lost = [drop.path for drop in sent if not runs.get(drop.path)]
    wrong = [
        f"{drop.path}: {[run['state'] for run in runs[drop.path]]}"
        for drop in sent
        if drop.path in runs
        and (len(runs[drop.path]) != 1 or runs[drop.path][0]["state"] not in drop.ends)
    ]
    ended = Counter(run["state"] for each in runs.values() for run in each)
    ledger = [line for name, _ in _WRITERS for line in harmed.loads(name)]
    changed = [line for line in ledger if line["inserted"] + line["updated"]]
    loads = Counter(run_id for line in changed for run_id in line["runs"])
    twice = [run_id for run_id, times in loads.items() if times > 1]
    inserted, expected = sum(line["inserted"] for line in ledger), sum(drop.rows for drop in sent)
    asked = httpx.get(f"{harmed.config.url('lake')}/_devcloud/requests").json()
    requests = asked["by_caller"]["landfall"] / len(sent)
    copies = asked["by_operation"].get("devcloud-datafactory PUT PutBlob", 0)
    hits = {service: _hits(harmed, service) for service in OUTSIDE}
    took = sorted(_seconds(run) for each in runs.values() for run in each if _ended(run))
    problems = [
        *(f"lost: {path}" for path in lost),
        *(f"wrong end: {each}" for each in wrong),
        *(f"loaded twice: {run_id}" for run_id in twice),
    ]
    updated = sum(line["updated"] for line in ledger)
    for what, is_, must in (
        ("rows inserted in silver", inserted, expected),
        ("rows updated in silver", updated, 0),
        ("copies that wrote", copies, ended["succeeded"]),
        ("drops without an end", sum(n for state, n in ended.items() if state not in FINAL), 0),
    ):
        if is_ != must:
            problems.append(f"{what}: {is_}, not {must}")
    facts = {
        "drops, of three datasets": f"{len(sent):,}",
        "events delivered, in any order": f"{soak.events:,}",
        "calls that met a fault": ", ".join(f"{n:,} of {name}" for name, n in hits.items()),
        "the host killed (`kill -9`)": f"{soak.kills} times",
        "ends": ", ".join(f"{n:,} {state}" for state, n in sorted(ended.items())),
        "lost": str(len(lost)),
        "in a wrong state, or with more than one run": str(len(wrong)),
        "loaded twice": str(len(twice)),
        "copied twice": str(copies - ended["succeeded"]),
        "rows in silver": f"{inserted:,} of {expected:,}",
        "batches": f"{len(ledger):,}",
        "storage requests of the service per drop": f"{requests:.1f}",
        "all landed after": f"{landed:.0f} s",
        "the tail: from the last upload to the last end": f"{lasted - landed:.0f} s",
        "from landing to the end, median and 99 %": (
            f"{median(took):.0f} s, {quantiles(took, n=100)[-1]:.0f} s"
        ),
    }
    return Outcome(facts, problems)


def _hits(harmed: FaultEnvironment, service: str) -> int:
    found = httpx.get(f"{harmed.config.url(service)}/_devcloud/faults").json()
    return sum(rule["hits"] for rule in found["rules"] if rule["fault"] != "event_drop")


def _ended(run: Json) -> bool:
    return run["state"] in FINAL


def _seconds(run: Json) -> float:
    landed, ended = run["source"]["landed"], run["updated"]
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(landed)).total_seconds()


def page(outcome: Outcome) -> str:
    """The outcome as a page of the documentation."""
    lines = [_HEAD, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in outcome.facts.items()]
    if outcome.problems:
        lines += ["", "Not as promised:", ""]
        lines += [f"- {problem}" for problem in outcome.problems[:50]]
    return "\n".join(lines) + "\n"


_HEAD = """# The soak

Made by `make test-soak`; not to be edited. `make test-soak DROPS=300` is a short one.
Every event is delivered three times, in waves of fifty drops in any order.
One call in twenty that the service sends to the lake, Data Factory or Databricks meets a fault:
503 before the effect or after it, a reset connection after it, a reply cut in the middle, 429.
The functions host is killed every 10 to 30 s.
The load is a light task in a real job run; lake, Data Factory and functions host are real processes
of the local cloud, on 2 shared cores.
Lost and doubled are counted from the lake and from what its services were asked."""


def main() -> int:
    """Soak and write the page; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--drops", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the page there")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        fault_environment(Path(folder) / "cloud", settings=SETTINGS) as harmed,
    ):
        outcome = run(harmed, options.drops, options.seed)
    text = page(outcome)
    if options.out:
        options.out.write_text(text)
    sys.stdout.write(text)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
