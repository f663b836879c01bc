"""Secrets by reference: a job's parameters name a secret scope and a key, never the value."""

from __future__ import annotations

from spark_jobs.errors import ArgumentError


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
        raise ArgumentError(f"--database-secret must be scope/key, not {reference!r}.")
    from databricks.sdk import WorkspaceClient  # noqa: PLC0415 - slow to import, seldom needed
    from databricks.sdk.errors.base import DatabricksError  # noqa: PLC0415

    try:
        return str(WorkspaceClient().dbutils.secrets.get(scope, key))
    except (DatabricksError, ValueError) as error:
        raise ArgumentError(f"Secret {reference} cannot be read: {error}") from error
