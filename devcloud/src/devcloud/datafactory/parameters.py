"""The parameters of a run: defaults, required ones, and their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devcloud.datafactory.azure_error import AzureError


def bind(declared: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The values that a run works with.

    Args:
        declared: the pipeline's `parameters`.
        given: the body of createRun, or what a trigger or another pipeline passes.

    Raises:
        AzureError: 400 if one is missing, unknown, or of the wrong type.
    """
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        raise _wrong(unknown[0], f"is not declared; the pipeline declares {sorted(declared)}")
    values: dict[str, Any] = {}
    for name, definition in declared.items():
        value = given.get(name, definition.get("defaultValue"))
        if value is None:
            raise _wrong(name, "has no value and no default")
        kind = str(definition["type"]).lower()
        try:
            values[name] = _READERS[kind](value)
        except (TypeError, ValueError) as error:
            shown = f"{type(value).__name__} {str(value)[:100]!r}"
            raise _wrong(name, f"must be of type {definition['type']}, not {shown}") from error
    return values


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise TypeError
    if isinstance(value, bool):
        return "True" if value else "False"
    return str(value)


def _secret(value: Any) -> str:
    if isinstance(value, dict):
        return _text(value["value"]) if value.get("type") == "SecureString" else _text(value)
    return _text(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise ValueError
    return str(value).lower() == "true"


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "securestring": _secret,
    "int": _whole,
    "float": _real,
    "bool": _truth,
    "array": _array,
    "object": _object,
}


def _wrong(name: str, why: str) -> AzureError:
    return AzureError(400, "BadRequest", f"the parameter {name!r} {why}", name)
