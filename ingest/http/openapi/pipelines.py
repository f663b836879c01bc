"""Operations that Data Factory calls during a copy."""

from __future__ import annotations

from ingest.http.openapi.parts import BOOLEAN, REQUEST_PROBLEMS, TEXT, Operation, object_of
from ingest.http.openapi.schemas import NO_RUN
from ingest.http.web import JSON

_FENCE = object_of({"granted": BOOLEAN, "reason": TEXT})

PIPELINE_OPERATIONS: dict[str, Operation] = {
    "fence": Operation(
        "pipelines",
        "Data Factory asks whether this pipeline run may copy",
        {200: (_FENCE, {"granted": False, "reason": "another pipeline run may copy"})},
        REQUEST_PROBLEMS | NO_RUN,
        body=(
            JSON,
            object_of({"adf_run_id": {"type": "string", "minLength": 1}}),
            {"adf_run_id": "c0ffee00-1111-2222-3333-444444444444"},
        ),
    ),
    "callback": Operation(
        "pipelines",
        "Data Factory reports the end of a copy; the service then asks for its status",
        {200: (object_of({"received": {"const": True}}), {"received": True})},
        REQUEST_PROBLEMS | NO_RUN,
        body=(JSON, {"type": "object"}, {"status": "Succeeded"}),
    ),
}
