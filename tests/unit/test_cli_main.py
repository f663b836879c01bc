from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from landfall.cli.main import landfall

REPOSITORY = Path(__file__).resolve().parents[2]


def _landfall(
    *arguments: str, cwd: Path, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from landfall.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | (environ or {}),
        timeout=60,
    )


def test_every_command_is_listed_with_what_it_does() -> None:
    """`landfall --help` names each command; none is without a description."""
    result = CliRunner().invoke(landfall, ["--help"])

    assert result.exit_code == 0
    commands = result.output.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    named = [line for line in commands if not line.startswith(" " * 8)]
    assert all(len(line.split(maxsplit=1)) == 2 for line in named)
    assert "..." not in "".join(commands)
    assert {"up", "down", "env", "demo", "drop", "runs", "show", "watch", "validate", "deploy"} <= {
        line.split()[0] for line in commands
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonesuch"], "No such command 'nonesuch'"),
        (["runs", "--limit", "0"], "0 is not in the range"),
        (["drop", "absent.csv", "-d", "users"], "File 'absent.csv' does not exist"),
        (["drop", __file__, "-d", ""], "must not be empty"),
        (["drop", __file__, "-d", "users", "--name", ""], "must not be empty"),
        (["runs", "--state", "lost"], "'lost' is not one of"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], message: str) -> None:
    """Invalid usage is refused with a message before anything is done."""
    result = CliRunner().invoke(landfall, arguments)

    assert result.exit_code == 2
    assert message in result.output


def test_no_cloud_is_exit_code_2_and_says_how_to_get_one(tmp_path: Path) -> None:
    """Without a service there is a message with the next step, and no traceback."""
    result = _landfall("runs", "--data", str(tmp_path), cwd=tmp_path)

    assert result.returncode == 2
    assert result.stderr == (
        f"landfall: no local cloud in {tmp_path}: start one with `landfall up --data {tmp_path}`, "
        "or set LANDFALL_URL and LANDFALL_KEY to reach a deployed service\n"
    )


def test_a_service_that_is_not_running_is_exit_code_2(tmp_path: Path) -> None:
    """The message of a refused connection names the address."""
    environ = {"LANDFALL_URL": "http://127.0.0.1:9", "LANDFALL_KEY": "k"}

    result = _landfall("runs", cwd=tmp_path, environ=environ)

    assert result.returncode == 2
    assert "no connection to http://127.0.0.1:9" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unexpected_error_is_one_line(tmp_path: Path) -> None:
    """An unexpected error is one line with exit code 2, and says how to get the traceback."""
    (tmp_path / "devcloud.json").write_text("not json")

    result = _landfall("runs", "--data", str(tmp_path), cwd=tmp_path)

    assert result.returncode == 2
    assert result.stderr.startswith("landfall: JSONDecodeError: ")
    assert "LANDFALL_DEBUG=1" in result.stderr


def test_a_url_without_its_key_is_refused(tmp_path: Path) -> None:
    """LANDFALL_URL without LANDFALL_KEY is an error with its own message."""
    result = _landfall("runs", cwd=tmp_path, environ={"LANDFALL_URL": "https://x"})

    assert result.returncode == 2
    assert "LANDFALL_KEY is not" in result.stderr


def test_validate_starts_without_clients_and_clouds() -> None:
    """`landfall validate` loads neither SDKs nor an HTTP client nor servers."""
    code = (
        "import sys; from landfall.cli.main import landfall\n"
        "landfall.main(['validate', '--help'], standalone_mode=False)\n"
        "heavy = ('httpx', 'azure', 'databricks', 'uvicorn', 'starlette', 'devcloud', 'pyspark')\n"
        "print('LOADED', *[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )

    assert done.stdout.splitlines()[-1] == "LOADED"


def test_a_command_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command whose extra is not installed names it; `--help` and the other commands work."""
    gone = ("devcloud", "landfall.cli.cloud")
    for name in [name for name in sys.modules if name.startswith(gone)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "devcloud", None)

    result = CliRunner().invoke(landfall, ["up", "--detach"])
    assert result.exit_code != 0
    assert "pip install 'landfall[cli,devcloud]'" in result.output
    assert "Not installed: needs landfall[cli,devcloud]." in CliRunner().invoke(landfall).output
