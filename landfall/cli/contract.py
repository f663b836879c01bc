"""`landfall contract`: infer, lint and compare data contracts, without a service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import json_option
from landfall.contract.folder import SUFFIX, Contract, ContractError, parse

if TYPE_CHECKING:
    from landfall.authoring.notes import Notes

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def contract() -> None:
    """Write, check and compare data contracts."""


@contract.command()
@click.argument("file", metavar="FILE", type=_FILE)
@click.option("--dataset", "-d", metavar="NAME", help="Its dataset.  [default: the file's name]")
@click.option(
    "--out",
    "-o",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of the output; an existing file is not overwritten.",
)
def infer(file: Path, dataset: str | None, out: Path | None) -> None:
    """Write a contract from FILE as a sample.

    Types, required columns, a key and short lists of values are inferred where the sample is clear.
    """
    from landfall.authoring.infer import infer as write  # noqa: PLC0415 - only this needs it
    from landfall.validation.local_files import FileSource  # noqa: PLC0415 - likewise
    from landfall.validation.problems import Refusal  # noqa: PLC0415 - likewise

    name = dataset or re.sub(r"\W+", "_", file.name.partition(".")[0]).strip("_").lower() or "data"
    try:
        text = write(FileSource(file), name=file.name, dataset=name)
    except Refusal as refusal:
        problem = refusal.problem
        raise CliError(f"{file}: {problem.reason}; {problem.action}") from None
    except ContractError as error:
        raise CliError(f"{file} has values that a contract cannot describe: {error}") from None
    except OSError as error:
        raise CliError(f"cannot read {file}: {error}") from None
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with out.open("x", encoding="utf-8") as written:
            written.write(text)
    except OSError as error:
        raise CliError(f"cannot write {out}: {error}") from None
    click.echo(f"wrote {out}: check it, then put it into contracts/ as {name}{SUFFIX}")


@contract.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
def lint(files: tuple[Path, ...]) -> None:
    """Check contracts against the standard and against what Landfall supports.

    Lists the fields of each that do not affect a verdict. Exits with 1 if one of them is wrong.
    """
    from landfall.authoring.lint import lint as check  # noqa: PLC0415 - its model is slow to import
    from landfall.authoring.notes import notes  # noqa: PLC0415 - only this needs it

    wrong = 0
    for file in files:
        try:
            contract = check(_text(file), file=str(file))
        except ContractError as error:
            wrong += 1
            click.echo(f"{error.file}: {error.path or 'document'}: {error.reason}")
        else:
            rules = f", {len(contract.rules)} quality rules" if contract.rules else ""
            click.echo(
                f"{file}: good: {contract.dataset} {contract.version}, "
                f"{len(contract.columns)} columns{rules}"
            )
            _print_notes(notes(_text(file), file=str(file)))
    if wrong:
        raise click.exceptions.Exit(REFUSED)


def _print_notes(notes: Notes) -> None:
    for what, places in (
        ("stored, not checked yet", notes.later),
        ("descriptive, not checked", notes.described),
        ("for other tools, not checked", notes.unchecked),
    ):
        if places:
            listed = ", ".join(
                f"{place} ({times})" if times > 1 else place for place, times in places.items()
            )
            click.echo(f"  {what}: {listed}")


@contract.command()
@click.argument("old", metavar="OLD", type=_FILE)
@click.argument("new", metavar="NEW", type=_FILE)
@json_option
def diff(old: Path, new: Path, *, as_json: bool) -> None:
    """List the changes from OLD to NEW, and which of them break readers of the table.

    Exits with 1 on a breaking change.
    """
    from landfall.authoring.diff import diff as compare  # noqa: PLC0415 - only this needs it

    changes = compare(_read(old), _read(new))
    breaking = sum(change.breaking for change in changes)
    if as_json:
        listed = [change.to_dict() for change in changes]
        click.echo(json.dumps({"breaking": breaking > 0, "changes": listed}, indent=2))
    else:
        for change in changes:
            mark = "BREAKS " if change.breaking else "       "
            click.echo(f"{mark}{change.column or '(table)'}: {change.what}")
        click.echo(f"{len(changes)} changes, {breaking} breaking" if changes else "no changes")
    if breaking:
        raise click.exceptions.Exit(REFUSED)


def _read(file: Path) -> Contract:
    try:
        return parse(_text(file), file=str(file))
    except ContractError as error:
        raise CliError(f"a contract is wrong: {error}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CliError(f"cannot read {file}: {error}") from None
