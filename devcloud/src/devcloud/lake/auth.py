"""Who may send a request: Shared Key signatures and shared access signatures, both verified.

Specification: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from devcloud.lake.errors import LakeError
from devcloud.lake.messages import LakeRequest, parse_query
from devcloud.lake.sas import BLOB, Policies, SharedAccessSignature, SignedService
from devcloud.platform.identity import Identity, TokenError

SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
STORAGE_RESOURCE = "https://storage.azure.com"
SKEW = timedelta(minutes=15)  # a signature's time may be that far from ours


class Authenticator:
    """Verifies requests against one account and its key."""

    def __init__(
        self,
        account: str,
        key: str,
        now: Callable[[], datetime],
        service: SignedService = BLOB,
        *,
        identity: Identity | None = None,
        policies: Policies = lambda _container: [],
    ) -> None:
        """Take the account's name, its key in base64, the clock, and which service is asked.

        With an `identity` the tokens that it has issued for storage are taken too; `policies` are
        the stored access policies of a container.
        """
        self._policies = policies
        self._identity = identity
        self._service = service
        self.account = account
        self.key = base64.b64decode(key)
        self._now = now

    def verify(self, request: LakeRequest, operation: str) -> SharedAccessSignature | None:
        """Let a request pass or refuse it.

        Args:
            request: the request.
            operation: its name in `devcloud.lake.routing`, which a shared access signature must
                permit; the account key permits all.

        Returns:
            The shared access signature that it came with; None if it was signed with the key.

        Raises:
            LakeError: NoAuthenticationInformation or InvalidAuthenticationInfo (401), or one of the
                Auth... codes (403).
        """
        authorization = request.headers.get("authorization")
        if authorization is None and "sig" in request.query:
            signature = self._signature(request.query)
            signature.check(request, operation, self._now())
            return signature
        if authorization is None:
            raise LakeError(
                "NoAuthenticationInformation", headers={"www-authenticate": "SharedKey"}
            )
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            self._check_token(authorization)
            return None
        account, _, signature_given = credentials.partition(":")
        if scheme != "SharedKey" or account != self.account:
            raise LakeError(
                "AuthenticationFailed",
                "The local lake takes SharedKey and shared access signatures of its own account.",
            )
        self._check_time(request)
        given = signature_given.encode()
        texts = list(strings_to_sign(request, self.account))
        if any(hmac.compare_digest(sign(self.key, text).encode(), given) for text in texts):
            return None
        raise LakeError(
            "AuthenticationFailed",
            f"The signature does not fit the account key. The server signed {texts[0]!r}.",
        )

    def may_read(self, container: str, key: str, raw_query: str) -> None:
        """Check the shared access signature on the URL of a copy's or rename's source.

        Raises:
            LakeError: it does not permit reading.
        """
        query = parse_query(raw_query)
        self._signature(query).check_use(container, key, "GetBlob", self._now())

    def _signature(self, query: Mapping[str, str]) -> SharedAccessSignature:
        return SharedAccessSignature(query, self.account, self.key, self._service, self._policies)

    def _check_token(self, authorization: str) -> None:
        if self._identity is None:
            raise LakeError("InvalidAuthenticationInfo")
        own = f"https://{self.account}.{self._service.name}.core.windows.net"
        try:
            self._identity.check(authorization, STORAGE_RESOURCE, own)
        except TokenError as error:
            raise LakeError("InvalidAuthenticationInfo", str(error)) from None

    def _check_time(self, request: LakeRequest) -> None:
        text = request.headers.get("x-ms-date") or request.headers.get("date", "")
        try:
            sent = parsedate_to_datetime(text)
        except ValueError:
            raise LakeError("AuthenticationFailed", "It has no valid x-ms-date or Date.") from None
        sent = sent if sent.tzinfo else sent.replace(tzinfo=UTC)
        if abs(self._now() - sent) > SKEW:
            raise LakeError("AuthenticationFailed", f"It was signed at {text}, too far from now.")


def sign(key: bytes, text: str) -> str:
    """HMAC-SHA256 of a text, in base64."""
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def strings_to_sign(request: LakeRequest, account: str) -> Iterable[str]:
    """What a client may have signed for this request, likeliest first.

    Clients differ in two points that Azure takes alike: the order of headers whose names differ
    by punctuation, and whether parameters with an empty value are signed (Hadoop leaves them out).
    """
    headers = request.headers
    head = [request.wire_method]
    for name in SIGNED_HEADERS:
        value = headers.get(name, "")
        if (name == "content-length" and value == "0") or (
            name == "date" and "x-ms-date" in headers
        ):
            value = ""
        head.append(value)
    names = [name for name in headers if name.startswith("x-ms-")]
    by_locale = sorted(names, key=_locale_order)
    by_code = sorted(names)
    orders = [by_locale] if by_locale == by_code else [by_locale, by_code]
    path = f"/{account}{request.raw_path}"
    for order in orders:
        lines = [f"{name}:{headers[name]}" for name in order]
        full = _canonical_query(request.raw_query)
        queries = [full]
        if any(line.endswith(":") for line in full):
            queries.append([line for line in full if not line.endswith(":")])
        for query in queries:
            yield "\n".join([*head, *lines, path, *query])


def _locale_order(name: str) -> str:
    """Sort key of the service: hyphens do not count, underscores come before digits and letters."""
    return name.replace("-", "").replace("_", " ")


def _canonical_query(raw: str) -> list[str]:
    values: dict[str, list[str]] = {}
    for pair in raw.split("&"):
        if pair:
            [(name, value)] = parse_query(pair).items()
            values.setdefault(name.lower(), []).append(value)
    return [f"{name}:{','.join(sorted(values[name]))}" for name in sorted(values)]
