"""How a copy fails."""

from __future__ import annotations


class CopyError(Exception):
    """A copy that cannot be done.

    Attributes:
        code: error code, that of Azure where Azure has one.
        message: which file, row, column and value.
        kind: "UserError" if the data or the definition is wrong, else "SystemError".
    """

    def __init__(self, code: str, message: str, kind: str = "UserError") -> None:
        self.code = code
        self.kind = kind
        self.message = f"ErrorCode={code},{message}"
        super().__init__(self.message)


class CopyStoppedError(Exception):
    """The run was cancelled or timed out; nothing was published."""
