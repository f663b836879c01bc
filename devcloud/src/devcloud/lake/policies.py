"""Stored access policies of a container, to which a shared access signature may refer by `si`.

Specification: https://learn.microsoft.com/rest/api/storageservices/define-stored-access-policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from devcloud.lake import blob_xml
from devcloud.lake.errors import LakeError
from devcloud.lake.sas import Policy

MOST_POLICIES = 5
LONGEST_ID = 64
_FIELDS = (("Start", "st"), ("Expiry", "se"), ("Permission", "sp"))


def read(body: bytes) -> list[Policy]:
    """The policies in the body of Set Container ACL; an empty body has none.

    Raises:
        LakeError: InvalidXmlDocument or InvalidInput.
    """
    if not body:
        return []
    policies: list[Policy] = []
    for element in blob_xml.parse(body, "SignedIdentifiers"):
        name = (element.findtext("Id") or "").strip()
        if not 0 < len(name) <= LONGEST_ID:
            raise LakeError("InvalidXmlDocument", f"An Id has 1 to {LONGEST_ID} characters.")
        policy = {"si": name}
        for tag, field in _FIELDS:
            text = (element.findtext(f"AccessPolicy/{tag}") or "").strip()
            if text:
                policy[field] = text
        policies.append(policy)
    if len(policies) > MOST_POLICIES or len({each["si"] for each in policies}) < len(policies):
        raise LakeError("InvalidInput", f"There are {MOST_POLICIES} policies at most, each once.")
    return policies


def to_xml(policies: Iterable[Mapping[str, str]]) -> bytes:
    """The body of Get Container ACL."""
    items = ""
    for policy in policies:
        fields = blob_xml.elements((tag, policy.get(field, "")) for tag, field in _FIELDS)
        name = blob_xml.elements([("Id", policy["si"])])
        items += f"<SignedIdentifier>{name}<AccessPolicy>{fields}</AccessPolicy></SignedIdentifier>"
    return f"{blob_xml.HEAD}<SignedIdentifiers>{items}</SignedIdentifiers>".encode()
