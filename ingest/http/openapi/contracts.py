"""Operations on the contracts of datasets."""

from __future__ import annotations

from ingest.http.openapi.parts import REQUEST_PROBLEMS, TEXT, TEXT_OR_NULL, Operation, object_of
from ingest.http.web import JSON

_CONTRACT = object_of(
    {"dataset": TEXT, "version": TEXT_OR_NULL, "digest": TEXT, "from": TEXT, "contract": TEXT},
    optional=("digest", "from", "contract"),
)

_CONTRACT_EXAMPLE = {
    "dataset": "users",
    "version": "1.0.0",
    "digest": "5d3f0a9b1c2d4e5f",
    "from": "pushed",
    "contract": "apiVersion: v3.1.0\nkind: DataContract\n...",
}

_NO_DATASET = {404: "unknown dataset"}

CONTRACT_OPERATIONS: dict[str, Operation] = {
    "get_contract": Operation(
        "service",
        "The active contract of a dataset, as written",
        {200: (_CONTRACT, _CONTRACT_EXAMPLE | {"from": "project"})},
        {400: "not a valid dataset name"} | _NO_DATASET,
    ),
    "put_contract": Operation(
        "operators",
        "Publish a version of a contract; `replaces` is the digest of the version that it changes",
        {200: (_CONTRACT, _CONTRACT_EXAMPLE)},
        REQUEST_PROBLEMS | {409: "the active contract is not the one that `replaces` names"},
        body=(
            JSON,
            object_of({"contract": TEXT, "replaces": TEXT_OR_NULL}, optional=("replaces",))
            | {"additionalProperties": False},
            None,
        ),
    ),
    "delete_contract": Operation(
        "operators",
        "Withdraw the published version; that of the project folder, if any, is active again",
        {200: (_CONTRACT, {"dataset": "users", "version": None})},
        {400: "not a valid dataset name", 404: "no version was published for this dataset"},
    ),
}
