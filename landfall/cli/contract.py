"""`landfall contract`: infer, lint and compare data contracts, without a service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from landfall.cli.client import ApiProblem, Client
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import data_option, find, json_option, not_empty
from landfall.contract.folder import SUFFIX, Contract, ContractError, bad_name, parse
from landfall.protocol import is_dataset

if TYPE_CHECKING:
    from landfall.authoring.notes import Notes

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NOT_FOUND = 404
_FILE_OR_FOLDER = click.Path(exists=True, path_type=Path)


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
    type=click.Path(path_type=Path),
    help="Write it to this file, or to <dataset>.odcs.yaml in this folder; an existing file is not "
    "overwritten.  [default: the output]",
)
def infer(file: Path, dataset: str | None, out: Path | None) -> None:
    """Write a contract from FILE as a sample.

    Types, required columns, a key and short lists of values are inferred where the sample is clear.
    """
    from landfall.authoring.infer import infer as write  # noqa: PLC0415 - only this needs it
    from landfall.validation.local_files import FileSource  # noqa: PLC0415 - likewise
    from landfall.validation.problems import Refusal  # noqa: PLC0415 - likewise

    if dataset is not None and not is_dataset(dataset):
        raise click.BadParameter(f"{bad_name(dataset)}", param_hint="--dataset")
    name = dataset or _dataset_of(file)
    if out is not None and out.is_dir():
        out = out / f"{name}{SUFFIX}"
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
    click.echo(f"wrote {out}: read it and correct it, it is only as wide as the sample")
    if out.name != f"{name}{SUFFIX}":
        click.echo(f"its name in a project is contracts/{name}{SUFFIX}")


def _dataset_of(file: Path) -> str:
    """A name of a dataset, made of the name of a file."""
    stem = file.name.partition(".")[0]
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:63]
    return name if is_dataset(name) else "data"


@contract.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE_OR_FOLDER)
@json_option
def lint(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check contracts against the standard and against what Landfall supports.

    A FILE may be a folder of contracts; `landfall lint` checks a whole project. Lists the fields of
    each that do not affect a verdict. Exits with 1 if one of them is wrong.
    """
    from landfall.authoring.lint import lint as check  # noqa: PLC0415 - its model is slow to import
    from landfall.authoring.notes import notes  # noqa: PLC0415 - only this needs it

    wrong, documents = 0, []
    for file in _contract_files(files):
        document: dict[str, object] = {"file": str(file), "good": True}
        documents.append(document)
        try:
            contract = check(_text(file), file=str(file))
            _check_file_name(file, contract)
        except ContractError as error:
            wrong += 1
            document |= {"good": False, "place": error.path, "reason": error.reason}
            if not as_json:
                click.echo(f"{error.file}: {error.path or 'document'}: {error.reason}")
            continue
        document |= {"dataset": contract.dataset, "version": contract.version}
        if not as_json:
            rules = f", {len(contract.rules)} quality rules" if contract.rules else ""
            click.echo(
                f"{file}: good: {contract.dataset} {contract.version}, "
                f"{len(contract.columns)} columns{rules}"
            )
            _print_notes(notes(_text(file), file=str(file)))
    if as_json:
        click.echo(json.dumps({"contracts": documents}, indent=2))
    if wrong:
        raise click.exceptions.Exit(REFUSED)


def _contract_files(named: tuple[Path, ...]) -> list[Path]:
    """The files that are named, and those of the folders that are named.

    Raises:
        CliError: a folder has no contract.
    """
    files: list[Path] = []
    for place in named:
        below = sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place]
        if not below:
            raise CliError(f"{place} has no file *{SUFFIX}; `landfall lint` checks a project")
        files += below
    return files


def _check_file_name(file: Path, contract: Contract) -> None:
    """A contract is found by the name of its file, which has to be that of its dataset."""
    if not is_dataset(contract.dataset):
        raise ContractError(str(file), "schema[0].name", bad_name(contract.dataset))
    expected = f"{contract.dataset}{SUFFIX}"
    if file.name.endswith(SUFFIX) and file.name != expected:
        raise ContractError(
            str(file), "schema[0].name", f"is {contract.dataset!r}: name the file {expected}"
        )


def _print_notes(notes: Notes) -> None:
    for what, places in (
        ("kept, and not checked yet", notes.later),
        ("for readers, changes no verdict", notes.described),
        ("for other tools, changes no verdict", notes.unchecked),
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


@contract.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--yes", "-y", is_flag=True, help="Do not ask before a breaking change.")
@data_option
@json_option
def push(files: tuple[Path, ...], data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Put each contract FILE in force in a running service, without a deployment.

    It wins over the project's own until `landfall contract withdraw`. Each version is kept, and a
    run ends by the version that validated it. A change that breaks readers asks first.
    """
    pushed = []
    with Client(find(data)) as client:
        for file in files:
            contract = _read(file)
            answer = _push(client, contract, yes=yes)
            pushed.append({name: answer[name] for name in ("dataset", "version", "digest")})
            if not as_json:
                click.echo(f"{answer['dataset']} {answer['version']} is in force")
    if as_json:
        click.echo(json.dumps({"pushed": pushed}, indent=2))


def _push(client: Client, contract: Contract, *, yes: bool) -> dict[str, Any]:
    from landfall.authoring.diff import diff as compare  # noqa: PLC0415 - only this needs it

    try:
        in_force = client.contract(contract.dataset)
    except ApiProblem as problem:
        if problem.status != _NOT_FOUND:
            raise
        return client.push_contract(contract.dataset, contract.text, "")
    old = parse(in_force["contract"], file=f"{contract.dataset} in force")
    breaking = [change for change in compare(old, contract) if change.breaking]
    for change in breaking:
        click.echo(f"BREAKS {change.column or '(table)'}: {change.what}", err=True)
    if breaking and not yes:
        click.confirm(
            f"Put {contract.dataset} {contract.version} in force over {old.version}?",
            abort=True,
            err=True,
        )
    return client.push_contract(contract.dataset, contract.text, in_force["digest"])


@contract.command()
@click.argument("dataset", metavar="DATASET", callback=not_empty)
@data_option
@json_option
def withdraw(dataset: str, data: Path | None, *, as_json: bool) -> None:
    """Take back the pushed contract of DATASET: the project's own is in force again."""
    with Client(find(data)) as client:
        left = client.withdraw_contract(dataset)
    if as_json:
        click.echo(json.dumps({"dataset": dataset, "version": left["version"]}))
    elif left["version"] is None:
        click.echo(f"withdrawn; {dataset} has no contract any more: its drops wait")
    else:
        click.echo(f"withdrawn; {dataset} {left['version']} of the project is in force")


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
