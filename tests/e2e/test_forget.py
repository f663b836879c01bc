"""`landfall forget`, for real: afterwards no byte of the lake has the subject.

All services run, the job deletes with Delta in Spark, and old versions go at once. Then every file
of every container is read as what it is (Parquet decoded, compressed files unpacked), and as text.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import zstandard
from deltalake import DeltaTable

from tests.e2e.conftest import REPOSITORY, Cloud, start, wait
from tests.e2e.drops import users

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

GONE = 90_417_733
"""No other number of these drops has these digits, and it is no extreme of its column."""
OTHERS = (*range(1, 60), 99_000_001)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud of its own: what is vacuumed at once is nobody else's."""
    yield from start(tmp_path_factory.mktemp("cloud"), {"LANDFALL_COPY_GRACE_SECONDS": "4"})


def places_of(root: Path, text: str) -> list[str]:
    """The files below a folder that say it, in whatever form they are written."""
    found = []
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        elif data.startswith(b"\x28\xb5\x2f\xfd"):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        shown = data.decode("utf-8", "replace")
        if data.startswith(b"PAR1"):
            shown += repr(pl.read_parquet(io.BytesIO(data)).rows())
        if text in shown:
            found.append(str(path.relative_to(root)))
    return found


def days_pass(table: Path) -> None:
    """Make a table's log three days older than it is, and its mark of the erasure too."""
    past = datetime.now(UTC) - timedelta(days=3)
    delta = DeltaTable(str(table))
    if "landfall.erased" in delta.metadata().configuration:
        delta.alter.set_table_properties(
            {"landfall.erased": f"{past:%Y-%m-%dT%H:%M:%SZ} 0"}, raise_if_not_exists=False
        )
    for each in (table / "_delta_log").iterdir():
        os.utime(each, (past.timestamp(), past.timestamp()))


def command(cloud: Cloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line against this cloud."""
    environment = {
        **os.environ,
        "LANDFALL_URL": cloud.config.url("functions"),
        "LANDFALL_KEY": cloud.config.function_key,
    }
    return subprocess.run(
        [sys.executable, "-c", "from landfall.cli.main import main; main()", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def succeeded(cloud: Cloud, run_id: str) -> None:
    """Wait until a run that was taken up again has succeeded."""

    def history() -> str:
        return str(cloud.details(run_id)["history"][-3:])

    wait(lambda: cloud.details(run_id)["state"] == "succeeded", 240, history)


def test_no_byte_of_the_lake_has_the_subject_afterwards(own: Cloud) -> None:
    """Two statements of it, a reject, a refused drop; silver, its history, gold and all files."""
    lake = own.config.lake_folder
    first = users([*OTHERS, GONE]) + users([GONE]).partition("\n")[2]
    own.land("landing/users/first.csv", first.encode())
    assert own.ended("landing/users/first.csv")["state"] == "succeeded"
    second = gzip.compress(users([*OTHERS, GONE], productsSold="2").encode())
    own.land("landing/users/second.csv.gz", second)
    assert own.ended("landing/users/second.csv.gz")["state"] == "succeeded"
    own.land("landing/users/third.csv", users([GONE, GONE + 1], gender="X").encode())
    assert own.ended("landing/users/third.csv")["state"] == "quarantined"
    before = {path.partition("/")[0] for path in places_of(lake, str(GONE))}
    assert before >= {"raw", "bronze", "silver", "quarantine"}
    gold_before = {p.name: DeltaTable(str(p)).version() for p in (lake / "gold").iterdir()}

    preview = command(own, "forget", "users", str(GONE), "--dry-run", "--json")
    assert json.loads(preview.stdout)["targets"][0]["in_silver"] == 1, preview.stderr
    done = command(
        own, "forget", "users", str(GONE), "--yes", "--wait", "--keep-hours", "0", "--json"
    )
    assert done.returncode == 0, done.stderr
    erasure = json.loads(done.stdout)
    assert erasure["stage"] == "done", erasure
    assert erasure["tables"]["rows"]["silver/users"] == 1
    assert erasure["tables"]["vacuum"]["deleted_files"] > 0

    # What Delta's log says of extremes goes with the log, by the nightly job of a later day.
    logs = [path for path in places_of(lake, str(GONE)) if "/_delta_log/" not in path]
    assert logs == []
    for table in (lake / "silver").iterdir():
        days_pass(table)
    nightly = command(own, "maintain", "--data", str(own.config.root))
    assert nightly.returncode == 0, nightly.stderr
    assert places_of(lake, str(GONE)) == []
    silver = DeltaTable(str(lake / "silver" / "users")).to_pyarrow_table()
    assert set(silver["identifierHash"].to_pylist()) == set(OTHERS)
    assert silver.num_rows == len(OTHERS)
    gold = {p.name: DeltaTable(str(p)).version() for p in (lake / "gold").iterdir()}
    assert all(gold[name] > gold_before[name] for name in ("buyers_by_country",))

    # And it stays so: the old drops again, from raw and from bronze.
    for path, origin in (("first.csv", "raw"), ("second.csv.gz", "bronze")):
        run = own.run_of(f"landing/users/{path}")
        assert run is not None
        reply = own.ask("POST", f"/runs/{run['run_id']}/replay", json={"from": origin})
        assert reply.status_code == 202, reply.text
        succeeded(own, run["run_id"])
    assert places_of(lake, str(GONE)) == []

    again = command(own, "forget", "users", str(GONE), "--yes", "--wait", "--json")
    assert json.loads(again.stdout)["stage"] == "done", again.stderr
    assert json.loads(again.stdout)["places"] == {}
    assert json.loads(again.stdout)["subject"] == erasure["subject"]
