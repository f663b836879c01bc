from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cli.demo import files, scenario
from cli.trouble import Trouble
from tests.realdata import C2C

SOURCES = ["generated", *(["real"] if C2C else [])]


@pytest.fixture(scope="module", params=SOURCES)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's files, small."""
    folder = tmp_path_factory.mktemp(str(request.param))
    files.prepare(folder, str(request.param), rows=5_000)
    return folder


def _records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_every_drop_has_its_file(prepared: Path) -> None:
    """What the scenario drops is there and has rows, all of one shape."""
    for drop in (*scenario.FIRST, scenario.AGAIN, scenario.SMALL):
        records = _records(prepared / drop.source)
        assert records
        assert all(None not in record and None not in record.values() for record in records)


def test_the_flawed_file_has_few_wrong_rows_and_no_news(prepared: Path) -> None:
    """Its good rows are those of a good file, so the tables come out as if it had never been."""
    good, flawed = _records(prepared / "users-5.csv"), _records(prepared / "users-flawed.csv")

    wrong = [record for record in flawed if record not in good]
    assert len(flawed) == 500
    assert len(wrong) == scenario.BAD_ROWS


def test_the_broken_file_is_far_beyond_tolerance(prepared: Path) -> None:
    """A third of its rows are wrong, in several ways."""
    good, broken = _records(prepared / "users-3.csv"), _records(prepared / "users-broken.csv")

    wrong = [record for record in broken if record not in good]
    assert len(broken) == 900
    assert len(wrong) == 300


def test_the_small_file_is_small(prepared: Path) -> None:
    """The timed drop is the head of a good one."""
    good, small = _records(prepared / "users-2.csv"), _records(prepared / "users-small.csv")

    assert small == good[: scenario.SMALL_ROWS]


def test_real_data_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking for the published tables where they are not names the folder and the way out."""
    monkeypatch.setattr(files, "PUBLISHED", tmp_path / "absent")

    with pytest.raises(Trouble, match="use --data generated"):
        files.prepare(tmp_path, "real", None)
