"""HTTP client of the service; problem documents become error messages."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from landfall.cli.errors import CliError
from landfall.cli.target import Target

Json = dict[str, Any]
LATEST = "latest"
"""Stands for the run that landed last."""


class ApiProblem(CliError):
    """The service answered with an error.

    Attributes:
        status: HTTP status; document: the RFC 9457 problem, `{}` if the body is not one.
    """

    def __init__(self, status: int, document: Mapping[str, Any], text: str) -> None:
        title = document.get("title") or httpx.codes.get_reason_phrase(status) or "error"
        detail = str(document.get("detail") or text)
        message = f"{title}: {detail}" if detail else str(title)
        if status in (401, 403):
            message += " (the key was not accepted: check LANDFALL_KEY, or --data)"
        super().__init__(f"{message} [{status}]")
        self.status = status
        self.document = document


class Client:
    """A connection to a service.

    Args:
        target: address and key of the service.
        transport: transport of requests, for tests; None is the network.

    Every method raises `CliError` if there is no connection and `ApiProblem` if the service
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
        """Start (or find) the run of a file in landing."""
        return self._request("POST", "/ingest", json={"dataset": dataset, "path": path})

    def runs(
        self,
        dataset: str | None = None,
        state: str | None = None,
        limit: int = 50,
        **only: str | None,
    ) -> list[Json]:
        """Return summaries of the latest runs, at most `limit`, newest first.

        `only` are further parameters of `GET /runs`: name, since, until, sha256.
        """
        runs: list[Json] = []
        cursor: str | None = None
        while len(runs) < limit:
            parameters = {
                "dataset": dataset,
                "state": state,
                "limit": str(min(limit - len(runs), 100)),
                "cursor": cursor,
                **only,
            }
            page = self._request("GET", "/runs", params={k: v for k, v in parameters.items() if v})
            runs += page["runs"]
            cursor = page.get("next")
            if not cursor:
                break
        return runs

    def resolve(self, run_id: str) -> str:
        """Return the id of the newest run for `latest`, else the id as it is.

        Raises:
            CliError: there is no run yet.
        """
        if run_id != LATEST:
            return run_id
        newest = self.runs(limit=1)
        if not newest:
            raise CliError("there is no run yet: `landfall drop FILE` makes one")
        return str(newest[0]["run_id"])

    def run(self, run_id: str) -> Json:
        """Return a run with its history."""
        return self._request("GET", f"/runs/{_segment(run_id)}")

    def report(self, run_id: str) -> Json:
        """Return the validation report of a run."""
        return self._request("GET", f"/runs/{_segment(run_id)}/report")

    def report_page(self, run_id: str) -> str:
        """Return the same as an HTML page."""
        path = f"/runs/{_segment(run_id)}/report"
        return self._send("GET", path, headers={"Accept": "text/html"}).text

    def verb(self, run_id: str, verb: str, body: Json, key: str) -> Json:
        """Cancel, retry or replay a run; requests with the same key are executed once."""
        path = f"/runs/{_segment(run_id)}/{verb}"
        return self._request("POST", path, json=body, headers=_idempotency_header(key))

    def resend(self, run_id: str, name: str, content: bytes, key: str) -> Json:
        """Send corrected rejects of a run; return their new run."""
        headers = {"Content-Type": "application/octet-stream", **_idempotency_header(key)}
        path = f"/runs/{_segment(run_id)}/resend"
        return self._request("POST", path, params={"name": name}, content=content, headers=headers)

    def replay(self, query: Json, key: str) -> Json:
        """Replay the runs of a query, or with `dry_run` only list them."""
        return self._request("POST", "/replays", json=query, headers=_idempotency_header(key))

    def plan(self, replay_id: str) -> Json:
        """Return the progress of a replay."""
        return self._request("GET", f"/replays/{_segment(replay_id)}")

    def forget(self, dataset: str, body: Json, key: str) -> Json:
        """Erase a subject, or with `dry_run` only say what is concerned."""
        path = f"/datasets/{_segment(dataset)}/forget"
        return self._request("POST", path, json=body, headers=_idempotency_header(key))

    def erasure(self, erasure_id: str) -> Json:
        """Return the progress of an erasure."""
        return self._request("GET", f"/erasures/{_segment(erasure_id)}")

    def erasures(self) -> Json:
        """Return the open erasures, and the latest that have ended."""
        return self._request("GET", "/erasures")

    def backlog(self) -> Json:
        """Return the active runs by dataset and state, and what they wait for."""
        return self._request("GET", "/backlog")

    def health(self) -> Json:
        """Return the health of the service, good or not."""
        try:
            return self._request("GET", "/health")
        except ApiProblem as problem:
            if "parts" not in problem.document:
                raise
            return dict(problem.document)

    def contract(self, dataset: str) -> Json:
        """Return the contract of a dataset that is in force, with its text and digest."""
        return self._request("GET", f"/datasets/{_segment(dataset)}/contract")

    def push_contract(self, dataset: str, text: str, replaces: str) -> Json:
        """Put a contract in force; `replaces` is the digest of the one to be replaced."""
        body = {"contract": text, "replaces": replaces}
        return self._request("PUT", f"/datasets/{_segment(dataset)}/contract", json=body)

    def withdraw_contract(self, dataset: str) -> Json:
        """Take back a pushed contract; return the one that is in force again."""
        return self._request("DELETE", f"/datasets/{_segment(dataset)}/contract")

    def datasets(self) -> Json:
        """Return the datasets of the service with summaries of their contracts."""
        return self._request("GET", "/datasets")

    def sources(self) -> Json:
        """Return all sources with where their objects stand."""
        return self._request("GET", "/sources")

    def source(self, source: str) -> Json:
        """Return one source."""
        return self._request("GET", f"/sources/{_segment(source)}")

    def source_object(self, source: str, entry: str) -> Json:
        """Return one object of a source with its latest extracts."""
        return self._request("GET", f"/sources/{_segment(source)}/{_segment(entry)}")

    def source_run(self, source: str, adf_run_id: str) -> Json:
        """Return a pipeline run that extracts a source."""
        return self._request("GET", f"/sources/{_segment(source)}/runs/{_segment(adf_run_id)}")

    def extract(self, source: str, body: Json, key: str) -> Json:
        """Start pipeline runs that extract objects of a source."""
        path = f"/sources/{_segment(source)}/extract"
        return self._request("POST", path, json=body, headers=_idempotency_header(key))

    def source_verb(self, source: str, entry: str, verb: str, body: Json, key: str) -> Json:
        """Rewind, pause or resume an object."""
        path = f"/sources/{_segment(source)}/{_segment(entry)}/{verb}"
        return self._request("POST", path, json=body, headers=_idempotency_header(key))

    def _request(self, method: str, path: str, **more: Any) -> Json:
        reply = self._send(method, path, **more)
        try:
            document = reply.json() if reply.content else {}
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        raise ApiProblem(reply.status_code, {}, reply.text[:300])

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            name, url = self.target.name, self.target.url
            raise CliError(
                f"no connection to {name if name == url else f'{name} at {url}'}: {error}; "
                "is it running? (`landfall up` starts a local one)"
            ) from None
        if reply.is_success:
            return reply
        try:
            document = reply.json() if reply.content else {}
        except ValueError:
            document = None
        known = document if isinstance(document, dict) else {}
        raise ApiProblem(reply.status_code, known, "" if known else reply.text[:300])


def _idempotency_header(key: str) -> Json:
    """Return the Idempotency-Key header, a structured field string."""
    return {"Idempotency-Key": '"{}"'.format(key.replace("\\", "\\\\").replace('"', '\\"'))}


def _segment(text: str) -> str:
    """Quote a text as one segment of a path."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
