from __future__ import annotations

import csv
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console, RenderableType

from landfall.cli import render
from landfall.cli.demo import closing
from landfall.cli.demo.gold import TablePreview
from landfall.cli.demo.play import DemoDelivery
from landfall.cli.demo.served import Serving
from landfall.cli.errors import CliError
from landfall.cli.lake import Landed
from landfall.cli.main import landfall
from marketplace import demo as scenario
from marketplace import demo_files as files
from tests.realdata import C2C
from tests.unit.cli_service import run

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
    """Every file of the scenario exists and has well-formed rows."""
    for drop in (*scenario.FIRST, scenario.AGAIN, scenario.SMALL):
        records = _records(prepared / drop.source)
        assert records
        assert all(None not in record and None not in record.values() for record in records)


def test_the_flawed_file_has_few_invalid_rows(prepared: Path) -> None:
    """Its valid rows are those of a good file, so they do not change the tables."""
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

    assert small == good[: files.SMALL_ROWS]


def test_missing_published_tables_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the published tables are absent, the error names the folder and the alternative."""
    monkeypatch.setattr(files, "PUBLISHED", tmp_path / "absent")

    with pytest.raises(CliError, match="use --data generated"):
        files.prepare(tmp_path, "real", None)


def _deliveries(**ended: str) -> list[DemoDelivery]:
    """Return the deliveries as expected, except for the given files (without `.csv`)."""
    landed = datetime(2026, 11, 22, 13, 1, 14, tzinfo=UTC)
    return [
        DemoDelivery(
            drop,
            Landed(drop.path, 1, "0x1", landed),
            run(
                ended.get(drop.file.removesuffix(".csv"), drop.expect),
                dataset=drop.dataset,
                name=drop.file,
                rows=19_783,
                rejected=drop.rejected,
            ),
        )
        for drop in (*scenario.FIRST, scenario.AGAIN, scenario.SMALL)
    ]


def _text(thing: RenderableType, width: int = 80) -> str:
    stream = StringIO()
    Console(file=stream, width=width, emoji=False, highlight=False).print(thing)
    return stream.getvalue()


def test_tables_fit_a_terminal_of_80_columns() -> None:
    """Each drop has one line in the live table and one in the final table, without wrapping."""
    deliveries = _deliveries()
    live = _text(render.progress_table([delivery.view() for delivery in deliveries]))
    closed = _text(closing.runs(deliveries))

    assert len(live.splitlines()) == len(closed.splitlines()) == 1 + len(deliveries)
    for delivery in deliveries:
        assert f"{delivery.drop.dataset}/{delivery.drop.file}" in live
        assert f"{delivery.drop.dataset}/{delivery.drop.file}" in closed
    assert closed.count("✓") == len(deliveries)


def test_unexpected_results_are_grouped_by_cause() -> None:
    """Drops with the same cause are grouped; drops with the expected result are omitted."""
    deliveries = _deliveries(**{"users-2": "failed", "users-4": "failed"})

    assert list(closing.unexpected_results(_deliveries())) == []
    (text,) = closing.unexpected_results(deliveries)
    assert text.splitlines() == [
        "users/users-2.csv is failed, expected: succeeded",
        "users/users-4.csv is failed, expected: succeeded",
        "  because it is failed",
    ]
    assert _text(closing.runs(deliveries)).count("✗ failed") == 2


def test_a_wrong_number_of_rejected_rows_is_unexpected() -> None:
    """A run in the expected state with another number of rejected rows is not as expected."""
    (flawed,) = (delivery for delivery in _deliveries() if delivery.drop.file == "users-flawed.csv")
    flawed.run["rejected"] = 2

    (text,) = closing.unexpected_results([flawed])
    assert "expected: succeeded with 3 rejected rows" in text


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """A kept lake is not overwritten; the message says how to start it again."""
    (tmp_path / "devcloud.json").write_text("mine")

    result = CliRunner().invoke(landfall, ["demo", "--json", "--keep", str(tmp_path)])

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"landfall up --data {tmp_path}" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["devcloud.json"]


def test_the_document_names_every_run_and_table(tmp_path: Path) -> None:
    """`--json` has ok, the runs as the service lists them, and the path of each gold table."""
    gold = [TablePreview("buyers_by_country", tmp_path, 62, (), ())]

    document = closing.document(_deliveries(), gold, Serving({"buyers_by_country": 62}), 1.5)

    assert document["ok"] is True
    assert document["gold"] == {"buyers_by_country": {"rows": 62, "path": str(tmp_path)}}
    assert {"run_id", "dataset", "name", "state", "rows", "rejected"} <= document["runs"][0].keys()
    assert document["served"] == {"buyers_by_country": 62}
    behind = closing.document(_deliveries(), gold, Serving({"buyers_by_country": 61}), 1.5)
    assert behind["ok"] is False
    assert closing.document(_deliveries(), [], Serving({}), None)["ok"] is False
