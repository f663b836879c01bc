"""Measures the cost of the control plane, each figure against a baseline or a bound.

    python -m benchmarks.control [drops] [ticks] [list] [claims]

drops   storage requests for a single drop, and the mean over a burst, from event to `succeeded`
ticks   calls to Data Factory and lists of the lake by a tick over 10,000 active runs
list    the newest 50 of 100,000 runs by dataset and state, against two plain list calls
claims  claims a second, against bare Put Blobs a second

Without names all are measured. `--burst`, `--active`, `--runs`, `--days` and `--claims` set sizes.

For `drops` a local cloud is started without a timer; all storage requests of the service are
counted there, including ticks. Requests of the copy and of the jobs are shown by caller.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from azure.storage.filedatalake import DataLakeServiceClient

from benchmarks import register
from devcloud.config import CloudConfig, create
from devcloud.supervisor import Supervisor
from landfall.cli.deploy import deploy_all
from marketplace.generator import write_users

REPOSITORY = Path(__file__).resolve().parents[1]
NEVER = "0 0 0 1 1 *"
TICK = 10
FINAL = {"succeeded", "quarantined", "duplicate", "failed", "cancelled"}


class ControlBench:
    """A local cloud without a timer."""

    def __init__(self, config: CloudConfig) -> None:
        self.config = config
        self.http = httpx.Client(
            base_url=config.url("functions"),
            headers={"x-functions-key": config.function_key},
            timeout=60,
        )

    def drop(self, file: Path) -> str:
        """Upload a file as a producer does; return its name."""
        connection = self.config.lake_connection_string
        with DataLakeServiceClient.from_connection_string(connection) as service:
            client = service.get_file_client("landing", f"users/{file.name}")
            client.upload_data(file.read_bytes(), overwrite=True)
        return file.name

    def state(self, name: str) -> str:
        """Return the state of a file's run, read from the lake's folder to avoid requests."""
        for place in ("active", "runs"):
            for path in (self.config.lake_folder / "manifest" / place).rglob("*.json"):
                text = path.read_text()
                if f'"landing/users/{name}"' in text:
                    return text.partition('"state": "')[2].partition('"')[0]
        return "unknown"

    def active(self) -> int:
        """Return the number of runs that are not archived."""
        return len(list((self.config.lake_folder / "manifest" / "active").glob("*.json")))

    def tick(self) -> None:
        """What the timer would do."""
        reply = self.http.post(
            "/admin/functions/reconcile",
            json={"input": ""},
            headers={"x-functions-key": self.config.master_key},
        )
        reply.raise_for_status()

    def requests(self) -> dict[str, Any]:
        """Return the request counts of the lake."""
        counts: dict[str, Any] = httpx.get(self._counter).json()
        return counts

    def reset_counts(self) -> None:
        """Reset the request counts."""
        httpx.delete(self._counter).raise_for_status()

    @property
    def _counter(self) -> str:
        return f"{self.config.url('lake')}/_devcloud/requests"

    def jobs_ended(self) -> int:
        """Return the number of ended job runs."""
        host = self.config.url("databricks")
        token = {"Authorization": f"Bearer {self.config.databricks_token}"}
        url = f"{host}/api/2.2/jobs/runs/list"
        runs = httpx.get(url, headers=token, params={"completed_only": "true"}).json()
        return len(runs.get("runs", []))


def wait(condition: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def one_drop(bench: ControlBench, file: Path) -> float:
    """Take a drop from landing to gold; return the seconds from upload to `succeeded`."""
    before = bench.jobs_ended()
    began = time.perf_counter()
    name = bench.drop(file)
    wait(lambda: bench.jobs_ended() > before, f"the load of {name}")
    bench.tick()
    wait(lambda: bench.state(name) in FINAL, f"{name} to end")
    if bench.state(name) != "succeeded":
        sys.exit(f"{name} ended as {bench.state(name)}")
    return time.perf_counter() - began


def burst(bench: ControlBench, files: list[Path]) -> float:
    """Upload many drops at once, with a tick every `TICK` seconds; return the seconds."""
    began = ticked = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(bench.drop, files))

    def is_done() -> bool:
        nonlocal ticked
        if time.perf_counter() - ticked > TICK:
            ticked = time.perf_counter()
            bench.tick()
        return not bench.active()

    wait(lambda: bench.requests()["by_caller"].get("landfall", 0) > len(names), "the events")
    wait(is_done, f"{len(names)} drops to end", 900)
    ended = Counter(bench.state(name) for name in names)
    if ended != {"succeeded": len(names)}:
        sys.exit(f"not all succeeded: {dict(ended)}")
    return time.perf_counter() - began


def show(counted: dict[str, Any], drops: int) -> None:
    """Print total requests and requests per drop, by caller and operation."""
    print("  storage requests by caller:")
    for caller, number in sorted(counted["by_caller"].items()):
        print(f"    {number:>6} {number / drops:>7.2f} a drop  {caller}")
    print("  of the service, by operation:")
    for operation, number in sorted(counted["by_operation"].items(), key=lambda item: -item[1]):
        if operation.startswith("landfall "):
            name = operation.removeprefix("landfall ")
            print(f"    {number:>6} {number / drops:>7.2f} a drop  {name}")


def drops(cloud: Path, size: int) -> None:
    """Measure a single drop, then a burst of drops."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = [root / f"users-{seed}.csv" for seed in range(size + 2)]
        for seed, file in enumerate(files):
            write_users(file, 1000 if seed < 2 else 20, seed + 1)
        config = create(cloud, REPOSITORY, settings={"LANDFALL_TICK": NEVER})
        with Supervisor(config):
            deploy_all(config, lambda _: None)
            bench = ControlBench(config)
            one_drop(bench, files[0])
            bench.reset_counts()
            seconds = one_drop(bench, files[1])
            time.sleep(0.5)  # the last request of the run is under way when its state is seen
            single = bench.requests()
            bench.reset_counts()
            lasted = burst(bench, files[2:])
            time.sleep(0.5)
            together = bench.requests()
    print(f"one drop of 1,000 users, Spark warm: {seconds:.1f} s from upload to succeeded,")
    print("  with the one tick that sees its load end")
    show(single, 1)
    print(f"a burst of {size} drops of 20 users: {lasted:.1f} s, a tick every {TICK} s")
    show(together, size)


def main() -> None:
    """Measure and print the chosen sections."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control")
    parser.add_argument("sections", nargs="*", metavar="drops|ticks|list|claims")
    for name, size in (("burst", 100), ("active", 10_000), ("runs", 100_000), ("claims", 300)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--days", type=int, default=3, help="over which the runs have landed")
    options = parser.parse_args()
    sections: dict[str, Callable[[Path], None]] = {
        "drops": lambda root: drops(root, options.burst),
        "ticks": lambda root: register.ticks(root, options.active),
        "list": lambda root: register.listing(root, options.runs, options.days),
        "claims": lambda root: register.claims(root, options.claims),
    }
    unknown = set(options.sections) - set(sections)
    if unknown:
        parser.error(f"no section {min(unknown)!r}: there are {', '.join(sections)}")
    for name in options.sections or sections:
        with tempfile.TemporaryDirectory() as folder:
            sections[name](Path(folder) / "cloud")


if __name__ == "__main__":
    main()
