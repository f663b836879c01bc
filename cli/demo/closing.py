"""The report that closes a demo: what became of each drop, and how to do it by hand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli import render
from cli.demo.gold import GoldTable, preview
from cli.demo.play import Delivery


def runs(deliveries: Sequence[Delivery]) -> Table:
    """Every drop with the state its run ended in, marked where that was not expected."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("File in landing", overflow="fold")
    table.add_column("Note", overflow="fold")
    table.add_column("State", no_wrap=True)
    for heading in ("Rows", "Rejected", "Seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for delivery in deliveries:
        run, drop = delivery.view(), delivery.drop
        took = render.seconds(run)
        state = render.state(run["state"])
        if not delivery.as_expected:
            state.append(f" (not {drop.expect})", style="red")
        table.add_row(
            Text("✓", style="green") if delivery.as_expected else Text("✗", style="red"),
            escape(f"{drop.dataset}/{drop.file}"),
            escape(drop.note),
            state,
            render.number(run.get("rows")),
            render.number(run.get("rejected")),
            "-" if took is None else f"{took:.1f}",
        )
    return table


def show(
    console: Console,
    deliveries: Sequence[Delivery],
    broken: tuple[str, Mapping[str, Any]] | None,
    gold: Sequence[GoldTable],
    small_seconds: float | None,
) -> None:
    """Print what became of the drops.

    Args:
        console: where to.
        deliveries: all of the scenario, in order.
        broken: lake path of the refused drop's report, and the report; None where there is none.
        gold: the tables that came of it.
        small_seconds: from the upload of the small drop until it had succeeded.
    """
    _heading(console, "What became of each drop")
    console.print(runs(deliveries))
    if broken is not None:
        path, report = broken
        _heading(console, "Why one was refused")
        console.print(Padding(render.report(report), (0, 0, 0, 2), expand=False))
        console.print(f"  report: {path}", markup=False, soft_wrap=True)
    if gold:
        _heading(console, "What came of the others")
        for table in gold:
            console.print(Padding(preview(table, console.width - 2), (0, 0, 1, 2), expand=False))
    if small_seconds is not None:
        console.print(
            f"A small drop took {small_seconds:.1f} s from its upload to succeeded, "
            "with Spark warm."
        )


def by_hand(console: Console, kept: Path | None) -> None:
    """Print how to do the same without the demo."""
    _heading(console, "By hand")
    commands = [
        ("landfall up --detach", "start the local Azure, deploy to it"),
        ("landfall drop FILE -d users --wait", "upload a file and follow it"),
        ("landfall runs", "what became of every drop"),
        ("landfall show RUN", "one of them, step by step"),
        ('eval "$(landfall env)"', "for azcopy, adlfs, delta-rs, your own"),
        ("landfall down", "stop; the data stays"),
    ]
    if kept is not None:
        home = f"export LANDFALL_HOME={shlex.quote(str(kept.resolve()))}"
        commands.insert(0, (home, "the lake of this demo"))
    for command, what in commands:
        line = Text(f"  {command:<36} ", style="cyan").append(what, style="dim")
        console.print(line, soft_wrap=True)
    if kept is None:
        console.print("\n`landfall demo --keep DIR` keeps the lake, the tables and the logs.")


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold underline"))
