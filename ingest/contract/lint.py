"""Checks a contract against the standard's own published model."""

from ingest.contract.model import Contract, ContractError
from ingest.contract.odcs import parse
from ingest.contract.reader import Node


def lint(text: str, *, file: str) -> Contract:
    """``parse``, and the types of every field by the standard's model besides.

    Slow to import, so only tests and the command line come here.

    Raises:
        ContractError: as ``parse`` does, and where the model disagrees.
    """
    import pydantic  # noqa: PLC0415 - costs more than reading every contract
    from open_data_contract_standard.model import (  # noqa: PLC0415 - likewise
        OpenDataContractStandard,
    )

    contract = parse(text, file=file)
    try:
        OpenDataContractStandard.model_validate(Node.of_yaml(text, file).value)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ContractError(file, path, first["msg"]) from error
    return contract
