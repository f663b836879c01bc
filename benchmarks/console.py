"""Measures the console over a register of many runs: time and size of each page.

    python -m benchmarks.console [RUNS]

The register is written to the lake's folder first; lake and app run as processes. Times are those
of a client: the best of several, after a first request. The floor is one plain list call of 5,000
documents with metadata by the SDK, measured in the same run.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from azure.storage.blob import BlobServiceClient

from benchmarks.register import DATASETS, RARE, LakeSeed, _ended, _run
from devcloud.config import CloudConfig, app_settings, create
from devcloud.supervisor import Supervisor
from ingest import paths
from ingest.console import render
from ingest.runs.archive import UNCOMMON
from ingest.settings import read
from ingest.wiring import build
from landfall.console_links import CONSOLE_KEY, token
from landfall.protocol import State

REPOSITORY = Path(__file__).resolve().parents[1]
KEY = "a key for a benchmark"
DAYS = 3
PAGES = (
    "",
    "runs",
    "runs?dataset=users&state=failed",
    "runs?q=a-name-that-no-run-has",
    "datasets/users",
    "upload",
)


def main(size: int) -> None:
    """Seed, serve, measure, print."""
    settings = {CONSOLE_KEY: KEY, "LANDFALL_TICK": "0 0 0 1 1 *"}
    with tempfile.TemporaryDirectory() as root:
        config = create(Path(root), REPOSITORY, settings=settings)
        _seed(config, size)
        with Supervisor(config, services=["lake", "functions"]):
            _tick(config)
            floor = best(lambda: _list(config))
            print(f"one list call of 5,000 documents by the SDK: {floor * 1000:.0f} ms")
            with httpx.Client(base_url=config.url("functions"), timeout=60) as http:
                _sign_in(http)
                for page in PAGES:
                    _page(http, page, size, floor)
    print(f"rendering alone, warm: {_rendering() * 1000:.1f} ms for a list of 50 runs")


def _seed(config: CloudConfig, size: int) -> None:
    seed, now = LakeSeed(config), datetime.now(UTC)
    chance = random.Random(1)  # noqa: S311 - reproducible times
    for number in range(size):
        landed = now - timedelta(seconds=chance.uniform(0, DAYS * 86400))
        state = State.SUCCEEDED if number % RARE else State.FAILED
        run = _ended(_run(number, DATASETS[number % 3], landed), state)
        seed.put(paths.archived_document(run.run_id), run)
        if state in UNCOMMON:
            seed.put(paths.index_entry(state, run.run_id), run, empty=True)


def _tick(config: CloudConfig) -> None:
    """Make the figures of days, as the timer does."""
    days = build(read(app_settings(config), app=REPOSITORY)).days
    while days.tick():
        pass


def _sign_in(http: httpx.Client) -> None:
    until = datetime.now(UTC) + timedelta(minutes=5)
    link = token(KEY, "link", "bench", "Operator", until)
    reply = http.get("/console/signin", params={"token": link})
    http.headers["cookie"] = reply.headers["set-cookie"].partition(";")[0]


def _page(http: httpx.Client, page: str, size: int, floor: float) -> None:
    def ask() -> httpx.Response:
        return http.get(f"/console/{page}").raise_for_status()

    reply = ask()
    took = best(ask)
    print(
        f"/console/{page} of {size:,} runs: {took * 1000:.0f} ms, {took / floor:.2f}x, "
        f"{len(reply.content) / 1024:.1f} KiB, {reply.num_bytes_downloaded / 1024:.1f} KiB sent"
    )


def _list(config: CloudConfig) -> None:
    with BlobServiceClient.from_connection_string(config.lake_connection_string) as client:
        container = client.get_container_client("manifest")
        pages = container.list_blobs(name_starts_with="runs/users/", include=["metadata"])
        list(next(pages.by_page()))


def _rendering() -> float:
    """The time of a template with 50 runs, without the reads before it."""
    from ingest.console.identity import Person, Role  # noqa: PLC0415
    from ingest.console.views.runs import Filter  # noqa: PLC0415
    from ingest.runs.document import from_metadata, to_metadata  # noqa: PLC0415

    now = datetime.now(UTC)
    runs = [
        from_metadata(to_metadata(_ended(_run(n, "users", now), State.SUCCEEDED)))
        for n in range(50)
    ]
    values = {
        "person": Person("bench", Role.OPERATOR, "s"), "path": "runs", "done": "",
        "platform": False, "token": "t", "filters": Filter(), "base": Filter(), "runs": runs,
        "next": None, "reached": None, "counts": [(state.value, 1) for state in State],
        "recent_days": 7, "datasets": list(DATASETS), "states": list(State), "vias": (),
        "replayable": False,
    }  # fmt: skip
    return best(lambda: render.page("runs.html", values, now))


def best(act: Callable[[], object], times: int = 3) -> float:
    """The shortest of several times, in seconds."""
    act()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return min(took)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
