"""The contracts in force over HTTP: read one, put another version in force, withdraw that."""

from __future__ import annotations

from typing import Any

from ingest.errors import BadRequest, NotFound
from ingest.http.web import ApiRequest, ApiResponse, fields, text
from ingest.service import Landfall
from landfall.contract.folder import bad_name
from landfall.protocol import is_dataset

MAX_CONTRACT = 512 * 1024
"""Bytes of a request with a contract: thousands of columns."""


def get_contract(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /datasets/{dataset}/contract`: the contract in force, with its text."""
    dataset = _dataset(request)
    contract = service.contracts.get(dataset)
    if contract is None:
        problem = service.store.problem_of(dataset)
        known = ", ".join(sorted(service.contracts)) or "none"
        raise NotFound(
            f"the contract of dataset {dataset} is wrong: {problem}"
            if problem
            else f"there is no dataset {dataset!r}; there are: {known}"
        )
    return ApiResponse(200, _shown(service, dataset, contract.text))


def put_contract(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`PUT /datasets/{dataset}/contract {"contract", "replaces"}`: put a version in force.

    `replaces` is the digest of the version that the caller has compared it with, empty where there
    is none; without the field nothing is compared.
    """
    dataset = _dataset(request)
    body = fields(request, "contract", "replaces", limit=MAX_CONTRACT)
    replaces = body.get("replaces")
    if replaces is not None and not isinstance(replaces, str):
        raise BadRequest("field 'replaces' is not a string", 422)
    contract = service.store.push(dataset, text(body, "contract"), replaces=replaces)
    return ApiResponse(200, _shown(service, dataset, contract.text))


def delete_contract(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`DELETE /datasets/{dataset}/contract`: the project's own is in force again, if it has one."""
    dataset = _dataset(request)
    left = service.store.withdraw(dataset)
    if left is None:
        return ApiResponse(200, {"dataset": dataset, "version": None})
    return ApiResponse(200, _shown(service, dataset, left.text))


def _dataset(request: ApiRequest) -> str:
    dataset = request.route["dataset"]
    if not is_dataset(dataset):
        raise BadRequest(f"the dataset {bad_name(dataset)}")
    return dataset


def _shown(service: Landfall, dataset: str, contract: str) -> dict[str, Any]:
    in_force = service.contracts[dataset]
    return {
        "dataset": dataset,
        "version": in_force.version,
        "digest": in_force.digest,
        "from": service.store.origin(dataset),
        "contract": contract,
    }
