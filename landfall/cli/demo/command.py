"""`landfall demo`: start a local cloud, run the scenario, report, stop everything."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from devcloud import config as devcloud_config
from devcloud import pidfile
from devcloud.supervisor import StartError, Supervisor
from landfall.cli import deploy, lake, live, render
from landfall.cli.client import ApiProblem, Client
from landfall.cli.demo import analytics, closing, extraction, scenario, served
from landfall.cli.demo import gold as gold_tables
from landfall.cli.demo.play import DemoDelivery, Play
from landfall.cli.demo.scenario import DemoDrop
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import app_folder, json_option, local, project_folder

_INTERRUPTED = 130


@click.command()
@click.option(
    "--data",
    type=click.Choice(["real", "generated", "auto"]),
    default="auto",
    show_default=True,
    help="What to drop; auto uses the published tables if they are present.",
)
@click.option("--rows", type=click.IntRange(5_000), help="Users to drop, in five files.")
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the lake, the tables and the logs in this folder.",
)
@click.option("--timeout", default=600.0, show_default=True, help="Seconds for the drops to end.")
@json_option
def demo(data: str, rows: int | None, keep: Path | None, timeout: float, *, as_json: bool) -> None:
    """Take drops through a local Azure, from landing to gold, and show the result of each.

    Exits with 0 only if every run ended as expected.
    """
    console = render.console(stderr=as_json)
    try:
        with pidfile.orderly_end(), _folder(keep) as root:
            document = _run_demo(console, root, data, rows, timeout, kept=keep is not None)
            closing.print_commands(console, keep)
    except KeyboardInterrupt:
        console.print("interrupted; all services are stopped")
        raise click.exceptions.Exit(_INTERRUPTED) from None
    except (StartError, pidfile.AlreadyRunningError) as error:
        raise CliError(str(error)) from None
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    if not document["ok"]:
        raise click.exceptions.Exit(REFUSED)


def _run_demo(
    console: Console, root: Path, data: str, rows: int | None, seconds: float, *, kept: bool
) -> dict[str, Any]:
    with ExitStack() as stack:
        demo = scenario.load(project_folder())
        demo.check(data)
        drops = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="landfall-drops-")))
        stack.enter_context(pidfile.claim(root))
        config = devcloud_config.create(root, app_folder())
        sources = stack.enter_context(demo.sources()) if demo.sources else None
        if sources:
            config = extraction.with_connections(config, sources)
        with _step(console, "Starting the local Azure"):
            stack.enter_context(Supervisor(config))
        # Spark takes longest to be ready: what follows is done while it warms up.
        with _step(console, "Preparing the files") as say:
            say(demo.prepare(drops, data, rows))
            objects = sources.fill(extraction.database(config), drops) if sources else ()
        with _step(console, "Deploying factory and bundle"):
            deploy.deploy_all(config, lambda _: None)
        target = local(root)
        client = stack.enter_context(Client(target))
        container = stack.enter_context(lake.landing(str(target.lake)))
        console.print("Dropping files and following their runs; loads begin when Spark is warm")
        with live.board(console, transient=True) as view:
            play = Play(demo, client, container, drops, view=view, seconds=seconds)
            play.run_scenario()
        extracts: list[extraction.DemoExtract] = []
        if sources:
            with _step(console, "Extracting from a database and an API, twice"):
                extraction.put_secrets(config, sources.secrets)
                extracting = extraction.Extracting(client, config.lake_folder, seconds)
                extracts = extracting.run(objects)
        if demo.later:
            console.print("Dropping what belongs to the extracted rows")
            with live.board(console) as view:
                play.follow_on(view)
        broken = _refused_report(client, demo.refused, play.deliveries)
        gold = gold_tables.tables(config.lake_folder)
        serving = served.read(config.database_dsn, demo.query)
        models = None
        if demo.analytics:
            with _step(console, "Making segments, recommendations and forecasts"):
                models = analytics.run(root, config.lake_folder, kept=kept)
        closing.show(
            console,
            demo,
            play.deliveries,
            broken,
            gold=gold,
            serving=serving,
            small_seconds=play.small_seconds,
            extracts=extracts,
            models=models,
        )
        with _step(console, "\nStopping all services"):
            stack.close()
    return closing.document(
        play.deliveries, gold, serving, play.small_seconds, extracts, models=models
    )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(
            prefix="landfall-demo-", ignore_cleanup_errors=True
        ) as name:
            yield Path(name).resolve()
        return
    if keep.exists() and any(keep.iterdir()):
        raise CliError(
            f"{keep} is not empty, and the demo needs a new lake: name a new folder "
            f"(`landfall up --data {shlex.quote(str(keep))}` starts a kept one again)"
        )
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


@contextmanager
def _step(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """Show a step while it runs and, at its end, how long it took."""
    remarks: list[str] = []
    started = time.monotonic()
    with console.status(what.strip()):
        yield remarks.append
    remark = "".join(f": {text}" for text in remarks)
    console.print(f"{what}{remark} [dim]({time.monotonic() - started:.1f} s)[/]")


def _refused_report(
    client: Client, refused: DemoDrop, deliveries: list[DemoDelivery]
) -> tuple[str, dict[str, Any]] | None:
    for delivery in deliveries:
        if delivery.drop is refused:
            run_id = delivery.landed.run_id
            try:
                details = client.run(run_id)
                return str(details["verdict"]["report"]), client.report(run_id)
            except ApiProblem:
                return None
    return None
