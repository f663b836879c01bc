"""One PostgreSQL server: its data folder made on the first start, then run until told to end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

import psycopg

from devcloud.config import DATABASE, CloudConfig
from devcloud.database.binaries import Binaries, DatabaseError, find

__all__ = ["DatabaseError", "answers", "serve"]

# Small, and quick to start; it promises what it acknowledges, like any other.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "50",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "",
}


def serve(config: CloudConfig) -> int:
    """Run the database of a local cloud; its exit code.

    Raises:
        DatabaseError: there is no PostgreSQL, or its data folder cannot be made.
    """
    binaries = find()
    folder = config.root / "database"
    if not (folder / "PG_VERSION").exists():
        _create(binaries, config, folder)
    _drop_stale_lock(folder)
    settings = SETTINGS | {"port": str(config.ports[DATABASE])}
    options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        binaries.command("postgres", "-D", str(folder), *options),
        stdin=subprocess.DEVNULL,
        user=binaries.user,
        cwd="/",
    )

    def end(_signal: int, _frame: FrameType | None) -> None:
        server.send_signal(signal.SIGINT)  # its "fast shutdown": sessions are ended, data is safe

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    return server.wait()


def answers(config: CloudConfig, seconds: float = 2.0) -> bool:
    """Whether the database of a local cloud takes a connection."""
    try:
        psycopg.connect(config.database_dsn, connect_timeout=max(2, int(seconds))).close()
    except psycopg.OperationalError:
        return False
    return True


def _create(binaries: Binaries, config: CloudConfig, folder: Path) -> None:
    """Make the data folder, which appears whole or not at all, with the cloud's one database.

    Raises:
        DatabaseError: `initdb` failed.
    """
    staged = folder.with_name("database.new")
    shutil.rmtree(staged, ignore_errors=True)
    binaries.make_folder(staged)
    with tempfile.TemporaryDirectory(prefix="landfall-") as name:
        password = Path(name, "password")
        password.write_text(config.database_password)
        if binaries.user:
            password.chmod(0o644)
            password.parent.chmod(0o711)
        _run(
            binaries,
            binaries.command(
                "initdb", "--pgdata", str(staged), "--username", config.database_user,
                "--pwfile", str(password), "--auth", "scram-sha-256",
                "--encoding", "UTF8", "--locale", "C", "--no-sync",
            ),
        )  # fmt: skip
    _run(
        binaries,
        binaries.command("postgres", "--single", "-D", str(staged), "postgres"),
        f"CREATE DATABASE {config.database_name}\n",
    )
    staged.replace(folder)


def _drop_stale_lock(folder: Path) -> None:
    """Forget a server that was killed and whose parent has not asked yet how it ended.

    PostgreSQL takes such a process for alive, and would not start as long as it is in the table.
    """
    lock = folder / "postmaster.pid"
    try:
        pid = int(lock.read_text().split()[0])
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return  # no server, or one that PostgreSQL itself finds gone
    if state == "Z":
        lock.unlink()


def _run(binaries: Binaries, command: list[str], text: str = "") -> None:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False,
        user=binaries.user, cwd="/", env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise DatabaseError(f"{Path(command[-1]).name}: {done.stderr[-2000:].strip()}")
