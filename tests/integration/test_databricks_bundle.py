"""The bundle: read, deployed to the local workspace by the SDK, and run as it is defined there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from databricks.sdk.service.jobs import PauseStatus

from devcloud.testing.workspace import LocalWorkspace, local_workspace, states
from landfall.deploy.bundle import deploy_bundle
from landfall.deploy.bundle_config import BundleError, load_bundle

REPOSITORY = Path(__file__).resolve().parents[2]

BUNDLE = """
bundle: {name: trial}
variables:
  greeting: {default: hello}
artifacts:
  jobs: {type: whl, path: jobs}
sync: {paths: [scripts]}
resources:
  jobs:
    greet:
      name: greet
      parameters: [{name: who, default: you}]
      tasks:
        - task_key: wheel
          python_wheel_task:
            package_name: trial_jobs
            entry_point: greet
            parameters: ["${var.greeting}", "{{job.parameters.who}}"]
        - task_key: script
          depends_on: [{task_key: wheel}]
          spark_python_task: {python_file: ./scripts/end.py}
targets:
  dev:
    default: true
    resources:
      jobs:
        greet:
          tasks:
            - {task_key: wheel, environment_key: jobs}
          environments:
            - environment_key: jobs
              spec: {environment_version: "4", dependencies: [./jobs/dist/*.whl]}
  cluster:
    variables: {greeting: welcome}
    resources:
      jobs:
        greet:
          tasks:
            - {task_key: wheel, libraries: [{whl: ./jobs/dist/*.whl}]}
"""
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "trial-jobs"
version = "1.0"
[project.scripts]
greet = "trial_jobs.greeting:main"
[tool.setuptools]
packages = ["trial_jobs"]
package-dir = { trial_jobs = "." }
"""
GREETING = """
import sys
from trial_jobs.words import MARK

def main():
    print(*sys.argv[1:], MARK, sep=",")
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """One workspace for all tests here; its worker starts no Spark."""
    with local_workspace(tmp_path_factory.mktemp("workspace")) as running:
        yield running


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A small bundle of one wheel and one script."""
    for name, text in {
        "databricks.yml": BUNDLE.replace("name: trial}", f"name: {tmp_path.name}}}"),
        "jobs/pyproject.toml": PROJECT,
        "jobs/__init__.py": "",
        "jobs/greeting.py": GREETING,
        "jobs/words.py": "MARK = '!'\n",
        "scripts/end.py": "print('end')\n",
        "scripts/old.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_deploy_run_and_deploy_again(workspace: LocalWorkspace, bundle: Path) -> None:
    """A deployed job runs its wheel; a second deploy changes nothing; new code reaches the job."""
    changes = deploy_bundle(bundle, workspace.client, "dev")
    assert {change.action for change in changes} == {"created"}
    job_id = int(next(change.id for change in changes if change.kind == "job"))
    run = workspace.run(job_id, job_parameters={"who": "there"})
    assert states(run) == ("TERMINATED", "SUCCESS")
    assert workspace.logs(run, 0) == "hello,there,!\n"
    assert workspace.logs(run, 1) == "end\n"

    again = deploy_bundle(bundle, workspace.client, "dev")
    assert {change.action for change in again} == {"unchanged"}

    (bundle / "jobs/words.py").write_text("MARK = '?'\n")
    (bundle / "scripts/old.py").unlink()
    third = {(each.kind, each.name): each for each in deploy_bundle(bundle, workspace.client)}
    assert third["wheel", "trial_jobs-1.0-py3-none-any.whl"].action == "created"
    assert third["file", "scripts/old.py"].action == "deleted"
    assert third["job", "greet"].action == "updated"
    assert third["job", "greet"].id == str(job_id)
    assert workspace.logs(workspace.run(job_id)) == "hello,you,?\n"


def test_change_made_by_hand_is_undone(workspace: LocalWorkspace, bundle: Path) -> None:
    """A job that someone changed in the workspace is set back to what the bundle says."""
    changes = deploy_bundle(bundle, workspace.client, "cluster")
    job_id = int(next(change.id for change in changes if change.kind == "job"))
    settings = workspace.client.jobs.get(job_id).settings
    assert settings is not None
    settings.max_concurrent_runs = 9
    assert settings.tasks is not None
    settings.tasks[0].max_retries = 3
    settings.parameters = None
    for task in settings.tasks:
        if task.python_wheel_task:
            task.python_wheel_task.parameters = ["changed"]
    workspace.client.jobs.reset(job_id, settings)
    again = deploy_bundle(bundle, workspace.client, "cluster")
    assert [each.action for each in again if each.kind == "job"] == ["updated"]
    assert workspace.logs(workspace.run(job_id)) == "welcome,you,!\n"


def test_lost_state_adopts_the_job(workspace: LocalWorkspace, bundle: Path) -> None:
    """A deployment that forgot its state finds its job by name and makes no second one."""
    text = (bundle / "databricks.yml").read_text()
    (bundle / "databricks.yml").write_text(text.replace("name: greet", "name: adopted"))
    first = next(e for e in deploy_bundle(bundle, workspace.client, "dev") if e.kind == "job")
    root = load_bundle(bundle, "dev", "landfall@localhost").root
    workspace.client.workspace.delete(f"{root}/state", recursive=True)
    second = next(e for e in deploy_bundle(bundle, workspace.client, "dev") if e.kind == "job")
    assert (first.id, "updated") == (second.id, second.action)
    workspace.client.jobs.delete(int(first.id))
    third = next(e for e in deploy_bundle(bundle, workspace.client, "dev") if e.kind == "job")
    assert third.action == "created"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("variables:", "experimental: {}\nvariables:", "experimental"),
        ("default: true", "default: true\n    mode: development", "mode"),
        ("${var.greeting}", "${var.gone}", "var.gone"),
        ("./jobs/dist/*.whl]}", "./other/dist/*.whl]}", "artifacts"),
        ("name: greet\n", "name: greet\n      max_concurrent: 2\n", "max_concurrent"),
    ],
)
def test_what_is_not_understood_is_refused(
    workspace: LocalWorkspace, bundle: Path, old: str, new: str, words: str
) -> None:
    """A key that the deployer does not understand stops it; nothing is passed over in silence."""
    text = (bundle / "databricks.yml").read_text()
    assert old in text
    (bundle / "databricks.yml").write_text(text.replace(old, new, 1))
    with pytest.raises(BundleError, match=words):
        deploy_bundle(bundle, workspace.client, "dev")


@pytest.mark.parametrize("target", ["dev", "prod", "prod_cluster"])
def test_our_own_bundle_deploys(workspace: LocalWorkspace, tmp_path: Path, target: str) -> None:
    """The repository's bundle deploys to every target, and leaves no trace in its sources."""
    for name in ("databricks.yml", "resources", "spark_jobs", "landfall"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    changes = deploy_bundle(tmp_path, workspace.client, target)
    jobs = {each.name: int(each.id) for each in changes if each.kind == "job"}
    wanted = {
        "landfall_load": ["load_silver", "build_gold", "serve"],
        "landfall_forget": ["forget", "serve_behind"],
        "landfall_maintain": ["maintain", "serve_behind", "publish"],
        "landfall_analytics": ["segment", "recommend", "forecast", "serve_analytics", "page"],
        "landfall_validate": ["validate"],
    }
    settings = {name: workspace.client.jobs.get(job_id).settings for name, job_id in jobs.items()}
    tasks = {
        name: [task.task_key for task in each.tasks or []]
        for name, each in settings.items()
        if each
    }
    names = {
        name: {p.name for p in each.parameters or []} for name, each in settings.items() if each
    }
    assert tasks == wanted
    assert names["landfall_load"] >= {"lake", "dataset", "batch_id", "batch", "database"}
    assert names["landfall_maintain"] >= {"lake", "keep_days", "database"}
    assert names["landfall_validate"] == {"lake", "plan"}
    assert names["landfall_forget"] >= {"lake", "erasure", "result", "keep_days"}
    nightly = settings["landfall_maintain"]
    assert nightly is not None
    assert nightly.schedule is not None
    # The target for laptops alone has its schedules paused.
    wanted_status = PauseStatus.PAUSED if target == "dev" else PauseStatus.UNPAUSED
    assert nightly.schedule.pause_status is wanted_status
    assert before == sorted(tmp_path.rglob("*"))
    for job_id in jobs.values():
        workspace.client.jobs.delete(job_id)
