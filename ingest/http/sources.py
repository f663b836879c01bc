"""Sources over HTTP: what pipeline runs ask of the register of extracts, and what people do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ingest.errors import BadRequest, Damaged
from ingest.http.idempotency import once
from ingest.http.web import (
    ApiRequest,
    ApiResponse,
    fields,
    flag,
    optional_object,
    reason,
    text,
)
from ingest.log import log
from ingest.runs.messages import next_messages
from ingest.service import Landfall
from ingest.sources.answers import ExtractionAnswer
from ingest.sources.document import ObjectState, plain
from ingest.sources.windows import Window
from landfall.sources.model import Source, SourceObject
from landfall.sources.schedule import next_start, shown
from landfall.sources.triggers import PREFIX, pipeline_of

_WINDOW = ("window_start", "window_end", "again")
_ERROR_LENGTH = 20_000


# -- asked by pipeline runs -----------------------------------------------------------------


def plan(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/plan`: what a pipeline run shall read."""
    body = fields(request, "adf_run_id", "objects", *_WINDOW)
    chosen = _names(body.get("objects"))
    document = service.extraction.planning.plan(request.route["source"], _window(body), chosen)
    return ApiResponse(200, document)


def begin(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/{object}/begin`: may this pipeline run read, and what?"""
    body = fields(request, "adf_run_id", "high", *_WINDOW)
    high = body.get("high")
    if high is not None and not isinstance(high, (str, int)):
        raise BadRequest("field 'high' is neither text nor a number", 422)
    return _answered(
        service.extraction.fence.begin(
            *_object(request),
            text(body, "adf_run_id"),
            "" if high is None else str(high),
            _window(body),
        )
    )


def finish(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/{object}/finish`: a pipeline run has written its bytes."""
    body = fields(request, "adf_run_id", "extract_id", "rows", "bytes")
    return _answered(
        service.extraction.delivery.finish(
            *_object(request),
            text(body, "extract_id"),
            text(body, "adf_run_id"),
            rows=_count(body, "rows"),
            size=_count(body, "bytes"),
        )
    )


def fail(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/{object}/fail`: a pipeline run could not read."""
    body = fields(request, "adf_run_id", "extract_id", "error")
    error = body.get("error") or "the pipeline run did not say why"
    service.extraction.delivery.fail(
        *_object(request),
        str(body.get("extract_id") or "") or None,
        text(body, "adf_run_id"),
        str(error)[:_ERROR_LENGTH],
    )
    return ApiResponse(200, {"received": True})


# -- asked by people ------------------------------------------------------------------------


def list_sources(service: Landfall, _request: ApiRequest) -> ApiResponse:
    """`GET /sources`: each source with where its objects stand."""
    folder = service.extraction.catalog.files.current
    sources = [_source(service, source) for source in folder.sources.values()]
    wrong = [
        {"source": name, "file": error.file, "line": error.line, "error": str(error)}
        for name, error in folder.errors.items()
    ]
    return ApiResponse(200, {"sources": sources, "wrong": wrong})


def get_source(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /sources/{source}`: one source."""
    return ApiResponse(
        200, _source(service, service.extraction.catalog.source(request.route["source"]))
    )


def get_object(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /sources/{source}/{object}`: one object with its latest extracts."""
    source = service.extraction.catalog.source(request.route["source"])
    entry = service.extraction.catalog.entry(source, request.route["object"])
    state = service.extraction.catalog.state(source, entry)
    return ApiResponse(200, _state(service, source, entry, state) | _history(state))


def get_run(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /sources/{source}/runs/{adf_run_id}`: a pipeline run that extracts, as it stands."""
    run = service.extraction.operating.pipeline_run(
        request.route["source"], request.route["adf_run_id"]
    )
    return ApiResponse(
        200, {"adf_run_id": run.adf_run_id, "status": run.status, "message": run.message}
    )


@once
def extract(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/extract`, or of one object: start pipeline runs."""
    body = optional_object(request, "objects", "from", "to", "every", "again")
    named = request.route.get("object")
    chosen = [named] if named else _names(body.get("objects"))
    begin, end = (_optional(body, name) for name in ("from", "to"))
    if bool(begin) != bool(end):
        raise BadRequest("a range needs both from and to", 422)
    window = Window(begin, end, again=flag(body, "again"))
    every = _optional(body, "every") or None
    if every and not window.given:
        raise BadRequest("every cuts a range: it needs from and to", 422)
    started = service.extraction.operating.start(request.route["source"], chosen, window, every)
    return ApiResponse(202, {"source": request.route["source"], "pipeline_runs": started})


@once
def rewind(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/{object}/rewind {"to", "reason"}`: move the watermark by hand."""
    body = fields(request, "to", "reason")
    if "to" not in body:
        raise BadRequest("field 'to' is missing; null reads everything again", 422)
    to = body["to"]
    if to is not None and not isinstance(to, (str, int)):
        raise BadRequest("field 'to' is neither text nor a number", 422)
    why = reason(body, "no reason given")
    source, entry = _object(request)
    state = service.extraction.operating.rewind(source, entry, None if to is None else str(to))
    log.warning("%s.%s is rewound to %s by %s: %s", source, entry, to, request.caller, why)
    return ApiResponse(200, _shown(service, request, state))


@once
def pause(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/{object}/pause`: schedules skip it."""
    return _paused(service, request, paused=True)


@once
def resume(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /sources/{source}/{object}/resume`: schedules extract it again."""
    return _paused(service, request, paused=False)


def _paused(service: Landfall, request: ApiRequest, *, paused: bool) -> ApiResponse:
    optional_object(request, "reason")
    state = service.extraction.operating.pause(*_object(request), paused=paused)
    return ApiResponse(200, _shown(service, request, state))


# -- documents ------------------------------------------------------------------------------


def _source(service: Landfall, source: Source) -> dict[str, Any]:
    moment = next_start(source.schedule, service.clock())
    return {
        "source": source.name,
        "description": source.description,
        "connector": source.connector,
        "pipeline": pipeline_of(source),
        "trigger": f"{PREFIX}{source.name}" if source.schedule else None,
        "schedule": shown(source.schedule),
        "next": moment.isoformat() if moment else None,
        "objects": [_entry(service, source, entry) for entry in source.objects],
    }


def _entry(service: Landfall, source: Source, entry: SourceObject) -> dict[str, Any]:
    try:
        state = service.extraction.catalog.state(source, entry)
    except Damaged as error:
        return {"object": entry.name, "dataset": entry.dataset, "error": str(error)}
    return _state(service, source, entry, state)


def _state(
    service: Landfall, source: Source, entry: SourceObject, state: ObjectState
) -> dict[str, Any]:
    last = state.recent[0] if state.recent else None
    return {
        "source": source.name,
        "object": entry.name,
        "dataset": entry.dataset,
        "mode": entry.mode,
        "enabled": entry.enabled,
        "paused": state.paused,
        "watermark": state.watermark,
        "lag_seconds": _behind(service, entry, state),
        "extracts": state.delivered,
        "running": [
            {
                "extract_id": running.extract_id,
                "adf_run_id": running.adf_run_id,
                "since": running.since.isoformat(),
                "low": running.low,
                "high": running.high,
            }
            for running in state.running
        ],
        "last": plain(last) if last else None,
        "failure": plain(state.failure) if state.failure else None,
    }


def _behind(service: Landfall, entry: SourceObject, state: ObjectState) -> int | None:
    """Seconds from the end of what was delivered to now; None where that is no time."""
    ends = [extract.high for extract in state.recent] if entry.mode == "window" else []
    text = max(ends, default=None) if ends else state.watermark
    if text is None or entry.counted:
        return None
    return max(0, int((service.clock() - datetime.fromisoformat(text)).total_seconds()))


def _history(state: ObjectState) -> dict[str, Any]:
    return {"recent": [plain(extract) for extract in state.recent]}


def _shown(service: Landfall, request: ApiRequest, state: ObjectState) -> dict[str, Any]:
    source = service.extraction.catalog.source(request.route["source"])
    entry = service.extraction.catalog.entry(source, request.route["object"])
    return _state(service, source, entry, state)


def _answered(answer: ExtractionAnswer) -> ApiResponse:
    messages = tuple(message for run in answer.runs for message in next_messages(run))
    return ApiResponse(200, answer.body, messages=messages)


# -- what came in ---------------------------------------------------------------------------


def _object(request: ApiRequest) -> tuple[str, str]:
    return request.route["source"], request.route["object"]


def _window(body: Mapping[str, Any]) -> Window:
    begin, end = (_optional(body, name) for name in ("window_start", "window_end"))
    if bool(begin) != bool(end):
        raise BadRequest("a window needs both window_start and window_end", 422)
    return Window(begin, end, again=flag(body, "again"))


def _optional(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise BadRequest(f"field {name!r} is neither text nor a number", 422)
    return str(value)


def _count(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequest(f"field {name!r} is not a whole number, 0 or more", 422)
    return value


def _names(value: Any) -> list[str]:
    """Names in a list, or in one text with commas between, as a pipeline's parameter has them."""
    names = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest("field 'objects' is neither a list of names nor a text", 422)
    return [name.strip() for name in names if name.strip()]
