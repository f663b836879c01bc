"""Measures a cold start: importing the app, compared to the two SDKs that it needs.

    python benchmarks/imports.py [RUNS]

Prints the median of whole-process wall times, in turn, and their ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# Modules are compiled once and kept, as where the app is deployed.
ENV = {name: kept for name, kept in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
FLOOR = "import azure.functions, azure.storage.filedatalake"
APP = "import function_app"
LATER = ("azure.mgmt.datafactory", "databricks.sdk", "polars", "pandas", "pydantic", "pyspark")


def seconds(statement: str) -> float:
    """Return the wall time of a new process that runs one statement."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], cwd=REPOSITORY, check=True, env=ENV)
    return time.perf_counter() - began


def main(runs: int) -> None:
    """Measure and print."""
    seconds(FLOOR), seconds(APP)  # bytecode and page cache
    pairs = [(seconds(FLOOR), seconds(APP)) for _ in range(runs)]
    floor, app = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"{FLOOR:<55} {floor:.3f} s")
    print(f"{APP:<55} {app:.3f} s")
    print(f"{'ratio (median of pairs)':<55} {ratio:.2f}")
    check = f"{APP}, sys; print([m for m in {LATER!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", check], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    print(f"{'modules loaded too early':<55} {loaded.stdout.strip()}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
