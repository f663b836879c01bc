"""`landfall validate`: validate files by a contract, without a service."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from landfall.cli import render
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import json_option, project_folder
from landfall.contract.folder import SUFFIX, Contract, ContractError, parse
from landfall.validation import Report
from landfall.validation import validate as run_validation
from landfall.validation.first_lines import with_first_lines
from landfall.validation.local_files import FileOutputs, FileReferences, FileSource

_OUT = click.Path(path_type=Path)
_PARQUET = ".parquet"


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--dataset", "-d", metavar="NAME", help="Dataset of the files.")
@click.option(
    "--contract",
    "-c",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the contract, instead of --dataset.",
)
@click.option(
    "--contracts",
    default=lambda: project_folder() / "contracts",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of contracts.  [default: contracts/ of the project]",
)
@click.option(
    "--rejects",
    metavar="OUT",
    type=_OUT,
    help="Write rejected rows to OUT, and their reasons to OUT.reasons.jsonl.",
)
@click.option(
    "--accepted",
    metavar="OUT",
    type=_OUT,
    help="Write accepted rows to OUT as typed Parquet, as the service loads them.",
)
@click.option(
    "--reference",
    "references",
    metavar="DATASET=FILE",
    multiple=True,
    help="File of another dataset that the contract refers to; may be given several times.",
)
@click.option("--html", metavar="OUT", type=_OUT, help="Write the report to OUT as an HTML page.")
@json_option
def validate(
    files: tuple[Path, ...],
    dataset: str | None,
    contract: Path | None,
    contracts: Path,
    *,
    rejects: Path | None,
    accepted: Path | None,
    references: tuple[str, ...],
    html: Path | None,
    as_json: bool,
) -> None:
    """Validate each FILE by a contract, as the service will; - is the standard input.

    With several files OUT is a folder and the JSON output is a list. Exits with
    1 if the service would refuse one of them.
    """
    if (dataset is None) == (contract is None):
        raise click.UsageError("give either --dataset or --contract")
    validated_by = _from_folder(contracts, dataset) if contract is None else _read(contract)
    reference_files = _references(references, contracts)
    reports = []
    files, stdin = _with_stdin(files)
    try:
        _clear("--rejects", rejects, files)
        _clear("--accepted", accepted, files, _PARQUET)
        for file in files:
            outputs = FileOutputs(
                rejects=_place(rejects, file, files),
                accepted=_place(accepted, file, files, _PARQUET),
            )
            report = _validate(file, validated_by, outputs, reference_files)
            reports.append(report)
            if html is not None:
                _write_page(report, _place(html, file, files, ".html"))
            if not as_json:
                _show(report, _place(rejects, file, files), _place(html, file, files, ".html"))
    except OSError as error:
        raise CliError(f"cannot read or write: {error}") from None
    finally:
        if stdin is not None:
            shutil.rmtree(stdin)
    if as_json:
        documents = [report.to_dict() for report in reports]
        answer = documents if len(files) > 1 else documents[0]
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    if any(report.verdict == "refused" for report in reports):
        raise click.exceptions.Exit(REFUSED)


def _with_stdin(files: tuple[Path, ...]) -> tuple[tuple[Path, ...], Path | None]:
    """Return the files, `-` as a file with the standard input, and the folder that it is in.

    What is validated is read several times, and a pipe only once.
    """
    if Path("-") not in files:
        return files, None
    folder = Path(tempfile.mkdtemp(prefix="landfall-"))
    copy = folder / "stdin"
    with copy.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return tuple(copy if path == Path("-") else path for path in files), folder


def _validate(
    file: Path, contract: Contract, outputs: FileOutputs, references: FileReferences
) -> Report:
    console = render.console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as it:
        task = it.add_task(file.name, total=file.stat().st_size or 1)
        source = FileSource(file)
        report = run_validation(
            source,
            contract,
            name=file.name,
            outputs=outputs,
            on_progress=lambda done: it.update(task, completed=done),
            references=references,
        )
        return with_first_lines(report, contract, source, name=file.name)


def _clear(option: str, output: Path | None, files: tuple[Path, ...], suffix: str = "") -> None:
    """Delete the output of an earlier run: the next one may have nothing to write."""
    for file in files if output is not None else ():
        out = _place(output, file, files, suffix)
        if out is None or any(out.resolve() == other.resolve() for other in files):
            raise click.UsageError(f"{option} {output} would overwrite {file}")
        for old in (out, out.with_name(f"{out.name}.reasons.jsonl")):
            old.unlink(missing_ok=True)


def _references(options: tuple[str, ...], folder: Path) -> FileReferences:
    """Return the files of other datasets with their contracts."""
    files: dict[str, Path] = {}
    for option in options:
        dataset, equals, file = option.partition("=")
        if not equals or not Path(file).is_file():
            raise click.UsageError(
                f"--reference {option}: must be DATASET=FILE of an existing file"
            )
        files[dataset] = Path(file)
    return FileReferences(files, {dataset: _from_folder(folder, dataset) for dataset in files})


def _place(out: Path | None, file: Path, files: tuple[Path, ...], suffix: str = "") -> Path | None:
    """Return the output path for `file`: `out`, or a file in the folder `out`."""
    if out is None or len(files) == 1:
        return out
    if len({other.name for other in files}) < len(files):
        raise CliError(f"two of the files have the same name and cannot share the folder {out}")
    out.mkdir(parents=True, exist_ok=True)
    return out / f"{file.name}{suffix}"


def _write_page(report: Report, out: Path | None) -> None:
    from landfall.reporting.page import render_html  # noqa: PLC0415 - only --html needs it

    if out is not None:
        out.write_text(render_html(report), encoding="utf-8")


def _show(report: Report, rejects: Path | None, page: Path | None) -> None:
    render.console().print(render.report(report.to_dict()))
    for measure in report.measures:
        value = "nothing" if measure.value is None else f"{measure.value:g}"
        state = "kept" if measure.kept else "broken"
        of = measure.column or "the table"
        click.echo(f"{measure.rule} of {of}: {value}, must {measure.expected}: {state}")
    for link in report.relationships:
        state = (
            f"found among {link.keys:,} values" if link.checked else f"not checked: {link.reason}"
        )
        click.echo(f"{link.column} refers to {link.to}: {state}")
    if rejects is not None and report.rejected:
        click.echo(f"\nrejected rows are in {rejects}")
    if page is not None:
        click.echo(f"the report is in {page}")


def _read(file: Path) -> Contract:
    try:
        return parse(file.read_text(encoding="utf-8"), file=file.name)
    except ContractError as error:
        raise CliError(f"the contract is wrong: {error}") from None
    except (OSError, UnicodeError) as error:
        raise CliError(f"cannot read {file}: {error}") from None


def _from_folder(folder: Path, dataset: str | None) -> Contract:
    file = folder / f"{dataset}{SUFFIX}"
    known = sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    if dataset not in known:
        names = ", ".join(known) or "none"
        raise CliError(f"no contract for dataset {dataset!r} in {folder}; known: {names}")
    contract = _read(file)
    if contract.dataset != dataset:
        raise CliError(f"the contract is wrong: {file} is for dataset {contract.dataset!r}")
    return contract
