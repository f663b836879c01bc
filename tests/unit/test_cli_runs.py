from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner, Result

from landfall.cli.main import landfall
from tests.unit.cli_service import run, serving

RUN = run("succeeded")["run_id"]
REPORT = {
    "dataset": "users",
    "name": "may.csv",
    "verdict": "refused",
    "rows": 1200,
    "accepted": 800,
    "rejected": 400,
    "max_rejected_ratio": 0.05,
    "problem": {"reason": "400 of 1,200 rows break the contract", "action": "send it corrected"},
    "columns": {"missing": [], "extra": ["shoe"], "reordered": False},
    "checks": [
        {
            "rule": "enum",
            "column": "gender",
            "failed": 400,
            "samples": [{"line": 3, "value": "X"}, {"line": 5, "value": "[y]"}],
        }
    ],
}


def _invoke(arguments: list[str], answers: dict[str, Any]) -> tuple[Result, list[str]]:
    with serving(answers) as (environ, requests):
        return CliRunner().invoke(landfall, arguments, env=environ | {"COLUMNS": "100"}), requests


def test_runs_lists_what_the_service_has() -> None:
    """Each run has a row with state and counts; the service gets the filters."""
    result, requests = _invoke(
        ["runs", "--dataset", "users", "--state", "succeeded", "--limit", "7"],
        {"GET /runs": (200, {"runs": [run("succeeded")], "next": None})},
    )

    assert result.exit_code == 0
    assert requests == ["GET /runs?dataset=users&state=succeeded&limit=7"]
    assert result.output.splitlines()[1].split() == [RUN, "may.csv", "succeeded", "1,200", "2"]


def test_runs_follows_pages_up_to_its_limit() -> None:
    """A limit beyond one page is filled from the following ones."""
    page = [run("succeeded", run_id=f"r{number}") for number in range(100)]
    result, requests = _invoke(
        ["runs", "--limit", "101", "--json"],
        {
            "GET /runs": [
                (200, {"runs": page, "next": "more"}),
                (200, {"runs": page[:1], "next": "and more"}),
            ]
        },
    )

    assert len(json.loads(result.output)["runs"]) == 101
    assert requests == ["GET /runs?limit=100", "GET /runs?limit=1&cursor=more"]


def test_no_runs_says_how_to_make_one() -> None:
    """Without runs the command says how to create one."""
    result, _ = _invoke(["runs"], {"GET /runs": (200, {"runs": []})})

    assert result.output == "no runs yet: `landfall drop FILE` makes one\n"


def test_show_prints_history_and_report() -> None:
    """A refused run is shown with its steps and its report, and ends in exit code 1."""
    history = [{"at": "2026-11-22T13:01:15+00:00", "state": "received", "cause": "by event"}]
    result, _ = _invoke(
        ["show", RUN],
        {
            f"GET /runs/{RUN}": (200, run("quarantined", history=history)),
            f"GET /runs/{RUN}/report": (200, REPORT),
        },
    )

    assert result.exit_code == 1
    assert "by event" in result.output
    assert "what to do: send it corrected" in result.output
    assert "line 3: 'X'; line 5: '[y]'" in result.output
    assert "extra columns: shoe" in result.output


def test_an_unknown_run_is_an_error() -> None:
    """The service's problem document becomes the message."""
    result, _ = _invoke(["show", "nonesuch"], {})

    assert result.exit_code == 2
    assert result.output == "landfall: Not found: there is no such run [404]\n"


def test_a_wrong_key_names_what_to_check() -> None:
    """The message of a refused key says where to set it."""
    with serving({}) as (environ, _):
        result = CliRunner().invoke(landfall, ["runs"], env=environ | {"LANDFALL_KEY": "wrong"})

    assert result.exit_code == 2
    assert "check LANDFALL_KEY" in result.output


def test_watch_follows_one_run_to_its_end() -> None:
    """Without a terminal each change is a line, and a failed run is exit code 1."""
    result, _ = _invoke(
        ["watch", RUN],
        {
            f"GET /runs/{RUN}": [
                (200, run("validating")),
                (200, run("validating")),
                (200, run("failed", cause="copy failed [twice]")),
            ]
        },
    )

    assert result.exit_code == 1
    changes = [line.split(" ", 1)[1] for line in result.output.splitlines()[:2]]
    assert changes == [
        f"users/may.csv: validating (run {RUN})",
        "users/may.csv: validating → failed: copy failed [twice]",
    ]


def test_report_as_json_is_the_report() -> None:
    """`--json` prints the document of the service; a refusal is exit code 1."""
    result, _ = _invoke(["report", RUN, "--json"], {f"GET /runs/{RUN}/report": (200, REPORT)})

    assert result.exit_code == 1
    assert json.loads(result.output) == REPORT


def test_retry_and_cancel_post() -> None:
    """Both commands send a request and print the new state of the run."""
    answers = {
        f"POST /runs/{RUN}/retry": (202, run("received")),
        f"POST /runs/{RUN}/cancel": (200, run("cancelled")),
    }

    assert _invoke(["retry", RUN], answers)[0].output == f"{RUN} is received again\n"
    assert _invoke(["cancel", RUN], answers)[0].output == f"{RUN} is cancelled\n"


@pytest.mark.parametrize("command", ["show", "report", "watch", "retry", "cancel"])
@pytest.mark.parametrize("run_id", ["", "  "])
def test_an_empty_run_is_refused(command: str, run_id: str) -> None:
    """An empty run id, as from an unset shell variable, is refused without a request."""
    result, requests = _invoke([command, run_id], {"GET /runs": (200, {"runs": [], "next": None})})

    assert result.exit_code == 2
    assert "RUN" in result.output
    assert "must not be empty" in result.output
    assert requests == []


@pytest.mark.parametrize("arguments", [["runs", "-d", ""], ["watch", "-d", ""]])
def test_an_empty_dataset_is_refused(arguments: list[str]) -> None:
    """An empty filter is not all datasets."""
    result, requests = _invoke(arguments, {})

    assert (result.exit_code, requests) == (2, [])
    assert "must not be empty" in result.output


@pytest.mark.parametrize("run_id", ["a/../../health", "..", "a?b#c", "ü"])
def test_any_run_id_is_one_path_segment(run_id: str) -> None:
    """A run id is always quoted as one path segment."""
    result, requests = _invoke(["show", run_id], {})

    assert result.exit_code == 2
    assert [unquote(request) for request in requests] == [f"GET /runs/{run_id}"]


def test_a_replay_of_runs_is_a_request_for_each() -> None:
    """A request is sent for every named run."""
    answers = {f"POST /runs/{RUN}/replay": (202, run("claimed"))}
    result, requests = _invoke(["replay", RUN, "--from", "bronze"], answers)
    assert (result.exit_code, result.output) == (0, f"{RUN} is claimed again\n")
    assert requests == [f"POST /runs/{RUN}/replay"]


def test_a_dry_run_of_a_replay_lists_its_runs() -> None:
    """A dry run only lists runs, and the number of further ones."""
    plan = {"dry_run": True, "total": 3, "runs": [RUN, "r2"]}
    result, _ = _invoke(
        ["replay", "--dataset", "users", "--dry-run"], {"POST /replays": (200, plan)}
    )
    assert result.output == f"3 runs would be replayed:\n  {RUN}\n  r2\n  and 1 more\n"


@pytest.mark.parametrize(
    "arguments", [[], [RUN, "--dataset", "users"], [RUN, "--dry-run"], ["--dataset", ""]]
)
def test_a_replay_needs_runs_or_a_query(arguments: list[str]) -> None:
    """Both or none of them is wrong usage, exit code 2, without a request."""
    result, requests = _invoke(["replay", *arguments], {})
    assert (result.exit_code, requests) == (2, [])


def test_a_resend_is_followed_to_its_end(tmp_path: Path) -> None:
    """The file is sent in the request; with --wait a refused run is exit code 1."""
    file = tmp_path / "corrected.csv"
    file.write_text("id\n1\n")
    child = run("claimed", run_id="20261122T140000Z-users-00000001", resend_of=RUN)
    ended = {**child, "state": "quarantined"}
    answers = {
        f"POST /runs/{RUN}/resend": (202, child),
        f"GET /runs/{child['run_id']}": (200, ended),
    }
    result, requests = _invoke(["resend", RUN, str(file)], answers)
    assert result.output == f"corrected.csv is run {child['run_id']}, corrected rejects of {RUN}\n"
    assert requests == [f"POST /runs/{RUN}/resend?name=corrected.csv"]
    result, _ = _invoke(["resend", RUN, str(file), "--wait", "--json"], answers)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["state"] == "quarantined"


BACKLOG = {
    "copies": {"under_way": 2, "at_once": 2, "waiting": 3},
    "loads": {"under_way": 1, "at_once": 10, "waiting": 0},
    "datasets": [
        {
            "dataset": "users",
            "active": 5,
            "states": {"validated": 3, "copying": 2},
            "oldest": {"run_id": RUN, "landed_at": "2026-11-22T13:01:14+00:00"},
            "waits": {"validated": "for a copy: 2 are under way, 2 may be at once"},
        }
    ],
}


def test_the_backlog_says_what_waits_and_for_what() -> None:
    """The limits come first, then a line for each dataset and state, with the reason to wait."""
    result, _ = _invoke(["backlog"], {"GET /backlog": (200, BACKLOG)})
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines == [
        "copies: 2 of 2 running, 3 waiting",
        "loads: 1 of 10 running, 0 waiting",
        "",
        "Dataset State Runs Waits",
        "users validated 3 for a copy: 2 are under way, 2 may be at once",
        "users copying 2",
    ]
    nothing = {**BACKLOG, "datasets": []}
    result, _ = _invoke(["backlog"], {"GET /backlog": (200, nothing)})
    assert result.output.splitlines()[-1] == "no active runs"
