"""Measures validation against DuckDB reading the same file, and against other validators.

    pip install -r requirements-bench.txt
    make peers                                  # pandera, Great Expectations, frictionless,
                                                # datacontract-cli, in an environment of their own
    python -m benchmarks.validate [--rows 1000000] [--runs 3] [--large] [--no-peers]
    python -m benchmarks.validate --rules       # what each kind of rule costs: see rules.py

Whole processes are started in turn; the smallest wall time of each counts, and each ratio is
printed with its target. `--large` also measures ten times and twenty times the rows. The first
verdict is that of `landfall validate` on a file of 10 KB, from the start of the process.

Peers get the same contract, as far as they support it: types, required values, bounds, lists of
values, patterns and the unique key of all 24 columns. At the end generated files with ten kinds of
fault are validated with three seeds, and the detected faults are compared to the injected ones.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import rules
from landfall.contract.folder import parse
from landfall.validation import validate
from landfall.validation.local_files import FileOutputs, FileSource
from marketplace.generator import break_records, write_users
from marketplace.generator.breakers import DAMAGES

REPOSITORY = Path(__file__).resolve().parents[1]
PYTHON = Path(os.environ.get("LANDFALL_PEERS", REPOSITORY / ".venv-peers")) / "bin" / "python"
DIRTY = 0.004
_BASE = 100_000
_RULE_ROWS = 300_000

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
COPY = """
import duckdb, sys
connection = duckdb.connect()
connection.execute("set threads = 2")
connection.execute(
    f"copy (select * from read_csv('{sys.argv[1]}', header = true)) to '{sys.argv[2]}' "
    "(format parquet, compression zstd, compression_level 1)"
)
"""
VALIDATE = """
import sys
from pathlib import Path
from landfall.contract.folder import parse
from landfall.validation import validate
from landfall.validation.local_files import FileOutputs, FileSource
contract = parse(Path("marketplace/contracts/users.odcs.yaml").read_text(), file="users")
accepted = Path(sys.argv[2]) if len(sys.argv) > 2 else None
source, outputs = FileSource(Path(sys.argv[1])), FileOutputs(accepted=accepted)
report = validate(source, contract, name="users.csv", outputs=outputs)
print(report.verdict, report.rows, report.rejected)
"""
CONTRACT = """
import sys
import yaml
contract = yaml.safe_load(open("marketplace/contracts/users.odcs.yaml"))
properties = contract["schema"][0]["properties"]
def options(p):
    return p.get("logicalTypeOptions", {})
def values(p):
    return [entry["value"] for entry in p.get("enum", [])]
"""
PANDERA = (
    CONTRACT
    + """
import pandera.polars as pa
import polars as pl
types = {"integer": pl.Int64, "number": pl.Float64, "string": pl.String, "boolean": pl.Boolean}
def checks(p):
    o, listed = options(p), values(p)
    rules = [pa.Check.ge(o["minimum"])] if "minimum" in o else []
    rules += [pa.Check.le(o["maximum"])] if "maximum" in o else []
    rules += [pa.Check.isin(listed)] if listed else []
    rules += [pa.Check.str_matches(o["pattern"])] if "pattern" in o else []
    return rules
pa.DataFrameSchema({
    p["name"]: pa.Column(types[p["logicalType"]], checks(p), unique=p.get("unique", False),
                         nullable=not p.get("required", False))
    for p in properties
}).validate(pl.read_csv(sys.argv[1]), lazy=True)
"""
)
FRICTIONLESS = (
    CONTRACT
    + """
from frictionless import Resource, Schema, system
def constraints(p):
    o, listed = options(p), values(p)
    limits = {name: o[name] for name in ("minimum", "maximum") if name in o}
    if "pattern" in o:  # matches the whole value there
        limits["pattern"] = ".*(?:" + o["pattern"] + ").*"
    if listed:
        limits["enum"] = listed
    return limits | {"required": p.get("required", False), "unique": p.get("unique", False)}
schema = Schema.from_descriptor({"fields": [
    {"name": p["name"], "type": p["logicalType"], "constraints": constraints(p)}
    for p in properties
]})
with system.use_context(trusted=True):
    Resource(path=sys.argv[1], schema=schema).validate()
"""
)
GREAT_EXPECTATIONS = (
    CONTRACT
    + """
import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
frame = pd.read_csv(sys.argv[1])
batch = context.data_sources.add_pandas("p").add_dataframe_asset("a")
batch = batch.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
suite = gx.ExpectationSuite("s")
for p in properties:
    name, o, listed = p["name"], options(p), values(p)
    if p.get("required"):
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column=name))
    if p.get("unique"):
        suite.add_expectation(gxe.ExpectColumnValuesToBeUnique(column=name))
    if "minimum" in o:
        suite.add_expectation(gxe.ExpectColumnValuesToBeBetween(
            column=name, min_value=o["minimum"], max_value=o.get("maximum")))
    if listed:
        suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=listed))
    if "pattern" in o:
        suite.add_expectation(gxe.ExpectColumnValuesToMatchRegex(column=name, regex=o["pattern"]))
batch.validate(suite)
"""
)
DATACONTRACT = """
import sys
from datacontract.data_contract import DataContract
from pathlib import Path
text = Path("marketplace/contracts/users.odcs.yaml").read_text()
at = text.index("servers:"), text.index("schema:")
server = f"servers: [{{server: l, type: local, path: {sys.argv[1]}, format: csv}}]\\n"
DataContract(data_contract_str=text[:at[0]] + server + text[at[1]:], server="l").test()
"""
PEERS = {
    "Great Expectations": GREAT_EXPECTATIONS,
    "frictionless": FRICTIONLESS,
    "datacontract-cli": DATACONTRACT,
}
TEN = (
    *("bad_type", "bad_number", "bad_boolean", "bad_enum", "bad_pattern", "missing_required"),
    *("below_range", "duplicate_key", "short_record", "bad_bytes"),
)


@dataclass(frozen=True)
class Cost:
    """Cost of a process: wall seconds, processor seconds, peak memory in MB."""

    wall: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:7.2f} s wall {self.cpu:7.2f} s CPU {self.memory:6.0f} MB"


@dataclass(frozen=True)
class Figure:
    """A ratio or a size with its target: at most, or with `least` at least."""

    name: str
    value: float
    aim: float
    unit: str = "x"
    least: bool = False

    def __str__(self) -> str:
        kept = self.value >= self.aim if self.least else self.value <= self.aim
        word = "at least" if self.least else "at most"
        text = f"{self.value:8.2f} {self.unit:<3} {word} {self.aim:g}"
        return f"{self.name:<52}{text}  {'kept' if kept else 'MISSED'}"


def cost(code: str, *arguments: Path | str, python: Path = Path(sys.executable)) -> Cost:
    """Return the cost of a new process."""
    # Modules are compiled once and kept, as those of any package that is installed.
    env = {name: kept for name, kept in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [str(python), "-c", code, *map(str, arguments)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, env=env | {"PYTHONPATH": "."}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {code}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - began, cpu, usage.ru_maxrss / 1024)


def in_turn(runs: int, work: dict[str, tuple[str, ...]]) -> dict[str, Cost]:
    """Return the cheapest run of each, after one round that warms the caches."""
    costs_by_name: dict[str, list[Cost]] = {name: [] for name in work}
    for run in range(runs + 1):
        for name, (code, *arguments) in work.items():
            once = cost(code, *arguments)
            if run:
                costs_by_name[name].append(once)
    return {name: min(costs, key=lambda item: item.wall) for name, costs in costs_by_name.items()}


def write_many(path: Path, rows: int) -> None:
    """Write users with unique identifiers; after the first 100,000 only the identifiers differ."""
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


def _in_process(work: Callable[..., object], *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit("the data could not be written")


def against_duckdb(folder: Path, rows: int, runs: int, aims: tuple[float, ...]) -> list[Figure]:
    """Compare to DuckDB, clean and dirty; `aims` are for clean, dirty, and with Parquet written."""
    clean, dirty = folder / "clean.csv", folder / "dirty.csv"
    # In separate processes: the peak of a child starts with its parent's memory.
    _in_process(write_many, clean, rows)
    counts = dict.fromkeys(DAMAGES, max(1, int(rows * DIRTY) // len(DAMAGES)))
    _in_process(break_records, clean, dirty, counts, 3)
    size = clean.stat().st_size / 1e6
    print(f"\n{rows:,} users, {size:,.0f} MB; dirty: {sum(counts.values()):,} faulty records")
    costs = in_turn(
        runs,
        {
            "DuckDB reads all columns as text": (READ, str(clean)),
            "DuckDB reads all columns, typed": (TYPED, str(clean)),
            "clean": (VALIDATE, str(clean)),
            "dirty": (VALIDATE, str(dirty)),
            "DuckDB copies to typed Parquet": (COPY, str(clean), str(folder / "out.parquet")),
            "clean, Parquet written": (VALIDATE, str(clean), str(folder / "out.parquet")),
            "dirty, Parquet written": (VALIDATE, str(dirty), str(folder / "out.parquet")),
        },
    )
    for name, item in costs.items():
        print(f"{name:<34}{item}")
    text_only, clean_cost = costs["DuckDB reads all columns as text"], costs["clean"]
    typed = costs["DuckDB reads all columns, typed"]
    print(f"{'clean / DuckDB typed':<34}{clean_cost.wall / typed.wall:7.2f} x wall")
    print(f"{'clean / DuckDB, CPU':<34}{clean_cost.cpu / text_only.cpu:7.2f} x CPU")
    of = f"{rows:,} rows"
    written, copied = costs["clean, Parquet written"], costs["DuckDB copies to typed Parquet"]
    print(f"{'Parquet written / DuckDB, CPU':<34}{written.cpu / copied.cpu:7.2f} x CPU")
    figures = [
        Figure(f"clean / DuckDB, {of}", clean_cost.wall / text_only.wall, aims[0]),
        Figure(f"dirty / clean, {of}", costs["dirty"].wall / clean_cost.wall, aims[1]),
        Figure(f"verdict and typed Parquet / DuckDB, {of}", written.wall / copied.wall, aims[2]),
        Figure(f"memory of verdict and typed Parquet, {of}", written.memory, 400, "MB"),
    ]
    for path in (clean, dirty, folder / "out.parquet"):
        path.unlink()
    return figures


def memory(folder: Path, rows: int) -> list[Figure]:
    """Measure peak memory, and what twice the rows add without 16 bytes a key."""
    peaks = []
    for count in (rows, 2 * rows):
        path = folder / "many.csv"
        _in_process(write_many, path, count)
        peaks.append(cost(VALIDATE, path).memory)
        print(f"{count:,} rows: {peaks[-1]:.0f} MB at the peak")
        path.unlink()
    added = peaks[1] - peaks[0] - 16 * rows / 1e6
    return [
        Figure(f"peak of memory, {rows:,} rows", peaks[0], 350, "MB"),
        Figure(f"memory that {rows:,} more rows add, without keys", added, 20, "MB"),
    ]


def first_verdict(folder: Path, runs: int) -> list[Figure]:
    """Measure the whole command on a small file."""
    small = folder / "small.csv"
    _in_process(write_users, small, 90, 7)
    code = "from landfall.cli.main import landfall; landfall()"
    arguments = ("validate", str(small), "--dataset", "users")
    cheapest = in_turn(runs, {"first": (code, *arguments)})["first"]
    kilobytes = small.stat().st_size / 1e3
    return [Figure(f"first verdict on {kilobytes:.0f} KB", cheapest.wall, 0.6, "s")]


def peers(folder: Path, rows: int, runs: int) -> list[Figure]:
    """Measure peers of `make peers`: pandera at all rows, slower ones at 100,000 at most."""
    if not PYTHON.exists():
        print("\nno peers: run `make peers` to compare with them")
        return []
    figures = []
    for count, programs, aim in ((rows, {"pandera on polars": PANDERA}, 2.5), (_BASE, PEERS, 10.0)):
        path = folder / "peers.csv"
        count = min(rows, count)  # noqa: PLW2901 - a small measurement stays small
        _in_process(write_many, path, count)
        landfall_cost = in_turn(runs, {"landfall": (VALIDATE, str(path))})["landfall"]
        print(f"\n{'landfall, ' + format(count, ',') + ' rows':<34}{landfall_cost}")
        for name, code in programs.items():
            cheapest = min(
                (cost(code, path, python=PYTHON) for _ in range(2)), key=lambda c: c.wall
            )
            print(f"{name:<34}{cheapest}")
            of = f"{name} / landfall, {count:,} rows"
            figures.append(Figure(of, cheapest.wall / landfall_cost.wall, aim, least=True))
        path.unlink()
    return figures


def exactness(folder: Path, rows: int) -> list[Figure]:
    """Count missed and false faults, over three seeds."""
    good, bad, out = (folder / name for name in ("good.csv", "bad.csv", "rejects.csv"))
    contract = parse(
        (REPOSITORY / "marketplace/contracts/users.odcs.yaml").read_text(), file="users"
    )
    wrong = injected_in_all = 0
    for seed in (1, 2, 3):
        write_users(good, rows, seed)
        injected = break_records(good, bad, dict.fromkeys(TEN, max(1, rows // 1000)), seed)
        validate(FileSource(bad), contract, name="users.csv", outputs=FileOutputs(rejects=out))
        reasons = out.with_name("rejects.csv.reasons.jsonl").read_text().splitlines()
        detected = {
            (reason["line"], fault["rule"], fault["column"])
            for reason in map(json.loads, reasons)
            for fault in reason["faults"]
        }
        wrong += len(detected ^ {(fault.line, fault.rule, fault.column) for fault in injected})
        injected_in_all += len(injected)
    return [Figure(f"missed or invented, of {injected_in_all:,} faults", wrong, 0, "")]


def rule_costs(rows: int, runs: int) -> None:
    """Print what each kind of rule costs on top of a contract with types alone."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("LANDFALL_BENCH")) as name:
        costs = rules.measure(Path(name), rows, runs)
    print(f"{rows:,} records, CPU as a multiple of types alone: verdict, then with typed Parquet")
    for rule, both in costs.items():
        kept = "kept" if max(both) <= rules.MOST else f"MISSED, at most {rules.MOST:g}"
        print(f"{rule:<34}{both[0]:8.2f} x{both[1]:8.2f} x  {kept}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="also ten and twenty times the rows")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--rules", action="store_true", help="only what each kind of rule costs")
    options = parser.parse_args()
    if options.rules:
        rule_costs(min(options.rows, _RULE_ROWS), options.runs)
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("LANDFALL_BENCH")) as name:
        folder = Path(name)
        figures = against_duckdb(folder, options.rows, options.runs, (1.3, 1.3, 1.3))
        if options.large:
            figures += against_duckdb(folder, 10 * options.rows, 1, (2.2, 1.3, 1.5))
            figures += memory(folder, 10 * options.rows)
        figures += first_verdict(folder, options.runs)
        if not options.no_peers:
            figures += peers(folder, options.rows, options.runs)
        figures += exactness(folder, max(1000, options.rows // 20))
    print("\nFigures")
    for figure in figures:
        print(figure)


if __name__ == "__main__":
    main()
