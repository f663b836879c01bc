"""The local database, and the secret by which a task reaches it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from databricks.sdk.errors import InvalidParameterValue, NotFound

from devcloud.config import DATABASE, create
from devcloud.supervisor import Supervisor
from devcloud.testing.workspace import local_workspace, python_task, states


def test_it_keeps_its_data_over_a_crash_and_a_restart(tmp_path: Path) -> None:
    """What was committed is there after a kill and after a stop, under the same address."""
    config = create(tmp_path / "cloud", tmp_path)
    with Supervisor(config, services=[DATABASE]) as cloud:
        with psycopg.connect(config.database_dsn) as connection:
            connection.execute("CREATE TABLE kept (id int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        cloud.kill(DATABASE)
        cloud.wait_ready(DATABASE)
        with psycopg.connect(config.database_dsn) as connection:
            assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]
    again = create(config.root, tmp_path)
    with Supervisor(again, services=[DATABASE]), psycopg.connect(config.database_dsn) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]


def test_it_asks_for_the_password(tmp_path: Path) -> None:
    """Nobody comes in without it, though the server is the caller's own."""
    config = create(tmp_path / "cloud", tmp_path)
    wrong = config.database_dsn.replace(config.database_password, "guess")
    refused = pytest.raises(psycopg.OperationalError, match="password authentication failed")
    with Supervisor(config, services=[DATABASE]), refused:
        psycopg.connect(wrong)


READ_SECRET = """
from databricks.sdk import WorkspaceClient
print(WorkspaceClient().dbutils.secrets.get("landfall", "database-password"))
"""


def test_a_task_reads_the_password_from_the_secret_scope(tmp_path: Path) -> None:
    """By the SDK, with nothing configured, as in Databricks; the scope is the key vault's."""
    with local_workspace(tmp_path) as workspace:
        run = workspace.run(workspace.job(python_task(workspace.script("read.py", READ_SECRET))))
        assert states(run) == ("TERMINATED", "SUCCESS")
        assert workspace.logs(run).strip() == workspace.config.database_password

        secrets = workspace.client.secrets
        assert [scope.name for scope in secrets.list_scopes()] == ["landfall"]
        names = [each.key for each in secrets.list_secrets("landfall")]
        assert names == ["database-password", "event-topic-key", "function-key"]
        with pytest.raises(NotFound, match="other"):
            secrets.get_secret("other", "database-password")
        with pytest.raises(NotFound, match="none"):
            secrets.get_secret("landfall", "none")
        with pytest.raises(InvalidParameterValue, match="key vault"):
            secrets.put_secret("landfall", "mine", string_value="x")
