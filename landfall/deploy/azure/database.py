"""The role of the jobs in the database of the reports, which takes Entra identities only."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import psycopg
from azure.core.credentials import TokenCredential
from psycopg import sql

from landfall.deploy.azure.deployment import Deployment, DeploymentError

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
_CONNECT_SECONDS = 20
_ADMIN_DATABASE = "postgres"  # where the functions for Entra identities are


def put_job_role(deployment: Deployment, credential: TokenCredential) -> bool:
    """Let the access connector's identity make the schemas of gold; return whether it is new.

    Whoever deploys signs in by a token, as the administrator of the database.

    Args:
        deployment: with database, administrator and the connector's object id.
        credential: of whoever deploys.

    Raises:
        DeploymentError: the database does not answer, or refuses.
    """
    role, principal = deployment.connector, deployment.connector_principal
    if not deployment.database_admin or not principal:
        raise DeploymentError(
            "LANDFALL_DATABASE_ADMIN_NAME and LANDFALL_CONNECTOR_PRINCIPAL_ID must be set where "
            "there is a database"
        )
    token = credential.get_token(SCOPE).token
    name = urlsplit(deployment.database_url).path.strip("/")
    try:
        with _connect(deployment, _ADMIN_DATABASE, token) as connection:
            query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
            new = connection.execute(query, (role,)).fetchone() is None
            if new:
                create = (
                    "SELECT pgaadauth_create_principal_with_oid(%s, %s, 'service', false, false)"
                )
                connection.execute(create, (role, principal))
            grant = sql.SQL("GRANT CONNECT, CREATE ON DATABASE {} TO {}")
            connection.execute(grant.format(sql.Identifier(name), sql.Identifier(role)))
    except psycopg.Error as error:
        raise DeploymentError(
            f"the database did not take the role of the jobs: {str(error).strip()}. Whoever "
            f"deploys must be {deployment.database_admin}, its administrator, and reach it "
            "through its firewall."
        ) from error
    return new


def _connect(
    deployment: Deployment, database: str, token: str
) -> psycopg.Connection[tuple[object, ...]]:
    address = urlsplit(deployment.database_url)
    return psycopg.connect(
        host=address.hostname,
        port=address.port or 5432,
        dbname=database,
        user=deployment.database_admin,
        password=token,
        sslmode=os.environ.get("PGSSLMODE", "require"),
        connect_timeout=_CONNECT_SECONDS,
    )
