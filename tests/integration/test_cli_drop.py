from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from devcloud import config
from devcloud.config import CloudConfig
from devcloud.lake.app import create_app
from devcloud.lake.events import Subscription
from devcloud.serving import serve_in_thread
from landfall.cli import lake
from landfall.cli.errors import CliError
from landfall.cli.main import landfall
from tests.unit.cli_service import run, serving


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudConfig]:
    """A running lake without subscribers."""
    configured = config.create(tmp_path / "cloud", tmp_path)
    none: list[Subscription] = []
    app = create_app(configured, subscribers=none)
    with serve_in_thread(app, configured.ports["lake"]):
        yield configured


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to drop."""
    path = tmp_path / "may.csv"
    path.write_bytes(b"id,name\n" + b"1,x\n" * 1000)
    return path


def _drop(
    cloud: CloudConfig, answers: dict[str, Any], *arguments: str
) -> tuple[int, str, list[str]]:
    with serving(answers) as (environ, asked):
        answers.setdefault("GET /datasets", (200, {"datasets": [{"dataset": "users"}]}))
        env = environ | {"LANDFALL_LAKE": cloud.lake_connection_string, "COLUMNS": "120"}
        result = CliRunner().invoke(landfall, ["drop", *arguments], env=env)
    asked = [request for request in asked if request != "GET /datasets"]
    return result.exit_code, result.stdout if "--json" in arguments else result.output, asked


def test_a_name_that_is_no_dataset_is_not_uploaded(cloud: CloudConfig, file: Path) -> None:
    """The message has the name that may be meant; `--force` uploads it anyway."""
    code, output, asked = _drop(cloud, {}, str(file), "-d", "userz")
    assert (code, asked) == (2, [])
    assert "there is no dataset 'userz'; did you mean users?" in output
    assert not (cloud.lake_folder / "landing" / "userz").exists()
    code, _, _ = _drop(cloud, {}, str(file), "-d", "userz", "--force")
    assert code == 0
    assert (cloud.lake_folder / "landing" / "userz" / "may.csv").exists()


def test_a_dataset_whose_contract_is_wrong_is_told(cloud: CloudConfig, file: Path) -> None:
    """The file waits: it is uploaded, and the command says for what."""
    problem = {"file": "bad.odcs.yaml", "place": "document", "reason": "no", "datasets": ["bad"]}
    answers = {"GET /datasets": (200, {"datasets": [], "problems": [problem]})}
    code, output, _ = _drop(cloud, answers, str(file), "-d", "bad")
    assert code == 0
    assert "bad.odcs.yaml: document: no; drops of bad wait until it is corrected" in output


def test_a_dropped_file_stands_in_landing(cloud: CloudConfig, file: Path) -> None:
    """The bytes arrive whole, and the run's id is told before the service knows of it."""
    code, output, asked = _drop(cloud, {}, str(file), "-d", "users", "--json")

    assert code == 0
    assert asked == []
    (told,) = json.loads(output)["runs"]
    assert told["path"] == "landing/users/may.csv"
    assert told["state"] == "landed"
    assert (cloud.lake_folder / "landing" / "users" / "may.csv").read_bytes() == file.read_bytes()


def test_a_name_may_hold_anything(cloud: CloudConfig, file: Path) -> None:
    """Blanks, percent signs and other scripts in a name are the producer's own affair."""
    name = "mai 2026 %2F été.csv"

    code, output, _ = _drop(cloud, {}, str(file), "-d", "users", "--name", name, "--json")

    assert code == 0
    assert json.loads(output)["runs"][0]["name"] == name
    assert (cloud.lake_folder / "landing" / "users" / name).exists()


def test_an_empty_file_lands_too(cloud: CloudConfig, tmp_path: Path) -> None:
    """What to make of an empty file is the service's business."""
    empty = tmp_path / "empty.csv"
    empty.touch()

    code, _, _ = _drop(cloud, {}, str(empty), "-d", "users")

    assert code == 0
    assert (cloud.lake_folder / "landing" / "users" / "empty.csv").stat().st_size == 0


def test_a_large_file_goes_in_pieces(cloud: CloudConfig, tmp_path: Path) -> None:
    """No upload holds a file in memory; progress tells the bytes that are there."""
    large = tmp_path / "large.csv"
    large.write_bytes(bytes(range(256)) * (2 * lake.CHUNK_BYTES // 256) + b"rest")
    told: list[int] = []

    with lake.landing(cloud.lake_connection_string) as container:
        landed = lake.upload(container, large, "landing/users/large.csv", progress=told.append)

    assert told == [lake.CHUNK_BYTES, 2 * lake.CHUNK_BYTES, large.stat().st_size]
    assert landed.size == large.stat().st_size
    there = cloud.lake_folder / "landing" / "users" / "large.csv"
    assert there.read_bytes() == large.read_bytes()


def test_a_run_is_known_by_the_version_that_landed(cloud: CloudConfig, file: Path) -> None:
    """Its id is reckoned from the version as the lake tells it to anybody; the next has another."""
    with lake.landing(cloud.lake_connection_string) as container:
        landed = lake.upload(container, file, "landing/users/may.csv")
        again = lake.upload(container, file, "landing/users/may.csv")
        properties = container.get_file_client("users/may.csv").get_file_properties()

    assert landed.run_id != again.run_id
    assert again.landed == properties.last_modified
    assert again.etag == properties.etag.strip('"')


def test_a_refused_run_is_exit_code_1(cloud: CloudConfig, file: Path) -> None:
    """`--wait` ends as the run does, and shows why off a terminal."""
    known: dict[str, Any] = {}

    class _Answers(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            if key.startswith("GET /runs/") and known.setdefault(key, 0) >= 1:
                return (200, run("quarantined", run_id=key.rsplit("/", 1)[-1]))
            known[key] = known.get(key, 0) + 1
            return default

    code, output, asked = _drop(cloud, _Answers(), str(file), "-d", "users", "--wait")

    assert code == 1
    assert len(asked) == 2
    assert "users/may.csv: landed" in output
    assert "landed → quarantined: it is quarantined" in output


def test_posting_uploads_quietly_and_asks_the_service(cloud: CloudConfig, file: Path) -> None:
    """With `--post` the run is started by the API."""
    answers = {"POST /ingest": (202, run("claimed"))}

    code, output, asked = _drop(cloud, answers, str(file), "-d", "users", "--post")

    assert code == 0
    assert asked == ["POST /ingest"]
    assert "landing/users/may.csv is run " in output


def test_two_files_cannot_share_a_name(cloud: CloudConfig, file: Path) -> None:
    """`--name` with several files is wrong use."""
    assert _drop(cloud, {}, str(file), str(file), "-d", "users", "--name", "x")[0] == 2


def test_a_wrong_lake_key_is_told(cloud: CloudConfig, file: Path) -> None:
    """A refused signature ends in a sentence and exit code 2."""
    wrong = replace(cloud, account_key="AAAA")

    with (
        pytest.raises(CliError, match="the lake refused the credential"),
        lake.landing(wrong.lake_connection_string) as container,
    ):
        lake.upload(container, file, "landing/users/may.csv")


def test_no_lake_is_told(file: Path) -> None:
    """A deployed service without LANDFALL_LAKE cannot be uploaded to."""
    with serving({}) as (environ, _):
        result = CliRunner().invoke(landfall, ["drop", str(file), "-d", "users"], env=environ)

    assert result.exit_code == 2
    assert "LANDFALL_LAKE is not set" in result.output
