"""A cloud that has been at work for months: run documents written as the service writes them.

The drops of today are real: files that land, are claimed and validated. The rest is documents, made
by the same transitions and stored as the register stores them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import write_deltalake

from devcloud.config import CloudConfig, create
from devcloud.supervisor import Supervisor
from ingest import paths
from ingest.azure.lake import AzureLake
from ingest.runs import archive
from ingest.runs.document import dump, to_metadata
from ingest.runs.run import Copy, LandedVersion, Load, Run, Verdict, received
from ingest.runs.states import Event
from ingest.settings import LakeSettings
from landfall import protocol
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import REPOSITORY, Clock, StorageAccount
from tests.ingest.harness import ServiceHarness

KEY = "a key of the console for tests"
NEVER = "0 0 0 1 1 *"
DATASETS = {"users": 4000, "orders": 900, "products": 2500, "interactions": 12000}
"""Datasets, and how many rows their drops have."""
_GOLD = {"users": ("country_kpis", "seller_league"), "orders": ("sales_by_day", "funnel")}
SCRIPT = "<script>alert(1)</script>.csv"
STRANGE = (
    SCRIPT,
    "x" * 196 + ".csv",
    "\N{ARABIC LETTER MEEM}\N{ARABIC LETTER LAM} \N{RIGHT-TO-LEFT OVERRIDE}vsc.csv",
    "\N{ROCKET}\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}.csv",
    "two\nlines.csv",
)
"""File names that a page has to bear; the lake takes them all."""


@dataclass
class Seed:
    """Writes runs into a lake."""

    lake: Any
    now: datetime

    def __post_init__(self) -> None:
        self.chance = random.Random(7)  # noqa: S311 - the same picture each time

    def run(self, dataset: str, landed: datetime, state: State, name: str, rows: int) -> Run:
        """A run that landed then and is in a state now."""
        path = f"landing/{dataset}/{name}"
        run_id = protocol.run_id(landed, dataset, path, f"0x{name}")
        source = LandedVersion(path, "0x1", rows * 130, landed, self.chance.choice(_VIA))
        run = received(run_id, dataset, source, landed + timedelta(seconds=1))
        return _Way(run, rows, self.chance).go(state)

    def put(self, run: Run) -> Run:
        """Store it where it belongs."""
        body, metadata = dump(run, "seed"), to_metadata(run)
        place = paths.archived_document(run.run_id) if run.final else paths.active_document(
            run.run_id
        )  # fmt: skip
        self.lake.put(place, body, metadata=metadata)
        if run.state in archive.UNCOMMON:
            self.lake.put(paths.index_entry(run.state, run.run_id), b"", metadata=metadata)
        return run

    def history(self, days: int) -> int:
        """Drops of each dataset on each day before today."""
        written = 0
        for back in range(1, days):
            for dataset, rows in DATASETS.items():
                if dataset == "products" and self.chance.random() < 0.2:
                    continue
                for number in range(1 if dataset == "users" else 2):
                    landed = self.now - timedelta(
                        days=back, hours=3 * number, seconds=self.chance.uniform(0, 1800)
                    )
                    (state,) = self.chance.choices(list(_OUTCOMES), list(_OUTCOMES.values()))
                    name = f"{dataset}-{landed:%Y%m%d}-{number}.csv"
                    much = int(rows * self.chance.uniform(0.7, 1.3))
                    self.put(self.run(dataset, landed, state, name, much))
                    written += 1
        return written


_VIA = ("event", "event", "event", "sweep", "http")
_OUTCOMES = {
    State.SUCCEEDED: 90,
    State.QUARANTINED: 4,
    State.DUPLICATE: 3,
    State.FAILED: 2,
    State.CANCELLED: 1,
}


class _Way:
    """Takes a run along the transitions as far as a state."""

    def __init__(self, run: Run, rows: int, chance: random.Random) -> None:
        self.run, self.rows, self.chance, self.at = run, rows, chance, run.created

    def move(self, event: Event, cause: str, most: float, **changes: Any) -> None:
        """One move, at most so many seconds later."""
        self.at += timedelta(seconds=self.chance.uniform(0.3, most))
        self.run = self.run.apply(event, cause, self.at, **changes)

    def go(self, state: State) -> Run:
        """All moves up to a state."""
        for step in (self._begin, self._validate, self._copy, self._load):
            if self.run.state is not state and not self.run.final:
                step(state)
        return self.run

    def _begin(self, state: State) -> None:
        raw = paths.raw_file(self.run.dataset, self.run.run_id, self.run.source.path)
        self.move(Event.CLAIM, f"moved to {raw}", 2, raw=raw)
        if state is not State.CLAIMED:
            self.move(Event.START_VALIDATION, "validating against the contract", 2)

    def _validate(self, state: State) -> None:
        rows = self.rows
        rejected = int(rows * self.chance.choice((0, 0, 0, 0.002, 0.01)))
        if state is State.QUARANTINED:
            verdict = _verdict(self.run, "refused", rows, int(rows * 0.4))
            cause = "40.0 % of the rows are rejected, the contract tolerates 5 %"
            self.move(Event.REFUSE, cause, 20, verdict=verdict)
            return
        verdict = _verdict(self.run, "accepted", rows, rejected)
        if state is State.DUPLICATE:
            self.move(Event.REPEAT, "the same content was accepted before", 9, verdict=verdict)
            return
        self.move(Event.ACCEPT, f"{rows - rejected} of {rows} rows accepted", 12, verdict=verdict)
        if state is State.CANCELLED:
            self.move(Event.CANCEL, "the producer sent a better one", 9, by="ada")

    def _copy(self, state: State) -> None:
        accepted = self.run.verdict.accepted if self.run.verdict else 0
        copy = Copy(
            1, paths.copy_attempt(self.run.run_id, 1), self.at, f"adf-{self.run.run_id[-8:]}"
        )
        self.move(Event.START_COPY, "attempt 1 was recorded", 30, copy=copy)
        if state is State.FAILED:
            cause = "three copies failed; last: the linked service refused the credential"
            self.move(Event.FAIL, cause, 200)
        elif state is not State.COPYING:
            copy = replace(copy, rows=accepted)
            self.move(Event.FINISH_COPY, f"{accepted} rows copied", 90, copy=copy)

    def _load(self, state: State) -> None:
        dataset, chance = self.run.dataset, self.chance
        batch = f"{self.at:%Y%m%dT%H%M%SZ}-{dataset}-{chance.getrandbits(64):016x}"
        load = Load(batch, job_run_id=chance.randrange(1000, 9999))
        self.move(Event.START_LOAD, f"joined batch {batch}", 25, load=load)
        if state is State.LOADING:
            return
        number, third = chance.randrange(100, 400), self.rows // 3
        tables = {f"silver/{dataset}": {"version": number, "rows": 50 * self.rows}}
        tables |= {f"gold/{n}": {"version": number, "rows": 60} for n in _GOLD.get(dataset, ())}
        result = {"inserted": third, "updated": third, "unchanged": third, "tables": tables}
        result["served"] = {path: {} for path in tables if path.startswith("gold/")}
        self.move(Event.FINISH_LOAD, "loaded", 140, load=replace(load, result=result))


def _verdict(run: Run, word: str, rows: int, rejected: int) -> Verdict:
    report = f"quarantine/{run.dataset}/{run.run_id}/report.json"
    sha256 = (run.run_id[-16:] * 4)[:64]
    rejects = f"quarantine/{run.dataset}/{run.run_id}/rejects.csv" if rejected else None
    return Verdict(
        word, rows, rows - rejected, rejected, sha256, report, rejects, {"kind": "csv"},
        contract="1.0.0",
    )  # fmt: skip


def today(account: StorageAccount, clock: Clock) -> list[Run]:
    """Drops that really land, and end in each way that a drop can end in."""
    harness = ServiceHarness(account, clock)
    good = users(range(40)).encode()
    bad_rows = users([99], gender="X", countryCode="") + users([98], country="7").partition("\n")[2]
    mixed = (users(range(100, 160)) + bad_rows.partition("\n")[2]).encode()
    bad = users(range(200, 220), gender="X", countryCode="").encode()
    drops = {
        "users.csv": good,
        "users-again.csv": good,
        "users-with-rejects.csv": mixed,
        "users-wrong-export.csv": bad,
        "not-a-table.csv": b"\x00\x01\x02 no table",
    }
    return [harness.take(f"landing/users/{name}", body) for name, body in drops.items()]


def tables(config: CloudConfig) -> None:
    """Delta tables in silver and gold, in the lake's own folder."""
    days = [f"2026-11-{day:02d}" for day in range(1, 29)]
    sales = pl.DataFrame({
        "day": days,
        "revenue": [round(900 + 37 * (n % 7) ** 2 + 11.5 * n, 2) for n in range(28)],
        "orders": [40 + 3 * (n % 7) for n in range(28)],
    }).with_columns(pl.col("day").str.to_date())  # fmt: skip
    countries = pl.DataFrame({
        "country": ["France", "Italie", "Allemagne", "Espagne", "Belgique", "Pologne"],
        "sellers": [412, 233, 190, 96, 61, 28],
        "products_sold": [9120, 4410, 2890, 1207, 655, 210],
    })  # fmt: skip
    people = pl.DataFrame({
        "identifierHash": [str(4 * 10**18 + n) for n in range(50)],
        "country": ["France", "Italie"] * 25,
        "productsSold": list(range(50)),
    })  # fmt: skip
    for path, frame in (
        ("gold/sales_by_day", sales),
        ("gold/country_kpis", countries),
        ("silver/users", people),
    ):
        write_deltalake(str(config.lake_folder / path), frame.to_arrow())


def fill(config: CloudConfig, days: int = 60, *, strange: bool = True) -> dict[str, str]:
    """Fill a lake that is being served; returns the run ids of interest by what they are."""
    settings = LakeSettings(config.lake_connection_string, None, config.account, config.lake_url)
    account = StorageAccount(config, AzureLake(settings))
    clock = Clock()
    seed = Seed(account.lake, clock())
    seed.history(days)
    named = {run.name: run.run_id for run in today(account, clock)}
    minutes = iter(range(2, 60, 3))
    for state in (s for s in State if s not in protocol.FINAL):
        landed = clock() - timedelta(minutes=next(minutes))
        named[state.value] = seed.put(
            seed.run("orders", landed, state, f"orders-{state}.csv", 900)
        ).run_id
    for state in protocol.FINAL:
        landed = clock() - timedelta(minutes=next(minutes))
        name = f"interactions-{state}.csv"
        named[f"today {state.value}"] = seed.put(
            seed.run("interactions", landed, state, name, 12000)
        ).run_id
    for name in STRANGE if strange else ():
        landed = clock() - timedelta(minutes=next(minutes))
        run = seed.put(seed.run("products", landed, State.FAILED, name, 10))
        named[name] = run.run_id
    if strange:
        _damage(account, clock, named)
    tables(config)
    book = ServiceHarness(account, clock).service.days
    while book.tick():
        pass
    return named


def _damage(account: StorageAccount, clock: Clock, named: dict[str, str]) -> None:
    damaged = protocol.run_id(clock() - timedelta(hours=1), "users", "landing/users/damaged", "0")
    account.lake.put(paths.active_document(damaged), b"{ not JSON")
    named["damaged"] = damaged


@contextmanager
def cloud(
    root: Path, *, days: int = 60, strange: bool = True, **settings: str
) -> Iterator[tuple[CloudConfig, dict[str, str]]]:
    """A filled lake and the function app over it, each a process; ticks do not come.

    Without `days` the lake is empty, without `strange` all in it is as it should be.
    """
    config = create(
        root,
        REPOSITORY,
        settings={"LANDFALL_CONSOLE_KEY": KEY, "LANDFALL_TICK": NEVER, **settings},
    )
    with Supervisor(config, services=["lake"]):
        named = fill(config, days, strange=strange) if days else {}
        # The app comes afterwards: it would take in what lands, while the seed does so itself.
        with Supervisor(config, services=["functions"]):
            yield config, named
