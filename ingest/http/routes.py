"""The HTTP routes by the name of the function that answers: the app and its description read them.

Names never change: an event for a name that does not exist is lost, see `function_app`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Route:
    """A method and a path; `anonymous` ones need no key, `page` ones answer with HTML."""

    method: str
    path: str
    anonymous: bool = False
    page: bool = False


ROUTES = {
    "ingest": Route("POST", "ingest"),
    "list_runs": Route("GET", "runs"),
    "get_run": Route("GET", "runs/{run_id}"),
    "get_report": Route("GET", "runs/{run_id}/report"),
    "cancel_run": Route("POST", "runs/{run_id}/cancel"),
    "retry_run": Route("POST", "runs/{run_id}/retry"),
    "replay_run": Route("POST", "runs/{run_id}/replay"),
    "resend_rejects": Route("POST", "runs/{run_id}/resend"),
    "start_replay": Route("POST", "replays"),
    "get_replay": Route("GET", "replays/{replay_id}"),
    "get_backlog": Route("GET", "backlog"),
    "list_datasets": Route("GET", "datasets"),
    "get_contract": Route("GET", "datasets/{dataset}/contract"),
    "put_contract": Route("PUT", "datasets/{dataset}/contract"),
    "delete_contract": Route("DELETE", "datasets/{dataset}/contract"),
    "forget": Route("POST", "datasets/{dataset}/forget"),
    "list_erasures": Route("GET", "erasures"),
    "get_erasure": Route("GET", "erasures/{erasure_id}"),
    "fence": Route("POST", "runs/{run_id}/attempts/{attempt_id}/fence"),
    "callback": Route("POST", "runs/{run_id}/attempts/{attempt_id}/callback"),
    "list_sources": Route("GET", "sources"),
    "get_source": Route("GET", "sources/{source}"),
    "get_source_object": Route("GET", "sources/{source}/{object}"),
    "get_source_run": Route("GET", "sources/{source}/runs/{adf_run_id}"),
    "plan_extracts": Route("POST", "sources/{source}/plan"),
    "extract_source": Route("POST", "sources/{source}/extract"),
    "begin_extract": Route("POST", "sources/{source}/{object}/begin"),
    "finish_extract": Route("POST", "sources/{source}/{object}/finish"),
    "fail_extract": Route("POST", "sources/{source}/{object}/fail"),
    "extract_object": Route("POST", "sources/{source}/{object}/extract"),
    "rewind_object": Route("POST", "sources/{source}/{object}/rewind"),
    "pause_object": Route("POST", "sources/{source}/{object}/pause"),
    "resume_object": Route("POST", "sources/{source}/{object}/resume"),
    "health": Route("GET", "health", anonymous=True),
    "openapi": Route("GET", "openapi.json"),
    "docs": Route("GET", "docs", anonymous=True, page=True),
    "console": Route("GET", "console/{*path}", anonymous=True, page=True),
    "console_verb": Route("POST", "console/{*path}", anonymous=True, page=True),
}


def binding(name: str) -> dict[str, Any]:
    """The arguments of the app's decorator for a function."""
    route = ROUTES[name]
    arguments: dict[str, Any] = {"route": route.path, "methods": [route.method]}
    if route.anonymous:
        # The value of the SDK's AuthLevel, whose import is the app's own affair.
        arguments["auth_level"] = "ANONYMOUS"
    return arguments
