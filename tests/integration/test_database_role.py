"""The role of the jobs in the reports' database, made by whoever deploys; on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from azure.core.credentials import AccessToken

from devcloud.config import CloudConfig
from devcloud.testing.database import local_database
from landfall.deploy.azure.database import SCOPE, put_job_role
from landfall.deploy.azure.deployment import Deployment, DeploymentError, read_deployment
from tests.infra.bicep import SUBSCRIPTION

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers"
ADMIN, TOKEN = "admins", "a-token-of-entra-id"
# What Azure's database has of its own: it makes a role for an identity.
CREATE_PRINCIPAL = """
CREATE FUNCTION pgaadauth_create_principal_with_oid(
    name text, oid text, kind text, admin boolean, mfa boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    ASSERT kind = 'service' AND NOT admin AND oid ~ '^[0-9a-f-]{36}$';
    EXECUTE format('CREATE ROLE %I LOGIN', name);
    RETURN name;
END $$
"""


class Credential:
    """Gives the token that the database knows, for its own scope only."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        assert scopes == (SCOPE,)
        return AccessToken(TOKEN, 0)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudConfig]:
    """A database whose administrator's password is the token."""
    with local_database(tmp_path_factory.mktemp("database")) as config:
        dsn = config.database_dsn.rsplit("/", 1)[0] + "/postgres"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {ADMIN} SUPERUSER LOGIN PASSWORD '{TOKEN}'")
            connection.execute(CREATE_PRINCIPAL)
        yield config


def deployment(config: CloudConfig, **other: str) -> Deployment:
    """A deployment with that database."""
    return read_deployment(
        {
            "AZURE_LOCATION": "westeurope",
            "DATABRICKS_HOST": "https://adb.azuredatabricks.net",
            "LANDFALL_ACCESS_CONNECTOR_ID": f"{GROUP}/Microsoft.Databricks/accessConnectors/dbac-x",
            "LANDFALL_ADF_FACTORY": "adf",
            "LANDFALL_ADF_RESOURCE_GROUP": "rg",
            "LANDFALL_ADF_SUBSCRIPTION": SUBSCRIPTION,
            "LANDFALL_APP_CLIENT_ID": "6f0f1e5a-0000-4000-8000-000000000001",
            "LANDFALL_CONNECTOR_PRINCIPAL_ID": "6f0f1e5a-0000-4000-8000-000000000002",
            "LANDFALL_DATABASE_ADMIN_NAME": ADMIN,
            "LANDFALL_DATABASE_URL": config.database_url,
            "LANDFALL_FUNCTION_APP": "func",
            "LANDFALL_KEY_VAULT": "kv",
            "LANDFALL_KEY_VAULT_URL": "https://kv.vault.azure.net",
            "LANDFALL_LAKE_ID": f"{GROUP}/Microsoft.Storage/storageAccounts/stlakex",
            "LANDFALL_LAKE_URL": "https://stlakex.dfs.core.windows.net/",
            "LANDFALL_SYSTEM_TOPIC": "evgt",
            "LANDFALL_URL": "https://func.azurewebsites.net",
            **other,
        }
    )


def test_the_jobs_get_a_role_that_may_make_schemas(
    database: CloudConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed in by a token; a second deployment finds the role and grants the same."""
    monkeypatch.setenv("PGSSLMODE", "disable")

    assert put_job_role(deployment(database), Credential()) is True
    assert put_job_role(deployment(database), Credential()) is False

    query = "SELECT has_database_privilege('dbac-x', current_database(), 'CREATE'), rolsuper"
    with psycopg.connect(database.database_dsn) as connection:
        rights = connection.execute(f"{query} FROM pg_roles WHERE rolname = 'dbac-x'").fetchone()
    assert rights == (True, False)


def test_a_token_is_not_sent_over_a_connection_without_tls(database: CloudConfig) -> None:
    """The local database has no TLS, and nothing is sent to it unless that is asked for."""
    with pytest.raises(DeploymentError, match="SSL"):
        put_job_role(deployment(database), Credential())


def test_a_wrong_administrator_is_named(
    database: CloudConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says who must deploy."""
    monkeypatch.setenv("PGSSLMODE", "disable")
    other = deployment(database, LANDFALL_DATABASE_ADMIN_NAME="somebody")
    with pytest.raises(DeploymentError, match="must be somebody, its administrator"):
        put_job_role(other, Credential())


def test_the_bundle_signs_in_by_the_service_credential(database: CloudConfig) -> None:
    """With a database the jobs get its address, their role and their credential; no password."""
    variables = deployment(database).bundle_variables
    assert variables["database"] == database.database_url
    assert variables["database_user"] == "dbac-x"
    assert variables["database_secret"] == "credential:landfall-stlakex-database"
    assert variables["lake"] == "abfss://{container}@stlakex.dfs.core.windows.net"
