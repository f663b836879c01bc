"""`landfall gold`: current and old versions of a table in a local cloud."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from deltalake import DeltaTable, write_deltalake

from devcloud import config
from landfall.cli.gold import parse_time
from landfall.cli.main import landfall


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cloud that is not running, with a gold table of two versions."""
    root = tmp_path_factory.mktemp("cloud")
    lake = config.create(root, root).lake_folder
    table = str(lake / "gold" / "sales")
    write_deltalake(table, pa.table({"day": ["mon"], "net": [1.5]}))
    first = committed(table)
    deadline = time.monotonic() + 10
    while datetime.now(UTC) < first + timedelta(milliseconds=5):
        assert time.monotonic() < deadline
    write_deltalake(table, pa.table({"day": ["mon", "tue"], "net": [2.5, 3.5]}), mode="overwrite")
    return root


def committed(table: str) -> datetime:
    """When the newest version was committed."""
    return datetime.fromtimestamp(DeltaTable(table).history(1)[0]["timestamp"] / 1000, UTC)


def ask(cloud: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(landfall, ["gold", "sales", "--data", str(cloud), *arguments])


def test_current_and_old_versions(cloud: Path) -> None:
    """Without a time it shows the newest version, else the version at that time."""
    now = json.loads(ask(cloud, "--json").stdout)
    assert (now["table"], now["version"], now["rows"]) == ("sales", 1, 2)
    assert now["data"] == [{"day": "mon", "net": 2.5}, {"day": "tue", "net": 3.5}]

    first = DeltaTable(str(cloud / "lake/gold/sales")).history()[-1]["timestamp"]
    then = datetime.fromtimestamp((first + 1) / 1000, UTC).isoformat()
    was = json.loads(ask(cloud, "--as-of", then, "--json").stdout)
    assert (was["version"], was["rows"], was["data"]) == (0, 1, [{"day": "mon", "net": 1.5}])
    assert json.loads(ask(cloud, "--version", "0", "--json").stdout) == was
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert json.loads(ask(cloud, "--as-of", today, "--json").stdout)["version"] == 1

    shown = ask(cloud, "--limit", "1").stdout
    assert "mon" in shown
    assert "tue" not in shown
    assert "version 1, committed" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--as-of", "2001-01-01"], "no version before 2001-01-02"),
        (["--as-of", "yesterday"], "neither a day"),
        (["--version", "9"], "no version 9: the newest is 1"),
        (["--limit", "-1"], "not in the range"),
        (["--as-of", "2026-11-17", "--version", "1"], "exclude each other"),
    ],
)
def test_errors_say_what_is_available(cloud: Path, arguments: list[str], words: str) -> None:
    """The command fails and the message says what is available."""
    result = CliRunner().invoke(landfall, ["gold", "sales", "--data", str(cloud), *arguments])
    output = result.output + str(result.exception)
    assert result.exit_code != 0
    assert words in output


def test_a_missing_table_is_named(cloud: Path) -> None:
    """The message names a missing table, or the folder without a local cloud."""
    none = CliRunner().invoke(landfall, ["gold", "none", "--data", str(cloud)])
    assert "there is no table gold/none" in none.output + str(none.exception)
    nowhere = CliRunner().invoke(landfall, ["gold", "sales", "--data", str(cloud / "nowhere")])
    assert "no local cloud in" in nowhere.output + str(nowhere.exception)


def test_a_day_means_its_end() -> None:
    """A day is its end; a time without an offset is UTC."""
    assert parse_time("2026-11-17") == datetime(2026, 11, 18, tzinfo=UTC)
    assert parse_time("2026-11-17T09:30") == datetime(2026, 11, 17, 9, 30, tzinfo=UTC)
    assert parse_time("2026-11-17T09:30+02:00") == datetime(2026, 11, 17, 7, 30, tzinfo=UTC)
    with pytest.raises(click.BadParameter):
        parse_time("Tuesday")


def test_an_old_version_has_its_own_commit_time(cloud: Path) -> None:
    """delta-rs counts history from the version that is loaded: the time is taken before."""
    history = DeltaTable(str(cloud / "lake/gold/sales")).history()
    times = [
        json.loads(ask(cloud, "--version", str(version), "--json").stdout)["committed_at"]
        for version in (0, 1)
    ]
    expected = [
        datetime.fromtimestamp(commit["timestamp"] / 1000, UTC).isoformat()
        for commit in reversed(history)
    ]
    assert times == expected


def run(cloud: Path, *arguments: str) -> Result:
    """Run the command with any table."""
    return CliRunner().invoke(landfall, ["gold", *arguments, "--data", str(cloud)])


def test_tables_are_listed_and_silver_is_shown(cloud: Path) -> None:
    """Without a name all tables; a name may be of silver."""
    table = pa.table({"id": [1, 2], "note": ["a", None]})
    write_deltalake(str(cloud / "lake/silver/things"), table, mode="overwrite")
    listed = json.loads(run(cloud, "--json").stdout)["tables"]
    assert [row["table"] for row in listed] == ["gold/sales", "silver/things"]
    assert "gold/sales" in run(cloud).stdout
    shown = run(cloud, "silver/things").stdout
    assert "silver/things: 2 rows, 2 columns" in shown
    assert "NULL" in shown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sale", "there is no table gold/sale; did you mean gold/sales?"),
        ("users", "there is no table gold/users; there are: gold/sales"),
        ("../silver/things", "is not TABLE, gold/TABLE or silver/DATASET"),
    ],
)
def test_a_table_that_is_none(cloud: Path, name: str, words: str) -> None:
    """The message has the name that may be meant, and nothing of the reader's own."""
    result = run(cloud, name)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert "Os {" not in result.output


def test_a_table_without_a_definition_is_dropped(cloud: Path) -> None:
    """One that is defined would be built again, and silver is never dropped."""
    write_deltalake(str(cloud / "lake/gold/old"), pa.table({"n": [1]}))
    definitions = cloud / "lake/manifest/definitions/gold.json"
    definitions.parent.mkdir(parents=True)
    definitions.write_text(json.dumps({"schema": 1, "tables": [{"name": "sales"}]}))
    defined = run(cloud, "sales", "--drop")
    assert (defined.exit_code, "still defined" in defined.output) == (2, True)
    dropped = run(cloud, "old", "--drop")
    assert (dropped.exit_code, "dropped gold/old" in dropped.output) == (0, True)
    assert 'DROP TABLE IF EXISTS gold."old"' in dropped.output  # the database is not running
    assert not (cloud / "lake/gold/old").exists()
    assert run(cloud, "old", "--drop").exit_code == 2
    assert "is not of gold" in run(cloud, "silver/things", "--drop").output
