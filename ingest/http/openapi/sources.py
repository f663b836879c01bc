"""The routes of sources and their extracts, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

from ingest.http.openapi.parts import (
    BOOLEAN,
    COUNT,
    DATASET,
    OBJECT_OR_NULL,
    REASON,
    REQUEST_PROBLEMS,
    TEXT,
    TEXT_OR_NULL,
    Operation,
    object_of,
    ref,
)
from ingest.http.web import JSON

_ADF_RUN = {"type": "string", "minLength": 1}
_ADF_RUN_EXAMPLE = "c0ffee00-1111-2222-3333-444444444444"
_VALUE = {"type": ["string", "integer", "null"]}
_NAMES = {"type": ["array", "string", "null"], "items": TEXT}
_WINDOW = {"window_start": _VALUE, "window_end": _VALUE, "again": BOOLEAN}
_NO_SOURCE = {404: "unknown source or object"}
_ANSWER: dict[str, Any] = {"type": "object"}

SOURCE_SCHEMAS: dict[str, Any] = {
    "SourceObject": object_of(
        {
            "source": TEXT,
            "object": TEXT,
            "dataset": DATASET,
            "mode": {"enum": ["full", "incremental", "window"]},
            "enabled": BOOLEAN,
            "paused": BOOLEAN,
            "watermark": TEXT_OR_NULL,
            "lag_seconds": {"type": ["integer", "null"]},
            "extracts": COUNT,
            "running": {"type": "array", "items": {"type": "object"}},
            "last": OBJECT_OR_NULL,
            "failure": OBJECT_OR_NULL,
            "recent": {"type": "array", "items": {"type": "object"}},
            "error": TEXT,
        },
        optional=(
            "source",
            "mode",
            "enabled",
            "paused",
            "watermark",
            "lag_seconds",
            "extracts",
            "running",
            "last",
            "failure",
            "recent",
            "error",
        ),
    ),
    "Source": object_of(
        {
            "source": TEXT,
            "description": TEXT,
            "connector": TEXT,
            "pipeline": TEXT,
            "trigger": TEXT_OR_NULL,
            "schedule": TEXT_OR_NULL,
            "next": {"type": ["string", "null"]},
            "objects": {"type": "array", "items": ref("SourceObject")},
        }
    ),
    "Sources": object_of(
        {
            "sources": {"type": "array", "items": ref("Source")},
            "wrong": {"type": "array", "items": {"type": "object"}},
        }
    ),
    "PipelineRuns": object_of(
        {"source": TEXT, "pipeline_runs": {"type": "array", "items": {"type": "object"}}}
    ),
}

_OBJECT_EXAMPLE = {
    "source": "shop",
    "object": "orders",
    "dataset": "orders",
    "mode": "incremental",
    "enabled": True,
    "paused": False,
    "watermark": "2026-11-22T13:00:00+00:00",
    "lag_seconds": 300,
    "extracts": 12,
    "running": [],
    "last": None,
    "failure": None,
}
_SOURCE_EXAMPLE = {
    "source": "shop",
    "description": "Orders of the shop.",
    "connector": "postgresql",
    "pipeline": "extract_postgresql",
    "trigger": "source_shop",
    "schedule": "every 15 minutes",
    "next": "2026-11-22T13:15:00+00:00",
    "objects": [_OBJECT_EXAMPLE],
}
_STARTED = {
    202: (
        ref("PipelineRuns"),
        {
            "source": "shop",
            "pipeline_runs": [{"adf_run_id": _ADF_RUN_EXAMPLE, "from": None, "to": None}],
        },
    )
}
_EXTRACT = object_of(
    {"objects": _NAMES, "from": _VALUE, "to": _VALUE, "every": _VALUE, "again": BOOLEAN},
    optional=("objects", "from", "to", "every", "again"),
) | {"additionalProperties": False}
_RANGE_PROBLEMS = REQUEST_PROBLEMS | _NO_SOURCE
_OBJECT = {200: (ref("SourceObject"), _OBJECT_EXAMPLE)}

SOURCE_OPERATIONS: dict[str, Operation] = {
    "list_sources": Operation(
        "sources",
        "The sources with the state of their objects; `wrong` lists invalid source files",
        {200: (ref("Sources"), {"sources": [_SOURCE_EXAMPLE], "wrong": []})},
    ),
    "get_source": Operation(
        "sources", "One source", {200: (ref("Source"), _SOURCE_EXAMPLE)}, _NO_SOURCE
    ),
    "get_source_object": Operation(
        "sources",
        "One object of a source with its latest extracts",
        {200: (ref("SourceObject"), _OBJECT_EXAMPLE | {"recent": []})},
        _NO_SOURCE,
    ),
    "get_source_run": Operation(
        "sources",
        "A pipeline run that extracts, as Data Factory knows it",
        {
            200: (
                object_of({"adf_run_id": TEXT, "status": TEXT, "message": TEXT_OR_NULL}),
                {"adf_run_id": _ADF_RUN_EXAMPLE, "status": "Succeeded", "message": ""},
            )
        },
        {404: "unknown source or pipeline run"},
    ),
    "extract_source": Operation(
        "sources",
        "Start the extraction of a source, or of a range of it",
        _STARTED,
        _RANGE_PROBLEMS,
        body=(JSON, _EXTRACT, {"objects": ["orders"]}),
        optional_body=True,
        once=True,
    ),
    "extract_object": Operation(
        "sources",
        "Start the extraction of one object, or of a range of it",
        _STARTED,
        _RANGE_PROBLEMS,
        body=(JSON, _EXTRACT, {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}),
        optional_body=True,
        once=True,
    ),
    "rewind_object": Operation(
        "sources",
        "Set the watermark of an object; null reads everything again",
        _OBJECT,
        _RANGE_PROBLEMS,
        body=(
            JSON,
            object_of({"to": _VALUE, "reason": REASON}, optional=("reason",))
            | {"additionalProperties": False},
            {"to": "2026-01-01T00:00:00Z", "reason": "the source was corrected"},
        ),
        once=True,
    ),
    "pause_object": Operation(
        "sources",
        "Pause an object: schedules skip it",
        _OBJECT,
        _RANGE_PROBLEMS,
        body=(JSON, object_of({"reason": REASON}, optional=("reason",)), {"reason": "maintenance"}),
        optional_body=True,
        once=True,
    ),
    "resume_object": Operation(
        "sources",
        "Resume an object: schedules extract it again",
        _OBJECT,
        _RANGE_PROBLEMS,
        body=(JSON, object_of({"reason": REASON}, optional=("reason",)), {"reason": "done"}),
        optional_body=True,
        once=True,
    ),
    "plan_extracts": Operation(
        "pipelines",
        "Data Factory asks what a pipeline run reads",
        {200: (_ANSWER, {"objects": []})},
        _RANGE_PROBLEMS,
        body=(
            JSON,
            object_of(
                {"adf_run_id": _ADF_RUN, "objects": _NAMES, **_WINDOW},
                optional=("adf_run_id", "objects", *_WINDOW),
            ),
            {"adf_run_id": _ADF_RUN_EXAMPLE, "objects": "orders"},
        ),
    ),
    "begin_extract": Operation(
        "pipelines",
        "Data Factory asks whether this pipeline run may read an object, and what",
        {200: (_ANSWER, {"granted": False, "reason": "another pipeline run reads it"})},
        _RANGE_PROBLEMS,
        body=(
            JSON,
            object_of(
                {"adf_run_id": _ADF_RUN, "high": _VALUE, **_WINDOW}, optional=("high", *_WINDOW)
            ),
            {"adf_run_id": _ADF_RUN_EXAMPLE, "high": "2026-11-22T13:00:00Z"},
        ),
    ),
    "finish_extract": Operation(
        "pipelines",
        "Data Factory reports that an extract is written",
        {200: (_ANSWER, {"delivered": True})},
        _RANGE_PROBLEMS,
        body=(
            JSON,
            object_of(
                {
                    "adf_run_id": _ADF_RUN,
                    "extract_id": {"type": "string", "minLength": 1},
                    "rows": {"type": ["integer", "null"], "minimum": 0},
                    "bytes": {"type": ["integer", "null"], "minimum": 0},
                },
                optional=("rows", "bytes"),
            ),
            {"adf_run_id": _ADF_RUN_EXAMPLE, "extract_id": "shop-orders-1", "rows": 10},
        ),
    ),
    "fail_extract": Operation(
        "pipelines",
        "Data Factory reports that an object could not be read",
        {200: (object_of({"received": {"const": True}}), {"received": True})},
        _RANGE_PROBLEMS,
        body=(
            JSON,
            object_of(
                {"adf_run_id": _ADF_RUN, "extract_id": TEXT_OR_NULL, "error": TEXT_OR_NULL},
                optional=("extract_id", "error"),
            ),
            {"adf_run_id": _ADF_RUN_EXAMPLE, "error": "connection refused"},
        ),
    ),
}
