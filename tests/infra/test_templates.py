"""What the templates would deploy, compiled and evaluated by the Bicep CLI where there is one."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from tests.infra.bicep import COMBINATIONS, INFRA, Evaluated, evaluate, run

ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
UNTAGGED = re.compile(r"roleAssignments|roleDefinitions|diagnosticSettings|budgets")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    """A deployment of each combination of parameters."""
    return {
        name: evaluate(tmp_path_factory.mktemp(name), parameters)
        for name, parameters in COMBINATIONS.items()
    }


@pytest.fixture(params=COMBINATIONS)
def deployed(request: pytest.FixtureRequest, evaluated: dict[str, Evaluated]) -> Evaluated:
    """Each of them."""
    return evaluated[request.param]


@pytest.fixture
def private(evaluated: dict[str, Evaluated]) -> Evaluated:
    """The deployment with all that can be had."""
    return evaluated["private"]


@pytest.fixture
def public(evaluated: dict[str, Evaluated]) -> Evaluated:
    """The deployment without choices."""
    return evaluated["public"]


def test_every_template_compiles_without_a_warning() -> None:
    """Unknown properties and versions are warnings of the compiler, and none are let through."""
    used = set(re.findall(r"^module \w+ '(.+)'", (INFRA / "main.bicep").read_text(), re.MULTILINE))
    assert used | {"main.bicep"} == {path.name for path in INFRA.glob("*.bicep")}

    done = run("build", "main.bicep", "--stdout")  # with its modules, and by bicepconfig.json

    assert (done.returncode, done.stderr) == (0, "")


def test_all_can_be_evaluated(deployed: Evaluated) -> None:
    """No loop or condition rests on what only Azure knows, so what is read here is deployed."""
    assert deployed.diagnostics == []


def test_roles_are_those_of_the_table(private: Evaluated) -> None:
    """A role that is not in the table cannot slip in, and none of it is forgotten."""
    table = json.loads((INFRA / "access.json").read_text())
    scopes = {
        "containers": "stlake/{container}",
        "accounts": "st{account}",
        "vault": "kv",
        "encryption": "kv",
        "insights": "appi",
        "factory": "adf",
    }
    ids = {**table["roles"], table["pipelineRunner"]["name"]: "custom"}
    expected = Counter(
        (scope.format(**row), row["principal"], ids[row["role"]])
        for where, scope in scopes.items()
        for row in table[where]
    )
    assert expected == Counter(_assignment(each) for each in private.of(ASSIGNMENT))


PRINCIPALS = {
    "appPrincipalId": "app",
    "encryptionPrincipalId": "encryption",
    "connector": "connector",
    "events": "topic",
    "factory": "factory",
}


def _assignment(resource: dict[str, Any]) -> tuple[str, str, str]:
    scope = re.search(
        r"(?:storageAccounts/st(lake|host)\w*|vaults/(kv)-\w*|components/(appi)-\w*"
        r"|factories/(adf)-\w*)(?:/blobServices/default/containers/(\w+))?'",
        resource["id"],
    )
    assert scope, resource["id"]
    account, *others, container = scope.groups()
    name = f"st{account}" if account else next(filter(None, others))
    reference = resource["properties"]["principalId"]
    principal = next(value for key, value in PRINCIPALS.items() if key in reference)
    role = resource["properties"]["roleDefinitionId"].rsplit("/", 1)[-1]
    custom = "factories/" in resource["id"].partition("'")[2].partition("'")[0]
    return f"{name}/{container}" if container else name, principal, "custom" if custom else role


def test_no_key_opens_anything(deployed: Evaluated) -> None:
    """Storage, logs and telemetry take Entra tokens only, and the database no password."""
    for account in deployed.of("Microsoft.Storage/storageAccounts"):
        assert account["properties"]["allowSharedKeyAccess"] is False
        assert account["properties"]["allowBlobPublicAccess"] is False
        assert account["properties"]["minimumTlsVersion"] == "TLS1_2"
    for workspace in deployed.of("Microsoft.OperationalInsights/workspaces"):
        assert workspace["properties"]["features"]["disableLocalAuth"] is True
    for component in deployed.of("Microsoft.Insights/components"):
        assert component["properties"]["DisableLocalAuth"] is True
    for server in deployed.of("Microsoft.DBforPostgreSQL/flexibleServers"):
        assert server["properties"]["authConfig"]["passwordAuth"] == "Disabled"
    for policy in deployed.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies"):
        assert policy["properties"]["allow"] is False


def test_no_secret_is_an_output_or_a_setting() -> None:
    """No template asks for a secret, lists keys, or puts out what has a key in it."""
    for path in INFRA.glob("*.bicep"):
        text = path.read_text()
        assert not re.search(r"listKeys|listAccountSas|@secure|[pP]assword string", text), path.name
        outputs = re.findall(r"^output \w+ \w+ = (.*)$", text, re.MULTILINE)
        assert not any("ConnectionString" in each for each in outputs) or path.stem == "monitor"


def test_private_means_private(private: Evaluated) -> None:
    """Storage, vault and database are reached by private endpoints alone, and each has one."""
    kinds = (
        "Microsoft.Storage/storageAccounts",
        "Microsoft.KeyVault/vaults",
        "Microsoft.DataFactory/factories",
    )
    for resource in (each for kind in kinds for each in private.of(kind)):
        assert resource["properties"]["publicNetworkAccess"] == "Disabled", resource["name"]
    (server,) = private.of("Microsoft.DBforPostgreSQL/flexibleServers")
    assert server["properties"]["network"]["publicNetworkAccess"] == "Disabled"
    assert private.of("Microsoft.DBforPostgreSQL/flexibleServers/firewallRules") == []
    endpoints = {each["name"] for each in private.of("Microsoft.Network/privateEndpoints")}
    lake = {"pep-lake-blob", "pep-lake-dfs", "pep-lake-queue"}
    host = {"pep-host-blob", "pep-host-queue", "pep-host-table"}
    assert endpoints == lake | host | {"pep-vault", "pep-database"}
    (site,) = private.of("Microsoft.Web/sites")
    config = site["properties"]["siteConfig"]
    assert config["ipSecurityRestrictionsDefaultAction"] == "Deny"
    assert [each["ipAddress"] for each in config["ipSecurityRestrictions"]] == [
        "AzureEventGrid",
        "DataFactory",
        "198.51.100.0/24",
    ]


def test_sources_are_settings_of_the_app(private: Evaluated) -> None:
    """As JSON, under the name that the app reads."""
    (site,) = private.of("Microsoft.Web/sites")
    settings = {
        row["name"]: row["value"] for row in site["properties"]["siteConfig"]["appSettings"]
    }
    assert json.loads(settings["LANDFALL_SOURCE_SHOP"]) == {"server": "shop.example.com"}


def test_a_customer_key_encrypts_both_accounts_and_the_factory(private: Evaluated) -> None:
    """And the vault that holds it cannot be purged."""
    for account in private.of("Microsoft.Storage/storageAccounts"):
        assert account["properties"]["encryption"]["keySource"] == "Microsoft.Keyvault"
    (factory,) = private.of("Microsoft.DataFactory/factories")
    assert factory["properties"]["encryption"]["keyName"]
    (vault,) = private.of("Microsoft.KeyVault/vaults")
    assert vault["properties"]["enablePurgeProtection"] is True


def test_options_cost_nothing_where_they_are_not_chosen(public: Evaluated) -> None:
    """No network, no database, no key, no always-ready instance by default."""
    chosen = ("Microsoft.Network", "Microsoft.DBforPostgreSQL", "Microsoft.Consumption")
    assert [each for each in public.resources if each["type"].startswith(chosen)] == []
    assert public.of("Microsoft.KeyVault/vaults/keys") == []
    (site,) = public.of("Microsoft.Web/sites")
    assert site["properties"]["functionAppConfig"]["scaleAndConcurrency"]["alwaysReady"] == []


def test_everything_is_tagged(deployed: Evaluated) -> None:
    """`azd` finds and bills by the tag of the environment."""
    untagged = [
        each["type"]
        for each in deployed.resources
        if each["type"].count("/") == 1
        and not UNTAGGED.search(each["type"])
        and (each.get("tags") or {}).get("azd-env-name") != "test"
    ]
    assert untagged == []


def test_what_is_deployed_is_also_logged(deployed: Evaluated) -> None:
    """Each part with an audit or failure log sends it to the workspace."""
    logged = {
        part
        for each in deployed.of("Microsoft.Insights/diagnosticSettings")
        for part in ("stlake", "sthost", "kv-", "adf-", "evgt-", "func-", "dbw-", "psql-")
        if part in each["id"]
    }
    expected = {"stlake", "sthost", "kv-", "adf-", "evgt-", "func-", "dbw-"}
    database = deployed.of("Microsoft.DBforPostgreSQL/flexibleServers")
    assert logged == expected | ({"psql-"} if database else set())
