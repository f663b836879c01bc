from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from landfall.cli import live, render
from landfall.cli.errors import CliError
from tests.unit.cli_service import run


def _text(thing: RenderableType, width: int = 100) -> str:
    stream = StringIO()
    Console(file=stream, width=width, emoji=False, highlight=False).print(thing)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (5_000_000_000_000, "5000.0 GB")],
)
def test_sizes_are_in_the_largest_unit(count: int | None, text: str) -> None:
    """Bytes up to a thousand of a unit, then the next."""
    assert render.size(count) == text


def test_the_progress_bar_fills_up() -> None:
    """The bar grows with each state and is full at the end; an unknown state is at its start."""
    lengths = [
        render.progress_bar(name).plain.count("▰")
        for name in ("landed", "received", "validating", "loading", "quarantined")
    ]

    assert lengths == [0, 1, 3, 7, 8]


def test_names_are_not_markup() -> None:
    """A file's name is shown as it is, brackets included; in a list the id goes before it."""
    name = "[red]" + "x" * 120 + ".csv"
    listed = run("failed", name=name)

    shown = _text(render.runs_table([listed]), width=80)

    assert "[red]" in shown
    assert listed["run_id"] in shown
    assert "…" in shown
    assert _text(render.run_details(listed), width=200).count("x") == 120
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_a_run_that_was_never_validated_has_dashes() -> None:
    """Unknown counts are shown as dashes, not as zeros."""
    shown = _text(render.progress_table([run("claimed", rows=None, rejected=None)]))

    assert shown.splitlines()[1].split()[-3:] == ["-", "-", "6.5"]


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def test_following_tolerates_a_short_outage() -> None:
    """A service that does not answer for a while does not end the view."""
    answers = iter([[run("claimed")], None, None, [run("succeeded")]])

    def scan() -> list[dict[str, object]]:
        runs = next(answers)
        if runs is None:
            raise CliError("no connection")
        return runs

    clock = _Clock()
    shown = live.follow(
        scan,
        live.LineOutput(Console(file=StringIO())),
        done=live.all_final,
        seconds=60,
        clock=clock,
        pause=clock.pause,
    )

    assert [run_["state"] for run_ in shown] == ["succeeded"]


def test_following_fails_on_a_long_outage() -> None:
    """A service that stays unavailable is an error after some time."""
    clock = _Clock()

    def scan() -> list[dict[str, object]]:
        raise CliError("no connection")

    with pytest.raises(CliError, match="no connection"):
        live.follow(
            scan,
            live.LineOutput(Console(file=StringIO())),
            done=live.all_final,
            seconds=600,
            clock=clock,
            pause=clock.pause,
        )
    assert clock.now == pytest.approx(live.OUTAGE_SECONDS, abs=1)


def test_following_ends_when_the_time_is_up() -> None:
    """A run that does not end is returned in its current state."""
    clock = _Clock()

    shown = live.follow(
        lambda: [run("loading")],
        live.LineOutput(Console(file=StringIO())),
        done=live.all_final,
        seconds=5,
        clock=clock,
        pause=clock.pause,
    )

    assert [run_["state"] for run_ in shown] == ["loading"]
