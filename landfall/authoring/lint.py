"""Checks a contract against the standard's own published model and JSON schema."""

from __future__ import annotations

import json
from datetime import date, time
from importlib import resources
from typing import Any

from landfall.contract.model import Contract, ContractError
from landfall.contract.odcs import parse
from landfall.contract.reader import Node

_OF_SCHEMA = "v3.2.0"


def lint(text: str, *, file: str) -> Contract:
    """`parse`, and every field by the standard's model and its JSON schema besides.

    The schema is that of 3.2; contracts of 3.0 and 3.1 are held to the model, which reads them all.
    Slow to import, so only tests and the command line come here.

    Raises:
        ContractError: as `parse` does, and where the model or the schema disagree.
    """
    import pydantic  # noqa: PLC0415 - costs more than reading every contract
    from open_data_contract_standard.model import (  # noqa: PLC0415 - likewise
        OpenDataContractStandard,
    )

    contract = parse(text, file=file)
    document = Node.of_yaml(text, file).value
    try:
        OpenDataContractStandard.model_validate(document)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ContractError(file, path, first["msg"]) from error
    if document["apiVersion"] == _OF_SCHEMA:
        _check_schema(_plain(document), file)
    return contract


def _check_schema(document: Any, file: str) -> None:
    import jsonschema  # noqa: PLC0415 - likewise

    published = resources.files("open_data_contract_standard") / "schema.json"
    schema = json.loads(published.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(document))
    if error is not None:
        path = error.json_path.removeprefix("$").removeprefix(".")
        raise ContractError(file, path, f"{error.message} (by the standard's JSON schema)")


def _plain(value: Any) -> Any:
    """As JSON has it: YAML makes dates of some texts."""
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, (date, time)) else value
