"""Conditional headers, evaluated against a path as it is now.

Specification: https://learn.microsoft.com/rest/api/storageservices/
specifying-conditional-headers-for-blob-service-operations
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from devcloud.lake.errors import LakeError, NotModifiedError
from devcloud.lake.store import StoredEntry

NAMES = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


def check_read(headers: Mapping[str, str], entry: StoredEntry) -> None:
    """Check the conditions of a read.

    Raises:
        LakeError: ConditionNotMet.
        NotModifiedError: the caller has this version already.
    """
    match, none_match, modified, unmodified = (headers.get(name) for name in NAMES)
    if match is not None and not _matches(match, entry):
        raise LakeError("ConditionNotMet")
    if unmodified is not None and entry.modified // 10**9 > _seconds(unmodified):
        raise LakeError("ConditionNotMet")
    if none_match is not None and _matches(none_match, entry):
        raise NotModifiedError
    if modified is not None and entry.modified // 10**9 <= _seconds(modified):
        raise NotModifiedError


def check_write(headers: Mapping[str, str], entry: StoredEntry | None) -> None:
    """Check the conditions of a write.

    Raises:
        LakeError: BlobAlreadyExists for a failed `If-None-Match: *`, else ConditionNotMet.
    """
    match, none_match, modified, unmodified = (headers.get(name) for name in NAMES)
    if none_match is not None and none_match.strip() == "*" and entry is not None:
        raise LakeError("BlobAlreadyExists")
    if _fails(entry, match, none_match, modified, unmodified):
        raise LakeError("ConditionNotMet")


def check_source(headers: Mapping[str, str], entry: StoredEntry) -> None:
    """Check the conditions on the source of a rename or a copy (`x-ms-source-if-...`).

    Raises:
        LakeError: SourceConditionNotMet.
    """
    given = (headers.get(f"x-ms-source-{name}") for name in NAMES)
    if _fails(entry, *given):
        raise LakeError("SourceConditionNotMet")


def must_be_absent(headers: Mapping[str, str]) -> bool:
    """Whether a write asks to create only."""
    return headers.get("if-none-match", "").strip() == "*"


def _fails(
    entry: StoredEntry | None,
    match: str | None,
    none_match: str | None,
    modified: str | None,
    unmodified: str | None,
) -> bool:
    if entry is None:
        return match is not None
    seconds = entry.modified // 10**9
    return (
        (match is not None and not _matches(match, entry))
        or (none_match is not None and _matches(none_match, entry))
        or (modified is not None and seconds <= _seconds(modified))
        or (unmodified is not None and seconds > _seconds(unmodified))
    )


def _matches(given: str, entry: StoredEntry) -> bool:
    if given.strip() == "*":
        return True
    return any(
        each.strip().removeprefix("W/").strip('"') == entry.etag for each in given.split(",")
    )


def _seconds(text: str) -> int:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        raise LakeError("InvalidHeaderValue", f"{text!r} is no date.") from None
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int(parsed.timestamp())


def http_date(nanoseconds: int) -> str:
    """A time as HTTP headers tell it, in whole seconds."""
    return _date_of(nanoseconds // 10**9)


@lru_cache(maxsize=4096)  # a page of a listing has thousands of times, many of them alike
def _date_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
