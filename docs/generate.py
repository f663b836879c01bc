"""Writes what in the documentation follows from the code: `python docs/generate.py`.

A test fails while a page differs from what this makes of the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ingest.runs.states import ACTIVE, COMMANDS, RETRYABLE, TRANSITIONS, Command, Event
from landfall.cli.main import landfall
from landfall.protocol import FINAL, State

FOLDER = Path(__file__).resolve().parent / "reference"
ARCHITECTURE = FOLDER.parents[1] / "ARCHITECTURE.md"
_BEGIN = "<!-- Made from ingest/runs/states.py by docs/generate.py: change it there. -->"
_END = "<!-- to here -->"

MEANING = {
    State.RECEIVED: "known; the file still stands in `landing`",
    State.CLAIMED: "the file was moved to `raw`; nobody else can change it",
    State.VALIDATING: "it is being validated against the contract",
    State.VALIDATED: "accepted, with or without rejected rows",
    State.COPYING: "an attempt to copy it is written down; Data Factory may be at work",
    State.COPIED: "in `bronze`, waiting for the next batch of its dataset",
    State.LOADING: "member of the batch that Databricks loads",
    State.SUCCEEDED: "in `silver` and `gold`",
    State.QUARANTINED: "breaks its contract beyond tolerance; file, report and rejects are kept",
    State.DUPLICATE: "the same content was already accepted for this dataset",
    State.FAILED: "a step failed for good; the cause says which and why",
    State.CANCELLED: "ended on request, or its file was gone before it could be claimed",
}
DOING = {
    Command.CLAIM: "moves the file into `raw`, if it is still the version that landed",
    Command.VALIDATE: "validates it, unless another holds the lease",
    Command.START_COPY: "writes down an attempt and starts it, where there is room",
    Command.WATCH_COPY: "looks for its pipeline run, and concludes when that has ended",
    Command.LOAD: "forms, starts or watches the batch of its dataset",
    Command.ARCHIVE: "files its document by day",
}
CAUSE = {
    Event.CLAIM: "the file was renamed into `raw`",
    Event.LOSE_SOURCE: "the file was deleted or overwritten before it could be claimed",
    Event.START_VALIDATION: "a worker began; from `validating` when a lease or a wait ended",
    Event.POSTPONE: "records refer to what is not there yet; it is validated again later",
    Event.ACCEPT: "rejected rows, if any, are within the tolerance",
    Event.REFUSE: "the file cannot be read, or rejected rows are beyond the tolerance",
    Event.REPEAT: "another run of the dataset has accepted the same bytes",
    Event.START_COPY: "a new attempt was written down, before it is started",
    Event.FINISH_COPY: "Data Factory says so, and the row counts agree",
    Event.START_LOAD: "joined a batch",
    Event.PUT_BACK: "the batch failed and is tried in halves",
    Event.FINISH_LOAD: "the job run of the batch succeeded",
    Event.FAIL: "a step came to an end that trying again cannot change",
    Event.CANCEL: "on request",
    Event.RETRY_CLAIM: "on request; the file was never claimed",
    Event.RETRY_VALIDATION: "on request; it was quarantined, or never validated",
    Event.RETRY_COPY: "on request; accepted, but not copied",
    Event.RETRY_LOAD: "on request; copied, but not loaded",
    Event.REPLAY_RAW: "on request: the file is validated, copied and loaded again",
    Event.REPLAY_BRONZE: "on request: what was copied is loaded again",
}
_OTHERWISE = """\
Here are the others, with the sentence of the standard or of its JSON schema that decides them.
What stands behind a colon or a semicolon there is how we read it.
`make peers` installs datacontract-cli in an environment of its own; then `make test-all` compares.
"""
_ANYTIME = (Event.FAIL, Event.CANCEL)


def parity_page() -> str:
    """Where datacontract-cli decides otherwise than we do, from the table of cases."""
    from tests.parity.cases import CASES  # noqa: PLC0415 - see main

    agreed = sum(case.decided_by is None for case in CASES)
    differing = [case for case in CASES if case.decided_by is not None]
    return "\n".join(
        [
            "# Parity with datacontract-cli",
            "",
            "<!-- Made from tests/parity/cases.py by docs/generate.py: change it there. -->",
            "",
            f"Of {len(CASES)} small cases, two for each kind of rule, {agreed} are decided alike.",
            _OTHERWISE,
            "| rule | cells of the column | we say | it says | the standard |",
            "|---|---|---|---|---|",
            *(_differing(case) for case in differing),
            "",
        ]
    )


def _differing(case: Any) -> str:
    cells = ", ".join(f"`{line.partition(',')[2]}`" for line in case.lines[1:])
    verdicts = ("kept", "broken") if case.passes else ("broken", "kept")
    return f"| {case.rule} | {cells} | {verdicts[0]} | {verdicts[1]} | {case.decided_by} |"


def states_page() -> str:
    """The states of a run, from the table in `ingest.runs.states`."""
    lines = [
        "# States of a run",
        "",
        "<!-- Made from ingest/runs/states.py by docs/generate.py: change it there. -->",
        "",
        "A run moves only along this table; any other move is refused with 409.",
        "`landfall show RUN` and `GET /runs/{run_id}` list each move with its time and cause.",
        "",
        *_diagram(),
        "",
        "Left out: `fail` of active states, `cancel` of all but `loading`, retries and replays.",
        "",
        "## States",
        "",
        "| state | kind | meaning | what whoever looks at it does |",
        "|---|---|---|---|",
        *(
            f"| `{state}` | {_kind(state)} | {MEANING[state]} | {DOING[COMMANDS[state]]} |"
            for state in State
        ),
        "",
        "A final state is left only by a retry or a replay that somebody asks for.",
        "",
        "## Moves",
        "",
        "| event | from | to | when |",
        "|---|---|---|---|",
        *(_move(event) for event in Event),
    ]
    return "\n".join(lines) + "\n"


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.RECEIVED}"
    for (state, event), target in TRANSITIONS.items():
        if event not in _ANYTIME and state not in FINAL:
            yield f"    {state} --> {target}: {event.replace('_', ' ')}"
    for state in State:
        if state in FINAL:
            yield f"    {state} --> [*]"
    yield "```"


def _kind(state: State) -> str:
    if state in ACTIVE:
        return "active"
    return "final, can be retried" if state in RETRYABLE else "final"


def _move(event: Event) -> str:
    sources, targets = _names(_sources(event)), _names(_targets(event))
    return f"| `{event}` | {sources} | {targets} | {CAUSE[event]} |"


def _sources(event: Event) -> list[State]:
    return [state for state in State if (state, event) in TRANSITIONS]


def _targets(event: Event) -> list[State]:
    found = {TRANSITIONS[state, event] for state in _sources(event)}
    return [state for state in State if state in found]


def _names(states: list[State]) -> str:
    return ", ".join(f"`{state}`" for state in states)


def cli_page() -> str:
    """The command line, from its own help."""
    context = click.Context(landfall, info_name="landfall", **landfall.context_settings)
    lines = [
        "# The command line",
        "",
        "<!-- Made from the commands' own help by docs/generate.py: change it there. -->",
        "",
        _sentence(landfall),
        "",
        "| exit code | meaning |",
        "|---|---|",
        "| 0 | done |",
        "| 1 | the data was refused, or a run failed |",
        "| 2 | wrong use, or no connection |",
        "| 130 | interrupted |",
        "",
        str(landfall.epilog),
        "With `--json` a command answers with one JSON document on standard output.",
        "`LANDFALL_DEBUG=1` shows the traceback of an error that nobody foresaw.",
        "",
        *_section(landfall, context),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _section(found, click.Context(found, info_name=name, parent=context))
        return
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from (f"## {path}", "", f"`{usage}`", "", _sentence(command), "")
    yield from ("| option | meaning |", "|---|---|")
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option):
            yield "| `{}` | {} |".format(*map(_cell, record))
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _sentence(command: click.Command) -> str:
    return " ".join((command.help or "").split())


def architecture() -> str:
    """ARCHITECTURE.md as it stands, with the diagram of the states made anew."""
    before, _, rest = ARCHITECTURE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    told = "A run moves only along these lines:"
    return "\n".join([before + _BEGIN, "", told, "", *_diagram(), "", _END + after])


PAGES = {
    FOLDER / "cli.md": cli_page,
    FOLDER / "parity.md": parity_page,
    FOLDER / "states.md": states_page,
    ARCHITECTURE: architecture,
}


def main() -> None:
    """Write every page."""
    sys.path.append(str(FOLDER.parents[1]))  # a script's own folder is all that it can import from
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
