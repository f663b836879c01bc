"""A tick repeats a message with growing intervals."""

from datetime import UTC, datetime, timedelta

from ingest.reconcile.reminders import SentMessages
from ingest.runs.messages import Advance, Claim

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FIRST, SECOND = Advance("a"), Claim("landing/b")


def test_a_message_is_repeated_with_growing_intervals() -> None:
    """Ticks every second over a run that does not move: at 0, 10, 30, 70 s, and so on."""
    reminders = SentMessages(timedelta(seconds=10), timedelta(seconds=60))
    sent = [
        second
        for second in range(200)
        if list(reminders.fresh([FIRST], NOW + timedelta(seconds=second)))
    ]
    assert sent == [0, 10, 30, 70, 130, 190]


def test_each_message_has_its_own_time() -> None:
    """A new message is sent at once, also if it was done in between."""
    reminders = SentMessages(timedelta(seconds=10))
    assert list(reminders.fresh([FIRST], NOW)) == [FIRST]
    assert list(reminders.fresh([FIRST, SECOND], NOW)) == [SECOND]
    assert list(reminders.fresh([SECOND], NOW)) == []
    assert list(reminders.fresh([FIRST], NOW)) == [FIRST]
