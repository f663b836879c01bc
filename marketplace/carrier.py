"""A carrier's HTTP API with the parcels of the shop's orders: `python -m marketplace.carrier`.

Pages by offset, a token by OAuth 2.0 client credentials. Parcels follow from a seed.
"""

from __future__ import annotations

import argparse
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

CLIENT_ID = "landfall"
FIRST_ORDER = 1_000_001
_STATES = ("announced", "in_transit", "delivered", "delivered", "delivered")
_PAGE = 500
_TOKEN_SECONDS = 600


class Parcels:
    """The parcels of the first orders; `since` is when the carrier scanned the first of them."""

    def __init__(self, count: int, since: datetime, spread: timedelta) -> None:
        self._lock = threading.Lock()
        self._parcels = [self._parcel(number, count, since, spread) for number in range(count)]

    @staticmethod
    def _parcel(number: int, count: int, since: datetime, spread: timedelta) -> dict[str, Any]:
        chance = crc32(f"parcel {number}".encode())
        at = (since + spread * number / count).replace(microsecond=0)
        state = _STATES[chance % len(_STATES)]
        return {
            "parcel_id": f"P{number:010}",
            "order_id": FIRST_ORDER + number,
            "state": state,
            "weight_grams": 100 + chance % 5000,
            "updated_at": _written(at),
            "delivery": {"at": _written(at)} if state == "delivered" else {},
        }

    def deliver(self, count: int, at: datetime) -> int:
        """Deliver that many parcels that are on their way; return how many there were."""
        with self._lock:
            moving = [each for each in self._parcels if each["state"] != "delivered"][:count]
            for parcel in moving:
                moment = _written(at.replace(microsecond=0))
                parcel |= {"state": "delivered", "updated_at": moment, "delivery": {"at": moment}}
        return len(moving)

    def between(self, since: datetime, before: datetime) -> list[dict[str, Any]]:
        """The parcels that were scanned in a time, ordered by a key that does not change."""
        with self._lock:
            return [
                dict(each)
                for each in self._parcels
                if since <= datetime.fromisoformat(each["updated_at"]) < before
            ]

    def all(self) -> list[dict[str, Any]]:
        """All parcels."""
        with self._lock:
            return [dict(each) for each in self._parcels]


def _written(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class CarrierServer(ThreadingHTTPServer):
    """Serves parcels.

    Attributes:
        parcels: what is served; secret: of the one client.
        failing: how many more questions are answered 500, by their `updated_since`.
    """

    daemon_threads = True

    def __init__(self, port: int, parcels: Parcels, secret: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.parcels, self.secret = parcels, secret
        self.tokens: set[str] = set()
        self.failing: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: CarrierServer

    def do_POST(self) -> None:
        """`POST /token`: a token for client credentials."""
        length = int(self.headers.get("Content-Length") or 0)
        form = {name: values[-1] for name, values in parse_qs(self.rfile.read(length)).items()}
        given = (form.get(b"client_id", b"").decode(), form.get(b"client_secret", b"").decode())
        if urlsplit(self.path).path != "/token":
            self._answer(404, {"error": "not found"})
        elif given != (CLIENT_ID, self.server.secret):
            self._answer(401, {"error": "invalid_client"})
        else:
            token = secrets.token_urlsafe()
            self.server.tokens.add(token)
            self._answer(200, {"access_token": token, "token_type": "Bearer",
                               "expires_in": _TOKEN_SECONDS})  # fmt: skip

    def do_GET(self) -> None:
        """`GET /v2/parcels?updated_since=&updated_before=&limit=&offset=`."""
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path != "/v2/parcels":
            self._answer(404, {"error": "not found"})
        elif (
            self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.tokens
        ):
            self._answer(401, {"error": "invalid_token"})
        else:
            self._list(query)

    def _list(self, query: Mapping[str, str]) -> None:
        try:
            since, before = (
                datetime.fromisoformat(query[name]) for name in ("updated_since", "updated_before")
            )
            offset, limit = int(query.get("offset", 0)), int(query.get("limit", _PAGE))
        except (KeyError, ValueError) as error:
            self._answer(400, {"error": f"bad parameter: {error}"})
            return
        if self.server.failing.get(query["updated_since"], 0):
            self.server.failing[query["updated_since"]] -= 1
            self._answer(500, {"error": "out of order"})
            return
        parcels = self.server.parcels.between(since, before)
        page = parcels[offset : offset + min(limit, _PAGE)]
        self._answer(200, {"total": len(parcels), "data": page})

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: Any) -> None:
        """Nothing is logged."""


@contextmanager
def serving(parcels: Parcels, secret: str, port: int = 0) -> Iterator[CarrierServer]:
    """Serve in a thread; port 0 takes a free one."""
    server = CarrierServer(port, parcels, secret)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m marketplace.carrier", description=__doc__)
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument("--parcels", type=int, default=5000, metavar="N")
    parser.add_argument("--secret", required=True, help="of the client landfall")
    options = parser.parse_args()
    parcels = Parcels(options.parcels, datetime.now(UTC) - timedelta(days=1), timedelta(days=1))
    server = CarrierServer(options.port, parcels, options.secret)
    print(f"the carrier's API is at {server.url}/v2/parcels")  # noqa: T201
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
