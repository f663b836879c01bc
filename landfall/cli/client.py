"""The service's HTTP API, as the commands use it; its problem documents become messages."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from landfall.cli.errors import CliError
from landfall.cli.target import Target

Json = dict[str, Any]


class ApiProblem(CliError):
    """The service answered with an error.

    Attributes:
        status: HTTP status; document: the RFC 9457 problem, `{}` where the body was none.
    """

    def __init__(self, status: int, document: Mapping[str, Any], text: str) -> None:
        title = document.get("title") or httpx.codes.get_reason_phrase(status) or "error"
        said = str(document.get("detail") or text)
        message = f"{title}: {said}" if said else str(title)
        if status in (401, 403):
            message += " (the key was not accepted: check LANDFALL_KEY, or --data)"
        super().__init__(f"{message} [{status}]")
        self.status = status
        self.document = document


class Client:
    """One connection to a service.

    Args:
        target: where it answers.
        transport: how requests travel, for tests; None is the network.

    Every method raises `CliError` when there is no connection and `ApiProblem` when the service
    answered with an error.
    """

    def __init__(self, target: Target, transport: httpx.BaseTransport | None = None) -> None:
        self.target = target
        self._http = httpx.Client(
            base_url=target.url,
            headers={"x-functions-key": target.key, "User-Agent": "landfall-cli"},
            timeout=httpx.Timeout(60.0, connect=5.0),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def ingest(self, dataset: str, path: str) -> Json:
        """Start (or find) the run of a file that stands in landing."""
        return self._ask("POST", "/ingest", json={"dataset": dataset, "path": path})

    def runs(
        self, dataset: str | None = None, state: str | None = None, limit: int = 50
    ) -> list[Json]:
        """Summaries of the latest runs, at most `limit`, newest first."""
        found: list[Json] = []
        cursor: str | None = None
        while len(found) < limit:
            asked = {
                "dataset": dataset,
                "state": state,
                "limit": str(min(limit - len(found), 100)),
                "cursor": cursor,
            }
            page = self._ask("GET", "/runs", params={k: v for k, v in asked.items() if v})
            found += page["runs"]
            cursor = page.get("next")
            if not cursor:
                break
        return found

    def run(self, run_id: str) -> Json:
        """One run, with its history."""
        return self._ask("GET", f"/runs/{_segment(run_id)}")

    def report(self, run_id: str) -> Json:
        """The validation report of a run."""
        return self._ask("GET", f"/runs/{_segment(run_id)}/report")

    def verb(self, run_id: str, verb: str, body: Json, key: str) -> Json:
        """Cancel, retry or replay a run; requests with the same key are done once."""
        path = f"/runs/{_segment(run_id)}/{verb}"
        return self._ask("POST", path, json=body, headers=_keyed(key))

    def resend(self, run_id: str, name: str, content: bytes, key: str) -> Json:
        """Send corrected rejects of a run; returns the run that they became."""
        headers = {"Content-Type": "application/octet-stream", **_keyed(key)}
        path = f"/runs/{_segment(run_id)}/resend"
        return self._ask("POST", path, params={"name": name}, content=content, headers=headers)

    def replay(self, query: Json, key: str) -> Json:
        """Replay the runs of a query, or with `dry_run` tell which they are."""
        return self._ask("POST", "/replays", json=query, headers=_keyed(key))

    def plan(self, replay_id: str) -> Json:
        """How far a replay is."""
        return self._ask("GET", f"/replays/{_segment(replay_id)}")

    def backlog(self) -> Json:
        """How much is on its way, what waits, and for what."""
        return self._ask("GET", "/backlog")

    def datasets(self) -> Json:
        """The datasets that the service knows, with their contracts' gist."""
        return self._ask("GET", "/datasets")

    def _ask(self, method: str, path: str, **more: Any) -> Json:
        try:
            reply = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            raise CliError(
                f"no connection to {self.target.name} at {self.target.url}: {error}; "
                "is it running? (`landfall up` starts a local one)"
            ) from None
        try:
            document = reply.json() if reply.content else {}
        except ValueError:
            document = None
        if reply.is_success and isinstance(document, dict):
            return document
        known = document if isinstance(document, dict) else {}
        raise ApiProblem(reply.status_code, known, "" if known else reply.text[:300])


def _keyed(key: str) -> Json:
    """The header that names a request, a string of structured fields."""
    return {"Idempotency-Key": '"{}"'.format(key.replace("\\", "\\\\").replace('"', '\\"'))}


def _segment(text: str) -> str:
    """A text as one segment of a path, whatever is in it."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
