"""Checks a contract against the standard's published model and JSON schema."""

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
    """Parse a contract, and check every field by the standard's model and JSON schema.

    The schema is that of 3.2; contracts of 3.0 and 3.1 are checked only by the model. The imports
    are slow, so only tests and the command line use this function.

    Raises:
        ContractError: `parse`, the model or the schema finds an error.
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
        _check_schema(_json_value(document), file)
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


def _json_value(value: Any) -> Any:
    """Return a value as JSON: YAML turns some texts into dates."""
    if isinstance(value, dict):
        return {key: _json_value(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return value.isoformat() if isinstance(value, (date, time)) else value
