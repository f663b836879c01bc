from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from devcloud import config, pidfile
from devcloud.config import CloudConfig
from landfall.cli.errors import CliError
from landfall.cli.main import landfall
from landfall.cli.target import find


@pytest.fixture
def cloud(tmp_path: Path) -> CloudConfig:
    """A configured folder with a blank in its name, without a running cloud."""
    return config.create(tmp_path / "my cloud", tmp_path)


def test_env_json_tells_every_address(cloud: CloudConfig) -> None:
    """The document has the documented fields for clients."""
    result = CliRunner().invoke(landfall, ["env", "--data", str(cloud.root), "--json"])

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "lake": {
            "url": f"http://127.0.0.1:{cloud.ports['lake']}/landfall",
            "account": "landfall",
            "key": cloud.account_key,
        },
        "data_factory": {
            "url": f"http://127.0.0.1:{cloud.ports['datafactory']}",
            "subscription": cloud.subscription,
            "resource_group": "landfall",
            "factory": "landfall",
        },
        "databricks": {
            "host": f"http://127.0.0.1:{cloud.ports['databricks']}",
            "token": cloud.databricks_token,
        },
        "functions": {
            "url": f"http://127.0.0.1:{cloud.ports['functions']}",
            "key": cloud.function_key,
        },
        "database": {
            "url": cloud.database_dsn,
            "host": "127.0.0.1",
            "port": str(cloud.ports["database"]),
            "database": "landfall",
            "user": "landfall",
            "password": cloud.database_password,
        },
    }
    assert "not running" in result.stderr


def test_env_can_be_evaluated_by_a_shell(cloud: CloudConfig) -> None:
    """The values are quoted for a shell, and include the app settings."""
    result = CliRunner().invoke(landfall, ["env", "--data", str(cloud.root)])

    shell = subprocess.run(
        ["sh", "-c", f"eval {shlex.quote(result.stdout)}; env -0"],
        capture_output=True,
        text=True,
        check=True,
    )
    exported = dict(line.split("=", 1) for line in shell.stdout.split("\0") if "=" in line)
    assert config.app_settings(cloud).items() <= exported.items()
    assert exported["LANDFALL_URL"] == cloud.url("functions")
    assert exported["LANDFALL_KEY"] == cloud.function_key
    assert exported["LANDFALL_LAKE_URL"] == cloud.lake_url
    assert exported["LANDFALL_KEY_VAULT_URL"] == cloud.vault_url


def test_env_needs_a_cloud(tmp_path: Path) -> None:
    """Without a local cloud the command fails and says how to start one."""
    result = CliRunner().invoke(landfall, ["env", "--data", str(tmp_path / "none")])

    assert result.exit_code == 2
    assert "landfall up --data" in result.output


def test_down_without_a_cloud_is_done(tmp_path: Path) -> None:
    """Stopping a cloud that is not running is not an error."""
    result = CliRunner().invoke(landfall, ["down", "--data", str(tmp_path), "--json"])

    assert result.exit_code == 0
    assert json.loads(result.output) == {"stopped": False, "pid": None}


def test_a_second_up_is_refused(cloud: CloudConfig) -> None:
    """The configuration of a running cloud is not changed."""
    before = config.load(cloud.root)
    with pidfile.claim(cloud.root):
        result = CliRunner().invoke(landfall, ["up", "--data", str(cloud.root), "--detach"])

    assert result.exit_code == 2
    assert "already running" in result.output
    assert "landfall down" in result.output
    assert config.load(cloud.root) == before


def test_the_data_option_overrides_the_environment(cloud: CloudConfig) -> None:
    """`--data` overrides LANDFALL_URL, which overrides LANDFALL_HOME."""
    deployed = {"LANDFALL_URL": "https://x/", "LANDFALL_KEY": "k", "LANDFALL_HOME": "/nowhere"}

    assert find(cloud.root, deployed).url == cloud.url("functions")
    assert find(None, deployed).url == "https://x"
    assert find(None, {"LANDFALL_HOME": str(cloud.root)}).key == cloud.function_key
    with pytest.raises(CliError, match=r"no local cloud in /nowhere"):
        find(None, {"LANDFALL_HOME": "/nowhere"})
