"""`landfall forget`: what it asks, what it says, when it does not go on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from landfall.cli.forget import key_of
from landfall.cli.main import landfall
from tests.unit.cli_service import serving

PREVIEW = {
    "dry_run": True,
    "targets": [{"dataset": "users", "columns": ["id"], "in_silver": 1, "runs": 3}],
    "references": [{"dataset": "orders", "columns": ["buyer_id"], "in_silver": None}],
}
OPEN: dict[str, Any] = {
    "erasure_id": "e1",
    "dataset": "users",
    "stage": "waiting",
    "waits": "2 runs that landed before the request are at work",
    "requested": "2026-11-22T14:00:00+00:00",
    "places": {},
    "tables": None,
    "unreadable": [],
}
DONE = OPEN | {
    "stage": "done",
    "waits": None,
    "places": {"bronze": {"files": 1, "records": 2}},
    "tables": {
        "rows": {"silver/users": 1},
        "gold": {"gold/kpis": 4},
        "references": {"silver/orders(buyer_id)": 5, "silver/parcels(buyer_id)": 0},
        "vacuum": {"job": "landfall_maintain", "keep_days": "30"},
    },
    "unreadable": ["quarantine/users/x/book.xlsx"],
}


def invoke(answers: dict[str, Any], *arguments: str, typed: str = "") -> tuple[Result, list[str]]:
    """Run the command against a service with these answers."""
    with serving(answers) as (environment, requests):
        result = CliRunner().invoke(landfall, arguments, env=environment, input=typed)
        return result, requests


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("42", "42"),
        ("=x", "=x"),
        ("a=1,b=2026-01-02", {"a": "1", "b": "2026-01-02"}),
        ('{"a": "x,y", "b": 1}', {"a": "x,y", "b": 1}),
    ],
)
def test_keys_of_one_column_and_of_several(text: str, key: object) -> None:
    """A JSON object can say what has commas in it."""
    assert key_of(text) == key


def test_it_says_what_is_concerned_before_it_asks() -> None:
    """Who says no has changed nothing: only the dry run was sent."""
    result, requests = invoke(
        {"POST /datasets/users/forget": (200, PREVIEW)}, "forget", "users", "42", typed="n\n"
    )
    assert result.exit_code != 0
    assert requests == ["POST /datasets/users/forget"]
    assert "erased   users by id: 1 row in silver, and the files of 3 runs" in result.output
    assert "left     orders by buyer_id: rows of silver not counted" in result.output


def test_it_waits_and_prints_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was erased where, what is left, and when old versions go."""
    monkeypatch.setattr("landfall.cli.forget.POLL_SECONDS", 0)
    answers = {
        "POST /datasets/users/forget": (202, OPEN),
        "GET /erasures/e1": [(200, OPEN), (200, DONE)],
    }
    result, _ = invoke(answers, "forget", "users", "42", "--yes", "--wait")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "erasure e1 of users: done",
        "  bronze: 1 files, 2 records",
        "  silver/users: 1 rows",
        "  gold/kpis: made anew, version 4",
        "  silver/orders(buyer_id): 5 rows refer to the subject and are left",
        "  old versions of tables go after 30 days",
        "  to be looked at by a person: quarantine/users/x/book.xlsx",
    ]


def test_an_erasure_that_fails_is_an_error() -> None:
    """Exit code 1, with the cause."""
    failed = OPEN | {"stage": "failed", "waits": "job run 7 failed: no machines"}
    result, _ = invoke(
        {"POST /datasets/users/forget": (202, failed)}, "forget", "users", "42", "--yes"
    )
    assert result.exit_code == 1
    assert "no machines" in result.output


def test_erasures_are_listed_and_shown() -> None:
    """By id, with how far each is."""
    answers = {"GET /erasures": (200, {"erasures": [DONE]}), "GET /erasures/e1": (200, DONE)}
    listed, _ = invoke(answers, "erasures")
    assert listed.output.split()[:3] == ["e1", "done", "users"]
    shown, _ = invoke(answers, "erasures", "e1", "--json")
    assert json.loads(shown.output)["stage"] == "done"
