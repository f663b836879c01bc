"""Requests that may be sent twice: the header Idempotency-Key names one, its answer is kept.

After the draft of the IETF, https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/:
the same key with another request is answered 422, with one that is still being worked on 409, and
else with the first answer. An error is not kept: the request may be sent again under its key.

The lake decides: a document is created if absent before the request is worked on, and its answer
written into it afterwards. A worker that died in between is taken over after a while; the request's
token makes what it had done recognisable.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ingest.errors import AlreadyExists, BadRequest, Conflict, NotFound, Stale
from ingest.http.web import ApiRequest, ApiResponse, Endpoint
from ingest.log import log
from ingest.paths import request_document
from ingest.runs.messages import decode, encode
from ingest.service import Landfall

PATIENCE = timedelta(minutes=2)
"""How long a request without an answer is taken to be still worked on, where the lease of a worker
is not shorter."""
KEPT = timedelta(days=7)
"""How long an answer is kept; afterwards its key is free again."""
_MAX_LENGTH = 255


def once(endpoint: Endpoint) -> Endpoint:
    """The endpoint, doing what it does once for each Idempotency-Key; without one as ever."""

    def call(service: Landfall, request: ApiRequest) -> ApiResponse:
        if not request.key.strip():
            return endpoint(service, request)
        token = token_of(request.key)
        return _Record(service, token, _fingerprint(endpoint, request)).answer(
            endpoint, replace(request, token=token)
        )

    call.__name__ = endpoint.__name__
    return call


def token_of(header: str) -> str:
    """Names the request in the lake and in histories.

    The key is a string of structured fields (RFC 8941), so in quotes; bare ones are taken too.

    Raises:
        BadRequest: empty, too long, or with other characters than visible ASCII.
    """
    key = header.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = re.sub(r"\\(.)", r"\1", key[1:-1])
    if not key or len(key) > _MAX_LENGTH or not key.isascii() or not key.isprintable():
        raise BadRequest(
            f"Idempotency-Key: send 1 to {_MAX_LENGTH} visible ASCII characters, such as a UUID"
        )
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _fingerprint(endpoint: Endpoint, request: ApiRequest) -> str:
    """What makes two requests the same: what is asked, of what, with which body."""
    query = {name: value for name, value in request.query.items() if name != "code"}
    asked = [endpoint.__name__, sorted(request.route.items()), sorted(query.items())]
    return hashlib.sha256(json.dumps(asked).encode() + b"\n" + request.body).hexdigest()


class _Record:
    """The document of one key."""

    def __init__(self, service: Landfall, token: str, fingerprint: str) -> None:
        self._lake = service.lake
        self._service = service
        self._path = request_document(token)
        self._note: dict[str, Any] = {
            "fingerprint": fingerprint,
            "at": service.clock().isoformat(),
            "writer": uuid.uuid4().hex,
            "answer": None,
        }

    def answer(self, endpoint: Endpoint, request: ApiRequest) -> ApiResponse:
        """The kept answer, or that of the endpoint, which is then kept."""
        try:
            etag = self._lake.put(self._path, self._body(), if_absent=True)
        except AlreadyExists:
            record = self._found()
            if isinstance(record, ApiResponse):
                return record
            etag = record
        try:
            reply = endpoint(self._service, request)
        except Exception:
            self._lake.delete(self._path, etag=etag)
            raise
        self._note["answer"] = {
            "status": reply.status,
            "headers": dict(reply.headers),
            "body": reply.body,
            "messages": [encode(message) for message in reply.messages],
        }
        try:
            self._lake.put(self._path, self._body(), if_match=etag)
        except Stale:
            log.info("%s was answered by another worker too", self._path)
        return reply

    def _body(self) -> bytes:
        return json.dumps(self._note).encode()

    def _found(self) -> ApiResponse | str:
        """What stands under the key: its answer, or the ETag under which this worker goes on."""
        try:
            body, etag = self._lake.get(self._path)
        except NotFound:
            raise Conflict("the first request with this Idempotency-Key has just failed") from None
        kept: dict[str, Any] = json.loads(body)
        if kept["writer"] == self._note["writer"]:
            return etag  # our own, whose acknowledgement was lost
        age = datetime.fromisoformat(self._note["at"]) - datetime.fromisoformat(kept["at"])
        if age < KEPT:
            if kept["fingerprint"] != self._note["fingerprint"]:
                raise BadRequest("this Idempotency-Key was used for another request", 422)
            if answer := kept["answer"]:
                messages = tuple(decode(message.encode()) for message in answer["messages"])
                return ApiResponse(answer["status"], answer["body"], answer["headers"], messages)
            if age < min(PATIENCE, self._service.context.rules.validation.lease):
                raise Conflict("the first request with this Idempotency-Key is still running")
        try:
            return self._lake.put(self._path, self._body(), if_match=etag)
        except Stale:
            raise Conflict("a concurrent request with this Idempotency-Key came first") from None
