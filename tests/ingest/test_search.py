"""Where a file is: runs by name, pattern, time and content, over the API and the command."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.errors import BadRequest
from ingest.http import api
from ingest.http.web import ApiRequest
from ingest.runs import register
from ingest.runs.search import parse_moment
from ingest.service import Landfall
from landfall.cli.main import landfall
from tests.ingest.instances import Instances
from tests.ingest.served_api import served

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A dataset."""
    return Instances(tmp_path)


def drops(many: Instances, by: Landfall, *names: str) -> dict[str, str]:
    """Land files a day apart and take them to their end; run ids by name."""
    runs = {}
    for name in names:
        (run_id,) = many.copied(by, name)
        runs[name] = run_id
        many.clock.turn(days=1)
        many.settle(by)
    return runs


def found(by: Landfall, **query: str) -> list[str]:
    """The names that a query finds, over all pages."""
    names: list[str] = []
    while True:
        body = api.list_runs(by, ApiRequest(query=query)).body
        names += [run["name"] for run in body["runs"]]
        if not body["next"]:
            return names
        query["cursor"] = body["next"]


def test_runs_by_name_time_and_content(many: Instances) -> None:
    """Active and ended runs; patterns ignore case and take the last part of a path too."""
    one = many.process()
    start = many.clock()
    drops(many, one, "April.csv", "sub/may.csv", "may_2.csv")
    many.land("landing/things/may_3.csv", b"id\nx\n")
    one.on_landing("landing/things/may_3.csv")
    assert found(one, name="may*.csv") == ["may_3.csv", "may_2.csv", "sub/may.csv"]
    assert found(one, name="MAY.csv") == ["sub/may.csv"]
    assert found(one, name="nobody.csv") == []
    day = timedelta(days=1)
    assert found(one, since=(start + day / 2).isoformat()) == [
        "may_3.csv",
        "may_2.csv",
        "sub/may.csv",
    ]
    assert found(one, until=(start + day / 2).isoformat()) == ["April.csv"]
    assert found(one, until=(start + 1.5 * day).isoformat(), name="m*") == ["sub/may.csv"]
    (path,) = [p for p in many.lake.files if p.startswith("raw/") and p.endswith("April.csv")]
    digest = hashlib.sha256(many.lake.files[path].data).hexdigest()
    assert found(one, sha256=digest.upper()) == ["April.csv"]


def test_pages_go_on_where_a_request_has_looked_at_enough(
    many: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is rare among many runs is found by several requests, none of them long."""
    one = many.process()
    drops(many, one, "rare.csv", *(f"x{n}.csv" for n in range(5)))
    monkeypatch.setattr(register, "SCANNED", 2)
    first = api.list_runs(one, ApiRequest(query={"name": "rare*"})).body
    assert (first["runs"], first["next"] is not None) == ([], True)
    assert found(one, name="rare*") == ["rare.csv"]
    assert len(found(one, name="x*", limit="1")) == 5


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-29", NOW.replace(day=29, hour=0, minute=0)),
        ("2026-11-29T10:00:00+02:00", NOW.replace(day=29, hour=8, minute=0)),
        ("today", NOW.replace(hour=0, minute=0)),
        ("yesterday", NOW.replace(day=29, hour=0, minute=0)),
        ("90m", NOW.replace(hour=11, minute=0)),
        ("7d", NOW - timedelta(days=7)),
    ],
)
def test_times_as_people_say_them(text: str, moment: datetime) -> None:
    """A day is its beginning, in UTC."""
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "query",
    [{"since": "tomorrow"}, {"until": "999999d"}, {"sha256": "abc"}, {"names": "x"}],
)
def test_a_query_that_is_none_is_a_bad_request(many: Instances, query: dict[str, str]) -> None:
    """The message names the parameter and what it may be."""
    with pytest.raises(BadRequest, match=min(query)):
        api.list_runs(many.process(), ApiRequest(query=query))


def test_where_is_my_file(many: Instances, tmp_path: Path) -> None:
    """By its name, and by its content where it was dropped under another."""
    one = many.process()
    runs = drops(many, one, "may.csv", "june.csv")
    (path,) = [p for p in many.lake.files if p.startswith("raw/") and p.endswith("june.csv")]
    other = tmp_path / "mine.csv"
    other.write_bytes(many.lake.files[path].data)
    with served(one) as environment:
        by_name = CliRunner().invoke(landfall, ["where", "may.csv"], env=environment)
        assert by_name.exit_code == 0
        assert "things/may.csv  succeeded" in by_name.output
        assert by_name.output.endswith(f"more: landfall show {runs['may.csv']}\n")
        by_content = CliRunner().invoke(landfall, ["where", str(other)], env=environment)
        assert f"({runs['june.csv']})" in by_content.output
        nowhere = CliRunner().invoke(landfall, ["where", "nobody.csv"], env=environment)
        assert (nowhere.exit_code, "no run of nobody.csv" in nowhere.output) == (1, True)
        listed = CliRunner().invoke(landfall, ["runs", "-q", "--name", "m*"], env=environment)
        assert listed.output == f"{runs['may.csv']}\n"
        shown = CliRunner().invoke(landfall, ["show", "latest"], env=environment)
        assert "landing/things/june.csv" in shown.output
