"""Errors that end a validation early: the file cannot be read."""

from __future__ import annotations

from landfall.validation.report import Problem

MAX_RECORD = 8 << 20
"""Most bytes of a record, so that it can be held in memory."""

MAX_RATIO = 200
"""Highest compression ratio; text reaches 20 to 100, a decompression bomb 1,000 and more."""


class Refusal(Exception):
    """The file is refused: nothing after this place can be validated."""

    def __init__(
        self, reason: str, action: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(reason)
        self.problem = Problem(reason, action, line, column)


class AnswerError(ValueError):
    """The answer of the Spark validation job cannot be read by this release."""


class PlanError(ValueError):
    """The plan of a validation is not one that this release of the job knows."""


def record_too_long(line: int) -> Refusal:
    """Return the refusal of a file with a record longer than `MAX_RECORD`."""
    return Refusal(
        f"the record that begins on line {line} is longer than {MAX_RECORD >> 20} MiB",
        "check for an unclosed quote on that line or a lost line end before it",
        line=line,
    )


def unclosed_quote(line: int) -> Refusal:
    """Return the refusal of a file whose last record has an unclosed quote."""
    return Refusal(
        f"a quote opened on line {line} is never closed",
        "close it on that line, or double it if it is part of the text",
        line=line,
    )


def encrypted() -> Refusal:
    """Return the refusal of a file with encrypted columns or an encrypted footer."""
    return Refusal(
        "the Parquet file is encrypted, and nobody here has its keys",
        "send it without Parquet's encryption: the lake encrypts what it stores",
    )
