"""Generates the reference pages that follow from the code: `python -m docs.generate`.

A test fails if a page differs from its generated content.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from ingest.http.openapi.document import document as openapi_document
from ingest.runs.states import ACTIVE, COMMANDS, RETRYABLE, TRANSITIONS, Command, Event
from landfall.cli.main import landfall
from landfall.contract.domains import DOMAINS
from landfall.contract.folder import Contract, load_folder, parse
from landfall.gold import read_gold
from landfall.protocol import FINAL, State
from landfall.sources.schema import SOURCE

FOLDER = Path(__file__).resolve().parent / "reference"
ROOT = FOLDER.parents[1]
ARCHITECTURE = FOLDER.parents[1] / "ARCHITECTURE.md"
_BEGIN = "<!-- Made from ingest/runs/states.py by docs/generate.py: change it there. -->"
_END = "<!-- to here -->"

MEANING = {
    State.RECEIVED: "registered; the file is still in `landing`",
    State.CLAIMED: "the file was moved to `raw`; no other run can change it",
    State.VALIDATING: "it is being validated against the contract",
    State.VALIDATED: "accepted, with or without rejected rows",
    State.COPYING: "a copy attempt is recorded; Data Factory may be running",
    State.COPIED: "in `bronze`, waiting for the next batch of its dataset",
    State.LOADING: "part of the batch that Databricks loads",
    State.SUCCEEDED: "in `silver` and `gold`",
    State.QUARANTINED: "breaks its contract beyond tolerance; file, report and rejects are kept",
    State.DUPLICATE: "the same content was already accepted for this dataset",
    State.FAILED: "a step failed in a way that a retry cannot change; the cause says which and why",
    State.CANCELLED: "ended on request, or its file was removed before it could be claimed",
}
DOING = {
    Command.CLAIM: "moves the file into `raw`, if it is still the version that landed",
    Command.VALIDATE: "validates it, unless another worker holds the lease",
    Command.START_COPY: "records an attempt and starts it, within the copy limit",
    Command.WATCH_COPY: "looks up its pipeline run, and ends the copy when that has ended",
    Command.LOAD: "forms, starts or checks the batch of its dataset",
    Command.ARCHIVE: "archives its document by day",
}
CAUSE = {
    Event.CLAIM: "the file was renamed into `raw`",
    Event.LOSE_SOURCE: "the file was deleted or overwritten before it could be claimed",
    Event.START_VALIDATION: "a worker started; from `validating` after a lost lease or a wait",
    Event.POSTPONE: "records refer to records that are not loaded yet; it is validated again later",
    Event.ACCEPT: "rejected rows, if any, are within the tolerance",
    Event.REFUSE: "the file cannot be read, or rejected rows are beyond the tolerance",
    Event.REPEAT: "another run of the dataset has accepted the same bytes",
    Event.VALIDATE_AGAIN: "validated by a release that did not write the accepted records",
    Event.START_COPY: "a new attempt was recorded, before it is started",
    Event.FINISH_COPY: "Data Factory reports success, and the row counts agree",
    Event.START_LOAD: "joined a batch",
    Event.PUT_BACK: "the batch failed and is retried in halves",
    Event.FINISH_LOAD: "the job run of the batch succeeded",
    Event.FAIL: "a step failed in a way that a retry cannot change",
    Event.CANCEL: "on request",
    Event.RETRY_CLAIM: "on request; the file was never claimed",
    Event.RETRY_VALIDATION: "on request; it was quarantined, or never validated",
    Event.RETRY_COPY: "on request; accepted, but not copied",
    Event.RETRY_LOAD: "on request; copied, but not loaded",
    Event.REPLAY_RAW: "on request: the file is validated, copied and loaded again",
    Event.REPLAY_BRONZE: "on request: the copied data is loaded again",
}
_OTHERWISE = """\
The others are listed here, with the sentence of the standard or its JSON schema that decides them.
The part after a colon or a semicolon is our interpretation.
`make peers` installs datacontract-cli in a separate environment; then `make test-all` compares.
"""
_ANYTIME = (Event.FAIL, Event.CANCEL)


def types_page() -> str:
    """Return the page of the domain of each type, from `landfall.contract.domains`."""
    return "\n".join(
        [
            "# Types: what a value may be, and what is stored",
            "",
            "<!-- Made from landfall/contract/domains.py by docs/generate.py: change it there. -->",
            "",
            "A value is read once, by this table, and stored in the type of the last column.",
            "Whatever else a file holds in a column breaks `type` of its record.",
            "Both engines, the accepted records, silver and the database go by it.",
            "An empty text is no value in any format.",
            "",
            "| type | texts | JSON | Parquet | refused all the same | stored as |",
            "|---|---|---|---|---|---|",
            *(
                f"| `{name}` | {domain.text} | {', '.join(domain.json)} "
                f"| {', '.join(domain.parquet)} | {domain.limits} | {domain.stored} |"
                for name, domain in DOMAINS.items()
            ),
            "",
            "`decimal` is a `number` whose contract says `physicalType: decimal(p,s)`.",
            "Parquet types are named as Polars reads them.",
            "A timestamp may have any unit, with or without adjustment to UTC.",
            "",
        ]
    )


def parity_page() -> str:
    """Return the page of cases that datacontract-cli decides differently."""
    from tests.parity.cases import CASES  # noqa: PLC0415 - see main

    agreed = sum(case.decided_by is None for case in CASES)
    differing = [case for case in CASES if case.decided_by is not None]
    return "\n".join(
        [
            "# Parity with datacontract-cli",
            "",
            "<!-- Made from tests/parity/cases.py by docs/generate.py: change it there. -->",
            "",
            f"Of {len(CASES)} small cases, two for each kind of rule, {agreed} agree.",
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
    """Return the page of the states of a run, from the table in `ingest.runs.states`."""
    lines = [
        "# States of a run",
        "",
        "<!-- Made from ingest/runs/states.py by docs/generate.py: change it there. -->",
        "",
        "A run changes its state only by this table; any other transition is refused with 409.",
        "`landfall show RUN` and `GET /runs/{run_id}` list the transitions with time and cause.",
        "",
        *_diagram(),
        "",
        "Not shown: `fail` of active states, `cancel` of all but `loading`, retries and replays.",
        "",
        "## States",
        "",
        "| state | kind | meaning | what the service does next |",
        "|---|---|---|---|",
        *(
            f"| `{state}` | {_kind(state)} | {MEANING[state]} | {DOING[COMMANDS[state]]} |"
            for state in State
        ),
        "",
        "A run leaves a final state only by a requested retry or replay.",
        "",
        "## Transitions",
        "",
        "| event | from | to | when |",
        "|---|---|---|---|",
        *(_transition(event) for event in Event),
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


def _transition(event: Event) -> str:
    sources, targets = _names(_sources(event)), _names(_targets(event))
    return f"| `{event}` | {sources} | {targets} | {CAUSE[event]} |"


def _sources(event: Event) -> list[State]:
    return [state for state in State if (state, event) in TRANSITIONS]


def _targets(event: Event) -> list[State]:
    reached = {TRANSITIONS[state, event] for state in _sources(event)}
    return [state for state in State if state in reached]


def _names(states: list[State]) -> str:
    return ", ".join(f"`{state}`" for state in states)


def cli_page() -> str:
    """Return the page of the command line, from its help."""
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
        "| 2 | wrong usage, or no connection |",
        "| 130 | interrupted |",
        "",
        str(landfall.epilog),
        "With `--json` a command answers with one JSON document on standard output.",
        "`LANDFALL_DEBUG=1` shows the traceback of an unexpected error.",
        "",
        *_section(landfall, context),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _section(child, click.Context(child, info_name=name, parent=context))
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
    """Return ARCHITECTURE.md with a new diagram of the states."""
    before, _, rest = ARCHITECTURE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    intro = "A run changes its state only along these transitions:"
    return "\n".join([before + _BEGIN, "", intro, "", *_diagram(), "", _END + after])


ROLES = FOLDER.parents[1] / "infra" / "access.json"
PRINCIPALS = {
    "app": "Function App (user-assigned identity)",
    "factory": "Data Factory",
    "connector": "Databricks access connector",
    "topic": "Event Grid topic",
    "encryption": "identity that encrypts",
}
"""Principals of `infra/access.json`."""


def access_page() -> str:
    """Return the page of role assignments, from the table that `infra/access.bicep` applies."""
    table = json.loads(ROLES.read_text(encoding="utf-8"))
    runner = table["pipelineRunner"]
    return "\n".join(
        [
            "# Access in Azure",
            "",
            "<!-- Made from infra/access.json by docs/generate.py: change it there. -->",
            "",
            "Every role that a deployment assigns; `infra/access.bicep` applies this table.",
            "No account key, password or connection string with a key exists.",
            "",
            "| who | on | role | for |",
            "|---|---|---|---|",
            *(_assignment(where, row) for where in SCOPES for row in table[where]),
            "",
            f"**{runner['name']}** is a role of this deployment. {runner['description']}",
            "",
            *(f"- `{action}`" for action in runner["actions"]),
            "",
            (
                "In Databricks, the app may run `landfall_load`, `landfall_validate` and "
                "`landfall_forget` (CAN_MANAGE_RUN), and nothing else."
            ),
            "",
            "| role | id |",
            "|---|---|",
            *(f"| {name} | `{role}` |" for name, role in sorted(table["roles"].items())),
            "",
        ]
    )


def checks_page() -> str:
    """Return the page of checks of the templates that are skipped, with their reasons."""
    skips = json.loads((ROOT / "infra" / "checkov.json").read_text(encoding="utf-8"))["skips"]
    return "\n".join(
        [
            "# Checks of the infrastructure",
            "",
            "<!-- Made from infra/checkov.json by docs/generate.py: change it there. -->",
            "",
            (
                "`make infra-check` compiles, lints and evaluates the templates, and compares "
                "them with the code."
            ),
            (
                "After `make checkov` it has checkov look at what would be deployed too, for "
                "`network=public` with defaults and for `network=private` with every option."
            ),
            "All its findings are mended but these; a test fails at any other.",
            "",
            "| check | on | with | why it is skipped |",
            "|---|---|---|---|",
            *(
                f"| {skip['check']} | `{skip['on']}` | {', '.join(skip['in'])} | {skip['reason']} |"
                for skip in skips
            ),
            "",
        ]
    )


SCOPES = {
    "containers": "lake, container `{container}`",
    "accounts": "storage account of the {account}",
    "vault": "key vault",
    "encryption": "key vault",
    "insights": "Application Insights",
    "factory": "Data Factory",
}
"""What the parts of `infra/access.json` are assigned on."""


def personal_page() -> str:
    """Return the page of places where personal data may stand, from the contracts."""
    contracts = load_folder(ROOT / "marketplace" / "contracts")
    analytics = ROOT / "spark_jobs" / "analytics" / "contracts"
    models = [parse(p.read_text(encoding="utf-8"), file=p.name) for p in analytics.iterdir()]
    personal = {name: _personal(c) for name, c in sorted(contracts.items()) if _personal(c)}
    tables = {c.dataset: _personal(c) for c in models if _personal(c)}
    gold = read_gold(ROOT / "marketplace" / "gold", contracts).tables
    resting = {t.name: sorted(set(t.datasets) & personal.keys()) for t in gold}
    return "\n".join(
        [
            "# Personal data",
            "",
            "<!-- Made from the contracts by docs/generate.py: change it there. -->",
            "",
            "Columns that a contract classifies as `personal`, and where they may stand.",
            "[Erase a subject](../how-to/forget-a-subject.md): how one is erased from all of it.",
            "",
            "## Columns",
            "",
            "| dataset | personal columns | refers to |",
            "|---|---|---|",
            *(
                f"| `{name}` | {_names_of(columns)} | {_targets_of(contracts[name])} |"
                for name, columns in personal.items()
            ),
            *(
                f"| gold table `{name}` | {_names_of(columns)} | |"
                for name, columns in sorted(tables.items())
            ),
            "",
            "## Places, by container",
            "",
            "| container | what of these datasets |",
            "|---|---|",
            *(f"| `{container}` | {what} |" for container, what in PERSONAL_PLACES.items()),
            "",
            "Besides the lake:",
            "",
            "| place | what |",
            "|---|---|",
            *(f"| {place} | {what} |" for place, what in OTHER_PLACES.items()),
            "",
            (
                "Gold tables that are made from these datasets; whether a row is of one person is "
                "up to their statements:"
            ),
            "",
            *(
                f"- `gold/{name}`, from {_names_of(datasets)}"
                for name, datasets in sorted(resting.items())
                if datasets
            ),
            "",
        ]
    )


PERSONAL_PLACES = {
    "landing": "drops until they are claimed, all columns",
    "raw": "drops, and the accepted records of each as typed Parquet, all columns; extracts that a "
    "failed pipeline run left, in `_extracts/`; reports of duplicates",
    "quarantine": "refused drops and rejects, all columns; reasons and reports, personal columns "
    "masked",
    "bronze": "copies of the typed Parquet",
    "silver": "a table a dataset and its history; their logs have the extremes of key columns; old "
    "versions until VACUUM",
    "gold": "see below; old versions until VACUUM",
    "manifest": "reports in `content/`, personal columns masked; keys of erasures under way in "
    "`erasures/open/`; names of files as producers chose them",
    "partners": "files that partners send, until `fetch_partner_file` has taken them",
    "deadletter": "events: names of files, no content",
}
OTHER_PLACES = {
    "database of the reports": "what the served gold tables have",
    "logs, traces, run pages of Data Factory and Databricks": "names of files, counts; no cell",
    "soft delete of the lake": "what was deleted or overwritten, for 7 days",
    "sources": "the originals: erase there first",
}


def _personal(contract: Contract) -> list[str]:
    return [column.name for column in contract.columns if column.classification == "personal"]


def _names_of(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _targets_of(contract: Contract) -> str:
    return ", ".join(f"`{it.dataset}` by {_names_of(it.columns)}" for it in contract.relationships)


def _assignment(where: str, row: dict[str, str]) -> str:
    scope = SCOPES[where].format(**row)
    return f"| {PRINCIPALS[row['principal']]} | {scope} | {row['role']} | {row['why']} |"


def openapi_page() -> str:
    """Return the page of the HTTP API, route by route."""
    document = openapi_document()
    lines = [
        "<!-- Made from ingest/http/openapi by docs/generate.py: change it there. -->",
        "# HTTP API, route by route",
        "",
        f"Version {document['info']['version']}, as `GET /openapi.json` describes it.",
        "[HTTP API](http-api.md) explains what the routes are for.",
        "Each also answers with the problems 401, 500 and 503.",
        "",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += [f"## `{method.upper()} {path}`", "", f"{operation['summary']}.", ""]
            lines += _openapi_parameters(operation)
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                if "example" in body:
                    text = json.dumps(body["example"], indent=2)
                    lines += [f"Body, `{kind}`:", "", "```json", text, "```", ""]
            lines += ["| status | |", "|---|---|"]
            for status, answer in operation["responses"].items():
                if status not in {"401", "500"}:
                    lines.append(f"| {status} | {answer['description']} |")
            lines.append("")
    return "\n".join(lines)


def _openapi_parameters(operation: dict[str, Any]) -> Iterator[str]:
    parameters = [p for p in operation.get("parameters", ()) if p["name"] != "If-None-Match"]
    if parameters:
        yield "| parameter | in | example |"
        yield "|---|---|---|"
        for parameter in parameters:
            example = f"`{parameter['example']}`" if "example" in parameter else ""
            required = ", required" if parameter.get("required") else ""
            yield f"| `{parameter['name']}`{required} | {parameter['in']} | {example} |"
        yield ""


def sources_page() -> str:
    """Return the page of the fields of source files, from their schema."""
    lines = [
        "# Source files",
        "",
        "<!-- Made from landfall/sources/schema.py by docs/generate.py: change it there. -->",
        "",
        "A source is one file, `sources/<name>.yaml`, in the project's folder.",
        "`landfall source check` names what is wrong with file and line.",
        "For editors there is a JSON Schema, [source.schema.json](source.schema.json):",
        "`# yaml-language-server: $schema=...` in the first line of a file makes them use it.",
        "",
        "A length of time is a number and `ms`, `s`, `m`, `h` or `d`.",
        "",
    ]
    databases = SOURCE["oneOf"]
    shared = {k: v for k, v in databases[0]["properties"].items() if k not in _OF_CONNECTORS}
    connectors = [source["properties"]["connector"]["const"] for source in databases]
    shared["connector"] = {"enum": connectors, "description": "What kind of system it is."}
    lines += _fields("Every source", {"properties": shared, "required": databases[0]["required"]})
    lines += _choices("Schedule", shared["schedule"])
    for source in databases:
        name = source["properties"]["connector"]["const"]
        fields = source["properties"]
        lines += _fields(f"Connection: {name}", fields["connection"])
        for field in ("auth",):
            if "oneOf" in fields["connection"]["properties"].get(field, {}):
                lines += _choices(f"`{field}` of {name}", fields["connection"]["properties"][field])
    table = databases[0]["properties"]["objects"]["items"]
    lines += _fields("Objects of databases", table)
    lines += _fields("`watermark`", table["properties"]["watermark"])
    lines += _choices("`deletes`", table["properties"]["deletes"])
    lines += _fields("`partition`", table["properties"]["partition"])
    endpoint = databases[2]["properties"]["objects"]["items"]
    lines += _fields("Objects of APIs", endpoint)
    lines += _choices("`pages`", endpoint["properties"]["pages"])
    lines += _choices("`until`", endpoint["properties"]["pages"]["oneOf"][1]["properties"]["until"])
    lines += _fields("Objects of HTTP servers", databases[3]["properties"]["objects"]["items"])
    return "\n".join(lines).rstrip("\n") + "\n"


_OF_CONNECTORS = ("connection", "objects")


def _choices(title: str, schema: Any) -> list[str]:
    lines = [f"## {title}", "", schema["description"], ""]
    for alternative in schema["oneOf"]:
        first = alternative["required"][0]
        value = alternative["properties"][first].get("const")
        named = f"{first}: {value}" if value else first
        lines += [f"### `{named}`", "", alternative["description"], "", *_rows(alternative)]
    return lines


def _fields(title: str, schema: Any) -> list[str]:
    about = [schema["description"], ""] if "description" in schema else []
    return [f"## {title}", "", *about, *_rows(schema)]


def _rows(schema: Any) -> list[str]:
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {_kind_of(field)} | {_default(name, field, required)} | "
        f"{_cell(field.get('description', ''))} |"
        for name, field in schema["properties"].items()
    ]
    return ["| field | | default | |", "|---|---|---|---|", *rows, ""]


def _default(name: str, field: Any, required: Any) -> str:
    if name in required:
        return "required"
    default = field.get("default", "")
    return f"`{json.dumps(default).strip(chr(34))}`" if default not in {"", None} else ""


def _kind_of(field: Any) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "oneOf" in field:
        return "one of several, see below"
    kinds = {"object": "mapping", "array": "list", "string": "text", "integer": "number"}
    kind = "time" if field.get("format") == "date-time" else field["type"]
    return kinds.get(kind, kind)


def schema_file() -> str:
    """Return the JSON Schema of source files."""
    return json.dumps(SOURCE, indent=2, ensure_ascii=False) + "\n"


PAGES = {
    FOLDER / "sources.md": sources_page,
    FOLDER / "source.schema.json": schema_file,
    FOLDER / "access.md": access_page,
    FOLDER / "openapi.md": openapi_page,
    FOLDER / "personal-data.md": personal_page,
    FOLDER / "infra-checks.md": checks_page,
    FOLDER / "cli.md": cli_page,
    FOLDER / "parity.md": parity_page,
    FOLDER / "states.md": states_page,
    FOLDER / "types.md": types_page,
    ARCHITECTURE: architecture,
}


def main() -> None:
    """Write every page."""
    sys.path.append(str(FOLDER.parents[1]))  # a script can import only from its own folder
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
