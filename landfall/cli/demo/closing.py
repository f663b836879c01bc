"""The final report of a demo: the state of each drop, and the commands to do it yourself."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from landfall.cli import render
from landfall.cli.demo import analytics, extraction, served
from landfall.cli.demo.analytics import DemoAnalytics
from landfall.cli.demo.extraction import DemoExtract
from landfall.cli.demo.gold import TablePreview, preview
from landfall.cli.demo.play import DemoDelivery
from landfall.cli.demo.scenario import Scenario
from landfall.cli.demo.served import Serving


def runs(deliveries: Sequence[DemoDelivery]) -> Table:
    """Return a table of drops with the final states of their runs, marked as expected or not."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("In landing", overflow="fold")
    table.add_column("State", no_wrap=True)
    for heading in ("Rows", "Rejected", "Seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for delivery in deliveries:
        run, drop = delivery.view(), delivery.drop
        took = render.seconds(run)
        mark = ("✓ ", "green") if delivery.as_expected else ("✗ ", "red")
        note = f" ({drop.note})" if drop.note else ""
        table.add_row(
            Text.assemble(f"{drop.dataset}/{drop.file}", (note, "dim")),
            Text.assemble(mark, render.state(run["state"])),
            render.number(run.get("rows")),
            render.number(run.get("rejected")),
            "-" if took is None else f"{took:.1f}",
        )
    return table


def unexpected_results(deliveries: Sequence[DemoDelivery]) -> Iterator[str]:
    """Yield descriptions of drops with an unexpected result, grouped by cause."""
    files_by_cause: dict[str, list[str]] = {}
    for delivery in deliveries:
        if delivery.as_expected:
            continue
        run, drop = delivery.view(), delivery.drop
        expected = drop.expect.value
        if run["state"] == drop.expect:
            expected += f" with {drop.rejected} rejected rows"
        what = f"{drop.dataset}/{drop.file} is {run['state']}, expected: {expected}"
        files_by_cause.setdefault(str(run.get("cause") or "no cause is known"), []).append(what)
    for cause, files in files_by_cause.items():
        yield "\n".join([*files, f"  because {cause}"])


def show(
    console: Console,
    scenario: Scenario,
    deliveries: Sequence[DemoDelivery],
    broken: tuple[str, Mapping[str, Any]] | None,
    *,
    gold: Sequence[TablePreview],
    serving: Serving,
    small_seconds: float | None,
    extracts: Sequence[DemoExtract] = (),
    models: DemoAnalytics | None = None,
) -> None:
    """Print the results of the drops.

    Args:
        console: output.
        scenario: what was delivered.
        deliveries: all drops of the scenario, in order.
        broken: lake path of the refused drop's report, and the report; None if there is none.
        gold: the resulting gold tables.
        serving: the tables in the database.
        small_seconds: time from the upload of the small drop until it succeeded.
        extracts: what was extracted from sources.
        models: segments, recommendations and forecasts, where the demo makes them.
    """
    _heading(console, "Result of each drop")
    console.print(runs(deliveries))
    if broken is not None:
        path, report = broken
        _heading(console, "Why one was refused")
        console.print(Padding(render.report(report), (0, 0, 0, 2), expand=False))
        console.print(f"  report: {path}", markup=False, soft_wrap=True)
    for number, text in enumerate(unexpected_results(deliveries)):
        if number == 0:
            _heading(console, "NOT AS EXPECTED")
        console.print(text, markup=False, soft_wrap=True)
    _show_extracts(console, extracts)
    if gold:
        _heading(console, "Gold tables")
        for table in gold:
            console.print(Padding(preview(table, console.width - 2), (0, 0, 1, 2), expand=False))
    else:
        console.print("\nNOT AS EXPECTED: there is no gold table")
    _heading(console, "Served tables in PostgreSQL")
    if not _all_served(gold, serving):
        console.print("NOT AS EXPECTED: the served tables differ from gold")
    console.print(Padding(Text(scenario.query, style="cyan"), (0, 0, 1, 2)))
    console.print(Padding(served.show(serving), (0, 0, 1, 2), expand=False))
    if models is not None:
        _heading(console, "Segments, recommendations, forecasts")
        analytics.show(console, models)
    if small_seconds is not None:
        console.print(
            f"{scenario.small_rows} rows took {small_seconds:.1f} s from upload to gold on this "
            "machine, most of it in local Spark."
        )


def _show_extracts(console: Console, extracts: Sequence[DemoExtract]) -> None:
    if extracts:
        _heading(console, "Extracted from sources, changed there, and extracted again")
        console.print(extraction.table(extracts))
        for text in extraction.problems(extracts):
            console.print(f"NOT AS EXPECTED: {text}", markup=False, soft_wrap=True)


def document(
    deliveries: Sequence[DemoDelivery],
    gold: Sequence[TablePreview],
    serving: Serving,
    small_seconds: float | None,
    extracts: Sequence[DemoExtract] = (),
    *,
    models: DemoAnalytics | None = None,
) -> dict[str, Any]:
    """Return the results as a JSON object: whether all is as expected, runs, and tables."""
    expected = all(delivery.as_expected for delivery in deliveries)
    expected = expected and all(extract.agreed for extract in extracts)
    return {
        "ok": bool(gold) and expected and _all_served(gold, serving) and _made(models),
        "runs": [delivery.to_json() for delivery in deliveries],
        "gold": {table.name: {"rows": table.rows, "path": str(table.path)} for table in gold},
        "served": serving.rows,
        "small_drop_seconds": small_seconds,
        "sources": [extract.to_json() for extract in extracts],
        "analytics": models.to_json() if models else None,
    }


def print_commands(console: Console, kept: Path | None) -> None:
    """Print the commands to do the same without the demo."""
    _heading(console, "Commands")
    commands = [
        ("landfall up --detach", "start the local Azure, deploy to it"),
        ("landfall drop FILE -d users --wait", "upload a file and follow it"),
        ("landfall runs", "list all runs"),
        ("landfall show RUN", "show a run, step by step"),
        ("landfall analytics show", "segments, recommendations, forecasts; run makes them"),
        ('eval "$(landfall env)"', "settings for azcopy, adlfs, delta-rs, your own"),
        ("landfall down", "stop; the data stays"),
    ]
    if shutil.which("landfall") is None:
        activate = os.path.relpath(Path(sys.prefix, "bin", "activate"))
        commands.insert(0, (f"source {shlex.quote(activate)}", "puts landfall on the PATH"))
    if kept is not None:
        home = f"export LANDFALL_HOME={shlex.quote(str(kept.resolve()))}"
        commands.insert(0, (home, "the lake of this demo"))
    for command, what in commands:
        line = Text(f"  {command:<36} ", style="cyan").append(what, style="dim")
        console.print(line, soft_wrap=True)
    if kept is None:
        console.print("\n`landfall demo --keep DIR` keeps the lake, the tables and the logs.")


def _made(models: DemoAnalytics | None) -> bool:
    return models is None or models.good


def _all_served(gold: Sequence[TablePreview], serving: Serving) -> bool:
    return {table.name: table.rows for table in gold} == serving.rows


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold underline"))
