"""Templates, hook and `azure.yaml` say the same as the code: names that only strings connect."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from devcloud.config import CONTAINERS, CloudConfig
from devcloud.lake import events as local_events
from ingest import paths, settings
from ingest.http import idempotency
from landfall.deploy.azure import events, keys, workspace
from landfall.deploy.azure.deployment import _REQUIRED
from tests.infra.bicep import INFRA, ROOT
from tests.unit.test_function_names import EXPECTED

SETTINGS_PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()
HOST_SETTINGS = re.compile(r"AzureWebJobsStorage__|APPLICATIONINSIGHTS_|AZURE_CLIENT_ID|PYTHON_")


def template(name: str) -> str:
    """The text of a module."""
    return (INFRA / f"{name}.bicep").read_text()


def test_every_setting_is_one_that_the_app_knows() -> None:
    """A setting of another name would be ignored in silence."""
    names = re.findall(r"\{ name: '(\w+)', value", template("functions"))
    unknown = [
        name for name in names if f"`{name}`" not in SETTINGS_PAGE and not HOST_SETTINGS.match(name)
    ]
    assert unknown == ["LANDFALL_LAKE__credential", "LANDFALL_LAKE__clientId"]  # the host's
    assert {"LANDFALL_TICK", "DATABRICKS_HOST"} < set(names)


def test_the_settings_are_enough(tmp_path: Path) -> None:
    """The app starts with nothing but what the template sets."""
    names = re.findall(r"\{ name: '(\w+)', value", template("functions"))
    environment = dict.fromkeys(names, "x")
    for service in ("blob", "queue"):
        environment[f"LANDFALL_LAKE__{service}ServiceUri"] = (
            f"https://stlake.{service}.core.windows.net/"
        )

    read = settings.read(environment, app=tmp_path)

    assert read.lake.account == "stlake"
    assert settings.trigger_problem(environment) is None


def test_containers_are_those_of_the_product() -> None:
    """Containers of the local lake, and two of Azure: partners' files and dead letters."""
    block = template("lake").partition("var containerNames = [")[2].partition("]")[0]
    names = re.findall(r"'(\w+)'", block)
    assert set(names) == {*CONTAINERS, "partners", events.DEADLETTER}


def test_landing_is_never_deleted_by_a_rule() -> None:
    """What stands there was not taken in."""
    prefixes = re.findall(r"prefixMatch: \[(.+)\]", template("lake"))
    named = set(re.findall(r"'(\w+)/'", " ".join(prefixes)))
    assert named == {"raw", "bronze", "quarantine", "partners", events.DEADLETTER}


def test_leftovers_are_those_of_the_code() -> None:
    """What a rule deletes after days is what the code takes for forgotten by then."""
    rule = template("lake").partition("name: 'leftovers'")[2]
    prefixes = re.findall(r"'([\w/]+)'", rule.partition("prefixMatch: [")[2].partition("]")[0])
    written = {
        paths.staged_extracts("shop", "orders"),
        paths.request_document("0" * 32),
        "manifest/console/links/0",
    }
    assert all(any(path.startswith(prefix) for path in written) for prefix in prefixes)
    assert len(prefixes) == len(written)
    days = int(rule.partition("daysAfterModificationGreaterThan: ")[2].split()[0])
    assert timedelta(days=days) > idempotency.KEPT


def test_the_subscription_is_that_of_the_local_lake(tmp_path: Path) -> None:
    """Function, filters and values of `data.api` are those that the tests run with."""
    config = CloudConfig(root=tmp_path, app=tmp_path, ports={"functions": 1, "lake": 2})
    local = local_events.subscriptions(config)[0]
    assert events.COMPLETE == local.api
    assert f"Host.Functions.{events.FUNCTION}&" in local.endpoint
    assert local.subject_begins == "/blobServices/default/containers/landing/"
    assert f"\n{events.FUNCTION} blobTrigger landing/" in EXPECTED


def test_jobs_are_those_of_the_bundle() -> None:
    """The app may run what it starts; the names are in the bundle and in its settings."""
    jobs = {
        key
        for path in (ROOT / "resources").glob("*.job.yml")
        for key in yaml.safe_load(path.read_text())["resources"]["jobs"]
    }
    assert set(workspace.JOBS) < jobs
    text = (ROOT / "ingest" / "settings.py").read_text()
    assert all(f'"{job}"' in text for job in workspace.JOBS)


def test_external_locations_are_where_the_jobs_have_rights() -> None:
    """Unity Catalog offers no container that the access connector may not enter."""
    table = json.loads((INFRA / "access.json").read_text())["containers"]
    assert set(workspace.CONTAINERS) == {
        row["container"] for row in table if row["principal"] == "connector"
    }


def test_the_factory_reads_the_secret_that_the_hook_writes() -> None:
    """And has the global parameters that its pipelines use."""
    pipeline = (ROOT / "adf" / "pipeline" / "ingest_drop.json").read_text()
    assert f"/secrets/{keys.SECRET}?" in pipeline
    factory = json.loads((ROOT / "adf" / "factory" / "landfall.json").read_text())
    block = template("factory").partition("globalParameters: {")[2]
    assert all(f"{name}: {{" in block for name in factory["properties"]["globalParameters"])


def test_the_hook_asks_only_for_outputs() -> None:
    """Every variable that the hook requires is an output of the templates."""
    outputs = set(re.findall(r"^output (\w+) ", template("main"), re.MULTILINE))
    assert set(_REQUIRED) <= outputs


def test_parameters_are_those_of_the_template() -> None:
    """A parameter file with another name fails the deployment; an undeclared variable is lost."""
    document = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    declared = set(re.findall(r"^param (\w+) ", template("main"), re.MULTILINE))
    assert set(document) <= declared
    variables = {
        match[1] for each in document.values() if (match := re.match(r"\$\{(\w+)", each["value"]))
    }
    pipeline = set(azure_yaml()["pipeline"]["variables"])
    assert variables - {"AZURE_ENV_NAME", "AZURE_LOCATION"} == pipeline
    workflow = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    assert all(f"{name}: ${{{{ vars.{name} }}}}" in workflow for name in variables)


def test_modules_get_the_parameters_that_they_declare() -> None:
    """What a compiler says, where there is none."""
    calls = re.findall(
        r"^module \w+ '(\w[\w-]*)\.bicep' = .*?^  params: \{\n(.*?)^  \}",
        template("main"),
        re.MULTILINE | re.DOTALL,
    )
    assert len(calls) == len(list(INFRA.glob("*.bicep"))) - 1
    for module, block in calls:
        given = set(re.findall(r"^    (\w+):", block, re.MULTILINE))
        declared = set(re.findall(r"^param (\w+) ", template(module), re.MULTILINE))
        assert given == declared, module


def test_azure_yaml_keeps_to_its_schema() -> None:
    """The rules of azd's schema that matter here: known keys, hosts, and hooks for both shells."""
    document = azure_yaml()
    assert set(document) <= {"name", "metadata", "infra", "services", "hooks", "pipeline"}
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]", document["name"])
    assert document["infra"] == {"provider": "bicep", "path": INFRA.name}
    (service,) = document["services"].items()
    assert service == ("functions", {"project": ".", "language": "python", "host": "function"})
    assert f"'azd-service-name': '{service[0]}'" in template("functions")
    stages = {f"{when}{what}" for when in ("pre", "post") for what in ("deploy", "down")}
    for name, hook in document["hooks"].items():
        assert name in stages
        assert set(hook) == {"posix", "windows"}
        assert (hook["posix"]["shell"], hook["windows"]["shell"]) == ("sh", "pwsh")
        assert all(f"-m landfall.deploy.azure {name}" in each["run"] for each in hook.values())


def azure_yaml() -> dict[str, Any]:
    """Return the file of azd."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text())
    return document
