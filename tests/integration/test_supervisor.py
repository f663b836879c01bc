from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcloud import config, pidfile
from devcloud.config import CloudConfig
from devcloud.supervisor import StartError, Supervisor, healthy

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICE = "lake"  # the lightest of the real ones; what is tested is the same for each


@pytest.fixture
def cloud(tmp_path: Path) -> CloudConfig:
    """The configuration of a cloud that nobody runs yet."""
    return config.create(tmp_path / "cloud", REPOSITORY)


@pytest.fixture
def detached(cloud: CloudConfig) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor of the lake alone, in a process of its own."""
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from devcloud import config, pidfile; from devcloud.supervisor import Supervisor\n"
        "root = Path(sys.argv[1])\n"
        "try:\n"
        "    with pidfile.orderly_end(), pidfile.claim(root),"
        f" Supervisor(config.load(root), services=[{SERVICE!r}]):\n"
        "        threading.Event().wait()\n"
        "except KeyboardInterrupt: pass\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(cloud.root)], cwd=REPOSITORY)
    _until(lambda: healthy(cloud, SERVICE))
    yield process
    process.kill()
    process.wait()


def _until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # a child that ended but was not waited for has no memory any more, only a line in the table
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _service_pids(root: Path) -> list[int]:
    """Processes whose command line names the folder and that are services."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"devcloud.parent_watch" in words and str(root).encode() in words:
                found.append(int(entry.name))
    return found


def test_services_answer_inside_and_are_gone_after(cloud: CloudConfig) -> None:
    """Entering returns when a service is ready; leaving returns when its process is gone."""
    with Supervisor(cloud, services=[SERVICE]) as supervisor:
        pid = supervisor.pid(SERVICE)
        assert healthy(cloud, SERVICE)

    assert not healthy(cloud, SERVICE)
    assert _gone(pid)
    assert supervisor.pid(SERVICE) == 0


def test_a_crashed_service_is_started_again_and_says_so(cloud: CloudConfig) -> None:
    """A service that was ready once is brought back on the same port, with a line in its log."""
    said: list[str] = []
    with Supervisor(
        cloud, services=[SERVICE], emit=lambda service, line: said.append(f"{service} {line}")
    ) as supervisor:
        first = supervisor.pid(SERVICE)
        supervisor.kill(SERVICE)
        supervisor.wait_ready(SERVICE)

        assert supervisor.restarts(SERVICE) == 1
        assert supervisor.pid(SERVICE) not in (0, first)
        assert any("ended with signal SIGKILL" in line for line in said)
        assert "restarted as process" in (cloud.root / "logs" / f"{SERVICE}.log").read_text()


def test_a_service_that_never_gets_ready_fails_the_start(cloud: CloudConfig) -> None:
    """A service that ends before it was ready is not retried: its last lines are the reason."""
    with socket.create_server(("127.0.0.1", cloud.ports[SERVICE])), pytest.raises(StartError) as it:
        Supervisor(cloud, services=[SERVICE]).start()

    assert it.value.service == SERVICE
    assert re.match(rf"service {SERVICE} ended with code [13]\n", str(it.value))
    assert "address already in use" in str(it.value)


def test_a_folder_has_one_supervisor(cloud: CloudConfig) -> None:
    """A second claim on a running folder is refused and names the process that has it."""
    code = (
        "import sys; from pathlib import Path; from devcloud import pidfile\n"
        "with pidfile.claim(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(cloud.root)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()

    with (
        pytest.raises(pidfile.AlreadyRunningError, match=rf"process {holder.pid}.*landfall down"),
        pidfile.claim(cloud.root),
    ):
        pass
    assert pidfile.holder(cloud.root) == holder.pid

    holder.kill()
    holder.communicate()
    assert pidfile.holder(cloud.root) is None


def test_stop_ends_a_supervisor_and_its_services(
    cloud: CloudConfig, detached: subprocess.Popen[bytes]
) -> None:
    """`landfall down` returns when all processes are gone, and then has no more to do."""
    services = _service_pids(cloud.root)
    assert len(services) == 1

    assert pidfile.stop(cloud.root) == detached.pid

    assert detached.wait(10) == 0
    assert all(_gone(pid) for pid in services)
    assert pidfile.stop(cloud.root) is None


def test_services_do_not_outlive_a_killed_supervisor(
    cloud: CloudConfig, detached: subprocess.Popen[bytes]
) -> None:
    """Even SIGKILL, which nobody can handle, leaves no orphan: each service's tether breaks."""
    services = _service_pids(cloud.root)

    detached.send_signal(signal.SIGKILL)
    detached.wait(10)

    _until(lambda: all(_gone(pid) for pid in services))
    assert pidfile.holder(cloud.root) is None


def test_a_restart_keeps_addresses_and_keys(cloud: CloudConfig) -> None:
    """What a client was told yesterday works today."""
    with Supervisor(cloud, services=[SERVICE]):
        pass

    again = config.create(cloud.root, REPOSITORY)

    assert again == cloud
