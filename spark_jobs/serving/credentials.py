"""Passwords by reference: a job's parameters say where one is, never what it is.

`scope/key` is a secret of the workspace. `credential:NAME` is a service credential of Unity
Catalog, whose identity signs in to the database by a token of Entra ID in the place of a password.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from spark_jobs.errors import ArgumentError

SERVICE_CREDENTIAL = "credential:"
_TOKEN_SCOPES = {
    "postgresql": "https://ossrdbms-aad.database.windows.net/.default",
    "sqlserver": "https://database.windows.net/.default",
}


def read_password(reference: str, database: str) -> str:
    """The password for a database, or the token that takes its place; "" for no reference.

    Args:
        reference: `scope/key`, or `credential:NAME`.
        database: URL of the database, whose kind decides what the token is for.

    Raises:
        ArgumentError: the reference is malformed, or leads to nothing.
    """
    if is_token(reference):
        return read_token(reference.removeprefix(SERVICE_CREDENTIAL), database)
    return read_secret(reference)


def is_token(reference: str) -> bool:
    """Whether a reference leads to a token of Entra ID, not to a password."""
    return reference.startswith(SERVICE_CREDENTIAL)


def read_token(credential: str, database: str) -> str:
    """A token of a service credential; a database asks for it at sign-in only.

    Raises:
        ArgumentError: the database takes no tokens here, or there is no such credential.
    """
    kind = urlsplit(database).scheme
    if kind not in _TOKEN_SCOPES:
        raise ArgumentError(
            f"No database of kind {kind!r} is signed in to by a service credential: "
            f"{' or '.join(_TOKEN_SCOPES)} is."
        )
    if not credential:
        raise ArgumentError("--database-secret names no service credential after 'credential:'.")
    try:
        return str(_provider(credential).get_token(_TOKEN_SCOPES[kind]).token)
    except Exception as error:
        raise ArgumentError(
            f"The service credential {credential} gives no token: {error}. It needs Databricks "
            "Runtime 16.2 or later, and ACCESS for whoever runs the job."
        ) from error


def _provider(credential: str) -> Any:
    from databricks.sdk import runtime  # noqa: PLC0415 - slow to import, seldom needed

    dbutils: Any = runtime.dbutils  # that of Databricks' runtime; the SDK's own has no credentials
    return dbutils.credentials.getServiceCredentialsProvider(credential)


def read_secret(reference: str) -> str:
    """The value of `scope/key`, read through the workspace that runs the task.

    The scope is backed by Azure Key Vault. "" is no secret and gives "".

    Raises:
        ArgumentError: the reference is malformed, or leads to nothing.
    """
    if not reference:
        return ""
    scope, _, key = reference.partition("/")
    if not scope or not key:
        raise ArgumentError(
            f"--database-secret must be scope/key or credential:NAME, not {reference!r}."
        )
    from databricks.sdk import WorkspaceClient  # noqa: PLC0415 - slow to import, seldom needed
    from databricks.sdk.errors.base import DatabricksError  # noqa: PLC0415

    try:
        return str(WorkspaceClient().dbutils.secrets.get(scope, key))
    except (DatabricksError, ValueError) as error:
        raise ArgumentError(f"Secret {reference} cannot be read: {error}") from error
