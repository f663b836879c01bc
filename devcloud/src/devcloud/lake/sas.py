"""Shared access signatures: account, service and user delegation ones.

Specification: https://learn.microsoft.com/rest/api/storageservices/create-account-sas,
create-service-sas and create-user-delegation-sas.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from devcloud.lake.errors import LakeError
from devcloud.lake.messages import LakeRequest

# What each operation needs: any one letter of each group.
PERMISSIONS: dict[str, tuple[str, ...]] = {
    "ListContainers": ("l",),
    "GetAccountInfo": ("rwdlacupi",),
    "CreateContainer": ("cw",),
    "DeleteContainer": ("d",),
    "GetContainerProperties": ("r",),
    "SetContainerMetadata": ("w",),
    "ListBlobs": ("l",),
    "GetBlob": ("r",),
    "GetBlobProperties": ("r",),
    "GetBlockList": ("r",),
    "PutBlob": ("cw",),
    "PutBlock": ("cw",),
    "PutBlockList": ("cw",),
    "CopyBlob": ("cw",),
    "AbortCopy": ("cw",),
    "PutBlobFromUrl": ("cw",),
    "PutBlockFromUrl": ("cw",),
    "AppendBlock": ("aw",),
    "AppendBlockFromUrl": ("aw",),
    "GetServiceProperties": ("r",),
    "SetServiceProperties": ("w",),
    "GetServiceStats": ("r",),
    "LeaseContainer": ("w",),
    "SetBlobMetadata": ("w",),
    "SetBlobProperties": ("w",),
    "SetBlobTier": ("w",),
    "LeaseBlob": ("w",),
    "DeleteBlob": ("d",),
    "SubmitBatch": ("racwdxltmeopiyf",),  # each of its requests has a signature of its own
    "ListFilesystems": ("l",),
    "CreateFilesystem": ("cw",),
    "DeleteFilesystem": ("d",),
    "GetFilesystemProperties": ("r",),
    "SetFilesystemProperties": ("w",),
    "ListPaths": ("l",),
    "CreatePath": ("cw",),
    "RenamePath": ("cw", "m"),
    "AppendPath": ("aw",),
    "FlushPath": ("aw",),
    "SetPathProperties": ("w",),
    "SetPathAccess": ("po",),
    "GetPathStatus": ("re",),
    "GetPathAccess": ("re",),
    "CheckPathAccess": ("e",),
    "LeasePath": ("w",),
    "DeletePath": ("d",),
}
SERVICE_LEVEL = frozenset(
    {
        "ListContainers",
        "ListFilesystems",
        "GetServiceProperties",
        "SetServiceProperties",
        "GetServiceStats",
    }
)
CONTAINER_LEVEL = frozenset(
    {
        "CreateContainer",
        "LeaseContainer",
        "DeleteContainer",
        "GetContainerProperties",
        "SetContainerMetadata",
        "ListBlobs",
        "CreateFilesystem",
        "DeleteFilesystem",
        "GetFilesystemProperties",
        "SetFilesystemProperties",
        "ListPaths",
    }
)


@dataclass(frozen=True)
class SignedService:
    """What a signature says of a storage service.

    Attributes:
        name: as in the canonical resource of a service SAS; letter: in `ss` of an account SAS.
        permissions: what each operation needs: any one letter of each group.
        service_level, container_level: operations on the account, and on containers or queues.
    """

    name: str
    letter: str
    permissions: Mapping[str, tuple[str, ...]]
    service_level: frozenset[str]
    container_level: frozenset[str]


BLOB = SignedService("blob", "b", PERMISSIONS, SERVICE_LEVEL, CONTAINER_LEVEL)
DELEGATION = ("skoid", "sktid", "skt", "ske", "sks", "skv")
# A stored access policy: its name as `si`, and of `st`, `se` and `sp` those that it fixes.
Policy = dict[str, str]
Policies = Callable[[str], list[Policy]]
RESPONSE = ("rscc", "rscd", "rsce", "rscl", "rsct")


class SharedAccessSignature:
    """The signature in the query of a request."""

    def __init__(
        self,
        query: Mapping[str, str],
        account: str,
        key: bytes,
        service: SignedService = BLOB,
        policies: Policies = lambda _container: [],
    ) -> None:
        """Take decoded parameters, the account's name, its key, and the service that is asked.

        `policies` are the stored access policies of a container.
        """
        self._policies = policies
        self._terms: Mapping[str, str] = query
        self._query = query
        self._service = service
        self._account = account
        self._key = key

    def check(self, request: LakeRequest, operation: str, now: datetime) -> None:
        """Refuse the request unless this signature is genuine, valid now, and permits it.

        Raises:
            LakeError: AuthenticationFailed or one of the Authorization...Mismatch codes.
        """
        self._check_network(request)
        self.check_use(request.container, request.key, operation, now)

    def check_use(self, container: str, key: str, operation: str, now: datetime) -> None:
        """The same for a use of a path, apart from the request that brought it.

        Raises:
            LakeError: likewise.
        """
        query = self._query
        candidates = self._account_texts() if "ss" in query else self._service_texts(container, key)
        signing_key = self._delegated_key() if "skoid" in query else self._key
        given = query.get("sig", "").encode()
        if not any(hmac.compare_digest(_sign(signing_key, t), given) for t in candidates):
            raise LakeError("AuthenticationFailed", "The signature of the SAS does not fit.")
        self._terms = {**query, **self._policy(container)}
        self._check_time("st", "se", now)
        if "skoid" in query:
            self._check_time("skt", "ske", now)
        if "ss" in query:
            self._check_account_scope(operation)
        elif operation in self._service.service_level or (
            query.get("sr") == "b" and operation in self._service.container_level
        ):
            raise LakeError("AuthorizationResourceTypeMismatch")
        permitted = self._terms.get("sp", "")
        for group in self._service.permissions.get(operation, ("",)):
            if not set(group) & set(permitted):
                raise LakeError("AuthorizationPermissionMismatch")

    def response_headers(self) -> dict[str, str]:
        """Headers that the signature lays over those of a read."""
        names = (
            "cache-control",
            "content-disposition",
            "content-encoding",
            "content-language",
            "content-type",
        )
        given = zip(names, RESPONSE, strict=True)
        return {name: self._query[short] for name, short in given if short in self._query}

    def _policy(self, container: str) -> Mapping[str, str]:
        """What the policy fixes to which the signature refers."""
        if "si" not in self._query:
            return {}
        for policy in self._policies(container):
            if policy["si"] == self._query["si"]:
                twice = {"st", "se", "sp"} & policy.keys() & self._query.keys()
                if twice:
                    raise LakeError(
                        "AuthenticationFailed",
                        f"{min(twice)!r} stands in the SAS and in its stored access policy.",
                    )
                return policy
        raise LakeError(
            "AuthenticationFailed", f"There is no stored access policy {self._query['si']!r}."
        )

    def _check_network(self, request: LakeRequest) -> None:
        if self._query.get("spr", "https,http") == "https":  # this lake speaks http alone
            raise LakeError("AuthorizationProtocolMismatch")
        allowed = self._query.get("sip")
        if allowed:
            first, _, last = allowed.partition("-")
            peer = ipaddress.ip_address(request.peer).packed
            if not _address(first) <= peer <= _address(last or first):
                raise LakeError("AuthorizationSourceIPMismatch")

    def _check_time(self, start: str, end: str, now: datetime) -> None:
        if start in self._terms and now < _time(self._terms[start]):
            raise LakeError("AuthenticationFailed", f"Signature not valid yet ({start}).")
        if end not in self._terms or now >= _time(self._terms[end]):
            raise LakeError("AuthenticationFailed", f"Signature expired ({end}), or never valid.")

    def _check_account_scope(self, operation: str) -> None:
        if self._service.letter not in self._query["ss"]:
            raise LakeError("AuthorizationServiceMismatch")
        if operation == "GetAccountInfo":
            return
        level = "c" if operation in self._service.container_level else "o"
        level = "s" if operation in self._service.service_level else level
        if level not in self._query.get("srt", ""):
            raise LakeError("AuthorizationResourceTypeMismatch")

    def _values(self, *names: str) -> list[str]:
        return [self._query.get(name, "") for name in names]

    def _account_texts(self) -> Iterable[str]:
        head = [self._account, *self._values("sp", "ss", "srt", "st", "se", "sip", "spr", "sv")]
        yield "\n".join([*head, self._query.get("ses", ""), ""])  # since 2020-12-06
        yield "\n".join([*head, ""])

    def _service_texts(self, container: str, key: str) -> Iterable[str]:
        name = self._query.get("si", "")
        if self._service is not BLOB:
            resource = f"/{self._service.name}/{self._account}/{container}"
            times = self._values("sp", "st", "se")
            yield "\n".join([*times, resource, name, *self._values("sip", "spr", "sv")])
            return
        head = [*self._values("sp", "st", "se"), self._resource(container, key)]
        network = self._values("sip", "spr", "sv", "sr")
        tail = self._values(*RESPONSE)
        scope = self._query.get("ses", "")
        if "skoid" not in self._query:
            yield "\n".join([*head, name, *network, "", scope, *tail])  # since 2020-12-06
            yield "\n".join([*head, name, *network, "", *tail])  # since 2018-11-09
            return
        head += self._values(*DELEGATION)
        agents = self._values("saoid", "suoid", "scid")
        user = self._values("skdutid", "sduoid")
        yield "\n".join([*head, *agents, *user, *network, "", scope, "", "", *tail])
        yield "\n".join([*head, *agents, *user, *network, "", scope, *tail])  # since 2025-07-05
        yield "\n".join([*head, *agents, *network, "", scope, *tail])  # since 2020-12-06
        yield "\n".join([*head, *agents, *network, "", *tail])  # since 2020-02-10
        yield "\n".join([*head, *network, "", *tail])  # since 2018-11-09

    def _resource(self, container: str, key: str) -> str:
        kind = self._query.get("sr", "")
        path = f"/blob/{self._account}/{container}"
        if kind == "c":
            return path
        if kind == "b":
            return f"{path}/{key}"
        if kind == "d" and self._query.get("sdd", "").isdigit():
            depth = int(self._query["sdd"])
            segments = key.split("/") if key else []
            return "/".join([path, *segments[:depth]])
        raise LakeError(
            "AuthenticationFailed", f"The local lake knows no SAS of resource {kind!r}."
        )

    def _delegated_key(self) -> bytes:
        return delegation_key(self._key, self._values(*DELEGATION))


def delegation_key(account_key: bytes, values: Iterable[str]) -> bytes:
    """The user delegation key that stands for its object, tenant, start, expiry, service, version.

    It is derived, not kept, so it is good across restarts.
    """
    return hmac.new(account_key, "\n".join(values).encode(), hashlib.sha256).digest()


def _sign(key: bytes, text: str) -> bytes:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest())


def _time(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise LakeError("AuthenticationFailed", f"{text!r} is no time.") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _address(text: str) -> bytes:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise LakeError("AuthenticationFailed", f"{text!r} is no address.") from None
