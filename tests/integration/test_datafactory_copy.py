"""The committed factory, deployed by our deployer, copying real files of a local lake.

Beside it stands `typed_copy`, a pipeline of the tests alone, for what the local Copy does with
formats and types.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devcloud.testing.factory import FACTORY, GROUP, FactoryHost, configure, hosting
from landfall.deploy.factory import DefinitionError, FactoryChange, Overrides, deploy_factory

ADF = Path(__file__).resolve().parents[2] / "adf"
COLUMNS = {"id": "Int64", "name": "String", "price": "Double", "ok": "Boolean", "day": "DateTime"}
RAW = "raw/users/20261122T130114Z-users-1f3a9c20"
ATTEMPT = "/runs/20261122T130114Z-users-1f3a9c20/attempts/a.1"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactoryHost]:
    """A factory with the committed definitions, beside a lake and a service that grants."""
    folder = shutil.copytree(ADF, tmp_path_factory.mktemp("definitions") / "adf")
    shutil.copytree(Path(__file__).parent / "typed_copy", folder, dirs_exist_ok=True)
    with hosting(configure(tmp_path_factory.mktemp("cloud")), lake=True) as running:
        deploy_factory(folder, running.client, GROUP, FACTORY, overrides(running))
        yield running


@pytest.fixture(autouse=True)
def _granting(host: FactoryHost) -> None:
    host.service.asked.clear()
    host.service.replies = {"/fence": (200, {"granted": True}), "/callback": (200, {})}


def overrides(host: FactoryHost) -> Overrides:
    """What a local deployment gives."""
    return Overrides(
        service_url=host.service_url,
        key_vault_url=host.config.vault_url,
        lake_url=host.config.lake_url,
        lake_key=host.config.account_key,
    )


def mapping(columns: dict[str, str] | None = None, *, paths: bool = False) -> dict[str, Any]:
    """A translator: which columns, in which types."""
    return {
        "type": "TabularTranslator",
        "mappings": [
            {
                "source": {"path": f"$['{name}']"} if paths else {"name": name},
                "sink": {"name": name, "type": kind},
            }
            for name, kind in (columns or COLUMNS).items()
        ],
        "typeConversion": True,
    }


def ingest(host: FactoryHost, file: str, **parameters: Any) -> Any:
    """Run `typed_copy` for a file of the run's raw folder."""
    return host.run("typed_copy", **{**_parameters(file), **parameters})


def _parameters(file: str) -> dict[str, Any]:
    container, _, folder = RAW.partition("/")
    return {
        "runId": "20261122T130114Z-users-1f3a9c20",
        "attemptId": "a.1",
        "dataset": "users",
        "format": "csv",
        "sourceContainer": container,
        "sourceFolder": folder,
        "sourceFile": file,
        "sinkFolder": f"users/{file}",
        "mapping": mapping(),
    }


def bronze(host: FactoryHost, file: str) -> pa.Table:
    """What was copied."""
    return pq.read_table(io.BytesIO(host.read(f"bronze/users/{file}/data.parquet")))


CSV = (
    "price,id,name,day,ok,extra\r\n"
    '1.5,1,"Müller, ""A""\nB",2026-11-22 10:00:00,True,x\r\n'
    "-2e3,+2,,2026-11-22T00:00:00.125Z,false,\r\n"
)


def test_a_typed_copy_between_fence_and_callback(host: FactoryHost) -> None:
    """Fence first, with key and run id; typed Parquet by name, audit columns; then the callback."""
    host.write(f"{RAW}/may.csv", CSV.encode())
    run = ingest(host, "may.csv")
    assert (run.status, run.message) == ("Succeeded", "")
    (_, fence, headers, body), (_, callback, _, report) = host.service.asked
    assert (fence, callback) == (f"{ATTEMPT}/fence", f"{ATTEMPT}/callback")
    assert headers["x-functions-key"] == host.config.function_key
    assert body == {"adf_run_id": run.run_id}
    assert report == {
        "adf_run_id": run.run_id,
        "status": "Succeeded",
        "rows_read": 2,
        "rows_copied": 2,
    }
    table = bronze(host, "may.csv")
    audit = ["_run_id", "_source_file", "_ingested_at"]
    assert [*COLUMNS, *audit] == table.column_names
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    assert (
        frame.select(list(COLUMNS)).rows()
        == pl.DataFrame(
            {
                "id": [1, 2],
                "name": ['Müller, "A"\nB', None],
                "price": [1.5, -2000.0],
                "ok": [True, False],
                "day": ["2026-11-22 10:00:00", "2026-11-22 00:00:00.125"],
            }
        )
        .with_columns(pl.col("day").str.to_datetime(time_unit="ns"))
        .rows()
    )
    assert set(table["_source_file"].to_pylist()) == {f"{RAW}/may.csv"}
    assert table["_ingested_at"].null_count == 0
    found = host.activities(run.run_id)
    assert found["CopyDelimited"]["output"]["rowsCopied"] == 2
    assert (found["GetKey"]["input"], found["GetKey"]["output"]) == ({}, {})
    assert host.config.function_key not in json.dumps(found)


ACCEPTED = "raw/users/20261122T130114Z-users-1f3a9c20/v1/accepted"


def move(host: FactoryHost, target: str) -> Any:
    """Run `ingest_drop` for a folder of accepted records."""
    container, _, folder = ACCEPTED.partition("/")
    return host.run(
        "ingest_drop",
        runId="20261122T130114Z-users-1f3a9c20",
        attemptId="a.1",
        dataset="users",
        acceptedContainer=container,
        acceptedFolder=folder,
        bronzeFolder=f"users/{target}",
    )


def test_ingest_drop_moves_bytes_between_fence_and_callback(host: FactoryHost) -> None:
    """Fence first, with key and run id; each Parquet file as it is; then the callback.

    What lies beside them, as Spark leaves it, stays behind. Five activity runs do it.
    """
    files = {"data.parquet": parquet(LINES), "part-00001.parquet": bytes(range(256)) * 40}
    for name, data in files.items():
        host.write(f"{ACCEPTED}/{name}", data)
    host.write(f"{ACCEPTED}/_SUCCESS", b"")
    run = move(host, "moved")
    assert (run.status, run.message) == ("Succeeded", "")
    (_, fence, headers, body), (_, callback, _, report) = host.service.asked
    assert (fence, callback) == (f"{ATTEMPT}/fence", f"{ATTEMPT}/callback")
    assert headers["x-functions-key"] == host.config.function_key
    assert body == {"adf_run_id": run.run_id}
    size = sum(map(len, files.values()))
    assert report == {
        "adf_run_id": run.run_id,
        "status": "Succeeded",
        "files": 2,
        "bytes": size,
    }
    for name, data in files.items():
        assert host.read(f"bronze/users/moved/{name}") == data
    with pytest.raises(Exception, match="BlobNotFound"):
        host.read("bronze/users/moved/_SUCCESS")
    activities = host.activities(run.run_id)
    assert list(activities) == ["GetKey", "Fence", "Granted", "Copy", "ReportSuccess"]
    assert activities["Copy"]["output"]["dataWritten"] == size
    assert (activities["GetKey"]["input"], activities["GetKey"]["output"]) == ({}, {})
    assert host.config.function_key not in json.dumps(activities)


def test_ingest_drop_that_is_not_granted_moves_nothing(host: FactoryHost) -> None:
    """The fence refuses: the run ends Failed with its reason, no copy, no callback."""
    host.service.replies["/fence"] = (200, {"granted": False, "reason": "attempt 2 is current"})
    host.write(f"{ACCEPTED}/data.parquet", parquet(LINES))
    run = move(host, "late")
    assert run.status == "Failed"
    assert "attempt 2 is current" in run.message
    assert host.service.bodies("/callback") == []
    assert {"GetKey", "Fence", "Granted", "NotGranted"} == set(host.activities(run.run_id))
    with pytest.raises(Exception, match="BlobNotFound"):
        host.read("bronze/users/late/data.parquet")


def test_ingest_drop_without_its_file_says_so(host: FactoryHost) -> None:
    """The cause is in the run's message and in the callback."""
    container, _, folder = ACCEPTED.partition("/")
    run = host.run(
        "ingest_drop",
        runId="20261122T130114Z-users-1f3a9c20",
        attemptId="a.1",
        dataset="users",
        acceptedContainer=container,
        acceptedFolder=f"{folder}/nothing-here",
        bronzeFolder="users/none",
    )
    assert run.status == "Failed"
    assert "like *.parquet" in run.message
    [report] = host.service.bodies("/callback")
    assert (report["status"], "like *.parquet" in report["error"]) == ("Failed", True)


def test_a_run_that_is_not_granted_copies_nothing(host: FactoryHost) -> None:
    """The fence refuses: the run ends Failed with its reason, no copy, no callback."""
    host.service.replies["/fence"] = (200, {"granted": False, "reason": "attempt 2 is current"})
    host.write(f"{RAW}/late.csv", CSV.encode())
    run = ingest(host, "late.csv")
    assert run.status == "Failed"
    assert "attempt 2 is current" in run.message
    assert host.service.bodies("/callback") == []
    assert {"GetKey", "Fence", "Granted", "NotGranted"} == set(host.activities(run.run_id))
    with pytest.raises(Exception, match="BlobNotFound"):
        bronze(host, "late.csv")


def test_a_fence_that_fails_is_asked_again(host: FactoryHost) -> None:
    """The same run asks again after a 503; a callback nobody hears does not undo the copy."""
    host.service.replies["/fence"] = [(503, {}), (200, {"granted": True})]
    host.service.replies["/callback"] = (503, {})
    host.write(f"{RAW}/again.csv", CSV.encode())
    run = ingest(host, "again.csv")
    assert run.status == "Succeeded"
    assert host.service.bodies("/fence") == [{"adf_run_id": run.run_id}] * 2
    assert bronze(host, "again.csv").num_rows == 2


@pytest.mark.parametrize(
    ("content", "given", "told"),
    [
        ("id\n1\nx7\n", {"id": "Int64"}, ["TypeConversionFailure", "'x7'", "'id'", "row 2"]),
        ("id\n9223372036854775808\n", {"id": "Int64"}, ["too large", "row 1"]),
        ("id\n0x10\n", {"id": "Int64"}, ["'0x10'"]),
        ("d\n2024-02-30\n", {"d": "DateTime"}, ["2024-02-30"]),
        ("b\n1\n", {"b": "Boolean"}, ["not recognized as a valid Boolean"]),
        ("a,b\n1,2\n", {"c": "Int64"}, ["MappingColumnNameNotFound", "'c'", "a, b"]),
        ("a,b\n1,2,3\n", {"a": "Int64"}, ["found more columns (3)"]),
        ("a,a\n1,2\n", {"a": "Int64"}, ["appears twice"]),
        (b"a\n\xff\xfe\n", {"a": "String"}, ["not utf-8"]),
        ("", {"a": "String"}, ["no header"]),
    ],
)
def test_bad_data_fails_the_copy_and_says_where(
    host: FactoryHost, content: str | bytes, given: dict[str, str], told: list[str]
) -> None:
    """Code, column, row and value are in the run's message and in the callback; no sink file."""
    raw = content.encode() if isinstance(content, str) else content
    host.write(f"{RAW}/bad.csv", raw)
    run = ingest(host, "bad.csv", mapping=mapping(given))
    assert run.status == "Failed"
    [report] = host.service.bodies("/callback")
    assert (report["adf_run_id"], report["status"]) == (run.run_id, "Failed")
    for word in told:
        assert word in run.message
        assert word in report["error"]
    with pytest.raises(Exception, match="BlobNotFound"):
        bronze(host, "bad.csv")


LINES = [{"id": 1, "name": "a", "price": 1.0, "ok": True, "day": "2026-11-22"}, {"id": 2}]
EXPECTED = [(1, "a"), (2, None)]
PLAIN = "id,name\n1,a\n2,\n"


def parquet(rows: Sequence[Any]) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "parameters"),
    [
        ("plain.csv", PLAIN.encode(), {}),
        ("bom.csv", b"\xef\xbb\xbf" + PLAIN.encode(), {}),
        ("utf16.csv", PLAIN.encode("utf-16"), {"encoding": "UTF-16"}),
        ("latin.csv", PLAIN.encode("latin-1"), {"encoding": "ISO-8859-1"}),
        ("a.csv.gz", gzip.compress(PLAIN.encode()), {"compression": "gzip"}),
        (
            "semi ü%2F.csv",
            b"id;name\n1;'a'\n2;''\n",
            {"delimiter": ";", "quote": "'", "escape": "\\"},
        ),
        ("noend.csv", PLAIN.rstrip("\n").encode(), {}),
        ("a.jsonl", "\n".join(map(json.dumps, LINES)).encode(), {"format": "jsonl"}),
        ("a.json", json.dumps(LINES, indent=1).encode(), {"format": "json"}),
        (
            "a.jsonl.gz",
            gzip.compress("\n".join(map(json.dumps, LINES)).encode()),
            {"format": "jsonl", "compression": "gzip"},
        ),
        (
            "a.parquet",
            parquet([{"name": "a", "id": 1}, {"name": None, "id": 2}]),
            {"format": "parquet"},
        ),
    ],
)
def test_formats_and_encodings(
    host: FactoryHost, name: str, data: bytes, parameters: dict[str, Any]
) -> None:
    """Each way to write the same rows gives the same rows."""
    host.write(f"{RAW}/{name}", data)
    paths = "json" in parameters.get("format", "")
    given = mapping({"id": "Int64", "name": "String"}, paths=paths)
    run = ingest(host, name, mapping=given, sinkFolder="users/format", **parameters)
    assert (run.status, run.message) == ("Succeeded", "")
    table = bronze(host, "format")
    assert [(row["id"], row["name"]) for row in table.to_pylist()] == EXPECTED
    assert str(table.schema.field("id").type) == "int64"


@pytest.mark.parametrize(
    ("name", "data", "parameters", "told"),
    [
        ("t.gz", gzip.compress(PLAIN.encode() * 100)[:-20], {"compression": "gzip"}, "gzip"),
        ("x.json", b'[{"id": 1} {"id": 2}]', {"format": "json"}, "comma is missing"),
        ("y.json", b'{"id": 1}\n{"id": ', {"format": "jsonl"}, "object 2"),
        ("n.json", b'{"id": {"x": 1}}', {"format": "jsonl"}, "plain value"),
        ("d.json", b'{"a":' * 20000, {"format": "json"}, "nested too deeply"),
        ("p.parquet", b"PAR1 no", {"format": "parquet"}, "not valid Parquet"),
        ("absent.csv", None, {}, "does not exist"),
        ("f.csv", b"id\n1\n", {"format": "xml"}, "no copy for the format xml"),
        ("e.csv", b"id\n1\n", {"encoding": "EBCDIC"}, "EBCDIC"),
        ("m.csv", b"id\n1\n", {"delimiter": "||"}, "one ASCII character"),
    ],
)
def test_broken_files_and_settings_fail(
    host: FactoryHost, name: str, data: bytes | None, parameters: dict[str, Any], told: str
) -> None:
    """What cannot be read whole is not copied at all."""
    if data is not None:
        host.write(f"{RAW}/{name}", data)
    paths = "json" in parameters.get("format", "")
    given = mapping({"id": "Int64"}, paths=paths)
    run = ingest(host, name, mapping=given, **parameters)
    assert run.status == "Failed"
    assert told in run.message


def test_a_large_file_is_copied_in_blocks(
    host: FactoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many batches and several blocks: every row arrives, and the sink is replaced whole."""
    monkeypatch.setattr("devcloud.datafactory.copy.lake._BLOCK", 100_000)
    rows = 60_000
    text = "id,name\n" + "".join(f"{n},{n:0100d}\n" for n in range(rows))
    host.write(f"{RAW}/large.csv", text.encode())
    given = mapping({"id": "Int64", "name": "String"})
    for _ in range(2):
        run = ingest(host, "large.csv", mapping=given)
        assert (run.status, run.message) == ("Succeeded", "")
    table = bronze(host, "large.csv")
    assert table["id"].to_pylist() == list(range(rows))
    output = host.activities(run.run_id)["CopyDelimited"]["output"]
    assert output["dataRead"] == len(text)
    assert (output["rowsRead"], output["rowsCopied"], output["rowsSkipped"]) == (rows, rows, 0)


def test_a_cancelled_copy_publishes_nothing(host: FactoryHost) -> None:
    """Cancelled while the lake stalls: the run ends Cancelled, and no sink file appears later."""
    host.write(f"{RAW}/slow.csv", CSV.encode())
    faults = f"{host.config.url('lake')}/_devcloud/faults"
    rule = {"fault": "stall", "method": "GET", "path": "slow.csv", "seconds": 1.0, "times": 1}
    httpx.post(faults, json=rule).raise_for_status()
    run_id = host.start("typed_copy", **_parameters("slow.csv"))
    deadline = time.monotonic() + 10
    while not httpx.get(faults).json()["rules"][0]["hits"] and time.monotonic() < deadline:
        time.sleep(0.01)
    host.client.pipeline_runs.cancel(GROUP, FACTORY, run_id)
    assert host.ended(run_id).status == "Cancelled"
    assert host.activities(run_id)["CopyDelimited"]["status"] == "Cancelled"
    httpx.delete(faults)
    with pytest.raises(Exception, match="BlobNotFound"):
        bronze(host, "slow.csv")


def test_incompatible_rows_can_be_skipped(host: FactoryHost) -> None:
    """With enableSkipIncompatibleRow what does not fit is left out and counted."""
    source = {
        "referenceName": "raw_delimited",
        "type": "DatasetReference",
        "parameters": {
            "container": "raw",
            "folder": "x",
            "file": "s.csv",
            "delimiter": ",",
            "quote": '"',
            "escape": '"',
            "encoding": "UTF-8",
            "compression": "none",
        },
    }
    sink = {
        "referenceName": "bronze_parquet",
        "type": "DatasetReference",
        "parameters": {"container": "bronze", "folder": "users/skip", "file": "data.parquet"},
    }
    translator = {
        **mapping({"id": "Int64"}),
        "typeConversionSettings": {"allowDataTruncation": False},
    }
    copy = {
        "name": "C",
        "type": "Copy",
        "inputs": [source],
        "outputs": [sink],
        "typeProperties": {
            "source": {"type": "DelimitedTextSource"},
            "sink": {"type": "ParquetSink"},
            "translator": translator,
            "enableSkipIncompatibleRow": True,
        },
    }
    lookup = {
        "name": "L",
        "type": "Lookup",
        "typeProperties": {
            "source": {"type": "DelimitedTextSource"},
            "dataset": source,
            "firstRowOnly": False,
        },
    }
    host.pipeline("skipping", copy, lookup)
    host.write("raw/x/s.csv", b"id,b\n1,\nx,\n3,,,\n4,\n")
    run = host.run("skipping")
    found = host.activities(run.run_id)
    output = found["C"]["output"]
    assert (output["rowsRead"], output["rowsCopied"], output["rowsSkipped"]) == (4, 2, 2)
    assert bronze(host, "skip")["id"].to_pylist() == [1, 4]
    assert found["L"]["status"] == "Failed"  # a lookup skips nothing


def test_sweep_offers_what_lies_in_landing(host: FactoryHost) -> None:
    """All of the dataset's folder is offered, folders too; one taken meanwhile is no failure (404).

    What begins with `_` is a writer's own; what of a folder is a drop is for the service to say.
    """
    for name in ("a.csv", "b c.csv", "_SUCCESS", "day 1/part-0.csv", "day 1/_SUCCESS", "_tmp/x"):
        host.write(f"landing/users/{name}", b"id\n1\n")
    datasets = [{"dataset": "users"}, {"dataset": "absent"}]
    host.service.replies["/datasets"] = (200, {"datasets": datasets})
    host.service.replies["/ingest"] = [(202, {"run_id": "r"}), (404, {"title": "gone"})]
    run = host.run("sweep")
    assert (run.status, run.message) == ("Succeeded", "")
    offered = sorted({body["path"] for body in host.service.bodies("/ingest")})
    assert offered == ["landing/users/a.csv", "landing/users/b c.csv", "landing/users/day 1"]
    host.service.replies["/ingest"] = (500, {})
    assert host.run("sweep").status == "Failed"


def test_partner_file_is_brought_to_landing(host: FactoryHost) -> None:
    """The file arrives byte for byte under its dataset."""
    assert host.lake is not None
    host.lake.create_container("partners")
    host.write("partners/users/p.bin", bytes(range(256)) * 100)
    run = host.run("fetch_partner_file", folderPath="partners/users", fileName="p.bin")
    assert (run.status, run.message) == ("Succeeded", "")
    assert host.read("landing/users/p.bin") == bytes(range(256)) * 100


def test_deploying_again_changes_nothing(host: FactoryHost) -> None:
    """What is equal is left alone; only the linked service with the key is written again."""
    changes = deploy_factory(ADF, host.client, GROUP, FACTORY, overrides(host))
    assert {"unchanged"} == {each.action for each in changes if each.name != "lake"}
    [lake] = [each for each in changes if each.name == "lake"]
    assert (lake.action, "secret" in lake.why) == ("updated", True)
    kinds = list(dict.fromkeys(each.kind for each in changes))
    assert kinds == ["factory", "linkedService", "dataset", "pipeline", "trigger"]


def test_a_running_trigger_is_stopped_while_it_changes(host: FactoryHost, tmp_path: Path) -> None:
    """stopped, updated, started; and stopped only, where triggers are not wanted."""
    folder = shutil.copytree(ADF, tmp_path / "adf")
    file = folder / "trigger" / "daily_sweep.json"
    file.write_text(file.read_text().replace("17", "18"))
    wanted = overrides(host)

    def actions(given: Overrides) -> list[str]:
        changes = deploy_factory(folder, host.client, GROUP, FACTORY, given)
        return [each.action for each in changes if each.name == "daily_sweep"]

    assert actions(wanted) == ["stopped", "updated", "started"]
    assert actions(replace(wanted, start_triggers=False)) == ["stopped", "unchanged"]
    assert actions(replace(wanted, start_triggers=False)) == ["unchanged"]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("pipeline/ingest_drop.json", '"lake_folder"', '"lake_shelf"', "lake_shelf"),
        ("dataset/lake_file.json", '"lake"', '"pond"', "pond"),
        ("trigger/daily_sweep.json", '"sweep"', '"broom"', "broom"),
        ("pipeline/sweep.json", '"name": "sweep"', '"name": "mop"', "mop"),
        ("pipeline/sweep.json", "{", "", "not JSON"),
    ],
)
def test_a_wrong_folder_touches_nothing(
    tmp_path: Path, file: str, old: str, new: str, told: str
) -> None:
    """A dangling reference, or a file that is not what it says, is named before any request."""
    folder = shutil.copytree(ADF, tmp_path / "adf")
    broken = folder / file
    broken.write_text(broken.read_text().replace(old, new, -1 if old != "{" else 1))
    nobody: Any = None  # no client: any request would fail
    with pytest.raises(DefinitionError) as error:
        deploy_factory(folder, nobody, GROUP, FACTORY, Overrides("s", "v", "l"))
    assert told in str(error.value)
    assert Path(file).name in str(error.value)


def test_changes_say_what_was_done() -> None:
    """A change compares by value, for reports and tests alike."""
    assert FactoryChange("dataset", "a", "created") == FactoryChange("dataset", "a", "created", "")


def test_the_files_of_a_folder_are_merged_into_one(host: FactoryHost) -> None:
    """A pattern takes the files that are like it, in the order of their names, as one table."""
    folder = f"{RAW}-folder"
    for name, number in (("b.csv", 2), ("a.csv", 1), ("c.txt", 3), ("_SUCCESS", 4)):
        host.write(f"{folder}/{name}", f"id,name,price,ok,day\n{number},x,1,true,\n".encode())
    host.write(f"{folder}/deeper/d.csv", b"id,name,price,ok,day\n9,x,1,true,\n")
    _, _, source = folder.partition("/")
    run = ingest(host, "*.csv", sourceFolder=source, sinkFolder="users/folder")
    assert (run.status, run.message) == ("Succeeded", "")
    (_, _, _, _), (_, _, _, report) = host.service.asked
    assert (report["rows_read"], report["rows_copied"]) == (2, 2)
    assert bronze(host, "folder")["id"].to_pylist() == [1, 2]


def test_a_pattern_that_nothing_is_like_fails(host: FactoryHost) -> None:
    """A folder without such a file is not an empty table."""
    run = ingest(host, "*.csv", sourceFolder="users/nothing-here", sinkFolder="users/none")
    assert run.status == "Failed"
    assert "like *.csv" in run.message


def test_delete(host: FactoryHost) -> None:
    """Delete takes a file, the files of a folder that are like a pattern, or all below it."""
    host.put(
        "datasets",
        "anything",
        {
            "type": "Binary",
            "linkedServiceName": {"referenceName": "lake", "type": "LinkedServiceReference"},
            "parameters": {"folder": {"type": "String"}, "file": {"type": "String"}},
            "typeProperties": {
                "location": {
                    "type": "AzureBlobFSLocation",
                    "fileSystem": "bronze",
                    "folderPath": "@dataset().folder",
                    "fileName": "@dataset().file",
                }
            },
        },
    )

    def delete(file: str, **settings: Any) -> dict[str, Any]:
        dataset = {
            "referenceName": "anything",
            "type": "DatasetReference",
            "parameters": {"folder": "trash", "file": file},
        }
        store = {"type": "AzureBlobFSReadSettings", "enablePartitionDiscovery": False, **settings}
        inside = {"dataset": dataset, "enableLogging": False, "storeSettings": store}
        host.pipeline("deleting", {"name": "D", "type": "Delete", "typeProperties": inside})
        run = host.run("deleting")
        assert run.status == "Succeeded", run.message
        output: dict[str, Any] = host.activities(run.run_id)["D"]["output"]
        return output

    for name in ("a.csv", "b.csv", "c.txt", "deep/d.csv"):
        host.write(f"bronze/trash/{name}", b"x")
    assert delete("c.txt")["filesDeleted"] == 1
    assert delete("c.txt")["filesDeleted"] == 0
    assert delete("", wildcardFileName="a*")["filesDeleted"] == 1
    assert host.read("bronze/trash/deep/d.csv") == b"x"
    assert delete("", recursive=True)["filesDeleted"] == 2


def _dataset(host: FactoryHost, name: str, kind: str, file: str, **more: Any) -> dict[str, Any]:
    """A dataset of one file in bronze; a reference to it."""
    folder, _, file_name = file.rpartition("/")
    location = {
        "type": "AzureBlobFSLocation",
        "fileSystem": "bronze",
        "folderPath": folder,
        "fileName": file_name,
    }
    link = {"referenceName": "lake", "type": "LinkedServiceReference"}
    properties = {"location": location, **more}
    host.put(
        "datasets", name, {"type": kind, "linkedServiceName": link, "typeProperties": properties}
    )
    return {"referenceName": name, "type": "DatasetReference"}


QUOTED = """id,name,price,ok,day
1,"a,""b""\vc",1.5,True,2026-11-22 10:00:00.0000000
2,NULL,NULL,False,2026-11-23 00:00:00.1250000
3,"NULL",2,True,NULL
"""
PIPED = """1|"a,\\"b\\"\vc"|1.5|True|2026-11-22 10:00:00.0000000
2|||False|2026-11-23 00:00:00.1250000
3|"NULL"|2|True|
"""
OBJECTS = """{"id":1,"name":"a,\\"b\\"\\nc","price":1.5,"ok":true,"day":"2026-11-22T10:00:00Z"}
{"id":2,"name":null,"price":null,"ok":false,"day":"2026-11-23T00:00:00.1250000Z"}
{"id":3,"name":"NULL","price":2.0,"ok":true,"day":null}
"""


@pytest.mark.parametrize(
    ("kind", "settings", "more", "expected"),
    [
        (
            "DelimitedText",
            {"type": "DelimitedTextWriteSettings", "fileExtension": ".csv"},
            {"firstRowAsHeader": True, "escapeChar": '"', "nullValue": "NULL"},
            QUOTED,
        ),
        (
            "DelimitedText",
            {"type": "DelimitedTextWriteSettings", "quoteAllText": True},
            {"columnDelimiter": "|"},
            PIPED,
        ),
        ("Json", {"type": "JsonWriteSettings"}, {}, OBJECTS),
    ],
)
def test_text_sinks(
    host: FactoryHost, kind: str, settings: dict[str, Any], more: dict[str, Any], expected: str
) -> None:
    """Typed rows are written as delimited text and as JSON."""
    day = pa.array(
        [datetime(2026, 11, 22, 10), datetime(2026, 11, 23, 0, 0, 0, 125000), None],  # noqa: DTZ001
        pa.timestamp("us"),
    )
    rows = pa.table(
        {
            "id": [1, 2, 3],
            "name": ['a,"b"\nc', None, "NULL"],
            "price": [1.5, None, 2.0],
            "ok": [True, False, True],
            "day": day,
        }
    )
    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    host.write("bronze/sinks/in.parquet", buffer.getvalue())
    source = _dataset(host, "sinkin", "Parquet", "sinks/in.parquet")
    sink = _dataset(host, "sinkout", kind, "sinks/out", **more)
    copy = {
        "name": "C",
        "type": "Copy",
        "inputs": [source],
        "outputs": [sink],
        "typeProperties": {
            "source": {"type": "ParquetSource"},
            "sink": {"type": f"{kind}Sink", "formatSettings": settings},
            "enableStaging": False,
        },
    }
    host.pipeline("sinking", copy)
    run = host.run("sinking")
    assert run.status == "Succeeded", run.message
    assert host.activities(run.run_id)["C"]["output"]["rowsCopied"] == 3
    written = expected.replace("\n", "\r\n").replace("\v", "\n")  # rows end so, a value holds \n
    assert host.read("bronze/sinks/out").decode() == written
