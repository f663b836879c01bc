"""`landfall validate`: judge a file by its contract before it is sent; needs no service."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli import render
from cli.target import REPOSITORY, json_option
from cli.trouble import REFUSED, Trouble
from ingest.contracts import Contract, ContractError, load_folder
from ingest.validate import validate as judge
from ingest.validate.local import FileOutputs, FileSource


@click.command()
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--dataset", "-d", required=True, metavar="NAME", help="Whose contract it follows.")
@click.option(
    "--contracts",
    default=REPOSITORY / "contracts",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the contracts.  [default: the repository's]",
)
@click.option(
    "--rejects",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rejected rows there, as they came.",
)
@json_option
def validate(
    file: Path, dataset: str, contracts: Path, rejects: Path | None, *, as_json: bool
) -> None:
    """Judge FILE by the contract of a dataset, as the service will.

    Exits with 1 when the service would refuse it.
    """
    contract = _contract(contracts, dataset)
    console = render.console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as it:
        task = it.add_task(file.name, total=file.stat().st_size or 1)
        try:
            found = judge(
                FileSource(file),
                contract,
                name=file.name,
                outputs=FileOutputs(rejects=rejects),
                on_progress=lambda done: it.update(task, completed=done),
            )
        except OSError as error:
            raise Trouble(f"cannot read or write: {error}") from None
    if as_json:
        click.echo(found.to_json())
    else:
        render.console().print(render.report(found.to_dict()))
        if rejects is not None and found.rejected:
            click.echo(f"\nrejected rows are in {rejects}")
    if found.verdict == "refused":
        raise click.exceptions.Exit(REFUSED)


def _contract(folder: Path, dataset: str) -> Contract:
    try:
        known = load_folder(folder)
    except ContractError as error:
        raise Trouble(f"a contract in {folder} is wrong: {error}") from None
    if dataset not in known:
        names = ", ".join(sorted(known)) or "none"
        raise Trouble(f"no contract for dataset {dataset!r} in {folder}; there are: {names}")
    return known[dataset]
