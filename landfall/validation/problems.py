"""What ends a validation before its time: the file cannot be read as what it should be."""

from landfall.validation.report import Problem

MAX_RECORD = 8 << 20
"""Bytes one record may have. More than any honest record, and little enough to hold."""


class Refusal(Exception):
    """The file is refused; nothing after this place can be validated."""

    def __init__(
        self, reason: str, action: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(reason)
        self.problem = Problem(reason, action, line, column)


class AnswerError(ValueError):
    """The other engine's answer is not one that this release can read."""


def too_long(line: int) -> Refusal:
    """The refusal of a record that exceeds what may be held in memory."""
    return Refusal(
        f"the record that begins on line {line} is longer than {MAX_RECORD >> 20} MiB",
        "check for an unclosed quote on that line or a lost line end before it",
        line=line,
    )


def unclosed(line: int) -> Refusal:
    """The refusal of a file whose last record has an open quote."""
    return Refusal(
        f"a quote opened on line {line} is never closed",
        "close it on that line, or double it if it is part of the text",
        line=line,
    )
