"""Measures the Spark jobs against a minimal baseline, as ratios of one run.

    python -m benchmarks.etl [--rows 98913] [--only small,warm,duckdb,drops,batches,replay]

small     one drop of 200 users on a warm session, task by task, served too: seconds, seconds of the
          processor, Spark jobs; beside one bare Delta MERGE and one bare overwrite of a gold table.

warm      a batch of users from bronze to gold, compared to one Delta MERGE of that batch and one
          Delta overwrite per gold table, in turn. At most 1.6x. Measured once with an empty silver
          table, and once with every user restated and a tenth of them changed; the second costs
          more, because the contract keeps history.
duckdb    the same work compared to DuckDB: newest record per key to Parquet, the same gold
          statements to Parquet. With ten million rows at most 6x; peak memory of the JVM at most
          4.5 GB.
drops     a hundred small drops in one batch, compared to one at a time: per drop at most 1/20.
batches   the 10th, 50th and 100th of small batches compared to the first ones, each with its share
          of maintenance: at most 1.5x.
replay    all drops loaded again from bronze, as one batch: gold must have the same values.

With a million users and more, `--rounds 1 --only warm,duckdb` is enough and takes minutes.
Times are noisy on a busy machine; ratios less so. DuckDB is in requirements-bench.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from devcloud.config import DATABASE, create
from devcloud.databricks.spark import build_session
from devcloud.supervisor import Supervisor
from landfall.contract.folder import load_folder
from landfall.gold import GoldFolder, read_gold
from marketplace.generator import generate_users
from marketplace.generator.users import NEVER
from spark_jobs import maintain
from spark_jobs.gold import build as build_gold
from spark_jobs.gold.definitions import GoldDefinition, parse, reached, view_of
from spark_jobs.serving import serve
from spark_jobs.silver import load as load_silver

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE = load_folder(REPOSITORY / "marketplace" / "contracts")["users"].table()
KEY = "identifierHash"
PARTS = ("small", "warm", "duckdb", "drops", "batches", "replay")
SEEDED = 20_000
SMALL = 50
ONE_DROP = 200
# From so many users on Spark runs as its README says for batches of millions of rows.
LARGE = 1_000_000
# Batches before the first that counts; how many the median of "the first" or "the hundredth" is of;
# how many batches pass between two nights.
WARMING = 3
NEAR = 5
UPKEEP_EVERY = 50
ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}


class BenchLake:
    """A lake in a folder, and the jobs run on it."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark = spark
        self.root = root
        self.template = f"file://{root}/{{container}}"
        self._number = 0
        definitions = root / "manifest/definitions/gold.json"
        definitions.parent.mkdir(parents=True, exist_ok=True)
        definitions.write_bytes(marketplace_gold().document())

    def drop(self, rows: pa.Table) -> dict[str, Any]:
        """Write a drop to bronze, landed after all earlier ones."""
        self._number += 1
        run = f"r{self._number:06}"
        folder = self.root / "bronze/users" / run
        folder.mkdir(parents=True)
        file = folder / "data.parquet"
        pq.write_table(rows, file)
        landed = f"2026-11-{1 + self._number // 86400:02}T{self._number // 3600 % 24:02}"
        landed += f":{self._number // 60 % 60:02}:{self._number % 60:02}Z"
        return {
            "run_id": run,
            "bronze": f"bronze/users/{run}",
            "rows": rows.num_rows,
            "size": file.stat().st_size,
            "files": 1,
            "landed_at": landed,
        }

    def batch(self, drops: Sequence[dict[str, Any]], batch_id: str) -> list[str]:
        """Write the document of a batch; what its tasks are started with."""
        path = self.root / "manifest/batches/users/current.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {"schema": 1, "batch_id": batch_id, "dataset": "users", "table": TABLE}
        path.write_text(json.dumps(head | {"drops": list(drops)}))
        arguments = ["--lake", self.template, "--dataset", "users", "--batch-id", batch_id]
        return [*arguments, "--batch", "manifest/batches/users/current.json"]

    def load(self, drops: Sequence[dict[str, Any]], batch_id: str) -> None:
        """Both tasks, bronze to gold."""
        arguments = self.batch(drops, batch_id)
        with contextlib.redirect_stdout(io.StringIO()):
            load_silver.main(arguments)
            build_gold.main(arguments)

    def maintain(self) -> None:
        """Run the nightly maintenance."""
        with contextlib.redirect_stdout(io.StringIO()):
            maintain.main(["--lake", self.template, "--keep-days", "7"])

    def gold(self) -> dict[str, list[dict[str, Any]]]:
        """Return every gold table, sorted."""
        tables = {}
        for path in sorted((self.root / "gold").iterdir()):
            rows = DeltaTable(str(path)).to_pyarrow_table().to_pylist()
            tables[path.name] = sorted(rows, key=repr)
        return tables

    def delete_tables(self) -> None:
        """Delete silver and gold; keep bronze."""
        for name in ("silver", "gold", "manifest/results"):
            shutil.rmtree(self.root / name, ignore_errors=True)


def users(count: int, *, first: int = 0, changed: float = 0.0) -> pa.Table:
    """Return `count` users with ids from `first` on, a share of them with changed values."""
    schema = pa.schema([(c["name"], ARROW[c["type"]]) for c in TABLE["columns"]])
    seeded = pa.Table.from_pylist(
        [_validated(user._asdict()) for user in generate_users(min(count, SEEDED), 5)], schema
    )
    rows = pa.concat_tables([seeded] * -(-count // SEEDED)).slice(0, count)
    ids = (np.arange(first, first + count, dtype=np.int64) * 2654435761) % 2**62
    rows = rows.set_column(0, KEY, pa.array(ids))
    if changed:
        place = rows.schema.get_field_index("productsWished")
        more = np.arange(count) % round(1 / changed) == 0
        wished = np.asarray(rows.column(place)) + more
        rows = rows.set_column(place, "productsWished", pa.array(wished))
    return rows


def _validated(user: dict[str, Any]) -> dict[str, Any]:
    """Return a user as validation stores it."""
    never = user["daysSinceLastLogin"] == NEVER
    return user | {"daysSinceLastLogin": None} if never else user


def seconds(what: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def floor(
    spark: SparkSession,
    root: Path,
    drop: dict[str, Any],
    lake: BenchLake,
    tables: int | None = None,
) -> None:
    """One MERGE of a batch and one overwrite per gold table, or of some, one after the other.

    It has a separate session with the defaults of Spark and Delta.
    """
    spark = spark.newSession()
    table = f"delta.`file://{root}/users`"
    source = spark.read.parquet(f"file://{lake.root}/{drop['bronze']}")
    if not (root / "users").exists():
        source.limit(0).write.format("delta").save(f"file://{root}/users")
    source.createOrReplaceTempView("bench_batch")
    spark.sql(
        f"MERGE INTO {table} AS old USING bench_batch AS new ON old.{KEY} = new.{KEY} "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    ).collect()
    silver = spark.read.format("delta").load(f"file://{root}/users")
    silver.createOrReplaceTempView(view_of("silver/users"))
    for definition in user_tables()[:tables]:
        rows = spark.sql(definition.sql).coalesce(1)
        rows.write.format("delta").mode("overwrite").save(f"file://{root}/{definition.name}")


def marketplace_gold() -> GoldFolder:
    """The marketplace's gold tables."""
    folder = Path(__file__).resolve().parents[1] / "marketplace"
    return read_gold(folder / "gold", load_folder(folder / "contracts"))


def user_tables() -> list[GoldDefinition]:
    """The gold tables that are built from users alone."""
    definitions = parse(marketplace_gold().document().decode())
    return [each for each in reached(definitions, "users") if each.sources == ("silver/users",)]


Cost = tuple[float, float, int]
"""Seconds, seconds of the processor, Spark jobs."""


def cost(spark: SparkSession, what: Callable[[], object]) -> Cost:
    """What it costs."""
    scheduler = spark.sparkContext._jsc.sc().dagScheduler()  # noqa: SLF001 - counts jobs of all threads
    jobs, worked = scheduler.numTotalJobs(), processor_seconds(spark)
    with contextlib.redirect_stdout(io.StringIO()):
        lasted = seconds(what)
    return lasted, processor_seconds(spark) - worked, scheduler.numTotalJobs() - jobs


def small(spark: SparkSession, work: Path, rounds: int) -> None:
    """One small drop after the other, task by task, each beside the bare floor."""
    root = work / "small"
    lake = BenchLake(spark, root / "lake")
    config = create(work / "cloud", work)
    times: dict[str, list[Cost]] = {}
    served = ["--database", config.database_url, "--database-user", config.database_user]
    served += ["--database-secret", "bench/database"]
    password = mock.patch.object(serve, "read_secret", return_value=config.database_password)
    with Supervisor(config, services=[DATABASE]), password:
        for number in range(WARMING + rounds):
            drop = lake.drop(users(ONE_DROP, first=ONE_DROP * number))
            arguments = lake.batch([drop], f"b{number}")
            parts: dict[str, Callable[[], object]] = {
                "load_silver": partial(load_silver.main, arguments),
                "build_gold": partial(build_gold.main, arguments),
                "serve": partial(serve.main, [*arguments[:6], *served]),
                "floor": partial(floor, spark, root, drop, lake, tables=1),
            }
            for name, part in parts.items():
                times.setdefault(name, []).append(cost(spark, part))
    for which, first in (("second drop of the session", 1), ("a drop when warm", WARMING)):
        last = first + 1 if first == 1 else None
        medians = {name: _middle(costs[first:last]) for name, costs in times.items()}
        bare = medians.pop("floor")
        whole = tuple(sum(column) for column in zip(*medians.values(), strict=True))
        print(f"{which}: {ONE_DROP} users, nothing but inserts")
        for name, (lasted, worked, jobs) in {**medians, "all tasks": whole, "floor": bare}.items():
            print(f"  {name:42} {lasted:8.3f} s  {worked:7.3f} s CPU  {jobs:4.0f} Spark jobs")
        ratio("  beside one MERGE and one overwrite", whole[0], bare[0], None)
        ratio("  the same, CPU", whole[1], bare[1], None)


def _middle(costs: Sequence[Cost]) -> tuple[float, ...]:
    return tuple(statistics.median(column) for column in zip(*costs, strict=True))


def warm(spark: SparkSession, work: Path, rows: int, rounds: int) -> float:
    """Print both ratios; return the best time of the first load."""
    times: dict[str, list[float]] = {"first": [], "restated": [], "floor 1": [], "floor 2": []}
    for number, size in enumerate([min(rows, LARGE), *[rows] * rounds]):
        root = work / f"warm-{number}"
        lake = BenchLake(spark, root / "lake")
        drops = lake.drop(users(size)), lake.drop(users(size, changed=0.1))
        measured = [
            seconds(partial(lake.load, [drops[0]], "b1")),
            seconds(partial(lake.load, [drops[1]], "b2")),
            *(seconds(partial(floor, spark, root, drop, lake)) for drop in drops),
        ]
        if number:  # the first warms up, as a cluster is that has loaded batches before
            for name, value in zip(times, measured, strict=True):
                times[name].append(value)
        shutil.rmtree(root)
    best = {name: min(values) for name, values in times.items()}
    for name, under in (("first", "floor 1"), ("restated", "floor 2")):
        ratio(f"warm, {rows:,} users, {name}", best[name], best[under], 1.6)
    return best["first"]


def duckdb_peer(work: Path, rows: int, landfall_seconds: float, rounds: int) -> None:
    """Measure the same work with DuckDB."""
    import duckdb  # noqa: PLC0415 - only this part needs it
    import sqlglot  # noqa: PLC0415 - likewise

    folder = work / "duckdb"
    folder.mkdir()
    pq.write_table(users(rows), folder / "bronze.parquet")

    def run() -> None:
        connection = duckdb.connect()
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{folder}/bronze.parquet') QUALIFY "  # noqa: S608
            f"row_number() OVER (PARTITION BY {KEY} ORDER BY {KEY}) = 1) "
            f"TO '{folder}/silver.parquet'"
        )
        connection.execute(
            f"CREATE VIEW silver_users AS SELECT * FROM read_parquet('{folder}/silver.parquet')"  # noqa: S608
        )
        for definition in user_tables():
            (sql,) = sqlglot.transpile(definition.sql, read="databricks", write="duckdb")
            connection.execute(f"COPY ({sql}) TO '{folder}/{definition.name}.parquet'")

    run()
    duckdb_seconds = min(seconds(run) for _ in range(rounds))
    ratio(
        f"DuckDB, {rows:,} users",
        landfall_seconds,
        duckdb_seconds,
        6.0 if rows >= 10_000_000 else None,
    )


def drops(spark: SparkSession, work: Path, count: int) -> None:
    """Measure many small drops in one batch, and some of them one at a time."""
    lake = BenchLake(spark, work / "drops")
    lake.load([lake.drop(users(SMALL))], "warm")
    small = [lake.drop(users(SMALL, first=1000 + SMALL * number)) for number in range(count)]
    together = seconds(lambda: lake.load(small, "all")) / count
    singles = [lake.drop(users(SMALL, first=10**6 + SMALL * number)) for number in range(5)]
    single = statistics.median(
        seconds(partial(lake.load, [drop], f"one-{n}")) for n, drop in enumerate(singles)
    )
    ratio(f"a drop of {count} in one batch / a single drop", together, single, 1 / 20)


def batches(spark: SparkSession, work: Path, rows: int, count: int) -> None:
    """Measure small batches one after the other on a large table, with their share of maintenance.

    Processor seconds are also shown: they are more reliable on a busy machine.
    """
    lake = BenchLake(spark, work / "batches")
    lake.load([lake.drop(users(rows))], "base")
    for number in range(WARMING):
        lake.load([lake.drop(users(SMALL, changed=0.5))], f"warm-{number}")
    times, worked, maintenance_time, maintenance_cpu = [], [], 0.0, 0.0
    for number in range(count):
        drop = lake.drop(users(SMALL, first=SMALL * number, changed=0.5))
        before = processor_seconds(spark)
        times.append(seconds(partial(lake.load, [drop], f"b{number}")))
        worked.append(processor_seconds(spark) - before)
        if (number + 1) % UPKEEP_EVERY == 0:
            before = processor_seconds(spark)
            maintenance_time += seconds(lake.maintain)
            maintenance_cpu += processor_seconds(spark) - before
    for last in sorted({n for n in (10, 50, 100) if n < count} | {count}):
        for unit, samples, more in (
            ("", times, maintenance_time),
            (", CPU", worked, maintenance_cpu),
        ):
            near = statistics.median(samples[max(0, last - NEAR) : last]) + more / count
            first = statistics.median(samples[:NEAR])
            ratio(f"batch {last} / the first{unit}", near, first, 1.5)
    files = len(DeltaTable(str(lake.root / "silver/users")).file_uris())
    print(f"{'':44} silver has {files} files at the end; maintenance took {maintenance_time:.1f} s")


def processor_seconds(spark: SparkSession) -> float:
    """Return the processor seconds of this process and of Spark's JVM."""
    fields = Path(f"/proc/{jvm(spark)}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def replay(spark: SparkSession, work: Path, rows: int) -> None:
    """Load three batches, delete the tables, load all in one batch: gold must be the same."""
    lake = BenchLake(spark, work / "replay")
    parts = [
        lake.drop(users(rows)),
        lake.drop(users(rows // 2, changed=0.5)),
        lake.drop(users(rows // 4, changed=0.25)),
    ]
    for number, part in enumerate((parts[0], parts[2], parts[1])):
        lake.load([part], f"b{number}")
    before = lake.gold()
    lake.delete_tables()
    lake.load(parts[::-1], "all")
    same = before == lake.gold()
    count = sum(len(table) for table in before.values())
    print(f"{'replay from bronze':44} {'the same' if same else 'NOT THE SAME'}, {count} gold rows")


def ratio(what: str, measured: float, reference: float, most: float | None) -> None:
    """Print both times, their ratio and its limit."""
    limit = (
        ""
        if most is None
        else f"  (at most {most:.2f}){'' if measured / reference <= most else '  MISSED'}"
    )
    print(
        f"{what:44} {measured:8.3f} s / {reference:7.3f} s = {measured / reference:6.3f}{limit}",
        flush=True,
    )


def jvm(spark: SparkSession) -> int:
    """Return the process id of Spark's JVM."""
    return int(spark.sparkContext._gateway.proc.pid)  # type: ignore[union-attr]  # noqa: SLF001


def peak(spark: SparkSession) -> float:
    """Return the peak memory of Spark's JVM in GB."""
    status = Path(f"/proc/{jvm(spark)}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 2**20


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=98_913, help="users in the large batches")
    parser.add_argument("--rounds", type=int, default=2, help="repetitions; the best one counts")
    parser.add_argument("--batches", type=int, default=100, help="small ones, one after the other")
    parser.add_argument("--drops", type=int, default=100, help="small ones, in one batch")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if not set(chosen) <= set(PARTS):
        parser.error(f"--only takes {', '.join(PARTS)}")
    if options.rows >= LARGE:
        # The default options use only the quick compiler, which suits short sessions.
        os.environ.setdefault("LANDFALL_SPARK_JAVA_OPTIONS", "-XX:+UseParallelGC")
        os.environ.setdefault("LANDFALL_SPARK_MEMORY", "3g")
    spark = build_session("bench")
    spark.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory(prefix="landfall-etl-") as name:
        work = Path(name)
        landfall_seconds = 0.0
        if "small" in chosen:
            small(spark, work, max(options.rounds, NEAR))
        if {"warm", "duckdb"} & set(chosen):
            landfall_seconds = warm(spark, work, options.rows, options.rounds)
        if "duckdb" in chosen:
            duckdb_peer(work, options.rows, landfall_seconds, options.rounds)
        if "drops" in chosen:
            drops(spark, work, options.drops)
        if "batches" in chosen:
            batches(spark, work, options.rows, options.batches)
        if "replay" in chosen:
            replay(spark, work, min(options.rows, 20_000))
        print(f"{'peak memory of the JVM':44} {peak(spark):8.2f} GB  (at most 4.50)")
    spark.stop()


if __name__ == "__main__":
    main()
