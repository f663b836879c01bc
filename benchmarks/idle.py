"""What a system at rest asks for: `python -m benchmarks.idle`.

Starts the lake and the functions host of a local cloud with nothing in them, lets the timer strike
as often as it does there, and counts executions and requests to the lake. A month is 30 days; how
often a schedule strikes in it follows from the schedule itself.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from devcloud.config import create
from devcloud.functions.timers import Schedule
from devcloud.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[1]
MONTH = timedelta(days=30)
GB = 2
FREE_GB_SECONDS = 100_000
SCHEDULES = {
    "each 10 seconds (a laptop)": "*/10 * * * * *",
    "each 30 seconds": "*/30 * * * * *",
    "each minute (until now)": "0 * * * * *",
    "each 5 minutes (infra/main.bicep)": "0 */5 * * * *",
}
COUNTED = "*/2 * * * * *"


def executions(schedule: str) -> int:
    """Return how often a schedule strikes in a month."""
    now = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    timer, count, end = Schedule(schedule), 0, now + MONTH.total_seconds()
    while (now := timer.next_after(now)) <= end:
        count += 1
    return count


def at_rest(seconds: float) -> tuple[int, int, Counter[str]]:
    """Return ticks of a local host at rest, those that it sent itself, and requests to the lake.

    The requests are by operation.
    """
    with tempfile.TemporaryDirectory() as name:
        config = create(Path(name), ROOT, settings={"LANDFALL_TICK": COUNTED})
        with Supervisor(config, services=("lake", "functions")):
            time.sleep(5)  # the first tick imports and reads contracts
            httpx.delete(f"{config.url('lake')}/_devcloud/requests").raise_for_status()
            time.sleep(seconds)
            log = httpx.get(f"{config.url('lake')}/_devcloud/requests/log").json()["requests"]
            queues = httpx.get(f"{config.url('functions')}/_devcloud/queues").json()["queues"]
            sent = sum(sum(counts.values()) for counts in queues.values())
    asked = [each for each in log if each["caller"] == "landfall"]
    ticks = sum("prefix=active/" in each["target"] for each in asked)  # each looks there once
    return ticks, sent, Counter(each["operation"] for each in asked)


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to count")
    ticks, sent, asked = at_rest(parser.parse_args().seconds)
    print(f"a tick at rest, of {ticks}: ", end="")
    print(", ".join(f"{count / ticks:.1f} {name}" for name, count in asked.most_common()))
    print(f"ticks that the app sends itself at rest: {sent}; the timer's schedule decides:")
    print(f"{'schedule':<36}{'executions':>12}{'GB-s':>10}{'beyond the free grant':>24}")
    for name, schedule in SCHEDULES.items():
        count = executions(schedule)
        beyond = max(0, count * GB - FREE_GB_SECONDS)
        print(f"{name:<36}{count:>12,}{count * GB:>10,}{beyond:>20,} GB-s")
    print("(each execution is billed for one second of 2 GB at least)")


if __name__ == "__main__":
    main()
