"""Renders runs, backlog and validation reports for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from landfall.protocol import FINAL, State
from landfall.validation.report import MASK

Json = Mapping[str, Any]

BAD = frozenset({State.QUARANTINED, State.FAILED, State.CANCELLED})
"""Final states in which the data of the drop is not in the tables."""

_COLOURS = {
    "succeeded": "green",
    "quarantined": "yellow",
    "duplicate": "cyan",
    "failed": "red",
    "cancelled": "magenta",
}
_STAGES = ("received", "claimed", "validating", "validated", "copying", "copied", "loading")
_STEPS = len(_STAGES) + 1
_SAMPLES = 3


class _PlainConsole(Console):
    """What goes into a pipe or a file: nothing is wrapped, cut or padded with blanks."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `Console.print` does, without blanks at the end of lines."""
        with self.capture() as captured:
            super().print(*objects, **options)
        text = captured.get()
        self.file.write("\n".join(line.rstrip() for line in text.split("\n")))
        self.file.flush()


_UNLIMITED = 100_000
"""Columns of what is no terminal."""


def console(*, stderr: bool = False) -> Console:
    """Return a console that does not change text: no emoji codes, no highlighted numbers."""
    terminal = Console(stderr=stderr, highlight=False, emoji=False)
    if terminal.is_terminal:
        return terminal
    return _PlainConsole(stderr=stderr, highlight=False, emoji=False, width=_UNLIMITED)


def state(name: str) -> Text:
    """Return a state in its colour."""
    return Text(name, style=_COLOURS.get(name, "blue"))


def progress_bar(name: str) -> Text:
    """Return a progress bar of a state; it is full in a final state."""
    if name in FINAL:
        return Text("▰" * _STEPS, style=_COLOURS[name])
    done = _STAGES.index(name) + 1 if name in _STAGES else 0
    return Text("▰" * done + "▱" * (_STEPS - done), style="blue")


def number(value: int | None) -> str:
    """Return a count with thousands separators; a dash if there is none."""
    return "-" if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Return bytes in the largest unit with a value of at least 1."""
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":  # noqa: PLR2004 - SI steps
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def seconds(run: Json, now: datetime | None = None) -> float | None:
    """Return the seconds from creation to the last update; up to `now` if it is not final."""
    created, updated = run.get("created"), run.get("updated")
    if not created or not updated:
        return None
    end = datetime.fromisoformat(updated)
    if now is not None and run["state"] not in FINAL:
        end = max(now, end)
    return (end - datetime.fromisoformat(created)).total_seconds()


def runs_table(runs: Sequence[Json], width: int = _UNLIMITED) -> RenderableType:
    """Return the table of `landfall runs`; the dataset is part of the run id.

    The id is never cut, so that it can be copied; the file's name is shortened instead. On a narrow
    terminal each run has two lines.
    """
    ids = max((len(run["run_id"]) for run in runs), default=0)
    if width < ids + _OTHER_COLUMNS:
        return Group(*(_two_lines(run) for run in runs))
    table = _table(None)
    table.add_column("Run", no_wrap=True, overflow="ignore")
    table.add_column("File", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Rows", justify="right", no_wrap=True)
    table.add_column("Rejected", justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            escape(run["run_id"]),
            escape(shortened(run["name"], width - ids - _COUNTS)),
            state(run["state"]),
            number(run.get("rows")),
            number(run.get("rejected")),
        )
    return table


def whereabouts(run: Json) -> Text:
    """Return one line that says what became of a drop."""
    landed = datetime.fromisoformat(run["landed_at"]).astimezone()
    text = Text(f"{landed:%Y-%m-%d %H:%M:%S}  {run['dataset']}/{run['name']}  ")
    text.append(state(run["state"]))
    return text.append(f"  {run.get('cause') or ''}  ({run['run_id']})")


_COUNTS = 36
"""Columns that state and counts take, with the gaps before them."""
_OTHER_COLUMNS = 44
"""Columns that a run's file, state and counts take at least, beside its id."""
_BAR_FITS, _TIME_FITS = 84, 64
"""Widths from which a live view has a bar, and the seconds."""


def _two_lines(run: Json) -> Text:
    """Return a run for a narrow terminal: its id, and below it all else."""
    counts = f"{number(run.get('rows'))} rows, {number(run.get('rejected'))} rejected"
    text = Text(f"{run['run_id']}\n  ", overflow="fold")
    text.append(state(run["state"]))
    return text.append(f"  {run['name']}  {counts}")


def progress_table(
    runs: Sequence[Json], now: datetime | None = None, width: int = _UNLIMITED
) -> Table:
    """Return the table of a live view, with a progress bar for each run where there is room."""
    table = _table(None)
    table.add_column("In landing", no_wrap=True)
    if width >= _BAR_FITS:
        table.add_column("Progress", no_wrap=True)
    table.add_column("State", no_wrap=True, min_width=11)
    table.add_column("Rows", justify="right", no_wrap=True)
    table.add_column("Rejected", justify="right", no_wrap=True)
    if width >= _TIME_FITS:
        table.add_column("Seconds", justify="right", no_wrap=True)
    taken = 35 + (10 if width >= _BAR_FITS else 0) + (9 if width >= _TIME_FITS else 0)
    for run in runs:
        took = seconds(run, now)
        name = shortened(f"{run['dataset']}/{run['name']}", max(8, width - taken))
        cells: list[Text | str] = [escape(name)]
        if width >= _BAR_FITS:
            cells.append(progress_bar(run["state"]))
        cells += [state(run["state"]), number(run.get("rows")), number(run.get("rejected"))]
        if width >= _TIME_FITS:
            cells.append("-" if took is None else f"{took:.1f}")
        table.add_row(*cells)
    return table


def shortened(text: str, width: int) -> str:
    """Return a text of at most `width` characters: what is in its middle gives way."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def run_details(run: Json, states: Mapping[str, str] | None = None) -> RenderableType:
    """Return the details of a run: its file, state, cause and history."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    source = run.get("source") or {}
    facts.add_row("run", escape(run["run_id"]))
    facts.add_row("file", escape(str(source.get("path") or run["name"])))
    facts.add_row("state", state(run["state"]))
    facts.add_row("because", escape(str(run.get("cause") or "")))
    if run.get("waits"):
        facts.add_row("waits", escape(run["waits"]))
    facts.add_row("size", size(run.get("size")))
    facts.add_row(
        "rows",
        f"{number(run.get('rows'))} in, {number(run.get('accepted'))} accepted, "
        f"{number(run.get('rejected'))} rejected",
    )
    facts.add_row("landed", escape(str(run.get("landed_at") or "")))
    for label, text in _related(run, states or {}):
        facts.add_row(label, escape(text))
    steps = _table("History")
    steps.add_column("At", no_wrap=True)
    steps.add_column("State", no_wrap=True)
    steps.add_column("Cause", overflow="fold")
    for line in run.get("history") or ():
        at = datetime.fromisoformat(line["at"]).astimezone()
        steps.add_row(
            f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
            state(line["state"]),
            escape(line["cause"]),
        )
    return Group(facts, Text(), steps)


def _related(run: Json, states: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield related paths and runs: raw file, copy, load, rejects and resends.

    `states` has those of runs that were to correct the rejects: one that was refused did not.
    """
    if run.get("raw"):
        yield "now in", str(run["raw"])
    if run.get("resend_of"):
        yield "corrects", f"rejects of {run['resend_of']}"
    if run.get("resends"):
        for name in run["resends"]:
            failed = states.get(name) in BAD
            outcome = f" ({states[name]})" if name in states else ""
            yield "tried again by" if failed else "corrected by", f"{name}{outcome}"
    copy, verdict = (run.get(part) or {} for part in ("copy", "verdict"))
    if judging := run.get("judging"):
        job = f"{_known('job run', judging.get('job_run_id'))}attempt {judging.get('number')}"
        yield "validated by", f"{job} {judging.get('url') or ''}".rstrip()
    if verdict.get("rejects"):
        yield "rejects", str(verdict["rejects"])
    if copy:
        pipeline = _known("pipeline run", copy.get("adf_run_id"))
        yield "copy", f"{pipeline}attempt {copy.get('number')}"
    yield from _load(run.get("load") or {})


def _known(what: str, number: object) -> str:
    """Return `what number, `; nothing where it is not known: it was not started, or put back."""
    return "" if number is None else f"{what} {number}, "


def _load(load: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is known of a load: its job run, what it merged, gold that it did not build."""
    if load:
        yield "load", f"{_known('job run', load.get('job_run_id'))}batch {load.get('batch_id')}"
    result = load.get("result") or {}
    if result:
        counts = ((key, result.get(key)) for key in ("inserted", "updated", "unchanged"))
        counts_text = ", ".join(
            f"{number(count)} {key}" for key, count in counts if count is not None
        )
        yield "merged", f"{counts_text} (the whole batch)" if counts_text else ""
    for path, reason in (result.get("unbuilt") or {}).items():
        yield "not built", f"{path} stays as it was: {reason}"
    if result.get("served"):
        yield "served", _served(result["served"])


def _served(tables: Mapping[str, Any]) -> str:
    """Return which tables were copied to the serving database."""
    if "behind" in tables:
        return f"BEHIND, gold is not in the database yet: {tables['behind']}"
    return ", ".join(
        f"{path.partition('/')[2]} (version {table['version']}, {number(table['rows'])} rows)"
        for path, table in tables.items()
    )


def backlog(document: Json) -> RenderableType:
    """Return the backlog: the limits, and a line for each dataset and state."""
    parts: list[RenderableType] = []
    for kind in ("copies", "loads"):
        of = document[kind]
        text = f"{kind}: {of['under_way']} of {of['at_once']} running, {of['waiting']} waiting"
        parts.append(Text(text))
    if not document["datasets"]:
        return Group(*parts, Text("no active runs"))
    table = _table(None)
    table.add_column("Dataset", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Runs", justify="right", no_wrap=True)
    table.add_column("Waits", overflow="fold")
    for dataset in document["datasets"]:
        for name, count in dataset["states"].items():
            why = dataset["waits"].get(name, "")
            table.add_row(escape(dataset["dataset"]), state(name), number(count), escape(why))
    return Group(*parts, Text(), table)


def datasets(document: Json) -> RenderableType:
    """Return the datasets with version, key and number of columns, and what is wrong."""
    table = _table(None)
    for name in ("Dataset", "Version", "Key"):
        table.add_column(name, no_wrap=True)
    table.add_column("Columns", justify="right", no_wrap=True)
    table.add_column("Description", overflow="ellipsis", no_wrap=True)
    for dataset in document["datasets"]:
        pushed = " (pushed)" if dataset.get("from") == "pushed" else ""
        table.add_row(
            escape(dataset["dataset"]),
            escape(f"{dataset.get('version') or ''}{pushed}"),
            escape(", ".join(dataset.get("key") or ()) or "-"),
            number(len(dataset.get("columns") or ())),
            escape(dataset.get("description") or ""),
        )
    problems = [Text(f"wrong: {contract_problem(it)}") for it in document.get("problems") or ()]
    gold = [
        Text(f"wrong: gold/{it['file']}: {it['reason']}")
        for it in document.get("gold_problems") or ()
    ]
    parts: list[RenderableType] = [table] if document["datasets"] else [Text("no datasets")]
    return Group(*parts, *problems, *gold)


def contract_problem(problem: Json) -> str:
    """Return what is wrong with a contract, and whose drops wait for it."""
    text = f"{problem['file']}: {problem['place']}: {problem['reason']}"
    waiting = ", ".join(problem["datasets"])
    return f"{text}; drops of {waiting} wait until it is corrected" if waiting else text


def report(document: Json) -> RenderableType:
    """Return a validation report: the verdict, what to do, each broken rule with samples."""
    verdict = document["verdict"]
    colour = {"accepted": "green", "accepted_with_rejects": "yellow"}.get(verdict, "red")
    head = Text.assemble(
        (str(document["name"]), "bold"),
        " is ",
        (verdict.replace("_", " "), colour),
        f" by contract {document['dataset']} {document.get('contract_version', '')}".rstrip(),
    )
    counts = Text(
        f"{number(document['rows'])} rows, {number(document['accepted'])} accepted, "
        f"{number(document['rejected'])} rejected "
        f"(tolerated: {document.get('max_rejected_ratio', 0):.1%})"
    )
    parts: list[RenderableType] = [head, counts]
    problem = document.get("problem")
    if problem:
        parts += [
            Text(f"why:        {problem['reason']}"),
            Text(f"what to do: {problem['action']}"),
        ]
    columns = document.get("columns") or {}
    for kind in ("missing", "extra"):
        if columns.get(kind):
            parts.append(Text(f"{kind} columns: {', '.join(columns[kind])}"))
    if document.get("checks"):
        parts += [Text(), _checks(document["checks"])]
    return Group(*parts)


def _checks(checks: Sequence[Json]) -> Table:
    table = _table(None)
    table.add_column("Rule", no_wrap=True)
    table.add_column("Column", overflow="fold", min_width=6)
    table.add_column("Rows", justify="right", no_wrap=True)
    table.add_column("For example", overflow="fold", min_width=12)
    expected = any(check.get("expected") for check in checks)
    if expected:
        table.add_column("Expected", overflow="fold", min_width=12)
    for check in checks:
        samples = "; ".join(
            f"{_file(sample)}line {sample['line']}{_first(sample)}: {_value(sample['value'])}"
            for sample in check["samples"][:_SAMPLES]
        )
        table.add_row(
            check["rule"],
            escape(check["column"] or "(whole row)"),
            number(check["failed"]),
            escape(samples),
            *([escape(check.get("expected") or "")] if expected else []),
        )
    return table


def _first(sample: Json) -> str:
    """Say where the first record with the same key stands."""
    if not sample.get("first"):
        return ""
    file = sample.get("first_file")
    elsewhere = f"{file} " if file and file != sample.get("file") else ""
    return f" (first on {elsewhere}line {sample['first']})"


def _file(sample: Json) -> str:
    """Return the part of a folder drop as a prefix of the line."""
    return f"{sample['file']} " if sample.get("file") else ""


def _table(title: str | None) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )


def _value(value: str | None) -> str:
    """Return a sampled value; values of masked columns are masked in the report."""
    return "nothing" if value is None else value if value == MASK else repr(value)
