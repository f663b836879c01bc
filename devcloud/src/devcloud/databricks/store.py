"""Jobs, runs and start tokens on disk, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devcloud.databricks.runs import WorkspaceRun

SCHEMA = """
CREATE TABLE IF NOT EXISTS ids (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE IF NOT EXISTS jobs (
    job_id INTEGER PRIMARY KEY, created INTEGER, settings TEXT);
CREATE TABLE IF NOT EXISTS runs (
    run_id INTEGER PRIMARY KEY, job_id INTEGER, final INTEGER, document TEXT);
CREATE INDEX IF NOT EXISTS runs_of_job ON runs (job_id, run_id);
CREATE INDEX IF NOT EXISTS runs_active ON runs (final) WHERE final = 0;
-- A token outlives its run: after `runs/delete` it is refused, never started again.
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, run_id INTEGER);
-- Which run an attempt of a task belongs to.
CREATE TABLE IF NOT EXISTS attempts (attempt_id INTEGER PRIMARY KEY, run_id INTEGER);
"""


class WorkspaceStore:
    """The register of the workspace; every method is one transaction, from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # what a killed process wrote, stays
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def new_id(self) -> int:
        """A number that no job, run or attempt has had."""
        with self._transaction():
            return int(self._db.execute("INSERT INTO ids DEFAULT VALUES").lastrowid or 0)

    def put_job(self, job_id: int, settings: dict[str, Any], created: int) -> None:
        """Store a job's settings; `created` (epoch ms) is kept from the first time."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO jobs (job_id, created, settings) VALUES (?, ?, ?) "
                "ON CONFLICT (job_id) DO UPDATE SET settings = excluded.settings",
                (job_id, created, json.dumps(settings)),
            )

    def job(self, job_id: int) -> tuple[dict[str, Any], int] | None:
        """Settings and creation time of a job."""
        with self._lock:
            row = self._db.execute(
                "SELECT settings, created FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchone()
        return (json.loads(row[0]), row[1]) if row else None

    def jobs(self) -> list[tuple[int, dict[str, Any], int]]:
        """Every job, the newest first: id, settings, creation time."""
        with self._lock:
            rows = self._db.execute(
                "SELECT job_id, settings, created FROM jobs ORDER BY job_id DESC"
            ).fetchall()
        return [(job_id, json.loads(settings), created) for job_id, settings, created in rows]

    def delete_job(self, job_id: int) -> bool:
        """Forget a job; its runs stay. Whether there was one."""
        with self._transaction():
            done = self._db.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))
            return done.rowcount > 0

    def token_run(self, token: str) -> int | None:
        """The run that a token started, even when that run has been deleted."""
        with self._lock:
            row = self._db.execute("SELECT run_id FROM tokens WHERE token = ?", (token,)).fetchone()
        return int(row[0]) if row else None

    def put_run(self, run: WorkspaceRun) -> None:
        """Store a run, its token and its attempts' ids together."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)",
                (run.run_id, run.job_id, int(run.state.final), json.dumps(run.to_json())),
            )
            if run.token:
                self._db.execute(
                    "INSERT OR IGNORE INTO tokens VALUES (?, ?)", (run.token, run.run_id)
                )
            self._db.executemany(
                "INSERT OR IGNORE INTO attempts VALUES (?, ?)",
                [(e.run_id, run.run_id) for tries in run.attempts.values() for e in tries],
            )

    def run(self, run_id: int) -> WorkspaceRun | None:
        """A run by its own id."""
        return next(self._runs("WHERE run_id = ?", run_id), None)

    def run_of_attempt(self, attempt_id: int) -> WorkspaceRun | None:
        """The run that an attempt of a task belongs to."""
        where = "WHERE run_id = (SELECT run_id FROM attempts WHERE attempt_id = ?)"
        return next(self._runs(where, attempt_id), None)

    def active_runs(self) -> list[WorkspaceRun]:
        """The runs that are not final, oldest first."""
        return list(self._runs("WHERE final = 0 ORDER BY run_id"))

    def list_runs(
        self,
        *,
        job_id: int | None = None,
        final: bool | None = None,
        before: int | None = None,
        limit: int = -1,
        kind: str = "",
    ) -> list[WorkspaceRun]:
        """Runs, the newest first: of one job or kind, (not) final ones, with ids below `before`."""
        clauses: list[str] = ["1 = 1"]
        values: list[int | str] = []
        if kind:
            clauses.append("coalesce(json_extract(document, '$.kind'), 'JOB_RUN') = ?")
            values.append(kind)
        for clause, value in (("job_id = ?", job_id), ("final = ?", final), ("run_id < ?", before)):
            if value is not None:
                clauses.append(clause)
                values.append(int(value))
        where = f"WHERE {' AND '.join(clauses)} ORDER BY run_id DESC LIMIT ?"
        return list(self._runs(where, *values, limit))

    def delete_run(self, run_id: int) -> None:
        """Forget a run, but not its token."""
        with self._transaction():
            self._db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
            self._db.execute("DELETE FROM attempts WHERE run_id = ?", (run_id,))

    def _runs(self, where: str, *values: int | str) -> Iterator[WorkspaceRun]:
        with self._lock:
            rows = self._db.execute(
                f"SELECT document FROM runs {where}",  # noqa: S608 - `where` is ours
                values,
            ).fetchall()
        return (WorkspaceRun.from_json(json.loads(row[0])) for row in rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
