"""Tasks on the local workspace's warm Spark: Delta, isolation, code of a wheel, cancel, death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from devcloud.lake.app import create_app as create_lake
from devcloud.serving import serve_in_thread
from devcloud.testing.workspace import LocalWorkspace, local_workspace, python_task, states
from landfall.deploy.bundle import deploy_bundle

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.spark

WARM_SECONDS = 180.0
LANDED = "2026-11-22T13:01:14Z"
DELTA = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
path = sys.argv[1]
spark.range(10).write.format("delta").mode("overwrite").save(path)
spark.range(5, 15).createOrReplaceTempView("more")
spark.sql(f"MERGE INTO delta.`{path}` AS t USING more AS s ON t.id = s.id "
          "WHEN NOT MATCHED THEN INSERT *")
print(spark.read.format("delta").load(path).count(), spark.sparkContext.applicationId)
print(spark.conf.get("spark.sql.session.timeZone"), spark.conf.get("trial", "unset"),
      len(spark.catalog.listTables()))
spark.conf.set("trial", "set")
spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
"""
SLOW = """
from pyspark.sql import SparkSession, functions as f
spark = SparkSession.builder.getOrCreate()
print("counting", flush=True)
spark.range(2_000_000_000_000).select(f.sum(f.xxhash64("id"))).collect()
"""
BUNDLE = """
bundle: {name: udf}
artifacts:
  jobs: {type: whl, path: jobs}
resources:
  jobs:
    udf:
      name: udf
      tasks:
        - task_key: udf
          environment_key: jobs
          python_wheel_task: {package_name: udf-jobs, entry_point: run}
      environments:
        - environment_key: jobs
          spec: {environment_version: "4", dependencies: [./jobs/dist/*.whl]}
targets:
  dev: {default: true}
"""
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "udf-jobs"
version = "1.0"
[project.scripts]
run = "udf_jobs.main:main"
[tool.setuptools]
packages = ["udf_jobs"]
package-dir = { udf_jobs = "." }
"""
UDF = """
from pyspark.sql import SparkSession, functions as f
from udf_jobs.words import mark

def main():
    spark = SparkSession.builder.getOrCreate()
    marked = f.udf(mark)
    print([row[0] for row in spark.range(2).select(marked("id")).collect()])
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """A workspace whose worker is warm."""
    with local_workspace(tmp_path_factory.mktemp("workspace"), warm=True) as running:
        warm = running.worker.warmed.wait(WARM_SECONDS)
        assert warm, (running.config.root / "logs/spark.log").read_text()[-4000:]
        yield running


@pytest.fixture(scope="module")
def lake(workspace: LocalWorkspace) -> Iterator[None]:
    """The lake of the same local cloud."""
    with serve_in_thread(create_lake(workspace.config), workspace.config.ports["lake"]):
        yield


def test_warm_session(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """Tasks share one Spark with Delta Lake; settings and views of one are unknown to the next."""
    path = workspace.script("delta.py", DELTA)
    job_id = workspace.job(python_task(path, tmp_path.as_uri() + "/table"))
    said = []
    for _ in range(2):
        run = workspace.run(job_id)
        assert states(run) == ("TERMINATED", "SUCCESS"), workspace.logs(run)
        said.append(workspace.logs(run).splitlines())
    assert said[0] == said[1]
    assert said[0][0].startswith("15 local-")
    assert said[0][1] == "UTC unset 1"
    litter = [p.name for p in tmp_path.rglob("*.crc") if p.parent.name != "_delta_log"]
    assert litter == []


@pytest.mark.usefixtures("lake")
def test_lake_through_abfs(workspace: LocalWorkspace) -> None:
    """Hadoop's own driver reaches the lake: what Spark writes by `abfs://` lies in its folder."""
    account = workspace.config.account
    url = f"abfs://silver@{account}.dfs.core.windows.net/trial/table"
    run = workspace.run(workspace.job(python_task(workspace.script("delta.py", DELTA), url)))
    assert states(run) == ("TERMINATED", "SUCCESS"), workspace.logs(run)
    assert workspace.logs(run).startswith("15 local-")
    log = workspace.config.lake_folder / "silver/trial/table/_delta_log"
    versions = [path.name for path in sorted(log.glob("*.json"))]
    assert versions == [f"{0:020}.json", f"{1:020}.json"]


@pytest.mark.usefixtures("lake")
def test_our_own_job_through_abfs(workspace: LocalWorkspace) -> None:
    """The bundle's job needs no folder: batch, bronze, silver and results, all by `abfs://`."""
    folder = workspace.config.lake_folder
    bronze = folder / "bronze/words/drop-1"
    bronze.mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2], "word": ["a", "b"]}), bronze / "data.parquet")
    batch = {
        "schema": 1,
        "batch_id": "batch-1",
        "dataset": "words",
        "table": {
            "key": ["id"],
            "columns": [
                {"name": "id", "type": "integer", "required": True},
                {"name": "word", "type": "string"},
            ],
        },
        "drops": [
            {"run_id": "drop-1", "bronze": "bronze/words/drop-1", "rows": 2, "landed_at": LANDED}
        ],
    }
    document = folder / "manifest/batches/words/current.json"
    document.parent.mkdir(parents=True)
    document.write_text(json.dumps(batch, indent=1))
    changes = deploy_bundle(REPOSITORY, workspace.client, "dev")
    given = {
        "lake": f"abfs://{{container}}@{workspace.config.account}.dfs.core.windows.net",
        "dataset": "words",
        "batch_id": "batch-1",
        "batch": "manifest/batches/words/current.json",
    }
    job_id = int(next(each.id for each in changes if each.name.endswith("landfall_load")))
    run = workspace.run(job_id, job_parameters=given)
    assert states(run) == ("TERMINATED", "SUCCESS"), workspace.logs(run) + workspace.logs(run, 1)
    [part] = (folder / "manifest/results/words/batch-1").glob("part-*")
    result = json.loads(part.read_text())
    assert (result["inserted"], result["by_run"]["drop-1"]["rows_in"]) == (2, 2)
    assert DeltaTable(str(folder / "silver/words")).to_pyarrow_table().num_rows == 2


def test_udf_of_a_wheel(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """A Python function of the deployed wheel runs in Spark, and its next version after it."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "databricks.yml").write_text(BUNDLE)
    for name, text in {"pyproject.toml": PROJECT, "__init__.py": "", "main.py": UDF}.items():
        (tmp_path / "jobs" / name).write_text(text)
    for mark in "!?":
        words = f"def helper(n):\n    return f'{{n}}{mark}'\n\ndef mark(n):\n    return helper(n)\n"
        (tmp_path / "jobs/words.py").write_text(words)
        changes = deploy_bundle(tmp_path, workspace.client)
        job_id = int(next(each.id for each in changes if each.kind == "job"))
        run = workspace.run(job_id)
        assert workspace.logs(run).strip() == f"['0{mark}', '1{mark}']"


def test_cancel_a_spark_job(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """Cancel stops the Spark job and leaves the session warm for the next task."""
    run_id = workspace.client.jobs.run_now(
        workspace.job(python_task(workspace.script("slow.py", SLOW)))
    ).run_id
    workspace.until(run_id, lambda run: "counting" in workspace.logs(run))
    before = workspace.worker.pid
    workspace.client.jobs.cancel_run(run_id)
    assert states(workspace.ended(run_id)) == ("TERMINATED", "CANCELED")
    path = workspace.script("delta.py", DELTA)
    run = workspace.run(workspace.job(python_task(path, tmp_path.as_uri() + "/table")))
    assert states(run) == ("TERMINATED", "SUCCESS"), workspace.logs(run)
    assert before == workspace.worker.pid


def test_killed_jvm(workspace: LocalWorkspace) -> None:
    """When Spark itself dies its task ends as lost, and a new worker takes its place."""
    run_id = workspace.client.jobs.run_now(
        workspace.job(python_task(workspace.script("slow.py", SLOW)))
    ).run_id
    workspace.until(run_id, lambda run: "counting" in workspace.logs(run))
    before = workspace.worker.pid
    processes = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    columns = (each.split(None, 2) for each in processes)
    jvm = next(
        int(pid) for pid, parent, name in columns if int(parent) == before and "java" in name
    )
    os.kill(jvm, signal.SIGKILL)
    run = workspace.ended(run_id)
    assert states(run) == ("INTERNAL_ERROR", "FAILED")
    assert run.state is not None
    assert "JVM" in (run.state.state_message or "")
    echo = workspace.job(python_task(workspace.script("echo.py", "print(1)\n")))
    assert states(workspace.run(echo)) == ("TERMINATED", "SUCCESS")
    assert before != workspace.worker.pid
