"""What the workspace answers when it refuses: `{"error_code", "message"}` with a status."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal, as the Databricks REST API tells it.

    Attributes:
        status: HTTP status; code: `error_code`, which the SDKs map to their exceptions.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(message)

    def to_json(self) -> dict[str, str]:
        """The body of the reply."""
        return {"error_code": self.code, "message": self.message}


def invalid(message: str) -> ApiError:
    """The request is wrong (400 INVALID_PARAMETER_VALUE)."""
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def absent(message: str) -> ApiError:
    """A path that is not there (404 RESOURCE_DOES_NOT_EXIST)."""
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)


def unsupported(message: str) -> ApiError:
    """Databricks may do this; the local workspace does not (501 NOT_IMPLEMENTED)."""
    return ApiError(501, "NOT_IMPLEMENTED", f"The local workspace does not support {message}.")
