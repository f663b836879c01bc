"""From a dataset and the `source` of an activity to what reads it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import TimeoutError as NotYetError
from dataclasses import dataclass
from typing import Any

from devcloud.datafactory import shapes
from devcloud.datafactory.activities.frame import ActivityError, Frame, wrong
from devcloud.datafactory.connectors.http import HttpService, Waiting
from devcloud.datafactory.connectors.http_file import HttpFile
from devcloud.datafactory.connectors.pagination import Pagination, as_text
from devcloud.datafactory.connectors.partition import DEFAULT_PARTS, Partitioning
from devcloud.datafactory.connectors.postgres import PostgresRows, PostgresServer
from devcloud.datafactory.connectors.rest import RestCall, RestRows
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.job import CopySource, End, FilesToCopy
from devcloud.datafactory.copy.reading import Rows
from devcloud.datafactory.copy.selection import FileSelection
from devcloud.datafactory.expressions.arguments import to_text
from devcloud.datafactory.policy import parse_span

_LOOK_SECONDS = 0.2  # how often a waiting copy looks whether the run has ended
_QUERY_SECONDS = 7200.0


@dataclass(frozen=True)
class PostgresSource:
    """Tables and queries of PostgreSQL."""

    server: PostgresServer
    partitioning: Partitioning
    seconds: float
    store: str

    def parts(self, stop: threading.Event) -> list[Rows]:
        """One part a query."""
        queries = self.partitioning.queries(self.server, stop, self.seconds)
        return [PostgresRows(self.server, query, stop, self.seconds) for query in queries]


@dataclass(frozen=True)
class RestApiSource:
    """A REST service."""

    service: HttpService
    call: RestCall
    pause: Any
    retries: int
    retry_seconds: float
    store: str = "RestService"

    def parts(self, stop: threading.Event) -> list[Rows]:
        """All pages together."""
        waiting = Waiting(lambda s: self.pause(stop, s), self.retries, self.retry_seconds)
        return [RestRows(self.service, self.call, waiting, stop)]


def source_of(frame: Frame, end: End, source: dict[str, Any], **options: Any) -> CopySource:
    """What reads a source, evaluated.

    Args:
        frame: of the activity.
        end: the dataset with its linked service.
        source: the `source` of the activity.
        options: `several` and `skip_faults` of a file source; `parts` of a partitioned one.

    Raises:
        ActivityError: it does not go with the dataset.
        CopyError: a value of it is wrong.
    """
    expected = shapes.FORMATS[end.kind][0]
    if source["type"] != expected:
        raise wrong(f"the source of a {end.kind} dataset", f"a {expected}", source["type"])
    if end.kind in ("AzurePostgreSqlTable", "PostgreSqlV2Table"):
        return _postgres(end, source, int(options.get("parts") or DEFAULT_PARTS))
    if end.kind == "AzureSqlTable":
        raise CopyError(
            "SqlFailedToConnect",
            "Azure SQL can be deployed and is checked, but there is no server of it here: run the "
            "pipeline in Azure",
        )
    if end.kind == "RestResource":
        return _rest(frame, end, source)
    return _files(frame, end, source, options)


def _postgres(end: End, source: dict[str, Any], parts: int) -> CopySource:
    kind = str(end.service.get("authenticationType") or "Basic")
    if kind.lower() != "basic":
        raise CopyError(
            "UserErrorAuthenticationNotSupported",
            f"the authentication {kind!r} needs Microsoft Entra ID, which is not here: it can be "
            "deployed, and used in Azure only",
        )
    server = PostgresServer.read(end.service)
    seconds = _seconds(source, "queryTimeout", server.command_seconds, _QUERY_SECONDS)
    settings = source.get("partitionSettings") or {}
    place = end.properties
    table = (str(place.get("schema") or ""), str(place.get("table") or ""))
    names = settings.get("partitionNames") or ()
    partitioning = Partitioning(
        option=str(source.get("partitionOption") or "None"),
        query=to_text(source["query"]) if source.get("query") else None,
        table=table if table[1] else None,
        column=_text_or_none(settings.get("partitionColumnName")),
        lower=_text_or_none(settings.get("partitionLowerBound")),
        upper=_text_or_none(settings.get("partitionUpperBound")),
        names=tuple(str(name) for name in names),
        parts=parts,
    )
    return PostgresSource(server, partitioning, seconds, end.store)


def _rest(frame: Frame, end: End, source: dict[str, Any]) -> CopySource:
    method = str(source.get("requestMethod") or "GET").upper()
    if method not in ("GET", "POST"):
        raise wrong("requestMethod", "GET or POST", method)
    try:
        pagination = Pagination.read(source.get("paginationRules"))
    except ValueError as error:
        raise CopyError("UserErrorRestPaginationRule", str(error)) from error
    body = source.get("requestBody")
    call = RestCall(
        relative_url=to_text(end.properties.get("relativeUrl")),
        method=method,
        body=to_text(body) if body not in (None, "") else None,
        headers=_object_headers(source.get("additionalHeaders")),
        pagination=pagination,
        interval=_seconds(source, "requestInterval", None, 1.0),
        timeout=_seconds(source, "httpRequestTimeout", None, 100.0),
    )
    return RestApiSource(
        HttpService(end.service, frame.services.token),
        call,
        _pause(frame),
        int(source.get("sourceRetryCount") or 0),
        _seconds(source, "sourceRetryWait", None, 1.0),
    )


def _files(frame: Frame, end: End, source: dict[str, Any], options: dict[str, Any]) -> FilesToCopy:
    settings = source.get("storeSettings") or {}
    several, skip = bool(options.get("several")), bool(options.get("skip_faults"))
    if end.store == "HttpServer":
        service = HttpService(end.service, frame.services.token)
        pause = _pause(frame)
        retries = int(source.get("sourceRetryCount") or 0)
        seconds = _seconds(source, "sourceRetryWait", None, 1.0)

        def opened(stop: threading.Event) -> HttpFile:
            return HttpFile(
                service,
                to_text(end.properties["location"].get("relativeUrl")),
                stop,
                Waiting(lambda s: pause(stop, s), retries, seconds),
                str(settings.get("requestMethod") or "GET").upper(),
                to_text(settings["requestBody"]) if settings.get("requestBody") else None,
                _text_headers(to_text(settings.get("additionalHeaders"))),
                _seconds(settings, "requestTimeout", None, 100.0),
            )

        return FilesToCopy(end, FileSelection(), several, skip, opened)
    if end.store not in shapes.LAKE_STORES:
        known = " or ".join(shapes.STORES[end.kind])
        raise wrong("the linked service of a file", known, end.store)
    return FilesToCopy(end, FileSelection.read(settings, recursive=True), several, skip)


def _pause(frame: Frame) -> Any:
    """Waits in a thread by the factory's clock; ends early with the run."""
    loop = asyncio.get_running_loop()
    clock = frame.services.clock

    def pause(stop: threading.Event, seconds: float) -> None:
        if seconds <= 0 or stop.is_set():
            return
        waiting = asyncio.run_coroutine_threadsafe(clock.sleep(seconds), loop)
        while not stop.is_set():
            try:
                waiting.result(_LOOK_SECONDS)
            except NotYetError:
                continue
            return
        waiting.cancel()

    return pause


def _seconds(document: dict[str, Any], name: str, second: float | None, last: float) -> float:
    """The seconds of a time span; without it the second choice, then the last."""
    if document.get(name) in (None, ""):
        return last if second is None else second
    try:
        return parse_span(document[name]).total_seconds()
    except ValueError as error:
        raise ActivityError("InvalidTemplate", f"{name}: {error}", final=True) from error


def _text_or_none(value: Any) -> str | None:
    return None if value in (None, "") else to_text(value)


def _object_headers(value: Any) -> dict[str, str]:
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise wrong("additionalHeaders", "an object", value)
    return {str(name): as_text(text) for name, text in value.items()}


def _text_headers(text: str) -> dict[str, str]:
    """The one text that HttpReadSettings has: `Name: value`, one a line."""
    headers = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise wrong("additionalHeaders", "lines of Name: value", line)
        if colon:
            headers[name.strip()] = value.strip()
    return headers
