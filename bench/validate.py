"""Validation against the time it takes DuckDB to read all columns of the same file.

    pip install -r requirements-bench.txt
    python bench/validate.py [--rows 1000000] [--runs 3] [--peers]

Whole processes, started in turn; the smallest wall time of each counts, and ratios are printed.
The first verdict on a file of 10 KB is measured beside. Peers are those of pandera (on polars),
Great Expectations, frictionless and datacontract-cli that are installed; each is given the types,
required values and the unique key of the same table, of up to 100,000 rows.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from marketplace import break_records, write_users
from marketplace.breakers import DAMAGES

REPOSITORY = Path(__file__).resolve().parents[1]
DIRTY = 0.004
_BASE = 100_000

READ = """
import duckdb, sys
connection = duckdb.connect()
connection.execute("set threads = 2")
names = open(sys.argv[1]).readline().strip().split(",")
counts = ", ".join(f'count("{name}")' for name in names)
connection.execute(
    f"select {counts} from read_csv('{sys.argv[1]}', all_varchar = true, header = true)"
).fetchall()
"""
TYPED = READ.replace("all_varchar = true, ", "")
JUDGE = """
import sys
from pathlib import Path
from ingest.contracts import parse
from ingest.validate import validate
from ingest.validate.local import FileOutputs, FileSource
contract = parse(Path("contracts/users.odcs.yaml").read_text(), file="users")
clean = Path(sys.argv[2]) if len(sys.argv) > 2 else None
source, outputs = FileSource(Path(sys.argv[1])), FileOutputs(clean=clean)
report = validate(source, contract, name="users.csv", outputs=outputs)
print(report.verdict, report.rows, report.rejected)
"""
PANDERA = """
import sys
import pandera.polars as pa
import polars as pl
pa.DataFrameSchema({
    "identifierHash": pa.Column(pl.Int64, unique=True),
    "socialNbFollowers": pa.Column(pl.Int64, pa.Check.ge(0)),
    "language": pa.Column(pl.String, pa.Check.isin(["de", "en", "es", "fr", "it"])),
    "countryCode": pa.Column(pl.String, pa.Check.str_matches("^[a-z]{2}$")),
}).validate(pl.read_csv(sys.argv[1]), lazy=True)
"""
FRICTIONLESS = """
import sys
from frictionless import Resource, Schema, system
schema = Schema.from_descriptor({"fields": [
    {"name": name, "type": kind, "constraints": {"required": True}} for name, kind in
    [(name, "string") for name in open(sys.argv[1]).readline().strip().split(",")]
], "primaryKey": ["identifierHash"]})
with system.use_context(trusted=True):
    Resource(path=sys.argv[1], schema=schema).validate()
"""
GREAT_EXPECTATIONS = """
import sys
import great_expectations as gx
import pandas as pd
context = gx.get_context(mode="ephemeral")
frame = pd.read_csv(sys.argv[1])
batch = context.data_sources.add_pandas("p").add_dataframe_asset("a")
batch = batch.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
suite = gx.ExpectationSuite("s")
suite.add_expectation(gx.expectations.ExpectColumnValuesToBeUnique(column="identifierHash"))
for name in frame.columns:
    suite.add_expectation(gx.expectations.ExpectColumnValuesToNotBeNull(column=name))
batch.validate(suite)
"""
DATACONTRACT = """
import sys
from datacontract.data_contract import DataContract
from pathlib import Path
text = Path("contracts/users.odcs.yaml").read_text()
at = text.index("servers:"), text.index("schema:")
server = f"servers: [{{server: l, type: local, path: {sys.argv[1]}, format: csv}}]\\n"
DataContract(data_contract_str=text[:at[0]] + server + text[at[1]:], server="l").test()
"""
PEERS = {
    "pandera": ("pandera on polars", PANDERA),
    "great_expectations": ("Great Expectations", GREAT_EXPECTATIONS),
    "frictionless": ("frictionless", FRICTIONLESS),
    "datacontract": ("datacontract-cli", DATACONTRACT),
}


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds of wall and of processors, MB of memory at the peak."""

    wall: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:7.2f} s wall {self.cpu:7.2f} s CPU {self.memory:6.0f} MB"


def cost(code: str, *arguments: Path | str) -> Cost:
    """Of one fresh process."""
    began = time.perf_counter()
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {code}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - began, cpu, usage.ru_maxrss / 1024)


def in_turn(runs: int, work: dict[str, tuple[str, ...]]) -> dict[str, Cost]:
    """The cheapest run of each, after one round that only warms the caches."""
    found: dict[str, list[Cost]] = {name: [] for name in work}
    for run in range(runs + 1):
        for name, (code, *arguments) in work.items():
            once = cost(code, *arguments)
            if run:
                found[name].append(once)
    return {name: min(costs, key=lambda one: one.wall) for name, costs in found.items()}


def write_many(path: Path, rows: int) -> None:
    """Users with identifiers of their own; beyond the first 100,000 only these differ."""
    import numpy as np  # noqa: PLC0415 - not in the process that measures

    base = path.with_name("base.csv")
    write_users(base, min(rows, _BASE), 7)
    header, *lines = base.read_text(encoding="utf-8").splitlines()
    tails = [line.partition(",")[2] for line in lines]
    # An odd factor makes every number below 2**64 another one.
    with np.errstate(over="ignore"), path.open("w", encoding="utf-8", newline="") as file:
        file.write(header + "\n")
        for start in range(0, rows, len(tails)):
            count = min(len(tails), rows - start)
            numbers = np.arange(start + 1, start + 1 + count, dtype=np.uint64)
            mixed = (numbers * np.uint64(0x9E3779B97F4A7C15)).view(np.int64).tolist()
            pairs = zip(mixed, tails, strict=False)
            file.writelines(f"{number},{tail}\n" for number, tail in pairs)


def _apart(work: Callable[..., object], *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit("the data could not be written")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("LANDFALL_BENCH")) as folder:
        clean, dirty, small = (Path(folder) / f"{name}.csv" for name in ("clean", "dirty", "small"))
        # In processes of their own: a child's peak begins with its parent's memory.
        _apart(write_many, clean, said.rows)
        counts = dict.fromkeys(DAMAGES, max(1, int(said.rows * DIRTY) // len(DAMAGES)))
        _apart(break_records, clean, dirty, counts, 3)
        with clean.open("rb") as file:
            small.write_bytes(b"".join(islice(file, 90)))
        out = str(Path(folder) / "out.csv")
        size = clean.stat().st_size / 1e6
        print(
            f"{said.rows:,} users, {size:,.0f} MB; dirty: {sum(counts.values()):,} faulty records"
        )
        found = in_turn(
            said.runs,
            {
                "DuckDB reads all columns as text": (READ, str(clean)),
                "DuckDB reads all columns, typed": (TYPED, str(clean)),
                "clean": (JUDGE, str(clean)),
                "dirty": (JUDGE, str(dirty)),
                "dirty, clean copy written": (JUDGE, str(dirty), out),
                "10 KB": (JUDGE, str(small)),
            },
        )
        for name, one in found.items():
            print(f"{name:<34}{one}")
        floor, ours = found["DuckDB reads all columns as text"], found["clean"]
        print(f"clean / DuckDB {ours.wall / floor.wall:.2f}  (CPU {ours.cpu / floor.cpu:.2f})")
        typed = found["DuckDB reads all columns, typed"]
        print(
            f"clean / DuckDB typed {ours.wall / typed.wall:.2f}  (CPU {ours.cpu / typed.cpu:.2f})"
        )
        bad, written = found["dirty"], found["dirty, clean copy written"]
        print(f"dirty / clean {bad.wall / ours.wall:.2f}  (CPU {bad.cpu / ours.cpu:.2f})")
        print(f"dirty, clean copy written / DuckDB {written.wall / floor.wall:.2f}")
        if said.peers:
            peers(Path(folder), min(said.rows, 100_000))


def peers(folder: Path, rows: int) -> None:
    """Those that are installed, once each."""
    clean = folder / "peers.csv"
    _apart(write_many, clean, rows)
    ours = in_turn(1, {"ours": (JUDGE, str(clean))})["ours"]
    print(f"{rows:,} users: {ours}")
    for module, (name, code) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{name}: not installed")
            continue
        theirs = cost(code, clean)
        print(f"{name:<34}{theirs}, {theirs.wall / ours.wall:.1f} times ours")


if __name__ == "__main__":
    main()
