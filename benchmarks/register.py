"""Measures queries on a register with many runs, which is written to the lake's folder.

The register is written before the services start, with the code of the local lake. The measured
requests use the SDKs and services in separate processes.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient

from devcloud.clock import stamp
from devcloud.config import CONTAINERS, CloudConfig, app_settings, create
from devcloud.datafactory.resources import FactoryId
from devcloud.datafactory.runs import PipelineRun
from devcloud.lake.properties import Properties
from devcloud.lake.store import LakeStore
from devcloud.supervisor import Supervisor
from ingest import paths
from ingest.ports import Version
from ingest.runs.archive import UNCOMMON
from ingest.runs.document import dump, to_metadata
from ingest.runs.run import LandedVersion, Run, Verdict, received
from ingest.runs.states import Event
from ingest.service import Landfall
from ingest.settings import read
from ingest.stages.claim import claim
from ingest.stages.copy import plan
from ingest.wiring import build
from landfall import protocol
from landfall.cli.deploy import deploy_local_factory
from landfall.protocol import State

REPOSITORY = Path(__file__).resolve().parents[1]
DATASETS = ("users", "products", "interactions")
RARE = 500
"""One of this many runs failed."""


class LakeSeed:
    """Writes documents to the folder of a lake before its service starts."""

    def __init__(self, config: CloudConfig) -> None:
        config.lake_folder.mkdir(parents=True, exist_ok=True)
        self._store = LakeStore(config.lake_folder)
        for name in CONTAINERS:
            self._store.create_container(name)

    def put(self, path: str, run: Run, *, empty: bool = False) -> None:
        """Write a run's document, or an empty index entry of it."""
        container, _, key = path.partition("/")
        staged = self._store.stage()
        Path(staged).write_bytes(b"" if empty else dump(run, "bench"))
        properties = Properties(metadata=to_metadata(run))
        self._store.publish(container, key, staged, properties, current=None)


def _run(number: int, dataset: str, landed: datetime) -> Run:
    path = f"landing/{dataset}/drop-{number}.csv"
    run_id = protocol.run_id(landed, dataset, path, f"0x{number}")
    source = LandedVersion(path=path, etag=f"0x{number}", size=1000, landed=landed, via="event")
    run = received(run_id, dataset, source, landed)
    raw = paths.raw_file(dataset, run_id, path)
    return run.apply(Event.CLAIM, f"moved to {raw}", landed, raw=raw)


def _ended(run: Run, state: State) -> Run:
    event = {State.FAILED: Event.FAIL, State.CANCELLED: Event.CANCEL}.get(state)
    if event:
        return run.apply(event, "the bench says so", run.created)
    run = _copying(run).apply(Event.FINISH_COPY, "copied", run.created)
    run = run.apply(Event.START_LOAD, "joined a batch", run.created)
    return run.apply(Event.FINISH_LOAD, "loaded", run.created)


def _copying(run: Run) -> Run:
    run = run.apply(Event.START_VALIDATION, "validating against the contract", run.created)
    verdict = Verdict("accepted", 10, 10, 0, "0" * 64, "", None, {"kind": "csv"})
    run = run.apply(Event.ACCEPT, "10 of 10 rows accepted", run.created, verdict=verdict)
    return plan(run, lambda: run.created, "attempt 1 written down")


def _pipeline_run(config: CloudConfig, run: Run) -> PipelineRun:
    at = stamp(run.created)
    return PipelineRun(
        run_id=str(uuid.uuid4()),
        factory=FactoryId(config.subscription, config.resource_group, config.factory).key,
        pipeline="ingest_drop",
        parameters={"runId": run.run_id, "attemptId": run.copy.attempt_id if run.copy else ""},
        created=at,
        invoked_by={},
        status="Succeeded",
        started=at,
        ended=at,
        updated=at,
        history=[[at, "Succeeded"]],
    )


@contextmanager
def _serving(config: CloudConfig, now: datetime, *services: str) -> Iterator[Landfall]:
    """Run the service in this process, with the other services in separate processes."""
    env = app_settings(config)
    os.environ.update(env)  # the identity's endpoint, which its SDK reads there
    with Supervisor(config, services=services):
        if "datafactory" in services:
            deploy_local_factory(config)
        yield build(read(env, app=REPOSITORY), clock=lambda: now)


def _counts(config: CloudConfig, service: str) -> dict[str, int]:
    document: dict[str, Any] = httpx.get(f"{config.url(service)}/_devcloud/requests").json()
    counts: dict[str, int] = document["by_operation"]
    return counts


def _reset_counts(config: CloudConfig, *services: str) -> None:
    for service in services:
        httpx.delete(f"{config.url(service)}/_devcloud/requests").raise_for_status()


def _of_service(counts: dict[str, int], operation: str) -> int:
    return sum(number for name, number in counts.items() if name.endswith(operation))


def ticks(root: Path, size: int) -> None:
    """Measure the requests of a tick over many active runs with overdue copies."""
    config = create(root, REPOSITORY)
    seed, now = LakeSeed(config), datetime.now(UTC)
    folder = config.root / "datafactory" / "runs"
    folder.mkdir(parents=True)
    for number in range(size):
        run = _copying(_run(number, DATASETS[number % 3], now - timedelta(seconds=200)))
        seed.put(paths.active_document(run.run_id), run)
        pipeline_run = _pipeline_run(config, run)
        (folder / f"{pipeline_run.run_id}.json").write_text(json.dumps(asdict(pipeline_run)))
    with _serving(config, now, "lake", "datafactory") as service:
        for what in ("all overdue", "the same again"):
            _reset_counts(config, "lake", "datafactory")
            began = time.perf_counter()
            messages = service.reconcile()
            took = time.perf_counter() - began
            calls = _of_service(_counts(config, "datafactory"), "querypipelineruns")
            listed = _of_service(_counts(config, "lake"), "ListBlobs")
            print(
                f"a tick over {size:,} copies, {what}: {calls} calls to Data Factory, "
                f"{listed} lists of the lake (manifest, replays, landing), {took:.1f} s, "
                f"{len(messages):,} messages"
            )
    with _serving(config, now - timedelta(seconds=190), "lake", "datafactory") as service:
        _reset_counts(config, "datafactory")
        service.reconcile()
        calls = _of_service(_counts(config, "datafactory"), "querypipelineruns")
        print(f"a tick over {size:,} copies that have just begun: {calls} calls to Data Factory")


def listing(root: Path, size: int, days: int) -> None:
    """Measure the newest runs of a dataset and a state, compared to two plain list calls."""
    config = create(root, REPOSITORY)
    seed, now = LakeSeed(config), datetime.now(UTC).replace(hour=12)
    chance = random.Random(1)  # noqa: S311 - reproducible times
    for number in range(size):
        landed = now - timedelta(seconds=chance.uniform(0, days * 86400))
        state = State.SUCCEEDED if number % RARE else State.FAILED
        run = _ended(_run(number, DATASETS[number % 3], landed), state)
        seed.put(paths.archived_document(run.run_id), run)
        if state in UNCOMMON:
            seed.put(paths.index_entry(state, run.run_id), run, empty=True)
    with _serving(config, now, "lake") as service:
        floor = _best(lambda: _plain(config))
        print(f"two plain list calls of 5,000 with metadata, by the SDK: {floor:.2f} s")
        queries: tuple[tuple[str | None, State | None], ...] = (
            ("users", State.SUCCEEDED),
            ("users", State.FAILED),
            ("users", None),
            (None, None),
        )
        for name, ending in queries:

            def query(dataset: str | None = name, state: State | None = ending) -> None:
                runs = service.manifest.newest(limit=50, dataset=dataset, state=state)
                if not runs or any(run.state is not (state or run.state) for run in runs):
                    raise SystemExit(f"{len(runs)} runs, not all match the query")

            query()
            _reset_counts(config, "lake")
            query()
            list_calls = _of_service(_counts(config, "lake"), "ListBlobs")
            took = _best(query)
            print(
                f"newest 50 of {size:,} runs in {days} days, dataset {name or 'any'}, "
                f"state {ending or 'any'}: {took:.2f} s, {took / floor:.2f}x, "
                f"{list_calls} list calls"
            )


def _plain(config: CloudConfig) -> None:
    with BlobServiceClient.from_connection_string(config.lake_connection_string) as client:
        pages = (
            client.get_container_client("manifest")
            .list_blobs(name_starts_with="runs/users/", include=["metadata"])
            .by_page()
        )
        for _ in range(2):
            list(next(pages))


def _best(act: Callable[[], None], times: int = 3) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return min(took)


def claims(root: Path, size: int, threads: int = 4) -> None:
    """Measure claims per second and bare Put Blobs per second, in turns."""
    config = create(root, REPOSITORY)
    blobs = BlobServiceClient.from_connection_string(config.lake_connection_string)
    with _serving(config, datetime.now(UTC), "lake") as service, blobs:

        def put(number: int) -> None:
            blobs.get_blob_client("silver", f"bench/{number}").upload_blob(b"x" * 1000)

        def land(number: int) -> Version:
            path = f"landing/users/drop-{number}.csv"
            blobs.get_blob_client(*path.split("/", 1)).upload_blob(b"x" * 1000)
            version = service.lake.head(path)
            if version is None:
                raise SystemExit(f"{path} has not landed")
            return version

        def take(version: Version) -> None:
            stored = claim(
                version,
                "users",
                "event",
                lake=service.lake,
                manifest=service.manifest,
                clock=service.clock,
            )
            if stored.run.state is not State.CLAIMED:
                raise SystemExit(f"{version.path}: {stored.run.state}")

        rates: dict[str, list[float]] = {"put": [], "claim": []}
        with ThreadPoolExecutor(threads) as pool:
            for turn in range(3):
                numbers = range(turn * size, (turn + 1) * size)
                landed = list(pool.map(land, numbers))
                for name, act, these in (("put", put, numbers), ("claim", take, landed)):
                    began = time.perf_counter()
                    list(pool.map(act, these))
                    rates[name].append(size / (time.perf_counter() - began))
    bare, claimed = max(rates["put"]), max(rates["claim"])
    print(
        f"claims (put the document, rename the file): {claimed:.0f} a second, "
        f"{claimed / bare:.2f}x of {bare:.0f} bare Put Blobs a second; {threads} threads"
    )
