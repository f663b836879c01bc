"""Errors as the Azure Resource Manager answers them."""

from __future__ import annotations

from typing import Any


class AzureError(Exception):
    """A request that is refused.

    Attributes:
        status: HTTP status; code: Azure's error code; message: what is wrong and what to do.
        target: the resource or property meant, if there is one.
        headers: further response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        target: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        """The body of the reply."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "target": self.target,
                "details": None,
            }
        }


def bad_request(message: str, target: str | None = None) -> AzureError:
    """A definition or a query that is wrong."""
    return AzureError(400, "BadRequest", message, target)


def not_implemented(what: str) -> AzureError:
    """Something that Azure may know and the local data factory does not."""
    return AzureError(
        501, "NotImplementedLocally", f"the local data factory does not implement {what}"
    )
