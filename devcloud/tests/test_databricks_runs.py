"""When tasks may start, how runs end, and what a task needs: the pure parts of the workspace."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from devcloud.databricks.libraries import LibraryError, dependencies, prepare
from devcloud.databricks.references import resolve, start_values
from devcloud.databricks.runs import (
    Attempt,
    WorkspaceRun,
    WorkspaceRunState,
    outcome,
    retry_time,
    upstream_verdict,
)
from devcloud.databricks.workspace import Workspace

ENDED = "TERMINATED"


def run_of(results: dict[str, str], **task: Any) -> WorkspaceRun:
    """A run of tasks that ended so, and of one more, `last`, that depends on all of them."""
    tasks: list[dict[str, Any]] = [{"task_key": key} for key in results]
    tasks.append({"task_key": "last", "depends_on": [{"task_key": key} for key in results], **task})
    attempts = {
        key: [
            Attempt(
                key, number, state=WorkspaceRunState(ENDED if result else "RUNNING", result or None)
            )
        ]
        for number, (key, result) in enumerate(results.items())
    }
    attempts["last"] = [Attempt("last", 99)]
    return WorkspaceRun(1, 1, {"tasks": tasks}, {}, {}, 0, attempts=attempts)


@pytest.mark.parametrize(
    ("rule", "results", "verdict"),
    [
        ("ALL_SUCCESS", ["SUCCESS", "SUCCESS"], "start"),
        ("ALL_SUCCESS", ["SUCCESS", ""], "wait"),
        ("ALL_SUCCESS", ["SUCCESS", "FAILED"], "UPSTREAM_FAILED"),
        ("ALL_SUCCESS", ["SUCCESS", "CANCELED"], "UPSTREAM_CANCELED"),
        ("ALL_SUCCESS", ["SUCCESS", "EXCLUDED"], "EXCLUDED"),
        ("ALL_DONE", ["FAILED", "UPSTREAM_FAILED"], "start"),
        ("ALL_DONE", ["FAILED", ""], "wait"),
        ("NONE_FAILED", ["SUCCESS", "EXCLUDED"], "start"),
        ("NONE_FAILED", ["SUCCESS", "TIMEDOUT"], "UPSTREAM_FAILED"),
        ("AT_LEAST_ONE_SUCCESS", ["SUCCESS", "FAILED"], "start"),
        ("AT_LEAST_ONE_SUCCESS", ["FAILED", "FAILED"], "EXCLUDED"),
        ("AT_LEAST_ONE_FAILED", ["SUCCESS", "FAILED"], "start"),
        ("AT_LEAST_ONE_FAILED", ["SUCCESS", "SUCCESS"], "EXCLUDED"),
        ("ALL_FAILED", ["FAILED", "TIMEDOUT"], "start"),
        ("ALL_FAILED", ["FAILED", "SUCCESS"], "EXCLUDED"),
    ],
)
def test_run_if(rule: str, results: list[str], verdict: str) -> None:
    """Each rule looks at all tasks before, once all of them have ended."""
    run = run_of({f"t{n}": result for n, result in enumerate(results)}, run_if=rule)
    assert verdict == upstream_verdict(run, "last")


@pytest.mark.parametrize(
    ("before", "last", "result"),
    [
        ("SUCCESS", "SUCCESS", "SUCCESS"),
        ("FAILED", "SUCCESS", "SUCCESS_WITH_FAILURES"),
        ("FAILED", "UPSTREAM_FAILED", "FAILED"),
        ("SUCCESS", "FAILED", "FAILED"),
        ("SUCCESS", "TIMEDOUT", "TIMEDOUT"),
        ("SUCCESS", "EXCLUDED", "SUCCESS"),
    ],
)
def test_outcome(before: str, last: str, result: str) -> None:
    """The tasks that no other waits for decide how a run ended."""
    run = run_of({"first": before})
    run.attempts["last"][0].state = WorkspaceRunState(ENDED, last)
    assert result == outcome(run).result


@pytest.mark.parametrize(
    ("settings", "tries", "result", "expected"),
    [
        ({}, 1, "FAILED", None),
        ({"max_retries": 1}, 1, "FAILED", 150),
        ({"max_retries": 1}, 2, "FAILED", None),
        ({"max_retries": -1}, 50, "FAILED", 150),
        ({"max_retries": 1, "min_retry_interval_millis": 500}, 1, "FAILED", 600),
        ({"max_retries": 1}, 1, "TIMEDOUT", None),
        ({"max_retries": 1, "retry_on_timeout": True}, 1, "TIMEDOUT", 150),
        ({"max_retries": 1}, 1, "CANCELED", None),
    ],
)
def test_retry_time(
    settings: dict[str, Any], tries: int, result: str, expected: int | None
) -> None:
    """Retries count from the start of the failed try, and never too many."""
    run = run_of({}, **settings)
    run.attempts["last"] = [
        Attempt("last", n, n, WorkspaceRunState(ENDED, result), started=100, ended=150)
        for n in range(tries)
    ]
    assert expected == retry_time(run, run.attempts["last"][-1])


def test_run_survives_its_json() -> None:
    """A run read back is the run that was written."""
    run = run_of({"first": "SUCCESS"})
    assert run == WorkspaceRun.from_json(run.to_json())


def test_references_are_resolved_everywhere() -> None:
    """References are replaced wherever they stand, and what else looks like one is left alone."""
    values = start_values(1_700_000_000_000) | {"job.id": "7"}
    document = {"a": ["{{job.id}}-{{ job.start_time.iso_date }}", {"b": "{job.id} {{}}"}], "c": 1}
    expected = {"a": ["7-2023-11-14", {"b": "{job.id} {{}}"}], "c": 1}
    assert expected == resolve(document, values.__getitem__)


def wheel(*names: str) -> bytes:
    """A zip file with such members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x = 1\n")
    return content.getvalue()


def test_wheels_are_unpacked_once_for_each_content(tmp_path: Path) -> None:
    """One content, one folder; another content under the same name gets another."""
    workspace = Workspace(tmp_path / "files")
    folders = []
    for content in (wheel("a.py"), wheel("a.py"), wheel("a.py", "b.py")):
        workspace.write("/w.whl", content, overwrite=True)
        folders += prepare(["/w.whl"], workspace, tmp_path / "wheels")
    assert folders[0] == folders[1]
    assert [path.name for path in folders[0].iterdir()] == ["a.py"]
    assert {"a.py", "b.py"} == {path.name for path in folders[2].iterdir()}
    assert set(folders) == set((tmp_path / "wheels").iterdir())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("/gone.whl", "cannot be read"),
        ("/broken.whl", "not a wheel"),
        ("no-such-package-here==1", "not installed"),
        ("pytest<1", "is not met"),
        ("./what is this", "neither"),
    ],
)
def test_libraries_that_cannot_be_had(tmp_path: Path, wanted: str, words: str) -> None:
    """A library that is missing, broken or not installed here is named."""
    workspace = Workspace(tmp_path / "files")
    workspace.write("/broken.whl", b"no zip", overwrite=True)
    with pytest.raises(LibraryError, match=words):
        prepare([wanted], workspace, tmp_path / "wheels")
    assert prepare(["pytest>=1"], workspace, tmp_path / "wheels") == []


def test_dependencies_of_a_task() -> None:
    """Those of its environment and its own libraries; a kind that is not known is refused."""
    spec = {"dependencies": ["/a.whl", "requests"]}
    settings = {"environments": [{"environment_key": "e", "spec": spec}]}
    task = {"environment_key": "e", "libraries": [{"whl": "/b.whl"}]}
    assert dependencies(task, settings) == ["/a.whl", "requests", "/b.whl"]
    with pytest.raises(LibraryError, match="jar"):
        dependencies({"libraries": [{"jar": "/x.jar"}]}, {})
