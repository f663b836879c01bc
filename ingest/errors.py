"""Every error of the service, and whether trying again can help.

LandfallError
├── Retryable            the same call may succeed later; nothing was decided
│   ├── Unavailable      the other side answered 5xx, timed out or could not be reached
│   ├── Throttled        the other side said 429; `retry_after` in seconds where it said when
│   ├── OutcomeUnknown   a start may or may not have happened: look before starting again
│   ├── Stale            somebody else wrote the document first: read it again
│   ├── WorkerLost       whoever was at work fell silent: take over, and count it
│   └── Blocked          nothing goes on until a person has acted; the run waits and says why
│       ├── AccessDenied     the other side answered 401 or 403, or lacks what a setting names
│       └── ContractMissing  the contract of a dataset is not deployed any more
└── Final                the same call will fail again
    ├── NotFound         the thing asked for is not there
    ├── AlreadyExists    create-if-absent found it there
    ├── Refused          the other side understood and will not (4xx)
    ├── Conflict         the run's state does not allow it
    ├── Collision        two landed versions have the same run id
    ├── Damaged          a stored document cannot be read: it is set aside
    ├── BadRequest       the caller's words are off
    └── Misconfigured    a setting is missing or wrong; names the setting
"""

from __future__ import annotations


class LandfallError(Exception):
    """Base of all errors that the service raises on purpose."""


class Retryable(LandfallError):
    """The same call may succeed later."""


class Unavailable(Retryable):
    """The other side failed, timed out or could not be reached."""


class Throttled(Retryable):
    """The other side asked us to slow down."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutcomeUnknown(Retryable):
    """A request with an effect was sent and its outcome never learned."""


class Stale(Retryable):
    """A conditional write found a newer document."""


class WorkerLost(Retryable):
    """The worker that held a run fell silent: it was killed, perhaps by the very file."""


class Blocked(Retryable):
    """Trying again helps only after a person has acted; until then a run waits."""


class AccessDenied(Blocked):
    """The other side refuses this app (401, 403), or does not have what a setting names."""


class ContractMissing(Blocked):
    """The contract of a dataset that has runs on their way is not deployed."""


class Final(LandfallError):
    """The same call will fail again."""


class NotFound(Final):
    """The thing asked for is not there."""


class AlreadyExists(Final):
    """Create-if-absent found it there."""


class Refused(Final):
    """The other side understood and will not do it."""


class Conflict(Final):
    """The state of a run does not allow what was asked."""


class Collision(Final):
    """Two landed versions have the same run id."""


class Damaged(Final):
    """A stored document cannot be read by this release."""


class BadRequest(Final):
    """The caller's words are off; `status` is the HTTP status that says how."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Misconfigured(Final):
    """A setting is missing or cannot be used."""
