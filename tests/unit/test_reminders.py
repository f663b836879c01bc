"""A tick reminds, and does not nag."""

from datetime import UTC, datetime, timedelta

from ingest.reconcile.reminders import SentMessages
from ingest.runs.messages import Advance, Claim

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FIRST, SECOND = Advance("a"), Claim("landing/b")


def test_the_same_is_said_again_after_a_while_that_doubles() -> None:
    """Ticks every second over a run that does not move: at 0, 10, 30, 70 s, and so on."""
    reminders = SentMessages(timedelta(seconds=10), timedelta(seconds=60))
    said = [
        second
        for second in range(200)
        if list(reminders.fresh([FIRST], NOW + timedelta(seconds=second)))
    ]
    assert said == [0, 10, 30, 70, 130, 190]


def test_each_message_has_its_own_time() -> None:
    """What is new goes through at once, and what was done in between is said anew at once."""
    reminders = SentMessages(timedelta(seconds=10))
    assert list(reminders.fresh([FIRST], NOW)) == [FIRST]
    assert list(reminders.fresh([FIRST, SECOND], NOW)) == [SECOND]
    assert list(reminders.fresh([SECOND], NOW)) == []
    assert list(reminders.fresh([FIRST], NOW)) == [FIRST]
