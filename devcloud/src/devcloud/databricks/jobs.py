"""The Jobs API: definitions of jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devcloud.databricks.errors import invalid, unsupported
from devcloud.databricks.parameters import flag, number, page_limit
from devcloud.databricks.settings import check_settings
from devcloud.databricks.store import WorkspaceStore

Document = dict[str, Any]
MOST_JOBS = 100  # of one page


@dataclass(frozen=True)
class JobsApi:
    """One method for each call; each takes the request's parameters and gives the reply.

    Attributes:
        changed: is told the id of each job whose settings are new, or which is gone.

    Raises (all of them):
        ApiError: the refusal.
    """

    store: WorkspaceStore
    clock: Callable[[], int]
    user: str
    changed: Callable[[int], None]

    def create(self, body: Document) -> Document:
        """`jobs/create`."""
        settings = {key: value for key, value in body.items() if key != "access_control_list"}
        if body.get("access_control_list"):
            raise unsupported("access_control_list")
        check_settings(settings)
        job_id = self.store.new_id()
        self._put(job_id, settings, self.clock())
        return {"job_id": job_id}

    def get(self, query: Document) -> Document:
        """`jobs/get`."""
        job_id = number(query, "job_id")
        settings, created = self._job(job_id)
        return self._job_view(job_id, settings, created)

    def list(self, query: Document) -> Document:
        """`jobs/list`: newest first; `name` matches exactly, ignoring case."""
        limit = page_limit(query, MOST_JOBS)
        before = number(query, "page_token", 0)
        name = str(query.get("name", "")).lower()
        matches = [
            (job_id, settings, created)
            for job_id, settings, created in self.store.jobs()
            if (not before or job_id < before)
            and (not name or settings.get("name", "").lower() == name)
        ]
        whole = flag(query, "expand_tasks")
        jobs = [self._job_view(*each) for each in matches[:limit]]
        if not whole:
            for job in jobs:
                job["settings"] = {
                    key: value
                    for key, value in job["settings"].items()
                    if key not in ("tasks", "job_clusters", "environments", "parameters")
                }
        reply: Document = {"jobs": jobs, "has_more": len(matches) > limit}
        if len(matches) > limit:
            reply["next_page_token"] = str(jobs[-1]["job_id"])
        return reply

    def reset(self, body: Document) -> Document:
        """`jobs/reset`: replace all settings."""
        job_id = number(body, "job_id")
        _, created = self._job(job_id)
        settings = body.get("new_settings")
        check_settings(settings)
        assert settings is not None  # noqa: S101 - just checked
        self._put(job_id, settings, created)
        return {}

    def update(self, body: Document) -> Document:
        """`jobs/update`: replace top-level settings; lists of keyed things are merged by key."""
        job_id = number(body, "job_id")
        settings, created = self._job(job_id)
        merged = dict(settings)
        for key, value in (body.get("new_settings") or {}).items():
            name = {"tasks": "task_key", "job_clusters": "job_cluster_key"}.get(key)
            merged[key] = _merge(settings.get(key) or [], value, name) if name else value
        for name in body.get("fields_to_remove") or []:
            if "/" in name:
                raise unsupported(f"fields_to_remove with a path ({name})")
            merged.pop(name, None)
        check_settings(merged)
        self._put(job_id, merged, created)
        return {}

    def delete(self, body: Document) -> Document:
        """`jobs/delete`: runs that exist go on."""
        job_id = number(body, "job_id")
        if not self.store.delete_job(job_id):
            raise invalid(f"Job {job_id} does not exist.")
        self.changed(job_id)
        return {}

    def _put(self, job_id: int, settings: Document, created: int) -> None:
        self.store.put_job(job_id, settings, created)
        self.changed(job_id)

    def _job(self, job_id: int) -> tuple[Document, int]:
        job = self.store.job(job_id)
        if job is None:
            # 400 with this wording is what the service says; the SDKs turn it into "not found".
            raise invalid(f"Job {job_id} does not exist.")
        return job

    def _job_view(self, job_id: int, settings: Document, created: int) -> Document:
        return {
            "job_id": job_id,
            "creator_user_name": self.user,
            "run_as_user_name": self.user,
            "created_time": created,
            "settings": settings,
        }


def _merge(old: list[Document], new: list[Document], key: str) -> list[Document]:
    merged = {each[key]: each for each in old} | {each[key]: each for each in new}
    return list(merged.values())
