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

    shown = _text(render.runs_table([listed], 80), width=80)

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
    """A service that stays unavailable is an error after some time; one that never was, at once."""
    clock = _Clock()
    answers = iter([[run("claimed")]])

    def scan() -> list[dict[str, object]]:
        for runs in answers:
            return runs
        raise CliError("no connection")

    for seconds in (live.OUTAGE_SECONDS, 0):
        began = clock.now
        with pytest.raises(CliError, match="no connection"):
            live.follow(
                scan,
                live.LineOutput(Console(file=StringIO())),
                done=live.all_final,
                seconds=600,
                clock=clock,
                pause=clock.pause,
            )
        assert clock.now - began == pytest.approx(seconds, abs=1)


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


LONG = "quarterly report of the western region, corrected.csv"


def test_a_pipe_gets_whole_values_and_no_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrapped, cut or padded where there is no terminal, whatever COLUMNS says."""
    render.console().print(render.runs_table([run("loading", name=LONG * 5)]))
    render.console().print(render.run_details(run("failed", name=LONG * 5, cause="why " * 99)))
    lines = capsys.readouterr().out.splitlines()
    assert any(LONG * 5 in line for line in lines[:2])
    assert any(line.endswith("why why") for line in lines)
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("width", [30, 50, 60, 80, 120])
def test_no_width_cuts_an_id_or_a_state(width: int) -> None:
    """On a narrow terminal a run has two lines; an id that is wider than it is folded."""
    listed = run("quarantined", name=LONG)
    shown = _text(render.runs_table([listed], width), width)
    assert listed["run_id"] in shown.replace("\n", "")
    assert "quarantined" in shown
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("width", [50, 60, 80, 100])
def test_a_live_view_fits_a_narrow_terminal(width: int) -> None:
    """One line a run: the name is shortened in its middle, then bar and seconds give way."""
    shown = _text(render.progress_table([run("loading", name=LONG)], None, width), width)
    (_, line) = shown.rstrip("\n").splitlines()
    assert len(line.rstrip()) <= width
    assert line.startswith("users")
    assert ".csv" in line
    assert ("▰" in line) == (width >= 84)


def test_a_long_silence_has_a_sign_of_life() -> None:
    """Where nothing changes for 20 seconds, it is said what is going on, and for how long."""
    clock, stream = _Clock(), StringIO()
    view = live.LineOutput(Console(file=stream, width=200), clock)
    for _ in range(90):
        view.show([run("loading")])
        clock.pause(0.5)
    lines = stream.getvalue().splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "loading (run 20261122T130114Z-users-1f3a9c20)",
        "still loading, for 20 s",
        "still loading, for 40 s",
    ]


def test_what_was_expected_is_shown() -> None:
    """A reader of a refusal has not the contract beside it."""
    check = {
        "rule": "enum",
        "column": "language",
        "failed": 132,
        "samples": [{"line": 2, "value": "FR"}],
        "expected": "one of de, en, fr",
    }
    report = {
        "name": "may.csv",
        "verdict": "refused",
        "dataset": "users",
        "rows": 200,
        "accepted": 68,
        "rejected": 132,
        "checks": [check],
    }
    assert "one of de, en, fr" in _text(render.report(report))


def test_a_run_that_was_to_correct_rejects_is_told_with_its_state() -> None:
    """One that was refused corrected nothing."""
    first = run("succeeded") | {"resends": ["a", "b"]}
    shown = _text(render.run_details(first, {"a": "quarantined", "b": "succeeded"}))
    assert "tried again by  a (quarantined)" in shown
    assert "corrected by    b (succeeded)" in shown
    assert "corrected by" in _text(render.run_details(first))
