"""`landfall cancel|retry|replay|resend`: operator requests on runs.

Each request has an Idempotency-Key, a new one unless `--key` is given: an interrupted command can
be repeated with the same key and is executed once.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import click

from landfall.cli import lake, live, render
from landfall.cli.client import ApiProblem, Client, Json
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import data_option, find, json_option, not_empty
from landfall.protocol import FINAL

_RUN = click.argument("run_id", metavar="RUN", callback=not_empty)
_REASON = click.option("--reason", metavar="TEXT", help="Reason, for the run's history.")
_KEY = click.option(
    "--key",
    metavar="KEY",
    callback=not_empty,
    default=lambda: str(uuid.uuid4()),
    help="Idempotency-Key: requests with the same key are executed once (default: a new key).",
)
_WAIT = click.option("--wait", is_flag=True, help="Follow the run until it ends.")
_NOT_FOUND = 404
_POSTED = 32 * 1024 * 1024
"""Bytes up to which a corrected file is sent in the request; a larger one is uploaded."""


@click.command()
@_RUN
@_REASON
@_KEY
@data_option
@json_option
def cancel(run_id: str, reason: str | None, key: str, data: Path | None, *, as_json: bool) -> None:
    """End a RUN that is not loading yet, and stop its copy."""
    with Client(find(data)) as client:
        run = client.verb(run_id, "cancel", {"reason": reason} if reason else {}, key)
    click.echo(json.dumps(run, indent=2) if as_json else f"{run_id} is {run.get('state')}")


@click.command()
@_RUN
@_REASON
@_KEY
@_WAIT
@data_option
@json_option
def retry(
    run_id: str, reason: str | None, key: str, data: Path | None, *, wait: bool, as_json: bool
) -> None:
    """Retry a RUN that was quarantined, failed or cancelled.

    With --wait it exits with 1 if the run is refused or fails.
    """
    with Client(find(data)) as client:
        run = client.verb(run_id, "retry", {"reason": reason} if reason else {}, key)
        _print_answer(
            client, run, f"{run_id} is {run.get('state')} again", wait=wait, as_json=as_json
        )


@click.command()
@click.argument("run_ids", metavar="[RUN]...", nargs=-1)
@click.option(
    "--from",
    "origin",
    default="raw",
    show_default=True,
    type=click.Choice(["raw", "bronze"]),
    help="raw: validate, copy and load the file again; bronze: load the copied data again.",
)
@click.option(
    "--dataset",
    "-d",
    metavar="NAME",
    callback=not_empty,
    help="All runs of this dataset, instead of RUNs.",
)
@click.option(
    "--state",
    default="succeeded",
    show_default=True,
    type=click.Choice(sorted(state.value for state in FINAL)),
    metavar="STATE",
    help="With --dataset: only runs in this final state.",
)
@click.option("--landed-from", metavar="TIME", help="With --dataset: landed at TIME or later.")
@click.option("--landed-to", metavar="TIME", help="With --dataset: landed before TIME.")
@click.option("--dry-run", is_flag=True, help="With --dataset: only list the runs.")
@_REASON
@_KEY
@_WAIT
@data_option
@json_option
def replay(
    run_ids: tuple[str, ...],
    *,
    origin: str,
    dataset: str | None,
    state: str,
    landed_from: str | None,
    landed_to: str | None,
    reason: str | None,
    key: str,
    data: Path | None,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Replay ended runs: each RUN, or those of a dataset.

    Times are ISO 8601, in UTC if they have no offset.
    With --wait it exits with 1 if a run is refused or fails.
    """
    if bool(run_ids) == bool(dataset):
        raise click.UsageError("give either RUNs or --dataset")
    if run_ids and (dry_run or landed_from or landed_to):
        raise click.UsageError("--dry-run, --landed-from and --landed-to need --dataset")
    more = {"from": origin, **({"reason": reason} if reason else {})}
    with Client(find(data)) as client:
        if run_ids:
            # One key for each run: each is a separate request.
            runs = [client.verb(run, "replay", more, f"{key}.{run}") for run in run_ids]
            text = "\n".join(f"{run['run_id']} is {run['state']} again" for run in runs)
            _print_answer(client, {"runs": runs}, text, wait=wait, as_json=as_json)
            return
        query = {"dataset": dataset, "state": state, **more}
        times = {"landed_from": landed_from, "landed_to": landed_to}
        query |= {name: time for name, time in times.items() if time}
        plan = client.replay(query | {"dry_run": dry_run}, key)
        if not dry_run and wait:
            plan = _wait_until_reopened(client, plan)
        _print_answer(client, plan, _plan_text(plan), wait=wait and not dry_run, as_json=as_json)


@click.command()
@_RUN
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@_KEY
@_WAIT
@data_option
@json_option
def resend(
    run_id: str, file: Path, key: str, data: Path | None, *, wait: bool, as_json: bool
) -> None:
    """Send corrected rejects of a RUN: FILE becomes a new drop, linked to that run.

    With --wait it exits with 1 if the new run is refused or fails.
    """
    target = find(data)
    with Client(target) as client:
        if file.stat().st_size <= _POSTED:
            run = client.resend(run_id, file.name, file.read_bytes(), key)
        else:
            if target.lake is None:
                raise CliError(f"{file} is too large for a request: set LANDFALL_LAKE to upload it")
            dataset = client.run(run_id)["dataset"]
            path = f"landing/{dataset}/_resend/{run_id}/{file.name}"
            with lake.landing(target.lake) as container:
                landed = lake.upload(container, file, path)
            run = landed.summary() | {"resend_of": run_id}
        text = f"{file.name} is run {run['run_id']}, corrected rejects of {run_id}"
        _print_answer(client, run, text, wait=wait, as_json=as_json)


def _print_answer(client: Client, answer: Json, text: str, *, wait: bool, as_json: bool) -> None:
    """Print the answer; with `wait` follow its runs to their end first."""
    if not wait:
        click.echo(json.dumps(answer, indent=2) if as_json else text)
        return
    console = render.console(stderr=as_json)
    runs_to_follow = answer.get("runs", [answer])
    with live.board(console) as view:
        runs = live.follow(
            lambda: [_current_run(client, run) for run in runs_to_follow],
            view,
            done=live.all_final,
            seconds=float("inf"),
        )
    if as_json:
        whole = answer | {"runs": runs} if "runs" in answer else runs[0]
        click.echo(json.dumps(whole, indent=2))
    else:
        console.print(render.runs_table(runs, console.width))
    if any(run["state"] in render.BAD for run in runs):
        raise click.exceptions.Exit(REFUSED)


def _current_run(client: Client, run: Json | str) -> Json:
    """Return the current state of a run; one just uploaded may not be known yet."""
    try:
        return client.run(run if isinstance(run, str) else run["run_id"])
    except ApiProblem as problem:
        if problem.status != _NOT_FOUND or isinstance(run, str):
            raise
    return run


def _wait_until_reopened(client: Client, plan: Json) -> Json:
    """Wait until all runs of a replay are reopened, so that none counts as ended."""
    while not plan["done"]:
        time.sleep(live.POLL_SECONDS)
        plan = client.plan(plan["replay_id"])
    return plan


def _plan_text(plan: Json) -> str:
    runs = "\n".join(f"  {run}" for run in plan["runs"])
    more = plan["total"] - len(plan["runs"])
    rest = f"\n  and {more} more" if more else ""
    if plan.get("dry_run"):
        return f"{plan['total']} runs would be replayed{':' if runs else ''}\n{runs}{rest}".rstrip()
    return f"replay {plan['replay_id']} of {plan['total']} runs\n{runs}{rest}".rstrip()
