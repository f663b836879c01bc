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
        (["--version", "9"], "no version 9"),
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
    assert "there is no gold table 'none'" in none.output + str(none.exception)
    nowhere = CliRunner().invoke(landfall, ["gold", "sales", "--data", str(cloud / "nowhere")])
    assert "no local cloud in" in nowhere.output + str(nowhere.exception)


def test_a_day_means_its_end() -> None:
    """A day is its end; a time without an offset is UTC."""
    assert parse_time("2026-11-17") == datetime(2026, 11, 18, tzinfo=UTC)
    assert parse_time("2026-11-17T09:30") == datetime(2026, 11, 17, 9, 30, tzinfo=UTC)
    assert parse_time("2026-11-17T09:30+02:00") == datetime(2026, 11, 17, 7, 30, tzinfo=UTC)
    with pytest.raises(click.BadParameter):
        parse_time("Tuesday")
