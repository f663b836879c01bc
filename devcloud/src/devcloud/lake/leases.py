"""Leases of paths: kept in one small file, so that they survive a restart.

Specification: https://learn.microsoft.com/rest/api/storageservices/lease-blob. A lease keeps the
blob API from changing a path without its id; a create or a rename in the dfs API that overwrites
the path breaks it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from devcloud.lake.errors import LakeError

ENDLESS = -1
SHORTEST, LONGEST = 15, 60  # seconds


@dataclass
class BlobLease:
    """One lease.

    Attributes:
        id: chosen by the client or by us.
        duration: seconds, or -1 for ever.
        until: seconds since 1970 at which it expires; 0 never does.
        broken_at: seconds since 1970 at which a break is complete; 0 if nobody broke it.
    """

    id: str
    duration: int
    until: float
    broken_at: float = 0.0


class Leases:
    """All leases of a lake, by `container/key`."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        """Read what an earlier process left in a file."""
        self._path = path
        self._now = now
        self._leases: dict[str, BlobLease] = {}
        if path.exists():
            kept: dict[str, dict[str, object]] = json.loads(path.read_text())
            self._leases = {key: BlobLease(**lease) for key, lease in kept.items()}  # type: ignore[arg-type]

    def headers(self, place: str) -> dict[str, str]:
        """The lease headers of a path's properties."""
        lease = self._leases.get(place)
        state = self._state(lease)
        if lease is None or state == "available":
            return {"x-ms-lease-state": "available", "x-ms-lease-status": "unlocked"}
        locked = state in ("leased", "breaking")
        headers = {
            "x-ms-lease-state": state,
            "x-ms-lease-status": "locked" if locked else "unlocked",
        }
        if state == "leased":
            endless = lease.duration == ENDLESS
            headers["x-ms-lease-duration"] = "infinite" if endless else "fixed"
        return headers

    def check_write(self, place: str, headers: Mapping[str, str], *, overwrite: bool) -> None:
        """Refuse a change of a leased path by somebody without the lease.

        Args:
            place: `container/key`.
            headers: of the request, for `x-ms-lease-id`.
            overwrite: whether the path is written anew: then an expired or broken lease goes.

        Raises:
            LakeError: LeaseIdMissing, LeaseIdMismatchWithBlobOperation or
                LeaseNotPresentWithBlobOperation.
        """
        given = headers.get("x-ms-lease-id")
        if not self._leases and given is None:
            return
        lease = self._leases.get(place)
        held = self._state(lease) in ("leased", "breaking")
        if lease is None or not held:
            if given is not None:
                raise LakeError("LeaseNotPresentWithBlobOperation")
            if lease is not None and overwrite:
                self.drop(place)
        elif given is None:
            raise LakeError("LeaseIdMissing")
        elif given.lower() != lease.id.lower():
            raise LakeError("LeaseIdMismatchWithBlobOperation")

    def check_container(self, container: str, headers: Mapping[str, str], *, deletes: bool) -> None:
        """Refuse to delete a leased container without its lease; or any request with a wrong one.

        Raises:
            LakeError: LeaseIdMissing, or one of the ...WithContainerOperation codes.
        """
        if not deletes and "x-ms-lease-id" not in headers:
            return
        try:
            self.check_write(container, headers, overwrite=False)
        except LakeError as error:
            code = error.code.replace("WithBlobOperation", "WithContainerOperation")
            raise LakeError(code) from None

    def check_read(self, place: str, headers: Mapping[str, str]) -> None:
        """Refuse a read that names a lease which is not the path's.

        Raises:
            LakeError: LeaseIdMismatchWithBlobOperation or LeaseNotPresentWithBlobOperation.
        """
        if "x-ms-lease-id" in headers:
            self.check_write(place, headers, overwrite=False)

    def drop(self, place: str) -> None:
        """Forget the lease of a path that was deleted, moved or overwritten."""
        if self._leases and self._leases.pop(place, None) is not None:
            self._save()

    def drop_below(self, place: str) -> None:
        """Forget the leases of a directory or container that was deleted or moved, and in it."""
        gone = [each for each in self._leases if f"{each}/".startswith(f"{place.rstrip('/')}/")]
        for each in gone:
            del self._leases[each]
        if gone:
            self._save()

    def act(self, place: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        """Do what `x-ms-lease-action` says; answers status and headers.

        Raises:
            LakeError: one of the Lease... codes, or a header that is missing or wrong.
        """
        action = headers.get("x-ms-lease-action", "").lower()
        actions = {
            "acquire": self._acquire,
            "renew": self._renew,
            "change": self._change,
            "release": self._release,
            "break": self._break,
        }
        if action not in actions:
            raise LakeError("InvalidHeaderValue", f"x-ms-lease-action was {action!r}.")
        answer = actions[action](place, headers)
        self._save()
        return answer

    def _acquire(self, place: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        duration = _number(headers, "x-ms-lease-duration")
        if duration != ENDLESS and not SHORTEST <= duration <= LONGEST:
            raise LakeError("InvalidHeaderValue", "x-ms-lease-duration is 15 to 60, or -1.")
        proposed = headers.get("x-ms-proposed-lease-id") or str(uuid.uuid4())
        lease = self._leases.get(place)
        state = self._state(lease)
        if state == "breaking":
            raise LakeError("LeaseIsBreakingAndCannotBeAcquired")
        if lease is not None and state == "leased" and lease.id.lower() != proposed.lower():
            raise LakeError("LeaseAlreadyPresent")
        until = 0.0 if duration == ENDLESS else self._now() + duration
        self._leases[place] = BlobLease(proposed, duration, until)
        return 201, {"x-ms-lease-id": proposed}

    def _renew(self, place: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        lease = self._own(place, headers)
        if lease.broken_at:
            raise LakeError("LeaseIsBreakingAndCannotBeAcquired")
        lease.until = 0.0 if lease.duration == ENDLESS else self._now() + lease.duration
        return 200, {"x-ms-lease-id": lease.id}

    def _change(self, place: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        lease = self._own(place, headers)
        proposed = headers.get("x-ms-proposed-lease-id")
        if not proposed:
            raise LakeError("MissingRequiredHeader", "It is x-ms-proposed-lease-id.")
        lease.id = proposed
        return 200, {"x-ms-lease-id": proposed}

    def _release(self, place: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        self._own(place, headers)
        del self._leases[place]
        return 200, {}

    def _break(self, place: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        lease = self._leases.get(place)
        if lease is None or self._state(lease) == "available":
            raise LakeError("LeaseNotPresentWithLeaseOperation")
        left = max(0.0, lease.until - self._now()) if lease.until else 0.0
        if "x-ms-lease-break-period" in headers:
            left = min(left or LONGEST, float(_number(headers, "x-ms-lease-break-period")))
        if self._state(lease) in ("leased", "breaking"):
            lease.broken_at = self._now() + left
        return 202, {"x-ms-lease-time": str(int(left))}

    def _own(self, place: str, headers: Mapping[str, str]) -> BlobLease:
        given = headers.get("x-ms-lease-id")
        if not given:
            raise LakeError("MissingRequiredHeader", "It is x-ms-lease-id.")
        lease = self._leases.get(place)
        if lease is None:
            raise LakeError("LeaseNotPresentWithLeaseOperation")
        if lease.id.lower() != given.lower():
            raise LakeError("LeaseIdMismatchWithLeaseOperation")
        return lease

    def _state(self, lease: BlobLease | None) -> str:
        if lease is None:
            return "available"
        if lease.broken_at:
            return "breaking" if self._now() < lease.broken_at else "broken"
        if lease.until and self._now() >= lease.until:
            return "expired"
        return "leased"

    def _save(self) -> None:
        staged = self._path.with_suffix(".tmp")
        staged.write_text(json.dumps({key: asdict(lease) for key, lease in self._leases.items()}))
        staged.replace(self._path)


def _number(headers: Mapping[str, str], name: str) -> int:
    try:
        return int(headers[name])
    except KeyError:
        raise LakeError("MissingRequiredHeader", f"It is {name}.") from None
    except ValueError:
        raise LakeError("InvalidHeaderValue", f"{name} was {headers[name]!r}.") from None
