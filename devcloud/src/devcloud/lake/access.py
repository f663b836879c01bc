"""Owner, group, permissions and ACL of a path: kept and told again as they were set.

Nothing of it is enforced: whoever holds the account key or a fitting signature may do all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from devcloud.lake.errors import LakeError
from devcloud.lake.service import permissions
from devcloud.lake.store import StoredEntry

SET_ACCESS = ("x-ms-owner", "x-ms-group", "x-ms-permissions", "x-ms-acl")
SYMBOLIC = re.compile(r"^(?:[r-][w-][xsS-]){2}[r-][w-][xtT-]\+?$")
OCTAL = re.compile(r"^[01]?[0-7]{3}$")
ACL_ENTRY = re.compile(r"^(default:)?(user|group|mask|other):[^:,]*:[r-][w-][x-]$")


def given_access(headers: Mapping[str, str]) -> dict[str, str]:
    """What a request sets.

    Raises:
        LakeError: InvalidHeaderValue.
    """
    access = {name.removeprefix("x-ms-"): headers[name] for name in SET_ACCESS if headers.get(name)}
    if "permissions" in access:
        access["permissions"] = symbolic(access["permissions"])
    if "acl" in access and not all(ACL_ENTRY.match(each) for each in access["acl"].split(",")):
        raise LakeError("InvalidHeaderValue", f"x-ms-acl was {access['acl']!r}.")
    return access


def symbolic(text: str) -> str:
    """Permissions as `rwxr-x---`, from that form or from octal.

    Raises:
        LakeError: InvalidHeaderValue.
    """
    if SYMBOLIC.match(text):
        return text
    if not OCTAL.match(text):
        raise LakeError("InvalidHeaderValue", f"x-ms-permissions was {text!r}.")
    triples = (int(digit) for digit in text[-3:])
    return "".join(
        ("r" if bits & 4 else "-") + ("w" if bits & 2 else "-") + ("x" if bits & 1 else "-")
        for bits in triples
    )


def acl_header(entry: StoredEntry) -> str:
    """The ACL that was set; else the one that the permissions amount to."""
    kept = entry.properties.access.get("acl")
    if kept:
        return kept
    text = permissions(entry)
    return f"user::{text[:3]},group::{text[3:6]},other::{text[6:9]}"
